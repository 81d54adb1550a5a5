"""The session that runs the files: a baseline before each of them, whatever the one before did.

Owns: which settings a migration may rely on (role.py: the role it runs as).
Promises: a SET, a role, a temporary table, a cursor, a LISTEN, a prepared statement, a sequence's currval or an
advisory lock of one file never reaches the next, nor the row that records it; the runner's own lock is never among
what is let go of.
Limits: a placeholder such as app.login stays known, empty, once a file has set it; setseed() lasts.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from scripts.errors.session import SessionSettingError
from scripts.migrations.batch import BatchError, cells, execute_batch
from scripts.migrations.session.lock import RUNNER_LOCK_KEY
from scripts.migrations.session.role import WHO, CameAs, Login, become, hidden_by, login_of, one_row, set_role
from scripts.server.readiness import require_own_catalog, setting_sql, settle, stored_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import psycopg
    from psycopg.pq.abc import PGresult

    from scripts.migrations.session.stored import Moved
    from scripts.settings import Settings

# What a file's meaning hangs on, at the value PostgreSQL ships with, against an ALTER ROLE … SET on one machine. The
# grammar that parsed the files assumes standard strings; TimeZone decides whether timestamp → timestamptz rewrites a
# table. RESET ALL brings back what the server, the database and the login say; only where that is another value is it
# set after every file (4 µs each). A reload of the configuration in mid-run may move it: that is told at the end.
_FIXED = (
    ("client_encoding", "UTF8"),
    ("standard_conforming_strings", "on"),
    ("backslash_quote", "safe_encoding"),
    ("transform_null_equals", "off"),
    ("array_nulls", "on"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("quote_all_identifiers", "off"),
    ("check_function_bodies", "on"),
    ("client_min_messages", "notice"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
    ("row_security", "on"),
    # The runner is never idle in a file's transaction but for its own round trips; transaction_timeout would end the
    # session in the middle of a concurrent build.
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
)
# As a number: at the end of the session another DateStyle and TimeZone write it.
_LOADED_AT = "EXTRACT(EPOCH FROM pg_catalog.pg_conf_load_time())::text"
_REPLICATION_ROLE = "session_replication_role"
_FOUND = "SELECT " + ", ".join(
    [
        _LOADED_AT,
        *(f"pg_catalog.current_setting('{name}')" for name in ("search_path", _REPLICATION_ROLE)),
        *(f"pg_catalog.current_setting('{name}')" for name, _ in _FIXED),
    ]
)
# In SQL_ASCII the driver would hand on bytes.
_RESET = (
    "RESET ALL; SELECT pg_catalog.current_setting('client_encoding'); SET client_encoding = 'UTF8'; " + _FOUND
).encode()
_RESET_ROWS = (1, 3)
# Set where the login may: only a superuser can have changed it.
_REPLICATION = b"SET session_replication_role = origin; "
# What is stored for new sessions of the login holds for the next file (stored.py), but for what every file has as it is
# here, and who the files run as.
_NOT_FOLLOWED = frozenset(
    {name.lower() for name, _ in _FIXED}
    | {"lock_timeout", "statement_timeout", "session_replication_role", "role", "session_authorization"}
)
# As the server, the database and the login have them: a migration may rely on them, so they are recorded.
_RECORDED = (
    "search_path",
    "role",
    "session_replication_role",
    "synchronous_commit",
    "default_tablespace",
    "default_table_access_method",
    "default_toast_compression",
    "lc_messages",
    "event_triggers",
)
_ASKED = (
    "session_user",
    "current_user",
    *(name for name, _ in _FIXED),
    "lock_timeout",
    "statement_timeout",
    *_RECORDED,
)
_ASK = (
    b"SELECT "
    + ", ".join(
        f"{name}::text" if name.endswith("_user") else f"pg_catalog.current_setting('{name}')" for name in _ASKED
    ).encode()
)
# What may stand before all else; then come the deferred constraints, which fail as a file's own.
FORGET = b"DEALLOCATE ALL; "
_CLEAR = b"SET CONSTRAINTS ALL IMMEDIATE; CLOSE ALL; UNLISTEN *; DISCARD SEQUENCES; DISCARD TEMP; RESET ALL; "
# pg_advisory_unlock_all() would let go of the runner's lock for a moment. A lock may be held many times over: each is
# unlocked until the server says there is none left. It says so with a warning; hence the level.
_UNLOCK = """SET client_min_messages = error;
WITH RECURSIVE held AS (
    SELECT l.objsubid = 1 AS one, l.mode LIKE 'Share%' AS shared, l.classid::bigint << 32 | l.objid::bigint AS key,
           l.classid::int AS first, l.objid::int AS second, true AS freed
      FROM pg_catalog.pg_locks l
     WHERE l.locktype = 'advisory' AND l.pid = pg_catalog.pg_backend_pid() AND l.granted
       AND NOT (l.objsubid = 1 AND l.classid::bigint << 32 | l.objid::bigint = RUNNER_LOCK_KEY)
    UNION ALL
    SELECT one, shared, key, first, second,
           CASE WHEN one AND shared THEN pg_catalog.pg_advisory_unlock_shared(key)
                WHEN one THEN pg_catalog.pg_advisory_unlock(key)
                WHEN shared THEN pg_catalog.pg_advisory_unlock_shared(first, second)
                ELSE pg_catalog.pg_advisory_unlock(first, second) END
      FROM held WHERE freed)
SELECT pg_catalog.count(*) FROM held; SET client_min_messages = notice""".replace(
    "RUNNER_LOCK_KEY", str(RUNNER_LOCK_KEY)
).encode()
# Left set, whatever the session writes would be marked as another server's. Only a superuser can have set it.
_ORIGIN = (
    b"SELECT CASE WHEN pg_catalog.pg_replication_origin_session_is_setup()"
    b" THEN pg_catalog.pg_replication_origin_session_reset()::text END"
)
_ORIGIN_HINT = b"replication_origin"
# 0.3 ms; so it is asked only after a file that can have taken one.
_LOCKS_HINT = b"advisory"
# From the first file on that says it; before that, the only prepared statements are the runner's own, which are kept.
_PREPARED_HINTS = (b"prepare", b"deallocate", b"discard")
_RELOADED = (
    "the server's configuration was reloaded while files ran: a setting may have changed between them; invoke drift"
    " compares what they made"
)
_LOADED = b"SELECT " + _LOADED_AT.encode()


@dataclass(slots=True)
class Session:
    """The SQL that brings a session back to its baseline; for ordinary statements (`ordinary`) and for long builds.

    own_role: who the files run as, and the runner beside them, alone.
    login, role: who the connection is, and whose rights count.
    baseline: every setting that a file may rely on, as it was found right before the first file; for the record. Empty
        where it was not read back.
    parting: questions that are asked when the session is given back; their answers are `parted` then.
    notes: what the role hides, one line each.
    forgets_prepared: whether the session's prepared statements are dropped after every file, the runner's own included.
    """

    _ordinary: tuple[bytes, bytes]
    _building: tuple[bytes, bytes]
    own_role: bytes
    login: str
    role: str
    baseline: Mapping[str, str] = field(default_factory=dict)
    parting: tuple[bytes, ...] = ()
    parted: Sequence[PGresult] = ()
    notes: tuple[str, ...] = ()
    forgets_prepared: bool = False
    _superuser: bool = False
    _may_hold_locks: bool = False
    _may_have_origin: bool = False
    _followed: dict[str, bytes] = field(default_factory=dict)

    def after(self, data: bytes) -> bytes:
        """The baseline to come back to after a file.

        Args:
            data: the file. From the first one that says `advisory` on, every file's locks are looked for, and from the
                first that says `prepare` on, prepared statements are dropped: a function that one file makes may be
                called by the next.
        """
        said = data.lower()
        self._may_hold_locks = self._may_hold_locks or _LOCKS_HINT in said
        self.forgets_prepared = self.forgets_prepared or any(hint in said for hint in _PREPARED_HINTS)
        # Locks last: under the file's search_path an operator could be somebody's.
        forget = FORGET if self.forgets_prepared else b""
        self._may_have_origin = self._superuser and (self._may_have_origin or _ORIGIN_HINT in said)
        return forget + self.ordinary + (b"; " + _UNLOCK if self._may_hold_locks else b"")

    def follow(self, conn: psycopg.Connection[Any], stored: Moved, report: Callable[[str], None]) -> None:
        """Go on as a new session would begin: these values hold from now on, and are part of the baseline.

        Args:
            conn: the session, outside a transaction.
            stored: what a file stored. One that the login may not set itself, or that is no value any more, is told of.
            report: told.
        """
        import psycopg

        for name in stored.gone:
            self._followed.pop(name, None)
        for name, value in stored.moved.items():
            if name in _NOT_FOLLOWED:
                continue
            setting = stored_sql(conn, name, value)
            try:
                conn.execute(setting, prepare=False)
            except psycopg.Error as exc:
                if conn.closed:
                    raise
                report(f"{name} was stored and cannot be set here (SQLSTATE {exc.sqlstate}): the next run has it")
                continue
            self._followed[name] = setting
        conn.execute(self.ordinary, prepare=False)

    @property
    def ordinary(self) -> bytes:
        """The baseline for ordinary statements."""
        return self._with_followed(self._ordinary)

    @property
    def building(self) -> bytes:
        """The baseline for a statement that may wait, and work, for as long as a build."""
        return self._with_followed(self._building)

    def _with_followed(self, baseline: tuple[bytes, bytes]) -> bytes:
        # As the login, before the role that the files run as.
        origin = (_ORIGIN,) if self._may_have_origin else ()
        return b"; ".join((baseline[0], *origin, *self._followed.values(), baseline[1]))

    @property
    def leave(self) -> bytes:
        """What a session is left with: nothing of ours but the role, which is set behind it."""
        return _CLEAR + (_UNLOCK + b"; " if self._may_hold_locks else b"") + b"DEALLOCATE ALL; RESET ALL; "


@contextmanager
def open_session(  # noqa: PLR0913 - what the caller has asked already
    conn: psycopg.Connection[Any],
    settings: Settings,
    *,
    report: Callable[[str], None] | None = None,
    settled: Mapping[str, str] | None = None,
    came_as: CameAs | None = None,
    read_back: bool = True,
    spare: Callable[[], bool] | None = None,
) -> Iterator[Session]:
    """Bring the connection to the baseline, and leave it with the role, and the settings of `settle`, it came with.

    Args:
        conn: in autocommit; it is the engine's alone until the end. Its prepared statements are dropped.
        settings: its timeouts, and `migrate_role`.
        report: told what the role hides.
        settled: the settings of `settle` as the caller has put them; asked for when None.
        came_as: who the connection is; asked for when None.
        read_back: whether the baseline is wanted for the record.
        spare: as `execute_batch` takes it.

    Raises:
        MigrateRoleError: `migrate_role` cannot be had, or hides what it should show.
        SessionSettingError: the login switches triggers off, and may not switch them on; or its search_path, or the
            connection's, puts a schema before pg_catalog.
    """
    came_with = settle(conn) if settled is None else settled
    user, role = CameAs(*one_row(conn, WHO)) if came_as is None else came_as
    login = login_of(conn, user, role, settings.migrate_role)
    session = _session(conn, login, b"", settings)
    prepare_threshold, loaded_at = conn.prepare_threshold, ""
    # None: the driver prepares nothing. Its prepared statements go; it hears of that at the end.
    conn.prepare_threshold = None
    try:
        loaded_at, sets = _enter(conn, session, login, read_back=read_back, spare=spare)
        if sets:
            session = _session(conn, login, sets, settings)
            session.baseline = _read_back([*map(str, one_row(conn, session.ordinary + b"; " + _ASK))])
        if report is not None:
            for note in session.notes:
                report(note)
        yield session
    finally:
        conn.prepare_threshold = prepare_threshold
        if not conn.closed and conn.info.transaction_status.name == "IDLE":
            back = become(conn, login.session_user, login.came_as)
            leave = b"%b%b; %b" % (session.leave, back, setting_sql(conn, came_with))
            loaded_since = _leave(conn, session, leave)
            if loaded_at and loaded_since != loaded_at and report is not None:
                report(_RELOADED)


def _session(conn: psycopg.Connection[Any], login: Login, sets: bytes, settings: Settings) -> Session:
    return Session(
        _baseline(conn, login, sets, settings.lock_timeout_ms, settings.statement_timeout_ms),
        # A concurrent build waits in a queue where nobody queues behind it but other DDL, so its wait for locks may be
        # as long as the build itself.
        _baseline(conn, login, sets, settings.index_timeout_ms, settings.index_timeout_ms),
        become(conn, login.session_user, login.runs_as),
        login.session_user,
        login.runs_as or login.session_user,
        notes=hidden_by(login),
        _superuser=login.is_superuser,
    )


def _enter(
    conn: psycopg.Connection[Any], session: Session, login: Login, *, read_back: bool, spare: Callable[[], bool] | None
) -> tuple[str, bytes]:
    """Set the baseline, in one message with the question what the login makes of a session; read it back if so wished.

    Returns:
        When the configuration was read, and SQL for those of _FIXED that the server, the database or the login have
        otherwise: they are not set yet.
    """
    questions = (_ASK,) if read_back else ()
    text = b"; ".join((_RESET, b"DEALLOCATE ALL", session.ordinary, *questions))
    try:
        results = execute_batch(conn, text, spare=spare)
    except BatchError as exc:
        raise exc.error from None
    # Not through the driver's types: it reads every row by the client_encoding that the message ends with.
    ((encoding,),), ((loaded_at, path, replication, *fixed),) = (cells(results[at]) for at in _RESET_ROWS)
    if read_back:
        session.baseline = _read_back(*cells(results[-1]))
    require_own_catalog(path)
    if replication != "origin" and not login.is_superuser:  # who is one has set it
        raise SessionSettingError.replica(session_user=login.session_user, found=replication)
    now = (encoding, *fixed[1:])
    sets = "".join(f"SET {name} = '{value}'; " for (name, value), has in zip(_FIXED, now, strict=True) if value != has)
    return loaded_at, sets.encode()


def _read_back(row: Sequence[str]) -> Mapping[str, str]:
    return MappingProxyType(dict(zip(_ASKED, row, strict=True)))


def _leave(conn: psycopg.Connection[Any], session: Session, leave: bytes) -> str:
    """Give the session back, and ask what is to be asked then. When the configuration was read."""
    import psycopg

    questions = (_LOADED, *session.parting)
    # The comment makes the text a new one for psycopg, which only then sees that DEALLOCATE ALL took its own prepared
    # statements away.
    text = b"%b -- %d" % (b"; ".join((leave, *questions)), time.monotonic_ns())
    with conn.cursor() as cursor:
        try:
            cursor.execute(text, prepare=False)
        except psycopg.Error:
            if not (conn.closed or conn.broken):
                conn.execute(leave, prepare=False)  # whatever became of the questions
            raise
        session.parted = []
        for at in range(-len(questions), 0):
            cursor.set_result(at)
            session.parted += filter(None, [cursor.pgresult])
    loaded, *session.parted = session.parted
    return bytes(loaded.get_value(0, 0) or b"").decode()


def _baseline(
    conn: psycopg.Connection[Any], login: Login, sets: bytes, lock_timeout_ms: int, timeout_ms: int
) -> tuple[bytes, bytes]:
    """What is cleared, and what is set: what a file stored for new sessions goes between them."""
    # The settings first, as the login itself: MIGRATE_ROLE may not set all of them.
    as_login = become(conn, login.session_user, None)
    replication = _REPLICATION if login.is_superuser else b""
    timeouts = b"SET lock_timeout = %d; SET statement_timeout = %d" % (lock_timeout_ms, timeout_ms)
    role = b"" if login.runs_as is None else b"; " + set_role(conn, login.runs_as)
    return _CLEAR + as_login, sets + replication + timeouts + role
