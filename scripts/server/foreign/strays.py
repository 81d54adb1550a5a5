"""Throw-away databases on somebody else's server: what says whose one is, and the end of those whose run was killed.

Owns: the record (a comment on the database), the lock behind it, and the proof that a database is dead and ours.
Promises: a database is dropped only if its name is exactly of our form, it belongs to the very role of the login, its
    record is readable, names this database and does not say that it is kept, nobody is connected to it, nobody holds
    its lock in any database of the server, and its owner does not live in this process space. Without force: whoever
    connects meanwhile keeps it. What cannot be dropped costs a line, never the run. Only the process that stands beside
    a run (mourner.py) drops that run's one database with whoever is in it (`drop_own`), on the same proof.
Never: touches a database without a record, or a role.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from scripts.server.owner import owner_labels, owner_lives_here

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from psycopg import Connection, sql
    from psycopg.pq.abc import PGconn

PREFIX = "parity"
_NAME = re.compile(rf"{PREFIX}_[0-9]+_[0-9a-f]{{12}}")
_RECORD_MAX = 4096
# For each drop: a foreign server's checkpoint, or somebody's lock, must not hold up a start.
_LIMITS: LiteralString = "SET lock_timeout = '200ms'; SET statement_timeout = '5s'"
_NO_LIMITS: LiteralString = "SET lock_timeout = 0; SET statement_timeout = 0"
# Names are compared by the program: here the regular expression only spares the rest of the server.
_CANDIDATES: LiteralString = """
SELECT d.datname, pg_catalog.shobj_description(d.oid, 'pg_database')
FROM pg_catalog.pg_database AS d
WHERE d.datname ~ '^parity_[0-9]+_[0-9a-f]{12}$' AND NOT d.datistemplate
  AND d.datdba = (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.datid = d.oid)
ORDER BY d.datname
"""
_OWN: LiteralString = """
SELECT pg_catalog.shobj_description(d.oid, 'pg_database')
FROM pg_catalog.pg_database AS d
WHERE d.datname = %s AND NOT d.datistemplate
  AND d.datdba = (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user)
"""
# One by one: DROP DATABASE ends nobody where it may not end everybody.
_SESSIONS: LiteralString = "SELECT a.pid FROM pg_catalog.pg_stat_activity AS a WHERE a.datname = %s"
# In any database: each has advisory locks of its own, and the run that holds it may be connected to another than ours.
_HELD: LiteralString = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.classid = %s::oid AND l.objid = %s::oid
)
"""


@dataclass(frozen=True, slots=True)
class Lock:
    """A number that one connection holds as an advisory lock until its end: the server gives it back even after -9."""

    number: int

    @classmethod
    def take(cls, conn: Connection) -> Lock:
        """A lock nobody else has, held by this connection from now on.

        Args:
            conn: stays open for as long as what the lock stands for is in use.
        """
        lock = cls(secrets.randbits(63))
        conn.execute("SELECT pg_catalog.pg_advisory_lock(%s)", [lock.number])
        return lock

    def is_held(self, conn: Connection) -> bool:
        """Whether anybody on the server has it."""
        row = conn.execute(_HELD, [self.number >> 32, self.number & 0xFFFFFFFF]).fetchone()
        return row is None or bool(row[0])


def throwaway_name() -> str:
    """`parity_<second>_<random>`: whose it is and how old, for people."""
    return f"{PREFIX}_{int(time.time())}_{secrets.token_hex(6)}"


def create_recorded(conn: Connection, name: str, statement: sql.Composed, lock: Lock, *, kept: bool) -> None:
    """Create a database together with its record.

    CREATE DATABASE knows no transaction. Both statements are sent in one packet before any answer is read, and the
    server, told so, does not look at the client in between: a run that is killed here leaves both or neither.

    Args:
        conn: in autocommit mode, in no transaction.
        name: from `throwaway_name`.
        statement: CREATE DATABASE of that name.
        lock: held by whoever uses the database.
        kept: whether it is to stay after the run; nothing but a person removes it then.

    Raises:
        psycopg.Error: the server's refusal of either.
    """
    from psycopg import sql

    record = {"kind": "database", "database": name, "lock": str(lock.number), "kept": "yes" if kept else "no"}
    text = json.dumps(record | owner_labels(), sort_keys=True)
    conn.execute("SET client_connection_check_interval = 0")
    comment = sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text))
    _send_together(conn, statement.as_bytes(conn), comment.as_bytes(conn))


def _send_together(conn: Connection, *statements: bytes) -> None:
    """Pipelined by hand: the driver's own pipeline sends the first statement before it knows the second."""
    wire = conn.pgconn
    wire.enter_pipeline_mode()
    try:
        for statement in statements:
            wire.send_query_params(statement, None)
        wire.pipeline_sync()
        failed = _results(wire)
    except BaseException:
        _wait_for_the_rest(wire)
        raise
    wire.exit_pipeline_mode()
    if failed is not None:
        raise failed


def _results(wire: PGconn) -> psycopg.Error | None:
    """Read them all; the server's first refusal among them.

    Raises:
        psycopg.OperationalError: the connection is lost.
    """
    import psycopg
    from psycopg.pq import ConnStatus, ExecStatus

    failed = None
    while True:
        result = wire.get_result()
        if result is None:
            if wire.status != ConnStatus.OK:
                raise psycopg.OperationalError("the connection is lost")
        elif result.status == ExecStatus.PIPELINE_SYNC:
            return failed
        elif result.status == ExecStatus.FATAL_ERROR and failed is None:
            failed = psycopg.errors.error_from_result(result)


def _wait_for_the_rest(wire: PGconn) -> None:
    """After an interruption: whoever is to drop what was asked for must not look before it is there.

    It comes all the same: even the closing of the connection sends what was not sent yet.
    """
    from psycopg.pq import ConnStatus

    if wire.status != ConnStatus.OK:
        return
    wire.pipeline_sync()  # the second one, where the first is on its way, ends nothing but itself
    nothing = 0  # one after each statement's results; two in a row mean that there are no more
    while nothing < 2 and wire.status == ConnStatus.OK:
        nothing = nothing + 1 if wire.get_result() is None else 0
    if wire.status == ConnStatus.OK:
        wire.exit_pipeline_mode()


def is_there(conn: Connection, name: str) -> bool:
    """Whether the server has a database of that name, whoever's it is."""
    row = conn.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [name]).fetchone()
    return row is not None


def drop_own(conn: Connection, name: str) -> bool:
    """Drop the database of the one run that the caller stands beside, with everybody in it; whether it is gone.

    Args:
        conn: settled (readiness.connect), in autocommit mode.
        name: what that run called it.

    Raises:
        psycopg.Error: it is dead and this login's, and cannot be dropped yet; whom the login may end is ended.
    """
    import psycopg
    from psycopg import sql

    row = conn.execute(_OWN, [name]).fetchone()
    if row is None or not _is_dead(conn, name, row[0]):
        return False
    conn.execute(_LIMITS, prepare=False)
    try:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    except psycopg.Error:
        if not conn.closed:
            _end_sessions(conn, name)
        raise
    return True


def _end_sessions(conn: Connection, name: str) -> None:
    import psycopg

    for (pid,) in conn.execute(_SESSIONS, [name]).fetchall():
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT pg_catalog.pg_terminate_backend(%s)", [pid])


def sweep_databases(conn: Connection, report: Callable[[str], None]) -> int:
    """Drop what killed runs of this login left on the server; one line each. Returns how many are gone.

    Args:
        conn: settled (readiness.connect), in autocommit mode.
        report: takes the lines.
    """
    import psycopg
    from psycopg import sql

    dropped = 0
    for name, text in conn.execute(_CANDIDATES).fetchall():
        if not _is_dead(conn, str(name), text):
            continue
        try:
            conn.execute(_LIMITS, prepare=False)
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        except psycopg.Error as exc:
            words = exc.diag.message_primary or type(exc).__name__
            report(f'server   a killed run had left the database "{name}", which cannot be dropped: {words}')
            if conn.closed:
                return dropped
        else:
            dropped += 1
            report(f'server   dropped what a killed run had left: the database "{name}"')
        conn.execute(_NO_LIMITS, prepare=False)
    return dropped


def _is_dead(conn: Connection, name: str, text: str | None) -> bool:
    record = _record_of(text)
    number = record.get("lock", "")
    ours = record.get("kind") == "database" and record.get("kept") == "no" and record.get("database") == name
    if not ours or not _NAME.fullmatch(name) or not re.fullmatch(r"[0-9]{1,19}", number, re.ASCII):
        return False
    if int(number) >= 1 << 63 or owner_lives_here(record):
        return False
    return not Lock(int(number)).is_held(conn)


def _record_of(text: str | None) -> dict[str, Any]:
    """What the comment says; nothing where it is not of our form."""
    if not text or len(text) > _RECORD_MAX:
        return {}
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(record, dict) or not all(isinstance(value, str) for value in record.values()):
        return {}
    return record
