"""One runner at a time: an advisory lock of the session that runs the DDL, polled, never waited for.

Owns: the lock's key, its deadline, and the answer to "who holds it".
Why polled: a session waiting in pg_advisory_lock holds a snapshot; a concurrent index build waits for that snapshot
and the holder of the lock waits for the build: a deadlock (40P01) that leaves an invalid index.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scripts.errors.migration import PoolerError, RunnerLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from scripts.migrations.model import Report

# The first eight bytes of sha256("parity-runner: schema_migrations"), as a signed number. Advisory locks belong to one
# database, so databases of one server do not wait for each other.
RUNNER_LOCK_KEY = 0x5A11_6D3E_07C4_91B2
_POLL_FIRST_S, _POLL_LONGEST_S = 0.01, 0.25

_HOLDER = """
SELECT pg_catalog.format('pid %%s, application %%s, role %%s, since %%s', a.pid,
              coalesce(nullif(a.application_name, ''), '(none)'), coalesce(a.usename::text, '(unknown)'),
              coalesce(pg_catalog.to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                       '(hidden)'))
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
   AND (l.classid::bigint << 32 | l.objid::bigint) = %s"""


@contextmanager
def runner_lock(conn: psycopg.Connection[Any], *, timeout_ms: int, report: Report) -> Iterator[None]:
    """Hold the runner lock for the block.

    Args:
        conn: the connection that runs the DDL, in autocommit: a build that outlives its client keeps the lock.
        timeout_ms: the longest wait, in milliseconds.
        report: told once who is waited for.

    Raises:
        RunnerLockedError: another session held it until the deadline.
        PoolerError: the statements of this connection reach different backends.
    """
    started = time.monotonic()
    deadline = started + timeout_ms / 1000
    pause = _POLL_FIRST_S
    told = False
    while not _try_lock(conn):
        if time.monotonic() >= deadline:
            raise RunnerLockedError.held(_holder(conn), waited_ms=round((time.monotonic() - started) * 1000))
        if not told:
            report(f"waiting for another runner: {_holder(conn)}")
            told = True
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 2, _POLL_LONGEST_S)
    try:
        yield
    finally:
        # When the connection is gone the server has let go of the lock, or will when a running build ends.
        if not conn.closed and conn.info.transaction_status.name == "IDLE":
            conn.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", (RUNNER_LOCK_KEY,), prepare=False)


def _try_lock(conn: psycopg.Connection[Any]) -> bool:
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(
            "SELECT pg_catalog.pg_try_advisory_lock(%s), pg_catalog.pg_backend_pid()", (RUNNER_LOCK_KEY,), prepare=False
        )
        row = cursor.fetchone()
    if row is None:
        return False
    # The pid of the connection's start-up: a pooler in transaction mode hands each statement to any backend.
    if row[1] != conn.info.backend_pid:
        raise PoolerError.found(conn.info.backend_pid, row[1])
    return bool(row[0])


def _holder(conn: psycopg.Connection[Any]) -> str:
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_HOLDER, (RUNNER_LOCK_KEY,), prepare=False).fetchone()
    return "a session that has just let go" if row is None else str(row[0])
