"""drop-not-null: readers that never met a NULL do not meet one now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import name_of
from scripts.lint.tables import changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """ALTER COLUMN … DROP NOT NULL on an existing table, and its like for a domain."""
    for change in changes(subject):
        if change.subtype == "AT_DropNotNull":
            yield RULE.at(change.part, change.name, f"DROP NOT NULL on {change.name}")
    for part in subject.executed:
        if part.kind == "AlterDomainStmt" and part.node.subtype == "N":
            name = name_of(part.node.type_name)
            yield RULE.at(part, name, f"ALTER DOMAIN {name} DROP NOT NULL")


RULE = Rule(
    id="drop-not-null",
    gate="migration-expand-contract-policy",
    severity="error",
    title="A column that was never NULL stays so",
    why="The release before reads the value without looking.",
    help="add a new nullable column beside it",
    before="CREATE TABLE public.a (id bigint NOT NULL);",
    red="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ALTER COLUMN id DROP NOT NULL;",
    green="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ADD COLUMN b bigint;",
    find=find,
)
