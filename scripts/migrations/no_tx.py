"""A file marked no_tx: its statements one by one, outside a transaction, each decided by what the catalog shows.

Owns: what is done when a statement's work is already there, half there, or not there.
Promises: the ledger row is written last, and only after every index the file declares is found valid and ready; a run
that was cut short at any point is completed by the next one, or refused with a named state.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.errors.migration import InvalidIndexError
from scripts.migrations.builds import build_index
from scripts.migrations.failure import failed, lost
from scripts.migrations.indexes import (
    drop_concurrently,
    qualified,
    quoted,
    reindex_leftovers,
    unproved_indexes,
)
from scripts.migrations.ledger import write_row
from scripts.migrations.model import AppliedFile
from scripts.migrations.transactional import may_pass, pause_s, reason_word
from scripts.parser.statements import Positions, option_flag

if TYPE_CHECKING:
    import psycopg

    from scripts.migrations.files import MigrationFile
    from scripts.migrations.model import Applied, Run
    from scripts.parser.statements import Statement
    from scripts.settings import Settings


@dataclass
class Work:
    """One no_tx file under way; `notes` collects what was found instead of done."""

    run: Run
    file: MigrationFile
    notes: list[str] = field(default_factory=list)
    attempts: int = 1

    @property
    def conn(self) -> psycopg.Connection[Any]:
        """The connection that runs the statements."""
        return self.run.conn

    @property
    def settings(self) -> Settings:
        """The budgets."""
        return self.run.settings

    def note(self, text: str) -> None:
        """Keep and tell."""
        self.notes.append(text)
        self.run.report(f"{self.file.name}: {text}")

    def where(self, statement: Statement) -> str:
        """file:line:column."""
        return Positions(self.file.text).label(self.file.name, statement.offset)


def apply_no_tx(run: Run, file: MigrationFile, applied: Applied) -> AppliedFile:
    """Run the file statement by statement, prove its indexes, record it.

    Raises:
        MigrationFailedError: the server refused a statement.
        IndexConflictError: a name is taken by something else.
        InvalidIndexError: an index is not usable at the end.
        ConnectionLostError: the server went away.
    """
    import psycopg

    started = time.monotonic()
    conn, session = run.conn, run.session
    work = Work(run, file)
    statement: Statement | None = None
    try:
        conn.execute(session.building, prepare=False)
        for statement in file.statements:
            _run_with_retry(work, statement)
        statement = None
        conn.execute(session.ordinary, prepare=False)
        _require_indexes(work)
        write_row(conn, file)
    except psycopg.Error as exc:
        if conn.closed or conn.broken:
            raise lost(exc, file, applied, in_doubt=statement is None) from None
        raise failed(exc, file, statement, applied, attempts=work.attempts) from None
    return AppliedFile(
        file.name,
        file.checksum,
        no_tx=True,
        statements=len(file.statements),
        duration_ms=round((time.monotonic() - started) * 1000),
        attempts=work.attempts,
        notes=tuple(work.notes),
    )


def _run_with_retry(work: Work, statement: Statement) -> None:
    import psycopg

    attempt = 1
    while True:
        try:
            _run(work, statement)
        except psycopg.Error as exc:
            if work.conn.closed or not may_pass(exc) or attempt >= work.settings.lock_attempts:
                raise
            pause = pause_s(attempt)
            work.run.report(f"{work.file.name}:{statement.line}: {reason_word(exc)}, trying again in {pause:.1f} s")
            time.sleep(pause)
            attempt += 1
            work.attempts = max(work.attempts, attempt)
        else:
            return


def _run(work: Work, statement: Statement) -> None:
    node, kind = statement.node, statement.kind
    if kind == "IndexStmt":
        build_index(work, statement)
    elif kind == "DropStmt":
        _drop_index(work, statement)
    elif kind == "AlterEnumStmt":
        _add_enum_value(work, statement)
    elif kind == "AlterTableStmt":
        _detach(work, statement)
    else:
        if kind == "ReindexStmt" and option_flag(node.params, "concurrently", default=False):
            _drop_leftovers(work, node)
        _send(work, statement)


def _send(work: Work, statement: Statement) -> None:
    work.conn.execute(statement.text.encode(), prepare=False)


def _drop_index(work: Work, statement: Statement) -> None:
    """A name that is gone is what the statement asks for; an invalid one is the rest of an interrupted drop."""
    parts = [part.string.sval for part in statement.node.objects[0].list.items]
    name = ".".join(quoted(part) for part in parts)
    if _scalar(work.conn, "SELECT pg_catalog.to_regclass(%s)::oid", (name,)) is None:
        work.note(f"{name} is already gone")
        return
    _send(work, statement)


def _add_enum_value(work: Work, statement: Statement) -> None:
    node = statement.node
    name = ".".join(quoted(part.string.sval) for part in node.type_name)
    exists = _scalar(
        work.conn,
        "SELECT true FROM pg_catalog.pg_enum WHERE enumtypid = pg_catalog.to_regtype(%s) AND enumlabel = %s",
        (name, node.new_val),
    )
    if exists:
        work.note(f"{name} already has the value '{node.new_val}'")
        return
    _send(work, statement)


def _detach(work: Work, statement: Statement) -> None:
    """DETACH PARTITION CONCURRENTLY has two transactions; between them the partition is pending."""
    parent = qualified(statement.node.relation)
    partition = qualified(getattr(statement.node.cmds[0].alter_table_cmd, "def").partition_cmd.name)
    pending = _scalar(
        work.conn,
        "SELECT inhdetachpending FROM pg_catalog.pg_inherits"
        " WHERE inhrelid = pg_catalog.to_regclass(%s) AND inhparent = pg_catalog.to_regclass(%s)",
        (partition, parent),
    )
    exists = _scalar(work.conn, "SELECT pg_catalog.to_regclass(%s)::oid", (partition,)) is not None
    if pending:
        work.note(f"{partition} was being detached: finalized")
        work.conn.execute(f"ALTER TABLE {parent} DETACH PARTITION {partition} FINALIZE".encode(), prepare=False)
    elif pending is None and exists:
        work.note(f"{partition} is already detached")
    else:
        _send(work, statement)


def _drop_leftovers(work: Work, node: Any) -> None:
    name = qualified(node.relation) if node.HasField("relation") else ""
    for schema, index in reindex_leftovers(work.conn, name):
        work.note(f"dropped {schema}.{index}, left by an interrupted REINDEX CONCURRENTLY")
        drop_concurrently(work.conn, schema, index)


def _require_indexes(work: Work) -> None:
    """Every index the file builds, and does not drop again further down, is there, valid and ready."""
    declared: dict[tuple[str, str], Statement] = {}
    for statement in work.file.statements:
        if statement.kind == "IndexStmt":
            declared[qualified(statement.node.relation), statement.node.idxname] = statement
        elif statement.kind == "DropStmt":
            name = statement.node.objects[0].list.items[-1].string.sval
            declared = {key: value for key, value in declared.items() if key[1] != name}
    if not declared:
        return
    for number, found in unproved_indexes(work.conn, list(declared)):
        (_, name), statement = list(declared.items())[number]
        raise InvalidIndexError.not_proved(name, where=work.where(statement), found=found)


def _scalar(conn: psycopg.Connection[Any], query: str, values: tuple[object, ...]) -> Any:
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query.encode(), values, prepare=False).fetchone()
    return None if row is None else row[0]
