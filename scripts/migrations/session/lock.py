"""One runner at a time: an advisory lock of the session that runs the DDL, polled, never waited for.

Owns: the lock's key, its deadline, the answer to "who holds it", and the condition under which a row may be written.
Why polled: a session waiting in pg_advisory_lock holds a snapshot; a concurrent index build waits for that snapshot
and the holder of the lock waits for the build: a deadlock (40P01) that leaves an invalid index.
Held twice, exclusive and shared: so the exclusive hold can be given up and taken again, which proves it, while the
shared one keeps everybody out.
Orphans: a session whose client was killed goes on with its build and keeps the lock until it ends. That is waited for
as long as a build may take, not as long as a runner.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from scripts.errors.migration import PoolerError, RunnerLockedError
from scripts.errors.sql_text import SqlSyntaxError
from scripts.migrations.session.pooler import require_own_backend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    from psycopg.pq.abc import PGresult

    from scripts.settings import Settings

# The first eight bytes of sha256("parity-runner: schema_migrations"), as a signed number. Advisory locks belong to one
# database, so databases of one server do not wait for each other.
RUNNER_LOCK_KEY = 0x5A11_6D3E_07C4_91B2
_POLL_FIRST_S, _POLL_LONGEST_S = 0.01, 0.25
# How long a holder that builds is trusted to go on before it is looked at again.
_BUILD_LOOK_S = 1.0

# A lock is only asked for on the backend we know: through a pool in transaction mode it would stay behind on another.
_TRY = """
SELECT CASE WHEN pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {pid}
            THEN pg_catalog.pg_try_advisory_lock({key}) AND pg_catalog.pg_try_advisory_lock_shared({key}) END,
       pg_catalog.pg_backend_pid()"""
_RELEASE = (
    f"SELECT pg_catalog.pg_advisory_unlock({RUNNER_LOCK_KEY}), pg_catalog.pg_advisory_unlock_shared({RUNNER_LOCK_KEY})"
).encode()
# Nothing but our own text is put together below.
_IS_RUNNER_LOCK = """l.locktype = 'advisory' AND l.mode = 'ExclusiveLock' AND l.granted AND l.objsubid = 1
   AND (l.classid::bigint << 32 | l.objid::bigint) = """
_HERE = "l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
_HOLDER = f"""
SELECT pg_catalog.format('pid %%s, application %%s, role %%s, since %%s', a.pid,
              coalesce(nullif(a.application_name, ''), '(none)'), coalesce(a.usename::text, '(unknown)'),
              coalesce(pg_catalog.to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                       '(hidden)')),
       EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.pid = a.pid),
       CASE WHEN a.state = 'active' THEN a.query END
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
 WHERE {_IS_RUNNER_LOCK} %s
   AND {_HERE}"""  # noqa: S608 - see above


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who holds the lock, in words, and whether a concurrent build (or drop, or reindex) of theirs is under way."""

    text: str
    building: bool


class Tried(NamedTuple):
    """What came of one try for the lock: whether it is held now, and the pid of the backend that answered."""

    locked: bool
    backend_pid: int

    @classmethod
    def of(cls, answer: PGresult) -> Self:
        """From the answer to `try_lock_sql`."""
        return cls(answer.get_value(0, 0) == b"t", int(answer.get_value(0, 1) or 0))


@contextmanager
def runner_lock(
    conn: psycopg.Connection[Any],
    settings: Settings,
    *,
    report: Callable[[str], None],
    tried: Tried | None = None,
    last: bytes = b"",
) -> Iterator[int]:
    """Hold the runner lock for the block; yields the pid of the connection's backend.

    Args:
        conn: the connection that runs the DDL, in autocommit: a build that outlives its client keeps the lock.
        settings: the longest wait for a runner, and for a session that builds an index.
        report: told once who is waited for, and once that they are building.
        tried: the first try, where the caller has sent `try_lock_sql` with something of its own.
        last: SQL of the caller's that is sent when the lock is let go of, or could not be had.

    Raises:
        RunnerLockedError: another session held it until the deadline.
        PoolerError: the statements of this connection reach different backends.
    """
    farewell = last
    try:
        backend_pid = _acquire(conn, settings, report, tried)
        farewell = _farewell(last)
        yield backend_pid
    finally:
        # When the connection is gone the server has let go of the lock, or will when a running build ends.
        if farewell and not conn.closed and conn.info.transaction_status.name == "IDLE":
            conn.execute(farewell, prepare=False)


def try_lock_sql(conn: psycopg.Connection[Any]) -> bytes:
    """SQL that tries once, on the backend that the driver knows, to have the lock; `Tried.of` reads its answer."""
    return _TRY.format(pid=conn.info.backend_pid, key=RUNNER_LOCK_KEY).encode()


def let_go(conn: psycopg.Connection[Any], *, last: bytes = b"") -> None:
    """After a message with `try_lock_sql` that failed: no transaction is open, and the lock is not held.

    Args:
        conn: in any state.
        last: SQL of the caller's that is sent then.
    """
    import psycopg

    with suppress(psycopg.Error):
        conn.rollback()
        conn.execute(_farewell(last), prepare=False)


def _farewell(last: bytes) -> bytes:
    return b"; ".join(filter(None, (_RELEASE, last)))


def still_held_sql() -> str:
    """An SQL expression that is true while the session that evaluates it holds the runner lock; evaluate it once.

    A file may have let go of it (pg_advisory_unlock_all), and another runner may have come in since. It stands in the
    INSERT that records the file: letting go says whether it was held, and costs 0.002 ms where pg_locks costs 0.06.
    Nobody comes in between: the shared hold is in their way; where that is gone as well, the lock has to be had again.
    """
    key = RUNNER_LOCK_KEY
    return f"CASE WHEN pg_catalog.pg_advisory_unlock({key}) THEN pg_catalog.pg_try_advisory_lock({key}) ELSE false END"


def holder_pid_sql() -> str:
    """SQL that selects the pid of the backend that holds the runner lock of this database; no row when nobody does."""
    return f"SELECT l.pid FROM pg_catalog.pg_locks l WHERE {_IS_RUNNER_LOCK} {RUNNER_LOCK_KEY} AND {_HERE}"  # noqa: S608 - our own text


def _acquire(
    conn: psycopg.Connection[Any], settings: Settings, report: Callable[[str], None], tried: Tried | None
) -> int:
    backend_pid, proved = conn.info.backend_pid, False
    queue = _Queue(conn, settings, report)
    while True:
        last = _try_lock(conn, backend_pid) if tried is None else tried
        if last.locked:
            return backend_pid
        if last.backend_pid == backend_pid:
            queue.wait()
        elif proved:
            raise PoolerError.found(backend_pid, last.backend_pid)
        else:
            # A proxy gives the driver a number of its own.
            backend_pid, proved = require_own_backend(conn), True
        tried = None


class _Queue:
    """The pauses between tries: how long each, what is said, and when it is enough."""

    def __init__(self, conn: psycopg.Connection[Any], settings: Settings, report: Callable[[str], None]) -> None:
        self._conn, self._settings, self._report = conn, settings, report
        self._started = time.monotonic()
        self._deadline = self._started + settings.runner_lock_timeout_ms / 1000
        self._pause = _POLL_FIRST_S
        self._told = self._told_building = False

    def wait(self) -> None:
        """Pause once.

        Raises:
            RunnerLockedError: the deadline has passed, and a build's too if the holder builds.
        """
        late = time.monotonic() >= self._deadline
        if late or not self._told:
            holder = _holder(self._conn)
            self._tell(holder)
            if late:
                self._extend(holder)
        time.sleep(min(self._pause, max(0.0, self._deadline - time.monotonic())))
        self._pause = min(self._pause * 2, _POLL_LONGEST_S)

    def _tell(self, holder: _Holder) -> None:
        if holder.building and not self._told_building:
            self._report(
                f"waiting for another runner's session to end its index build: {holder.text}; "
                f"for up to {self._settings.index_timeout_ms / 1000:.0f} s"
            )
            self._told_building = True
        elif not self._told:
            self._report(f"waiting for another runner: {holder.text}")
        self._told = True

    def _extend(self, holder: _Holder) -> None:
        now = time.monotonic()
        waited_ms = round((now - self._started) * 1000)
        if not holder.building:
            raise RunnerLockedError.held(holder.text, waited_ms=waited_ms)
        if waited_ms >= self._settings.index_timeout_ms:
            raise RunnerLockedError.building(holder.text, waited_ms=waited_ms)
        self._deadline = min(now + _BUILD_LOOK_S, self._started + self._settings.index_timeout_ms / 1000)


def _try_lock(conn: psycopg.Connection[Any], backend_pid: int) -> Tried:
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        row: Any = cursor.execute(_TRY.format(pid=backend_pid, key=RUNNER_LOCK_KEY).encode(), prepare=False).fetchone()
    return Tried(bool(row[0]), int(row[1]))


def _holder(conn: psycopg.Connection[Any]) -> _Holder:
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_HOLDER.encode(), (RUNNER_LOCK_KEY,), prepare=False).fetchone()
    if row is None:
        return _Holder("a session that has just let go", building=False)
    return _Holder(str(row[0]), building=bool(row[1]) or _runs_alone(row[2] or ""))


def _runs_alone(query: str) -> bool:
    """Whether it is a statement that runs outside a transaction: DROP INDEX CONCURRENTLY shows in no progress view."""
    from scripts.parser.statements import needs_no_transaction, parse_statements

    try:
        return any(needs_no_transaction(statement) for statement in parse_statements(query, where="pg_stat_activity"))
    except SqlSyntaxError:
        return False  # cut, or hidden
