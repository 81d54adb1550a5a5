"""Which locks a statement takes that runs outside a transaction, where they can only be seen by chance.

Owns: the table of modes, kind by kind, and the relations a statement names.
Source: PostgreSQL 18, "Explicit Locking" and the page of each command; index_drop, ReindexRelationConcurrently and
ATExecDetachPartition for the last transaction of each. What the table says is marked `documented` in a trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.parser.statements import option_flag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.migrations.trace.known import Known
    from scripts.migrations.trace.model import Effect
    from scripts.parser.statements import Statement

_UPDATE, _EXCLUSIVE = "ShareUpdateExclusiveLock", "AccessExclusiveLock"
_SHARE = "ShareLock"
_TABLES, _INDEXES = frozenset("rmp"), frozenset("iI")


class Expected(NamedTuple):
    """A lock: of the relation with this oid, in this mode."""

    oid: int
    mode: str


def expected_locks(statement: Statement, known: Known) -> tuple[Expected, ...]:
    """The strongest modes a statement takes on relations that exist, one for a relation and mode."""
    rule = _RULES.get(statement.kind)
    return () if rule is None else tuple(dict.fromkeys(rule(statement.node, known)))


def expected_effect(statement: Statement) -> Effect:
    """What a statement does to relations that exist."""
    node, kind = statement.node, statement.kind
    if kind in ("IndexStmt", "ReindexStmt"):
        return "index"
    if kind == "ClusterStmt":
        return "rewrite"
    if kind == "VacuumStmt":
        return "rewrite" if option_flag(node.options, "full", default=False) else "scan"
    return "catalog"


def _build(node: Any, known: Known) -> Iterator[Expected]:
    mode = _UPDATE if node.concurrent else _SHARE
    yield from _each(known, [_named(known, node.relation)], mode)


def _drop(node: Any, known: Known) -> Iterator[Expected]:
    for wrapper in node.objects:
        parts = [part.string.sval for part in wrapper.list.items]
        index = known.find(parts[-2] if len(parts) > 1 else "", parts[-1])
        yield from _each(known, [known.table_of(index) if index else 0], _UPDATE)
        yield from _each(known, [index], _UPDATE)
        # Its last transaction, when nobody uses the index any more.
        yield from _each(known, [index], _EXCLUSIVE)


def _reindex(node: Any, known: Known) -> Iterator[Expected]:
    concurrently = option_flag(node.params, "concurrently", default=False)
    table_mode, index_mode = (_UPDATE, _UPDATE) if concurrently else (_SHARE, _EXCLUSIVE)
    for index in _reindexed(node, known):
        yield from _each(known, [known.table_of(index)], table_mode)
        yield from _each(known, [index], index_mode)


def _reindexed(node: Any, known: Known) -> list[int]:
    indexes = [oid for oid, relation in known.relations.items() if relation.kind in _INDEXES]
    if node.HasField("relation"):
        named = _named(known, node.relation)
        return [oid for oid in indexes if named and named in (oid, known.table_of(oid))]
    target = node.DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number[node.kind].name
    if target != "REINDEX_OBJECT_SCHEMA":
        return indexes if target == "REINDEX_OBJECT_DATABASE" else []
    return [oid for oid in indexes if known.relations[oid].schema == node.name]


def _vacuum(node: Any, known: Known) -> Iterator[Expected]:
    mode = _EXCLUSIVE if option_flag(node.options, "full", default=False) else _UPDATE
    named = [_named(known, wrapper.vacuum_relation.relation) for wrapper in node.rels]
    yield from _each(known, named or _all_tables(known), mode)


def _cluster(node: Any, known: Known) -> Iterator[Expected]:
    named = [_named(known, node.relation)] if node.HasField("relation") else []
    yield from _each(known, named or _all_tables(known), _EXCLUSIVE)


def _detach(node: Any, known: Known) -> Iterator[Expected]:
    for wrapper in node.cmds:
        command = wrapper.alter_table_cmd
        if not command.HasField("def"):
            continue
        partition = _named(known, getattr(command, "def").partition_cmd.name)
        yield from _each(known, [_named(known, node.relation), partition], _UPDATE)
        # Its second transaction.
        yield from _each(known, [partition], _EXCLUSIVE)


def _named(known: Known, relation: Any) -> int:
    return known.find(relation.schemaname, relation.relname)


def _all_tables(known: Known) -> list[int]:
    return [oid for oid, relation in known.relations.items() if relation.kind in _TABLES]


def _each(known: Known, oids: list[int], mode: str) -> Iterator[Expected]:
    return (Expected(oid, mode) for oid in oids if oid in known.relations)


_RULES = {
    "IndexStmt": _build,
    "DropStmt": _drop,
    "ReindexStmt": _reindex,
    "VacuumStmt": _vacuum,
    "ClusterStmt": _cluster,
    "AlterTableStmt": _detach,
}
