"""set-not-null: a column becomes required by a constraint that spares the rows that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import name_of
from scripts.lint.tables import changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """ALTER COLUMN … SET NOT NULL on an existing table, and its like for a domain."""
    for change in changes(subject):
        if change.subtype == "AT_SetNotNull":
            yield RULE.at(change.part, change.name, f"SET NOT NULL on {change.name}")
    for part in subject.executed:
        if part.kind == "AlterDomainStmt" and part.node.subtype == "O":
            name = name_of(part.node.type_name)
            yield RULE.at(part, name, f"ALTER DOMAIN {name} SET NOT NULL scans every table that uses it")


RULE = Rule(
    id="set-not-null",
    gate="migration-expand-contract-policy",
    severity="error",
    title="No SET NOT NULL on an existing table",
    why="It scans the whole table under a lock that stops readers, and fails on the first old row without a value.",
    help="ADD CONSTRAINT … NOT NULL column NOT VALID now, VALIDATE CONSTRAINT in a later file",
    before="CREATE TABLE public.a (id bigint);",
    red="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ALTER COLUMN id SET NOT NULL;",
    green="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ADD CONSTRAINT a_id_nn NOT NULL id NOT VALID;",
    find=find,
)
