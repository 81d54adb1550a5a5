"""required-column: the release before can go on inserting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import column_constraints, enum_name, relation_of
from scripts.lint.tables import changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput

_FILLED = frozenset({"CONSTR_DEFAULT", "CONSTR_IDENTITY", "CONSTR_GENERATED"})


def find(subject: LintInput) -> Iterator[Finding]:
    """ADD COLUMN … NOT NULL (or PRIMARY KEY) that nothing fills, and SET NOT NULL in a domain."""
    for change in changes(subject):
        if change.subtype != "AT_AddColumn":
            continue
        kinds = {kind for kind, _ in column_constraints(change.item)}
        serial = change.item.type_name.names and change.item.type_name.names[-1].string.sval.endswith("serial")
        if kinds & {"CONSTR_NOTNULL", "CONSTR_PRIMARY"} and not kinds & _FILLED and not serial:
            yield RULE.at(
                change.part, change.name, f"ADD COLUMN {change.name} NOT NULL without a default", node=change.item
            )
    for part in subject.executed:
        if part.kind == "AlterTableStmt" and enum_name(part.node, "objtype") == "OBJECT_TYPE":
            name = relation_of(part.node.relation)
            yield RULE.at(part, name, f"ALTER TYPE {name} changes the shape that callers build and read")


RULE = Rule(
    id="required-column",
    gate="migration-expand-contract-policy",
    severity="error",
    title="A new column of an existing table is nullable or has a default, and composite types keep their shape",
    why="Statements of the release before do not name the column: each INSERT would fail.",
    help="add it nullable, or with a constant default",
    before="CREATE TABLE public.a (id bigint);",
    red="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ADD COLUMN b text NOT NULL;",
    green="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ADD COLUMN b text NOT NULL DEFAULT '';",
    find=find,
)
