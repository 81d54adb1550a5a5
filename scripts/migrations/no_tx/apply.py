"""A file marked no_tx: its statements one by one, outside a transaction, each decided by journal and catalog together.

Owns: the order of journal, statement and record; what is done when a statement was begun before, or is done.
Promises: the ledger row is written last, and only after every index the file declares is found valid and ready; a run
    that was cut short at any point is completed by the next one, or refused with a named state; what somebody else left
    under a name of ours is never dropped.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from scripts.errors.ledger import HalfAppliedError
from scripts.errors.migration import InvalidIndexError, MigrationError
from scripts.migrations.folder.runnable import statement_words
from scripts.migrations.ledger.refusals import refusal
from scripts.migrations.model import AppliedFile
from scripts.migrations.no_tx.indexes.builds import build_index
from scripts.migrations.no_tx.indexes.state import NOT_PROVED, free_name, proof_sql, qualified, unproved_indexes
from scripts.migrations.no_tx.repeat import clean_up, is_still_done, repeat, require_not_made_again
from scripts.migrations.no_tx.undone import is_undone, takes_away
from scripts.migrations.no_tx.work import RunnersOwnError, Work
from scripts.migrations.told.failure import failed, lost
from scripts.migrations.trace.model import FileTrace, StatementTrace
from scripts.migrations.transactional import (
    ENDED_WAITING,
    entry_of,
    finish_sql,
    finished,
    may_pass,
    pause_s,
    prepare_following,
    reason_word,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg.pq.abc import PGresult

    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.model import Applied, Run
    from scripts.parser.statements import Statement


# Ended by a timeout, a deadlock or a cancellation: what was waited for then is in the way of a clean-up now.
_CUT_SHORT = frozenset({"55P03", "40P01", "57014"})


def apply_no_tx(run: Run, file: MigrationFile, applied: Applied) -> AppliedFile:
    """Run the file statement by statement, prove its indexes, record it.

    Raises:
        HalfAppliedError: the file was changed after a part of it had run.
        MigrationFailedError: the server refused a statement.
        IndexConflictError: a name is taken by something else.
        MadeAgainError: what a statement took away is there again.
        InvalidIndexError: an index is not usable at the end.
        RunnerLockLostError: the file let go of the runner lock.
        ConnectionLostError: the server went away.
    """
    import psycopg

    started = time.monotonic()
    conn = run.conn
    run.catch_up()
    with run.observer.watching(file.name, run.report) as watching:
        journal = run.journal.pop(file.name, {})
        work = Work(run, file, journal, watching, settings=run.session.building + b";\n")
        _require_same(work)
        try:
            trace = _run(work)
        except (psycopg.Error, RunnersOwnError) as caught:
            exc = caught if isinstance(caught, psycopg.Error) else caught.error
            if conn.closed or conn.broken:
                raise lost(exc, file, applied, in_doubt=work.statement is None) from None
            conn.rollback()
            statement = work.statement if caught is exc else None
            if statement is not None:
                _leave(work, statement, cut_short=exc.sqlstate in _CUT_SHORT)
            meant = refusal(exc, file.name) if statement is None else exc
            if meant is not exc:
                raise meant from None
            blockers = watching.seen_text if exc.sqlstate in ENDED_WAITING else ""
            raise failed(exc, file, statement, applied, attempts=work.attempts, blockers=blockers, conn=conn) from None
        except MigrationError:
            if work.statement is not None:
                _leave(work, work.statement, cut_short=False)
            raise
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


def _run(work: Work) -> FileTrace | None:
    """Every statement, the proof, and the record."""
    run, file = work.run, work.file
    for statement in file.statements:
        work.statement = statement
        if not _is_done(work, statement):
            _run_with_retry(work, statement)
            work.done(statement)
    work.statement = None
    trace = None if run.tracer is None else FileTrace(_every_statement(work))
    # One message is one transaction: the last statement is done, the indexes are there, the file is applied, and it is
    # recorded.
    entry = entry_of(run, file, trace)

    def finish() -> bytes:
        after = run.session.after(file.data)
        return after + b";\n" + finish_sql(run, entry, prepared=not run.session.forgets_prepared)

    finished(run, _say_proved(work, finish)[-1])
    if run.tracer is not None:
        if run.session.forgets_prepared:
            run.tracer.forget_prepared()
        run.tracer.committed()
    return trace


def _require_same(work: Work) -> None:
    """A statement that is done, or was cut short, must stand in the file as it was sent.

    One that the server refused has left nothing, and no entry: it may be corrected.
    """
    statements = work.file.statements
    for index, entry in sorted(work.journal.items()):
        if index >= len(statements) or statements[index].digest != entry.digest:
            found = "another statement" if index < len(statements) else f"{len(statements)} statements"
            where = work.where(statements[index]) if index < len(statements) else work.file.name
            raise HalfAppliedError.edited(where=where, statement=index + 1, done=entry.done, found=found)


def _is_done(work: Work, statement: Statement) -> bool:
    entry = work.journal.get(statement.index)
    if entry is None or not entry.done:
        return False
    if statement.kind == "VariableSetStmt":
        return False  # it was done to a session that is gone
    # The journal is no proof: what is there may have been dropped, made or damaged, since. But of an object that the
    # file made and dropped, or the other way round, the last word counts.
    if is_undone(statement, work.file.statements[statement.index + 1 :], work.journal):
        work.note(f"statement {statement.index + 1} was done by an earlier run")
    elif statement.kind == "IndexStmt":
        build_index(work, statement)
    elif is_still_done(work, statement):
        work.note(f"statement {statement.index + 1} was done by an earlier run")
    else:
        require_not_made_again(work, statement)
        work.note(f"statement {statement.index + 1} was done by an earlier run, but is not any more: sent again")
        return False
    return True


def _run_with_retry(work: Work, statement: Statement) -> None:
    import psycopg

    attempt = 1
    while True:
        try:
            repeat(work, statement)
        except psycopg.Error as exc:
            if work.conn.closed or not may_pass(exc) or attempt >= work.budgets.lock_attempts:
                raise
            pause = pause_s(attempt)
            work.run.report(f"{work.file.name}:{statement.line}: {reason_word(exc)}, trying again in {pause:.1f} s")
            time.sleep(pause)
            attempt += 1
            work.attempts = max(work.attempts, attempt)
        else:
            return


def _say_proved(work: Work, finish: Callable[[], bytes]) -> list[PGresult]:
    """Record the file, if every index it builds, and does not drop again further down, is there, valid and ready."""
    declared = _declared(work)
    if not declared:
        return work.say(finish)
    names = [free_name(statement.node) for statement in declared.values()]
    if all(names):
        try:
            return work.say(lambda: _proof(work, names) + finish(), meanwhile=lambda: prepare_following(work.run))
        except RunnersOwnError as exc:
            if exc.error.sqlstate != NOT_PROVED:
                raise
    for number, found in unproved_indexes(work.conn, list(declared)):
        (_, name), statement = list(declared.items())[number]
        raise InvalidIndexError.not_proved(name, where=work.where(statement), found=found)
    return work.say(finish)


def _proof(work: Work, names: Sequence[str]) -> bytes:
    return proof_sql(work.conn, names, prepared=not work.run.session.forgets_prepared) + b";\n"


def _declared(work: Work) -> dict[tuple[str, str], Statement]:
    """The indexes that are to be there at the end: by the table's qualified name and their own."""
    declared: dict[tuple[str, str], Statement] = {}
    for statement in work.file.statements:
        if statement.kind == "IndexStmt":
            declared[qualified(statement.node.relation), statement.node.idxname] = statement
        elif statement.kind == "DropStmt":
            declared = {key: value for key, value in declared.items() if not takes_away(statement, value)}
    return declared


def _leave(work: Work, statement: Statement, *, cut_short: bool) -> None:
    """After a failure: a statement that was refused leaves no rest, and no entry in the journal; and all is said."""
    import psycopg

    try:
        if not cut_short and work.was_begun(statement) and clean_up(work, statement):
            work.forget(statement)
        work.say(lambda: work.run.session.ordinary)
    except (psycopg.Error, RunnersOwnError):
        # It stays as begun; the next run finds it so. What is told is why the statement failed.
        if not work.conn.closed:
            work.conn.rollback()


def _every_statement(work: Work) -> tuple[StatementTrace, ...]:
    """What was traced, and a word on each statement that was never sent."""
    sent = {trace.index for trace in work.traces}
    unsent = (
        StatementTrace(statement.index, statement.line, statement_words(statement), None, effect="none")
        for statement in work.file.statements
        if statement.index not in sent
    )
    return tuple(sorted([*work.traces, *unsent], key=lambda trace: trace.index))
