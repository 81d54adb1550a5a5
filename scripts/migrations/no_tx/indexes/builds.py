"""CREATE INDEX CONCURRENTLY, whatever an earlier run left of it: build, adopt, rebuild, wait, or refuse.

Owns: that decision, taken from the catalog before every try.
Promises: IF NOT EXISTS is never taken as proof; a valid index is adopted only when the server writes its definition in
the same words; an invalid one is dropped only when it is of that definition, too, and nobody works on it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from scripts.errors.migration import DuplicateKeysError, IndexConflictError
from scripts.migrations.no_tx.indexes.sameness import compared, is_surely_there, wanted_of
from scripts.migrations.no_tx.indexes.state import (
    RELKINDS,
    Found,
    Table,
    drop_concurrently,
    duplicates_query,
    find_index,
    free_name,
    is_free,
    look,
    look_closely,
)
from scripts.migrations.told.failure import row_data_of

if TYPE_CHECKING:
    from scripts.migrations.no_tx.indexes.builders import Builder
    from scripts.migrations.no_tx.work import Work
    from scripts.parser.statements import Statement

_POLL_S = 0.1


def build_index(work: Work, statement: Statement) -> None:
    """Bring the index about.

    Raises:
        IndexConflictError: its name is taken by something else, or another session works on it beyond the budget.
        DuplicateKeysError: the table holds duplicate keys; the unfinished index is dropped.
        psycopg.Error: the server refused the build.
    """
    node = statement.node
    if _is_decided(work, statement):
        return
    seen = look_closely(work.conn, node)
    if seen is None:
        _build(work, statement)  # the server says best what is missing
        return
    table, found = seen
    if found is not None and found.is_index and not found.valid:
        found = _settled(work, statement, table)
    name = f"{table.schema}.{node.idxname}"
    if found is None:
        _build(work, statement)
        return
    if not found.is_index:
        kind = RELKINDS.get(found.relkind, "a relation of another kind")
        wanted = wanted_of(work, statement, table).definition
        raise IndexConflictError.other_relation(name, where=work.where(statement), wanted=wanted, found=kind)
    usable = found.valid and found.ready
    both = compared(work, statement, table, found)
    if both.same is None and not (usable and work.was_done(statement)):
        raise IndexConflictError.not_compared(
            name, where=work.where(statement), wanted=both.wanted, found=both.found, refusal=both.refusal
        )
    if both.same is False:
        raise IndexConflictError.other_definition(
            name, where=work.where(statement), wanted=both.wanted, found=both.found
        )
    if usable:
        if both.same:
            _say_adopted(work, name)
        else:
            work.note(f"{name} is already there, valid, and an earlier run had built it; it cannot be compared")
        return
    _rebuild(work, statement, table)


def is_ours(work: Work, statement: Statement, table: Table, found: Found) -> bool | None:
    """Whether an index that is not valid is what the statement left; None when that cannot be told.

    Raises:
        psycopg.Error: the table could not be had in time.
    """
    return compared(work, statement, table, found).same


def _is_decided(work: Work, statement: Statement) -> bool:
    """The two common cases, for as few questions as they need: the name is free, or the index is there."""
    if _is_free(work, statement):
        _build(work, statement)
        return True
    if is_surely_there(work, statement):
        _say_adopted(work, f"{statement.node.relation.schemaname}.{statement.node.idxname}")
        return True
    return False


def _say_adopted(work: Work, name: str) -> None:
    work.note(f"{name} is already there, valid and of this definition: adopted")


def _is_free(work: Work, statement: Statement) -> bool:
    """Whether surely nothing has the index's name; where it may be asked for with the journal's entry, it is."""
    name = free_name(statement.node)
    if not name:
        return False
    if work.was_begun(statement):
        return is_free(work.conn, name)
    return work.begin_if_free(statement, name)


def _rebuild(work: Work, statement: Statement, table: Table) -> None:
    index = statement.node.idxname
    work.note(f"{table.schema}.{index} was left invalid by an interrupted build: dropped and built again")
    drop_concurrently(work, table.schema, index)
    _build(work, statement)


def _settled(work: Work, statement: Statement, table: Table) -> Found | None:
    """What has the index's name, once nobody works on it any more."""
    started = time.monotonic()
    deadline = started + work.budgets.index_timeout_ms / 1000
    name = f"{table.schema}.{statement.node.idxname}"
    told: Builder | None = None
    while True:
        found = find_index(work.conn, table.schema, statement.node.idxname)
        if found is not None and not found.valid and found.builder is None:
            # One look sees the catalog as of its beginning, and the locks a moment later; a build may have ended then.
            found = find_index(work.conn, table.schema, statement.node.idxname)
        if found is None or found.builder is None:
            return found
        if told != found.builder:
            work.note(found.builder.waiting_for(name))
            told = found.builder
        if time.monotonic() >= deadline:
            raise IndexConflictError.busy(
                name,
                where=work.where(statement),
                builder=str(found.builder),
                surely=found.builder.surely,
                waited_ms=round((time.monotonic() - started) * 1000),
            )
        time.sleep(_POLL_S)


def _build(work: Work, statement: Statement) -> None:
    from psycopg import errors

    try:
        work.send_traced(statement, _without_if_not_exists(statement))
    except errors.UniqueViolation as exc:
        if exc.diag.constraint_name != statement.node.idxname:
            raise  # of the catalog: somebody gave the name away at the same moment, and what bears it is theirs
        seen = look(work.conn, statement.node)
        table = Table("", "") if seen is None else seen[0]
        found = find_index(work.conn, table.schema, statement.node.idxname)
        if found is None or not found.is_index or found.valid:
            raise
        error = _duplicates(work, statement, table, found)
        # From None: the driver's error quotes a row, and a cause is printed with its effect.
        error.row_data = row_data_of(exc)
        raise error from None


def _without_if_not_exists(statement: Statement) -> str:
    # Between our look at the catalog and the build, a squatter must meet an error and not a silent skip.
    if not statement.node.if_not_exists:
        return statement.text
    from scripts.parser.statements import scan_tokens

    tokens = [token for token in scan_tokens(statement.text) if not token.is_comment]
    at = next(i for i, token in enumerate(tokens) if token.word == "if")
    start, end = tokens[at].start, tokens[at + 2].end
    return statement.text[:start] + " " * (end - start) + statement.text[end:]


def _duplicates(work: Work, statement: Statement, table: Table, found: Found) -> DuplicateKeysError:
    listing, counting = duplicates_query(work.conn, found)
    # An invalid unique index that is ready still rejects writes: it must not outlive the failure.
    drop_concurrently(work, table.schema, statement.node.idxname)
    return DuplicateKeysError.found(
        f"{table.schema}.{statement.node.idxname}",
        f"{table.schema}.{table.name}",
        where=work.where(statement),
        groups=_count(work, counting),
        query=listing,
    )


def _count(work: Work, query: str) -> str:
    import psycopg

    try:
        with work.conn.transaction():
            work.conn.execute(f"SET LOCAL statement_timeout = {int(work.budgets.statement_timeout_ms)}".encode())
            row: Any = work.conn.execute(query.encode()).fetchone()
    except psycopg.Error as exc:
        if work.conn.closed:
            raise
        return f"not counted (SQLSTATE {exc.sqlstate})"
    groups = int(next(iter(row.values())) if isinstance(row, dict) else row[0])
    return "one key occurs more than once" if groups == 1 else f"{groups} keys occur more than once"
