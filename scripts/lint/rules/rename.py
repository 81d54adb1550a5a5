"""rename: a name the release before uses stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import concrete, enum_name, relation_of
from scripts.lint.rules.drop_existing import spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part

# Renaming these breaks no statement of an application.
_HARMLESS = frozenset({"INDEX", "TABCONSTRAINT", "DOMCONSTRAINT", "TRIGGER", "POLICY", "RULE"})


def find(subject: LintInput) -> Iterator[Finding]:
    """RENAME and SET SCHEMA of existing objects, columns included."""
    for part in subject.executed:
        if part.kind == "RenameStmt":
            kind = enum_name(part.node, "rename_type").removeprefix("OBJECT_")
            if kind not in _HARMLESS and not _is_new(subject, part):
                yield RULE.at(part, _name(part, kind), f"RENAME of {kind.lower()} {_name(part, kind)}")
        elif part.kind == "AlterObjectSchemaStmt" and not _is_new(subject, part):
            kind = enum_name(part.node, "object_type").removeprefix("OBJECT_")
            yield RULE.at(part, _name(part, kind), f"SET SCHEMA of {kind.lower()} {_name(part, kind)}")


def _is_new(subject: LintInput, part: Part) -> bool:
    return part.node.HasField("relation") and subject.history.is_new(relation_of(part.node.relation), part)


def _name(part: Part, kind: str) -> str:
    node = part.node
    subname = getattr(node, "subname", "")
    if node.HasField("relation"):
        table = relation_of(node.relation)
        return f"{table}.{subname}" if subname and kind in ("COLUMN", "ATTRIBUTE") else str(table)
    target = concrete(node.object) if node.HasField("object") else None
    return subname if target is None else spelled(kind, target)


RULE = Rule(
    id="rename",
    gate="migration-expand-contract-policy",
    severity="error",
    title="Tables, columns, types, functions and schemas keep their names",
    why="Between the migration and the release of the application one of the two names does not exist.",
    help="add the new name beside the old one (a column, a view, a function), and contract later",
    before="CREATE TABLE public.a (id bigint);",
    red="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a RENAME COLUMN id TO a_id;",
    green="CREATE TABLE public.b (id bigint);\nALTER TABLE public.b RENAME COLUMN id TO b_id;",
    find=find,
)
