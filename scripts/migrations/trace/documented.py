"""Which locks a statement takes that runs outside a transaction, where they can only be seen by chance.

Owns: the table of modes, kind by kind, and the relations a statement names. Of one that chooses its relations itself,
only those count that it touched (touched.py).
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
    from scripts.migrations.trace.touched import Touched
    from scripts.parser.statements import Statement

_UPDATE, _EXCLUSIVE = "ShareUpdateExclusiveLock", "AccessExclusiveLock"
_SHARE = "ShareLock"
_PARTITIONED = frozenset("pI")


class Expected(NamedTuple):
    """A lock: of the relation with this oid, in this mode."""

    oid: int
    mode: str


def expected_locks(statement: Statement, known: Known, touched: Touched | None = None) -> tuple[Expected, ...]:
    """The strongest modes a statement takes on relations that exist, one for a relation and mode.

    Args:
        statement: it has run.
        known: the relations before its file.
        touched: of a statement that chooses its relations itself, what it touched; None when that was not to be
            found out, and then nothing is expected of such a one.
    """
    rule = _RULES.get(statement.kind)
    if rule is not None:
        return tuple(dict.fromkeys(rule(statement.node, known)))
    choose = _CHOOSING.get(statement.kind)
    if choose is None or touched is None:
        return ()
    return tuple(dict.fromkeys(choose(statement.node, known, touched)))


def expected_effect(statement: Statement, touched: Touched | None = None) -> Effect:
    """What a statement did to relations that exist; arguments as for `expected_locks`."""
    if statement.kind not in _CHOOSING:
        return "index" if statement.kind == "IndexStmt" else "catalog"
    if touched is None:
        return "unseen"
    reindexes = statement.kind == "ReindexStmt"
    if touched.tables or (touched.others and not reindexes):
        return "rewrite"
    if touched.indexes or touched.others:
        return "index"
    if statement.kind == "VacuumStmt" and not is_full(statement.node):
        return "scan" if touched.vacuumed else "catalog" if touched.counts else "unseen"
    return "catalog"


def is_full(node: Any) -> bool:
    """Whether a VACUUM writes its tables anew."""
    return option_flag(node.options, "full", default=False)


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


def _reindex(node: Any, known: Known, touched: Touched) -> Iterator[Expected]:
    concurrently = option_flag(node.params, "concurrently", default=False)
    table_mode, index_mode = (_UPDATE, _UPDATE) if concurrently else (_SHARE, _EXCLUSIVE)
    named = _named(known, node.relation) if node.HasField("relation") else 0
    if named and known.relations[named].kind in _PARTITIONED:
        yield from _each(known, [known.table_of(named) or named], table_mode)
    for index in sorted(touched.indexes & known.relations.keys()):
        yield from _each(known, [known.table_of(index)], table_mode)
        yield from _each(known, [index], index_mode)


def _vacuum(node: Any, known: Known, touched: Touched) -> Iterator[Expected]:
    yield from _each(known, sorted(touched.vacuumed), _UPDATE)
    if not is_full(node):
        return
    yield from _each(known, sorted(touched.tables), _EXCLUSIVE)
    named = [_named(known, wrapper.vacuum_relation.relation) for wrapper in node.rels]
    yield from _each(known, _parents(known, named), _EXCLUSIVE)


def _cluster(node: Any, known: Known, touched: Touched) -> Iterator[Expected]:
    yield from _each(known, sorted(touched.tables), _EXCLUSIVE)
    if node.HasField("relation"):
        yield from _each(known, _parents(known, [_named(known, node.relation)]), _EXCLUSIVE)


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


def _parents(known: Known, named: list[int]) -> list[int]:
    """Partitioned tables, which have no file; whoever names one locks it before its partitions."""
    return [oid for oid in named if oid and known.relations[oid].kind == "p"]


def _each(known: Known, oids: list[int], mode: str) -> Iterator[Expected]:
    return (Expected(oid, mode) for oid in oids if oid in known.relations)


_RULES = {
    "IndexStmt": _build,
    "DropStmt": _drop,
    "AlterTableStmt": _detach,
}
_CHOOSING = {
    "ReindexStmt": _reindex,
    "VacuumStmt": _vacuum,
    "ClusterStmt": _cluster,
}
