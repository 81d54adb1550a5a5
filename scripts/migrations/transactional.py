"""An ordinary file: one transaction for its statements and its ledger row, tried again when a lock is not to be had.

Owns: that transaction, its retries, and the pauses between them.
Promises: file, row and record commit together or not at all; the lock timeout is the same at the last try as at the
    first; nothing is recorded without the runner lock.
How: one message begins the transaction, holds the file as it is (a percent sign is a percent sign; the tracer's
    questions between its statements) and brings the session back to its baseline, because the file may have changed the
    role or the search path; that also runs deferred triggers while an error can still be told from a lost COMMIT. Then
    come row, record and COMMIT: in the same message, or, where the record holds a trace or the ledger has to be read
    again first, in one of their own. Which statement failed, the number of answers before it tells.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.folder.budgets import lifted_budgets
from scripts.migrations.folder.ledger_writes import says_ledger
from scripts.migrations.ledger.as_left import require_ledger_as_left
from scripts.migrations.ledger.chain import Entry, Head
from scripts.migrations.ledger.records import NO_SUCH_PREPARED
from scripts.migrations.ledger.refusals import refusal
from scripts.migrations.model import Ahead, AppliedFile, rows_changed
from scripts.migrations.row_security import hidden_rows, hiding_hint
from scripts.migrations.session.baseline import FORGET
from scripts.migrations.session.stored import may_store
from scripts.migrations.told.failure import failed, lost
from scripts.migrations.told.warned import Warnings
from scripts.migrations.trace.weave import Woven, weave

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from psycopg.pq.abc import PGresult

    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.model import Applied, Run
    from scripts.migrations.trace.model import FileTrace
    from scripts.migrations.waiting.observer import Watching
    from scripts.parser.statements import Statement

_LOCK_NOT_AVAILABLE, _DEADLOCK, _INTERNAL = "55P03", "40P01", "XX000"
# What may end a statement while it waits: then somebody was in the way. 57014 is statement_timeout or a cancellation.
ENDED_WAITING = frozenset({_LOCK_NOT_AVAILABLE, _DEADLOCK, "57014"})
# The server's words for two sessions that changed one catalog row; it has no SQLSTATE of its own.
_CONCURRENT = ("tuple concurrently updated", "tuple concurrently deleted")
_PAUSE_FIRST_S, _PAUSE_LONGEST_S = 0.1, 5.0
_CANCEL_S = 2.0
_BEGIN, _COMMIT = b"BEGIN;\n", b";\nCOMMIT"


@dataclass
class Attempt:
    """Where in a file the runner is: for whoever has to explain why it stopped.

    woven: the text that was sent. statement: the one that failed; None at the end of the transaction.
    probe_failed: whether it was none of the file's, but a question of the tracer.
    committing: whether row, record and COMMIT are on their way, and nothing before them is known to have failed.
    settling: whether it was the check of deferred constraints, which the runner asks for when all statements have run.
    lifted: what is to be told of the file's own timeouts.
    prepared: whether what is recorded counts on the run's prepared statements.
    """

    woven: Woven
    statement: Statement | None = None
    probe_failed: bool = False
    committing: bool = False
    settling: bool = False
    lifted: tuple[str, ...] = ()
    prepared: bool = True

    def place(self, sent_position: int) -> int:
        """The file's character offset, from 0, for a position in the message, from 0."""
        return self.woven.to_file_offset(sent_position - len(_BEGIN))


def apply_transactional(run: Run, file: MigrationFile, applied: Applied) -> AppliedFile:
    """Run the file and record it.

    Raises:
        MigrationFailedError: the server refused a statement, or the lock was not to be had at any try.
        RunnerLockLostError: the file let go of the runner lock.
        ConnectionLostError: the server went away.
    """
    import psycopg

    conn, settings = run.conn, run.settings
    started = time.monotonic()
    number = 1
    probes = True
    while True:
        attempt, warnings = Attempt(_woven(run, file, probes=probes)), Warnings()
        with run.observer.watching(file.name, run.report) as watching:
            try:
                with warnings.heard_on(conn):
                    trace, notes = _run(run, file, attempt, watching)
            except psycopg.Error as exc:
                if conn.closed or conn.broken:
                    raise lost(exc, file, applied, in_doubt=attempt.committing) from None
                conn.rollback()
                if attempt.probe_failed:
                    # The file did something to the questions, not to itself: it runs again without them.
                    probes = False
                    run.report(f"{file.name}: not traced: a question of the tracer failed (SQLSTATE {exc.sqlstate})")
                    continue
                if attempt.committing and exc.sqlstate == NO_SUCH_PREPARED and attempt.prepared:
                    # The file dropped our prepared statements without saying so: it runs again, and they are made anew.
                    run.session.forgets_prepared = True
                    continue
                if not may_pass(exc) or number >= settings.lock_attempts:
                    _say_warnings(run, file, warnings)
                    raise failed(
                        exc,
                        file,
                        attempt.statement,
                        applied,
                        attempts=number,
                        blockers=watching.seen_text if exc.sqlstate in ENDED_WAITING else "",
                        place=attempt.place,
                        conn=conn,
                        settling=attempt.settling,
                    ) from None
                pause = pause_s(number)
                run.report(
                    f"{file.name}: {reason_word(exc)} (attempt {number} of {settings.lock_attempts}), "
                    f"rolled back, trying again in {pause:.1f} s"
                )
            except BaseException:
                _give_up(conn)
                raise
            else:
                return AppliedFile(
                    file.name,
                    file.checksum,
                    no_tx=False,
                    statements=file.statement_count,
                    duration_ms=round((time.monotonic() - started) * 1000),
                    attempts=number,
                    notes=(*attempt.lifted, *notes, *_say_warnings(run, file, warnings)),
                    trace=trace,
                )
        # The pause is outside: nobody watches, and no transaction is open.
        time.sleep(pause)
        number += 1


def _say_warnings(run: Run, file: MigrationFile, warnings: Warnings) -> tuple[str, ...]:
    """Tell what the server warned of, outside the transaction. Which statement it was, the server does not say."""
    notes = tuple(f"{file.name}: {note}" for note in warnings.notes(run.conn, file.text))
    for note in notes:
        run.report(note)
    return notes


def entry_of(run: Run, file: MigrationFile, trace: FileTrace | None) -> Entry:
    """What the history says of a file that ran."""
    return Entry(
        "applied",
        file.name,
        file.checksum,
        recorded_by=run.recorded_by,
        statements_digest=file.statements_digest,
        trace=run.stored(trace),
    )


def finish_sql(run: Run, entry: Entry, *, prepared: bool) -> bytes:
    """The ledger row and its record; the record's hash is the only value of the last result.

    Args:
        run: whose chain goes on.
        entry: what is recorded.
        prepared: whether what the run prepared is still there, behind the baseline that was sent after the file.
    """
    return run.writer.chained(run.writer.ahead(entry, prepared=prepared), run.head)


def finished(run: Run, result: PGresult) -> None:
    """Take the new head of the chain from the record's result."""
    value = result.get_value(0, 0)
    if value is None:
        msg = "the history returned no hash"
        raise RuntimeError(msg)
    run.head = Head(run.head.seq + 1, value.decode())


def may_pass(exc: psycopg.Error) -> bool:
    """Whether the same transaction may succeed at the next try."""
    if exc.sqlstate in (_LOCK_NOT_AVAILABLE, _DEADLOCK):
        return True
    return exc.sqlstate == _INTERNAL and (exc.diag.message_primary or "").startswith(_CONCURRENT)


def reason_word(exc: psycopg.Error) -> str:
    """Why a try failed, for a progress line."""
    return {_LOCK_NOT_AVAILABLE: "a lock was not to be had", _DEADLOCK: "a deadlock"}.get(
        exc.sqlstate or "", "a catalog row was changed by another session"
    )


def pause_s(attempt: int) -> float:
    """Exponential, with jitter: between half and all of 0.1 s · 2^(attempt-1), at most 5 s."""
    longest: float = min(_PAUSE_FIRST_S * 2 ** min(attempt - 1, 10), _PAUSE_LONGEST_S)
    return longest * (0.5 + secrets.randbelow(501) / 1000)


def _give_up(conn: psycopg.Connection[Any]) -> None:
    """Leave the transaction after an interrupt, whatever the connection was doing; the interrupt itself goes on."""
    import psycopg
    from psycopg.generators import fetch_many

    with suppress(psycopg.Error):
        if conn.info.transaction_status.name in ("ACTIVE", "UNKNOWN"):
            # Answers are still to come, and a COMMIT may be on its way: it is not to be reached. The driver has done
            # the same, but where our own code was interrupted while it waited it has not heard what came of it.
            with suppress(psycopg.Error):
                conn.cancel_safe(timeout=_CANCEL_S)
                conn.wait(fetch_many(conn.pgconn), timeout=_CANCEL_S)
        if conn.info.transaction_status.name in ("ACTIVE", "UNKNOWN"):
            conn.close()
        elif not conn.closed:
            conn.rollback()


def _woven(run: Run, file: MigrationFile, *, probes: bool) -> Woven:
    return weave(file, None) if run.tracer is None else run.tracer.weave(file, probes=probes)


def _run(
    run: Run, file: MigrationFile, attempt: Attempt, watching: Watching
) -> tuple[FileTrace | None, tuple[str, ...]]:
    ahead = run.ahead
    run.ahead = None
    if ahead is None or ahead.file is not file or ahead.forgets_prepared != run.session.forgets_prepared:
        ahead = _ahead(run, file)
    attempt.prepared = not ahead.forgets_prepared
    may_write = _may_write_ledger(run, file)
    if run.tracer is None and not may_write:
        return None, _run_at_once(run, ahead, attempt, watching)
    woven = attempt.woven
    results = _send(run, file, attempt, watching, ahead.after)
    if may_write:
        require_ledger_as_left(run.conn, run.head, name=file.name)
    answers = results[1 : 1 + woven.results]
    counts = _counts(woven, answers) if ahead.question else []
    question = _question(run, file, counts) if ahead.question else b""
    trace = None if run.tracer is None else run.tracer.read(answers, woven)
    # As it was when the baseline was made: preparing the next file may have changed it since.
    record = finish_sql(run, entry_of(run, file, trace), prepared=attempt.prepared)
    finish = record + question + _COMMIT
    attempt.committing = True
    try:
        results = execute_batch(run.conn, finish, watch=watching)
    except BatchError as exc:
        raise refusal(exc.error, file.name) from None
    notes = _finish(run, file, attempt, results, counts if question else None)
    if run.tracer is not None:
        if run.session.forgets_prepared:
            run.tracer.forget_prepared()
        run.tracer.committed()
    return trace, notes


def _run_at_once(run: Run, ahead: Ahead, attempt: Attempt, watching: Watching) -> tuple[str, ...]:
    """Everything in one message: what is recorded is known before it is sent."""
    file = ahead.file
    attempt.committing = True
    finish = ahead.after + b";\n" + run.writer.chained(ahead.record, run.head) + ahead.question + _COMMIT
    results = _send(run, file, attempt, watching, finish)
    counts = None
    if ahead.question:
        counts = _counts(attempt.woven, results[1 : 1 + attempt.woven.results])
    return _finish(run, file, attempt, results, counts)


def _ahead(run: Run, file: MigrationFile) -> Ahead:
    """What is sent behind a file, as far as it is known before the file runs."""
    after = run.session.after(file.data)
    # Which statements will have changed no row is not known yet: any may.
    question = _question(run, file, [0] * file.statement_count)
    record = b""
    if run.tracer is None:
        record = run.writer.ahead(entry_of(run, file, None), prepared=not run.session.forgets_prepared)
    return Ahead(file, after, record, question, forgets_prepared=run.session.forgets_prepared)


def _send(run: Run, file: MigrationFile, attempt: Attempt, watching: Watching, finish: bytes) -> list[PGresult]:
    """BEGIN, the file, and what ends the message: the baseline, and, where they are known, row, record and COMMIT."""
    woven = attempt.woven
    # _BEGIN is one statement.
    into = None if run.tracer is None else run.tracer.begin(file, ahead=1)
    try:
        return execute_batch(
            run.conn,
            _BEGIN + woven.text + b"\n;\n" + finish,
            watch=watching,
            meanwhile=lambda: _prepare(run, file, attempt),
            between=None if run.tracer is None else partial(run.tracer.look, woven),
            into=into,
        )
    except BatchError as exc:
        index = woven.statement_of(exc.index - 1) if exc.index else None
        attempt.probe_failed = exc.index > 0 and woven.is_probe(exc.index - 1)
        attempt.statement = None if index is None else file.statements[index]
        attempt.settling = exc.index - 1 - woven.results == finish.startswith(FORGET)
        # The server told which one failed: if it is one of the file's, COMMIT was not reached.
        attempt.committing = attempt.committing and exc.index > woven.results
        raise (refusal(exc.error, file.name) if attempt.committing else exc.error) from None


def _question(run: Run, file: MigrationFile, counts: Sequence[int | None]) -> bytes:
    """The first question for rows that were hidden, to stand between record and COMMIT, where the path is our own."""
    question = hiding_hint(run.conn, file, counts)
    return b";\n" + question if question else b""


def _finish(
    run: Run, file: MigrationFile, attempt: Attempt, results: list[PGresult], asked: list[int | None] | None
) -> tuple[str, ...]:
    """After COMMIT, the last answer: take the head, and say what was hidden. asked: the rows changed, if it was."""
    finished(run, results[-2 if asked is None else -3])
    notes = () if asked is None else hidden_rows(run.conn, results[-2], file, asked)
    for note in (*attempt.lifted, *notes):
        run.report(note)
    return notes


def _prepare(run: Run, file: MigrationFile, attempt: Attempt) -> None:
    """What is said of the file, and what the next one's record needs, made while the server runs it."""
    run.catch_up()
    attempt.lifted = lifted_budgets(file)
    _ = file.statements_digest
    prepare_following(run)


def prepare_following(run: Run) -> None:
    """Make what can be made of the next file, while the server runs the one at hand."""
    following = run.following
    if following is not None:
        _ = following.statements_digest
        may_store(following.data)  # remembered
        run.ahead = None if following.no_tx else _ahead(run, following)
    if run.tracer is not None:
        run.tracer.ahead(following)


def _may_write_ledger(run: Run, file: MigrationFile) -> bool:
    """Whether the file, or one of this run before it, has the ledger's name in it: one may call what another made."""
    run.names_ledger = run.names_ledger or says_ledger(file.data)
    return run.names_ledger


def _counts(woven: Woven, answers: list[PGresult]) -> list[int | None]:
    """Rows changed by each statement, as its command tag has it."""
    return [rows_changed(result) for number, result in enumerate(answers) if woven.statement_of(number) is not None]
