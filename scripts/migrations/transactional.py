"""An ordinary file: one transaction for its statements and its ledger row, tried again when a lock is not to be had.

Owns: that transaction, its retries, and the pauses between them.
Promises: file and row commit together or not at all; the lock timeout is the same at the last try as at the first.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.failure import failed, lost
from scripts.migrations.ledger import write_row
from scripts.migrations.model import AppliedFile

if TYPE_CHECKING:
    import psycopg

    from scripts.migrations.files import MigrationFile
    from scripts.migrations.model import Applied, Run
    from scripts.migrations.session import Session
    from scripts.parser.statements import Statement

_LOCK_NOT_AVAILABLE, _DEADLOCK, _INTERNAL = "55P03", "40P01", "XX000"
# The server's words for two sessions that changed one catalog row; it has no SQLSTATE of its own.
_CONCURRENT = ("tuple concurrently updated", "tuple concurrently deleted")
_PAUSE_FIRST_S, _PAUSE_LONGEST_S = 0.1, 5.0

_BLOCKERS = """
SELECT pg_catalog.format('pid %s, role %s, application %s, %s for %s s', pid, usename,
                         coalesce(nullif(application_name, ''), '(none)'), state,
                         extract(epoch FROM clock_timestamp() - xact_start)::int)
  FROM pg_catalog.pg_stat_activity
 WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid() AND xact_start IS NOT NULL
   AND backend_type = 'client backend'
 ORDER BY xact_start LIMIT 3"""


class Progress:
    """Where in a file the runner stopped: the statement that failed, None at the end of the transaction."""

    def __init__(self) -> None:
        self.statement: Statement | None = None
        self.committing = False


def apply_transactional(run: Run, file: MigrationFile, applied: Applied) -> AppliedFile:
    """Run the file and record it.

    Raises:
        MigrationFailedError: the server refused a statement, or the lock was not to be had at any try.
        ConnectionLostError: the server went away.
    """
    import psycopg

    conn, settings = run.conn, run.settings
    started = time.monotonic()
    attempt = 1
    while True:
        progress = Progress()
        try:
            _run(conn, file, run.session, progress)
        except psycopg.Error as exc:
            if conn.closed or conn.broken:
                raise lost(exc, file, applied, in_doubt=progress.committing) from None
            if not may_pass(exc) or attempt >= settings.lock_attempts:
                blockers = likely_blockers(conn) if exc.sqlstate == _LOCK_NOT_AVAILABLE else ""
                raise failed(
                    exc, file, progress.statement, applied, attempts=attempt, blockers=blockers, sent_at=0
                ) from None
            pause = pause_s(attempt)
            run.report(
                f"{file.name}: {reason_word(exc)} (attempt {attempt} of {settings.lock_attempts}), "
                f"rolled back, trying again in {pause:.1f} s"
            )
            time.sleep(pause)
            attempt += 1
        else:
            duration_ms = round((time.monotonic() - started) * 1000)
            return AppliedFile(
                file.name,
                file.checksum,
                no_tx=False,
                statements=len(file.statements),
                duration_ms=duration_ms,
                attempts=attempt,
            )


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


def likely_blockers(conn: psycopg.Connection[Any]) -> str:
    """The oldest open transactions of this database: who held the lock is not known any more after the timeout."""
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(_BLOCKERS.encode(), prepare=False).fetchall()
    return "\n".join(row[0] for row in rows)


def _run(conn: psycopg.Connection[Any], file: MigrationFile, session: Session, progress: Progress) -> None:
    statements = file.statements
    with conn.transaction():
        try:
            # One message: the file as it is (a percent sign is a percent sign), then the baseline, before the row is
            # written: the file may have changed the role or the search path. That also runs deferred triggers while an
            # error can still be told from a lost COMMIT. The newline ends a comment on the file's last line.
            execute_batch(conn, file.data + b"\n;\n" + session.ordinary)
        except BatchError as exc:
            progress.statement = statements[exc.index] if exc.index < len(statements) else None
            raise exc.error from None
        write_row(conn, file)
        progress.committing = True
