"""drop-existing: what the release before uses stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.history import signature_of
from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import QualifiedName, concrete, enum_name, kind_of, name_of, strings, type_name
from scripts.lint.replacement import is_replaced
from scripts.lint.tables import changes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from scripts.lint.subject import LintInput, Part

_ON_TABLE = frozenset({"TRIGGER", "POLICY", "RULE"})
_RELATIONS = frozenset({"TABLE", "VIEW", "MATVIEW", "SEQUENCE", "INDEX", "FOREIGN_TABLE"})
_ALTERS = {
    "AT_DropColumn": "DROP COLUMN",
    "AT_DropConstraint": "DROP CONSTRAINT",
    "AT_DropExpression": "DROP EXPRESSION",
    "AT_DropIdentity": "DROP IDENTITY",
    "AT_DropInherit": "NO INHERIT",
    "AT_DropOf": "NOT OF",
    "AT_DetachPartition": "DETACH PARTITION",
}
_WHOLE = {
    "DropRoleStmt": "DROP ROLE",
    "DropOwnedStmt": "DROP OWNED",
    "DropdbStmt": "DROP DATABASE",
    "DropTableSpaceStmt": "DROP TABLESPACE",
    "DropSubscriptionStmt": "DROP SUBSCRIPTION",
    "DropUserMappingStmt": "DROP USER MAPPING",
}


def find(subject: LintInput) -> Iterator[Finding]:
    """DROP of anything an earlier file made, and the commands of ALTER that take something away."""
    for part in subject.executed:
        if part.kind in _WHOLE:
            yield RULE.at(part, _WHOLE[part.kind], f"{_WHOLE[part.kind]} takes away what others may use")
        elif part.kind == "DropStmt":
            yield from _dropped(subject, part)
        elif part.kind == "AlterDomainStmt" and part.node.subtype == "X":
            name = name_of(part.node.type_name)
            yield RULE.at(part, name, f"ALTER DOMAIN {name} drops a constraint")
    for change in changes(subject):
        if change.subtype == "AT_ColumnDefault" and change.item is None:
            yield RULE.at(change.part, change.name, f"DROP DEFAULT of {change.name}")
        elif change.subtype in _ALTERS and not _constraint_comes_back(subject, change):
            what = _ALTERS[change.subtype]
            yield RULE.at(change.part, change.name, f"{what} of {change.name}")


def _dropped(subject: LintInput, part: Part) -> Iterator[Finding]:
    kind = enum_name(part.node, "remove_type").removeprefix("OBJECT_")
    for wrapper in part.node.objects:
        target = concrete(wrapper)
        name = spelled(kind, target)
        if _is_new(subject, part, kind, target, name) or is_replaced(subject, part, kind, target, name):
            continue
        yield RULE.at(part, name, f"DROP {kind.replace('_', ' ')} {name}")


def spelled(kind: str, target: Any) -> str:
    """A dropped object's name, as the history spells it."""
    message = kind_of(target)
    if message == "ObjectWithArgs":
        return str(name_of(target.objname))
    if message == "TypeName":
        return str(name_of(target.names))
    if message == "String":
        return str(target.sval)
    if message == "List":
        words = [text for item in target.items if (text := _word(item))]
        if kind in _ON_TABLE and len(words) >= 2:
            table = QualifiedName(words[-3], words[-2]) if len(words) > 2 else QualifiedName("public", words[-2])
            return f"{table}.{words[-1]}"
        return str(name_of(target.items)) if strings(target.items) else ", ".join(words)
    return kind.lower()


def _word(item: Any) -> str:
    value = concrete(item)
    return type_name(value) if kind_of(value) == "TypeName" else str(getattr(value, "sval", ""))


def _is_new(subject: LintInput, part: Part, kind: str, target: Any, name: str) -> bool:
    history = subject.history
    if kind in _RELATIONS:
        schema, _, relation = name.partition(".")
        return history.is_new(QualifiedName(schema, relation), part)
    if kind in ("FUNCTION", "PROCEDURE", "ROUTINE"):
        before = history.routine_before(name_of(target.objname), part, signature_of(target))
        created = None if before is None else before.part
        return created is not None and created.file is part.file and created.body is None and not created.node.replace
    return history.created_here(kind, name, part)


def _constraint_comes_back(subject: LintInput, change: Any) -> bool:
    """Whether the file that drops a constraint adds one of that name again."""
    again = subject.history.others.get(("TABCONSTRAINT", change.name), ())
    return change.subtype == "AT_DropConstraint" and any(
        other.file is change.part.file and other.order >= change.part.order and other.body is None for other in again
    )


RULE = Rule(
    id="drop-existing",
    gate="migration-expand-contract-policy",
    severity="error",
    title="Nothing that an earlier file made is dropped, unless the same transaction puts its like in its place",
    why="The release before is still running while a migration is applied, and after a rollback of the application.",
    help="expand first; the contracting migration comes with its own release, and an exemption that names it",
    before="CREATE TABLE public.a (id bigint, b text);",
    red="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a DROP COLUMN b;",
    green="CREATE TABLE public.c (id bigint);\nDROP TABLE public.c;",
    find=find,
)
