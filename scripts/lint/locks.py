"""Which existing relations a statement locks against others: the statement's own, and the second tables.

Owns: the part of PostgreSQL 18's lock table that can be read from the text alone.
Source: measured on 18.6; ACCESS SHARE and SHARE UPDATE EXCLUSIVE, which stop nobody, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.lint.nodes import QualifiedName, commands, concrete, definition, enum_name, kind_of, relation_of
from scripts.parser.statements import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part

# These take SHARE UPDATE EXCLUSIVE: neither readers nor writers wait.
_GENTLE = frozenset({"AT_ValidateConstraint", "AT_SetStatistics", "AT_SetOptions", "AT_ResetOptions", "AT_ClusterOn"})
_DIRECT = {
    "CreateTrigStmt": "CREATE TRIGGER",
    "CreatePolicyStmt": "CREATE POLICY",
    "AlterPolicyStmt": "ALTER POLICY",
    "RuleStmt": "CREATE RULE",
    "IndexStmt": "CREATE INDEX",
    "RenameStmt": "RENAME",
    "AlterObjectSchemaStmt": "SET SCHEMA",
}
_TABLE_FIELD = {"CreatePolicyStmt": "table", "AlterPolicyStmt": "table"}
_DROPPED = ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE", "OBJECT_SEQUENCE")
_DROPPED_ON = ("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE")


@dataclass(frozen=True, slots=True)
class Lock:
    """An existing relation that a part locks. `second`: it is not the one the statement is about."""

    part: Part = field(repr=False)
    relation: QualifiedName
    reason: str
    second: bool = False
    node: Any = field(default=None, repr=False)


def locked_existing(subject: LintInput) -> Iterator[Lock]:
    """Every lock on a relation that was there before the file, in the order of the statements."""
    for part in subject.executed:
        for lock in _locks(part):
            if not subject.history.is_new(lock.relation, part):
                yield lock


def _locks(part: Part) -> Iterator[Lock]:
    node = part.node
    if part.kind == "AlterTableStmt":
        yield from _of_alter(part)
    elif part.kind in _DIRECT:
        if getattr(node, "concurrent", False):
            return
        table = _TABLE_FIELD.get(part.kind, "relation")
        if node.HasField(table):
            yield Lock(part, relation_of(getattr(node, table)), _DIRECT[part.kind])
    elif part.kind == "DropStmt":
        yield from _of_drop(part)
    elif part.kind == "TruncateStmt":
        for wrapper in node.relations:
            yield Lock(part, relation_of(concrete(wrapper)), "TRUNCATE")
    elif part.kind in ("CreateStmt", "CreateForeignTableStmt"):
        yield from _of_create(part, node if part.kind == "CreateStmt" else node.base_stmt)


def _of_alter(part: Part) -> Iterator[Lock]:
    table = relation_of(part.node.relation)
    told = False
    for subtype, command in commands(part.node):
        item = definition(command)
        if subtype in ("AT_SetRelOptions", "AT_ResetRelOptions") and enum_name(part.node, "objtype") == "OBJECT_TABLE":
            continue
        if subtype not in _GENTLE and not told:
            told = True
            yield Lock(part, table, "ALTER TABLE")
        if item is None:
            continue
        if subtype in ("AT_AttachPartition", "AT_DetachPartition"):
            yield Lock(part, relation_of(item.name), "ATTACH or DETACH PARTITION", second=True, node=item.name)
        if subtype == "AT_AddInherit":
            yield Lock(part, relation_of(item), "INHERIT", second=True, node=item)
        yield from _references(part, item, table)


def _of_create(part: Part, node: Any) -> Iterator[Lock]:
    for wrapper in node.inh_relations:
        parent = concrete(wrapper)
        reason = "PARTITION OF" if node.HasField("partbound") else "INHERITS"
        yield Lock(part, relation_of(parent), reason, second=True, node=parent)
    yield from _references(part, node, relation_of(node.relation))


def _references(part: Part, node: Any, own: QualifiedName) -> Iterator[Lock]:
    for message in walk(node):
        if kind_of(message) == "Constraint" and message.HasField("pktable"):
            parent = relation_of(message.pktable)
            if parent != own:
                yield Lock(part, parent, "REFERENCES", second=True, node=message.pktable)


def _of_drop(part: Part) -> Iterator[Lock]:
    kind = enum_name(part.node, "remove_type")
    for wrapper in part.node.objects:
        target = concrete(wrapper)
        words = [item.string.sval for item in target.items] if kind_of(target) == "List" else []
        if kind in _DROPPED_ON:
            words = words[:-1]
        elif kind not in _DROPPED:
            continue
        if words:
            name = QualifiedName(words[-2] if len(words) > 1 else "public", words[-1])
            yield Lock(part, name, f"DROP {kind.removeprefix('OBJECT_').replace('_', ' ')}")
