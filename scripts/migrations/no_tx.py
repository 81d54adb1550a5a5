"""A file marked no_tx: its statements one by one, outside a transaction, each decided by journal and catalog together.

Owns: the order of journal, statement and record; what is done when a statement was begun before, or is done.
Promises: the ledger row is written last, and only after every index the file declares is found valid and ready; a run
    that was cut short at any point is completed by the next one, or refused with a named state; what somebody else left
    under a name of ours is never dropped.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.errors.ledger import HalfAppliedError
from scripts.errors.migration import InvalidIndexError, RunnerLockLostError
from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.builds import build_index
from scripts.migrations.failure import failed, lost
from scripts.migrations.indexes import all_proved, qualified, quoted, unproved_indexes
from scripts.migrations.journal import JournalEntry, done_sql, started_sql
from scripts.migrations.model import AppliedFile
from scripts.migrations.repeat import repeat
from scripts.migrations.runnable import statement_words
from scripts.migrations.trace.model import FileTrace, StatementTrace
from scripts.migrations.transactional import (
    ENDED_WAITING,
    entry_of,
    finish_sql,
    finished,
    lock_was_lost,
    may_pass,
    pause_s,
    reason_word,
)
from scripts.parser.statements import Positions

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGresult

    from scripts.migrations.files import MigrationFile
    from scripts.migrations.model import Applied, Run
    from scripts.migrations.observer import Watching
    from scripts.parser.statements import Statement
    from scripts.settings import Settings


@dataclass
class Work:
    """One no_tx file under way.

    journal: what an earlier run noted of its statements. notes: what was found instead of done.
    watching: the one who looks on while a statement runs.
    """

    run: Run
    file: MigrationFile
    journal: dict[int, JournalEntry]
    watching: Watching
    notes: list[str] = field(default_factory=list)
    traces: list[StatementTrace] = field(default_factory=list)
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

    def was_begun(self, statement: Statement) -> bool:
        """Whether an earlier run, or an earlier try of this one, has sent this very statement."""
        entry = self.journal.get(statement.index)
        return entry is not None and entry.digest == statement.digest

    def any_begun(self, statement: Statement) -> bool:
        """Whether an earlier run has sent a statement at this place, maybe in other words."""
        return statement.index in self.journal

    def send(self, text: str) -> None:
        """Run one statement of the runner's own, watched; its errors are the driver's."""
        try:
            execute_batch(self.conn, text.encode(), watch=self.watching)
        except BatchError as exc:
            raise exc.error from None

    def send_traced(self, statement: Statement, text: str | None = None) -> None:
        """Run a statement of the file, watched and, if so wished, traced.

        Args:
            statement: of the file.
            text: what is sent, when it is not the statement's own text.
        """
        sent = statement.text if text is None else text
        if self.run.tracer is None:
            self.send(sent)
            return
        with self.run.tracer.phase_watch(statement, beside=self.watching) as watch:
            try:
                execute_batch(self.conn, sent.encode(), watch=watch)
            except BatchError as exc:
                raise exc.error from None
        self.traces.append(watch.trace())


def apply_no_tx(run: Run, file: MigrationFile, applied: Applied) -> AppliedFile:
    """Run the file statement by statement, prove its indexes, record it.

    Raises:
        HalfAppliedError: the file was changed after a part of it had run.
        MigrationFailedError: the server refused a statement.
        IndexConflictError: a name is taken by something else.
        InvalidIndexError: an index is not usable at the end.
        RunnerLockLostError: the file let go of the runner lock.
        ConnectionLostError: the server went away.
    """
    import psycopg

    started = time.monotonic()
    conn = run.conn
    statement: Statement | None = None
    with run.observer.watching(file.name, run.report) as watching:
        work = Work(run, file, run.journal.pop(file.name, {}), watching)
        _require_same(work)
        try:
            before = run.session.building + b";\n"
            if work.journal:
                _exchange(conn, before)
                before = b""
            for statement in file.statements:
                if _is_done(work, statement):
                    continue
                _exchange(conn, before + started_sql(conn, file.name, statement.index, statement.digest))
                _run_with_retry(work, statement)
                work.journal[statement.index] = JournalEntry(statement.digest, done=True)
                before = done_sql(conn, file.name, statement.index) + b";\n"
            statement = None
            _require_indexes(work)
            trace = None if run.tracer is None else FileTrace(_every_statement(work))
            # One message is one transaction: the last statement is done, the file is applied, and it is recorded.
            done = b"" if before.startswith(run.session.building) else before
            finish = finish_sql(run, entry_of(run, file, trace))
            results = _exchange(conn, run.session.after(file.data) + b";\n" + done + finish)
            finished(run, results[-1])
            if run.tracer is not None:
                run.tracer.committed()
                if run.session.forgets_prepared:
                    run.tracer.forget_prepared()
        except (psycopg.Error, _RunnersOwnError) as caught:
            exc = caught if isinstance(caught, psycopg.Error) else caught.error
            if conn.closed or conn.broken:
                raise lost(exc, file, applied, in_doubt=statement is None) from None
            conn.rollback()
            if caught is not exc:
                statement = None
            if lock_was_lost(exc):
                raise RunnerLockLostError.by(file.name) from None
            blockers = watching.seen_text if exc.sqlstate in ENDED_WAITING else ""
            raise failed(exc, file, statement, applied, attempts=work.attempts, blockers=blockers, conn=conn) from None
    return AppliedFile(
        file.name,
        file.checksum,
        no_tx=True,
        statements=file.statement_count,
        duration_ms=round((time.monotonic() - started) * 1000),
        attempts=work.attempts,
        notes=tuple(work.notes),
        trace=trace,
    )


def _require_same(work: Work) -> None:
    """A statement that is done must stand in the file as it was sent."""
    statements = work.file.statements
    for index, entry in sorted(work.journal.items()):
        if entry.done and (index >= len(statements) or statements[index].digest != entry.digest):
            found = "another statement" if index < len(statements) else f"{len(statements)} statements"
            where = work.where(statements[index]) if index < len(statements) else work.file.name
            raise HalfAppliedError.edited(where=where, done=index + 1, found=found)


def _is_done(work: Work, statement: Statement) -> bool:
    entry = work.journal.get(statement.index)
    if entry is None or not entry.done:
        return False
    if statement.kind == "VariableSetStmt":
        return False  # it was done to a session that is gone
    if statement.kind == "IndexStmt" and not _is_dropped_later(work, statement):
        # The journal is no proof: an index may have been dropped, or damaged, since.
        build_index(work, statement)
    else:
        work.note(f"statement {statement.index + 1} was done by an earlier run")
    return True


def _is_dropped_later(work: Work, statement: Statement) -> bool:
    return any(
        later.kind == "DropStmt" and _dropped_name(later) == statement.node.idxname
        for later in work.file.statements[statement.index + 1 :]
    )


def _dropped_name(statement: Statement) -> str:
    return str(statement.node.objects[0].list.items[-1].string.sval)


def _run_with_retry(work: Work, statement: Statement) -> None:
    import psycopg

    attempt = 1
    while True:
        try:
            repeat(work, statement)
        except psycopg.Error as exc:
            if work.conn.closed or not may_pass(exc) or attempt >= work.settings.lock_attempts:
                raise
            # What this try has left behind is ours.
            work.journal.setdefault(statement.index, JournalEntry(statement.digest, done=False))
            pause = pause_s(attempt)
            work.run.report(f"{work.file.name}:{statement.line}: {reason_word(exc)}, trying again in {pause:.1f} s")
            time.sleep(pause)
            attempt += 1
            work.attempts = max(work.attempts, attempt)
        else:
            return


def _require_indexes(work: Work) -> None:
    """Every index the file builds, and does not drop again further down, is there, valid and ready."""
    declared: dict[tuple[str, str], Statement] = {}
    for statement in work.file.statements:
        if statement.kind == "IndexStmt":
            declared[qualified(statement.node.relation), statement.node.idxname] = statement
        elif statement.kind == "DropStmt":
            name = _dropped_name(statement)
            declared = {key: value for key, value in declared.items() if key[1] != name}
    if not declared:
        return
    named = [s.node for s in declared.values() if s.node.relation.schemaname]
    names = [f"{quoted(node.relation.schemaname)}.{quoted(node.idxname)}" for node in named]
    if len(named) == len(declared) and all_proved(work.conn, names):
        return
    for number, found in unproved_indexes(work.conn, list(declared)):
        (_, name), statement = list(declared.items())[number]
        raise InvalidIndexError.not_proved(name, where=work.where(statement), found=found)


def _every_statement(work: Work) -> tuple[StatementTrace, ...]:
    """What was traced, and a word on each statement that was never sent."""
    sent = {trace.index for trace in work.traces}
    unsent = (
        StatementTrace(statement.index, statement.line, statement_words(statement), None, effect="none")
        for statement in work.file.statements
        if statement.index not in sent
    )
    return tuple(sorted([*work.traces, *unsent], key=lambda trace: trace.index))


class _RunnersOwnError(Exception):
    """The server refused what the runner said of itself: no statement of the file is to blame."""

    def __init__(self, error: psycopg.Error) -> None:
        super().__init__()
        self.error = error


def _exchange(conn: psycopg.Connection[Any], text: bytes) -> list[PGresult]:
    """The runner's own words: journal, baseline and record."""
    try:
        return execute_batch(conn, text)
    except BatchError as exc:
        raise _RunnersOwnError(exc.error) from None
