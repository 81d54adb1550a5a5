"""A statement that may have been sent before: what the catalog shows of it, and what is left to do.

Owns: that decision for every kind of statement that a no_tx file may hold (indexes: indexes/builds.py; databases and
    tablespaces: cluster.py).
Promises: a thing that is already there, or already gone, is taken as the statement's work only when the journal says
    that the statement was begun, or when it is in every respect what the statement would have made; what a statement
    that is done took away is never taken away again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.errors.migration import EnumConflictError, MadeAgainError
from scripts.migrations.no_tx.cluster import DROPS, KINDS, is_still_done_in_cluster, named_in_cluster, repeat_in_cluster
from scripts.migrations.no_tx.indexes.builds import build_index, is_ours
from scripts.migrations.no_tx.indexes.invalid import reindex_leftovers
from scripts.migrations.no_tx.indexes.state import drop_concurrently, find_index, look, qualified
from scripts.parser.quoting import quoted
from scripts.parser.statements import option_flag

if TYPE_CHECKING:
    from scripts.migrations.no_tx.work import Work
    from scripts.parser.statements import Statement

_LABELS = """
SELECT e.enumlabel::text FROM pg_catalog.pg_enum e
 WHERE e.enumtypid = pg_catalog.to_regtype(%s) ORDER BY e.enumsortorder"""

_DEFINITION = """
SELECT pg_catalog.pg_get_indexdef(i.indexrelid) FROM pg_catalog.pg_index i
 WHERE i.indexrelid = pg_catalog.to_regclass(%s)"""


def repeat(work: Work, statement: Statement) -> None:
    """Run the statement, or what is left of it.

    Raises:
        MigrationError: a name is taken by something else.
        psycopg.Error: the server refused it.
    """
    node, kind = statement.node, statement.kind
    if kind == "IndexStmt":
        build_index(work, statement)
    elif kind == "DropStmt":
        _drop_index(work, statement)
    elif kind == "AlterEnumStmt":
        _alter_enum(work, statement)
    elif kind == "AlterTableStmt":
        _detach(work, statement)
    elif kind in KINDS:
        repeat_in_cluster(work, statement)
    else:
        if kind == "ReindexStmt" and option_flag(node.params, "concurrently", default=False):
            _drop_leftovers(work, statement)
        work.send_traced(statement)


def is_still_done(work: Work, statement: Statement) -> bool:
    """Whether the catalog still shows what a statement did; True for what leaves nothing to be seen."""
    node, kind = statement.node, statement.kind
    if kind == "DropStmt":
        return not _exists(work, _dropped(node))
    if kind == "AlterEnumStmt":
        return node.new_val in _labels(work, _enum(node))
    if kind == "AlterTableStmt":
        return _is_pending(work, *_parted(node)) is None
    return kind not in KINDS or is_still_done_in_cluster(work, statement)


def require_not_made_again(work: Work, statement: Statement) -> None:
    """Nobody's work is undone: what a statement took away, and is there again, somebody else made.

    Args:
        work: whose journal says that the statement is done.
        statement: of which `is_still_done` says that it is not.

    Raises:
        MadeAgainError: it took something away.
    """
    node, kind = statement.node, statement.kind
    if kind == "DropStmt":
        name = _dropped(node)
        what, found = f"index {name}", _scalar(work, _DEFINITION, (name,)) or "something else of that name"
    elif kind == "AlterTableStmt":
        partition, parent = _parted(node)
        what, found = f"partition {partition} of {parent}", "attached"
    elif kind in DROPS:
        what, found = named_in_cluster(statement), "there"
    else:
        return
    work.statement = None  # nothing was sent, so there is nothing to clean up
    raise MadeAgainError.of(what, where=work.where(statement), found=str(found))


def clean_up(work: Work, statement: Statement) -> bool:
    """Take away what a refused statement has left; whether nothing is left."""
    node, kind = statement.node, statement.kind
    if kind == "IndexStmt":
        seen = look(work.conn, node)
        found = find_index(work.conn, seen[0].schema, node.idxname) if seen is not None and seen[1] else None
        if seen is None or found is None or found.valid or found.table != seen[0]:
            return True
        if found.builder is not None:
            return False
        ours = is_ours(work, statement, seen[0], found)
        if ours:
            drop_concurrently(work, seen[0].schema, node.idxname)
        return ours is not None
    if kind == "ReindexStmt":
        _drop_leftovers(work, statement)
        return True
    if kind == "AlterTableStmt":
        return not _is_pending(work, *_parted(node))
    return kind != "DropStmt" or not _exists(work, _dropped(node)) or _is_valid(work, _dropped(node))


def _drop_index(work: Work, statement: Statement) -> None:
    """Gone after it was begun: an earlier run dropped it. Gone without: the server says so, IF EXISTS or not."""
    name = _dropped(statement.node)
    if work.was_begun(statement) and _scalar(work, "SELECT pg_catalog.to_regclass(%s)::oid", (name,)) is None:
        work.note(f"{name} is already gone: dropped by an earlier run")
        return
    work.send_traced(statement)


def _alter_enum(work: Work, statement: Statement) -> None:
    node = statement.node
    name = _enum(node)
    labels = _labels(work, name)
    if node.new_val not in labels:
        work.send_traced(statement)
        return
    if node.old_val:  # RENAME VALUE
        if work.was_begun(statement) and node.old_val not in labels:
            work.note(f"{name} has the value '{node.new_val}' already: renamed by an earlier run")
            return
        work.send_traced(statement)
        return
    if not work.was_begun(statement) and not node.skip_if_new_val_exists:
        work.send_traced(statement)  # 42710: somebody else added it, and the file does not allow for that
        return
    if not _stands_right(labels, node):
        raise EnumConflictError.of(
            name, node.new_val, where=work.where(statement), wanted=_wanted(node), found=", ".join(labels)
        )
    work.note(f"{name} already has the value '{node.new_val}', in its place")


def _stands_right(labels: list[str], node: Any) -> bool:
    """Whether the value stands where the statement would have put it."""
    at = labels.index(node.new_val)
    if not node.new_val_neighbor:
        # At the end when it was added; later values may follow, so being there is all that can be asked.
        return True
    beside = at - 1 if node.new_val_is_after else at + 1
    return 0 <= beside < len(labels) and labels[beside] == node.new_val_neighbor


def _wanted(node: Any) -> str:
    if not node.new_val_neighbor:
        return f"'{node.new_val}'"
    return f"'{node.new_val}' {'after' if node.new_val_is_after else 'before'} '{node.new_val_neighbor}'"


def _labels(work: Work, name: str) -> list[str]:
    from psycopg.rows import tuple_row

    with work.conn.cursor(row_factory=tuple_row) as cursor:
        return [row[0] for row in cursor.execute(_LABELS, (name,), prepare=False).fetchall()]


def _detach(work: Work, statement: Statement) -> None:
    """DETACH PARTITION CONCURRENTLY has two transactions; between them the partition is pending."""
    partition, parent = _parted(statement.node)
    pending = _is_pending(work, partition, parent)
    begun = work.was_begun(statement)
    if pending and begun:
        work.note(f"{partition} was being detached: finalized")
        work.send(f"ALTER TABLE {parent} DETACH PARTITION {partition} FINALIZE")
    elif pending is None and begun and _exists(work, partition):
        work.note(f"{partition} is already detached: by an earlier run")
    else:
        work.send_traced(statement)


def _drop_leftovers(work: Work, statement: Statement) -> None:
    """Unfinished twins of the very index or table; of a schema or database only when we began the rebuild."""
    import psycopg

    node = statement.node
    named = node.HasField("relation")
    if not named and not work.was_begun(statement):
        return
    name = qualified(node.relation) if named else ""
    for schema, index in reindex_leftovers(work.conn, name):
        try:
            drop_concurrently(work, schema, index)
        except psycopg.errors.InsufficientPrivilege:
            # An index of TOAST data: its schema is closed to all but superusers. The sweep at the end tells it again.
            work.note(f"{schema}.{index} was left by an interrupted REINDEX CONCURRENTLY: a superuser must drop it")
        else:
            work.note(f"dropped {schema}.{index}, left by an interrupted REINDEX CONCURRENTLY")


def _dropped(node: Any) -> str:
    return ".".join(quoted(part.string.sval) for part in node.objects[0].list.items)


def _enum(node: Any) -> str:
    return ".".join(quoted(part.string.sval) for part in node.type_name)


def _parted(node: Any) -> tuple[str, str]:
    """Partition and parent of a DETACH."""
    return qualified(getattr(node.cmds[0].alter_table_cmd, "def").partition_cmd.name), qualified(node.relation)


def _is_pending(work: Work, partition: str, parent: str) -> bool | None:
    """Whether the partition waits to be detached; None when it is no partition of the parent."""
    found = _scalar(
        work,
        "SELECT inhdetachpending FROM pg_catalog.pg_inherits"
        " WHERE inhrelid = pg_catalog.to_regclass(%s) AND inhparent = pg_catalog.to_regclass(%s)",
        (partition, parent),
    )
    return None if found is None else bool(found)


def _is_valid(work: Work, name: str) -> bool:
    query = "SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass(%s)"
    return bool(_scalar(work, query, (name,)))


def _exists(work: Work, name: str) -> bool:
    return _scalar(work, "SELECT pg_catalog.to_regclass(%s)::oid", (name,)) is not None


def _scalar(work: Work, query: str, values: tuple[object, ...]) -> Any:
    from psycopg.rows import tuple_row

    with work.conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query.encode(), values, prepare=False).fetchone()
    return None if row is None else row[0]
