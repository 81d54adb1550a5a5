"""The session that runs the files: a baseline before each of them, whatever the one before did.

Owns: which settings a migration may rely on.
Promises: SET, SET ROLE, a temporary table, a cursor or a LISTEN of one file never reaches the next, nor the row that
records it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from scripts.settings import Settings

# The grammar that parsed the files assumes standard strings; TimeZone decides whether timestamp → timestamptz rewrites
# a table; the rest is what PostgreSQL ships with, against an ALTER ROLE … SET on one machine.
_FIXED = (
    ("client_encoding", "UTF8"),
    ("standard_conforming_strings", "on"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("check_function_bodies", "on"),
    ("default_transaction_isolation", "read committed"),
    ("row_security", "on"),
    ("session_replication_role", "origin"),
)
_CLEAR = "SET CONSTRAINTS ALL IMMEDIATE; CLOSE ALL; UNLISTEN *; DISCARD SEQUENCES; DISCARD TEMP; RESET ALL; "


@dataclass(frozen=True, slots=True)
class Session:
    """The SQL that brings a session back to its baseline; for ordinary statements and for long builds."""

    ordinary: bytes
    building: bytes


@contextmanager
def open_session(conn: psycopg.Connection[Any], settings: Settings) -> Iterator[Session]:
    """Bring the connection to the baseline, and leave it with the role it came with.

    Args:
        conn: in autocommit; it is the engine's alone until the end.
        settings: its timeouts.
    """
    from psycopg import sql

    role = conn.execute("SELECT pg_catalog.current_setting('role')", prepare=False).fetchone()
    name = "none" if role is None else str(next(iter(role.values())) if isinstance(role, dict) else role[0])
    become = sql.SQL("SET SESSION AUTHORIZATION DEFAULT; SET ROLE {}; ").format(
        sql.SQL("NONE") if name == "none" else sql.Identifier(name)
    )
    fixed = [pair for pair in _FIXED if pair[0] != "session_replication_role" or _is_superuser(conn)]
    session = Session(
        _baseline(conn, become, fixed, settings.lock_timeout_ms, settings.statement_timeout_ms),
        # A concurrent build waits in a queue where nobody queues behind it but other DDL, so its wait for locks may be
        # as long as the build itself.
        _baseline(conn, become, fixed, settings.index_timeout_ms, settings.index_timeout_ms),
    )
    prepare_threshold = conn.prepare_threshold
    conn.prepare_threshold = None
    conn.execute(session.ordinary)
    try:
        yield session
    finally:
        conn.prepare_threshold = prepare_threshold
        if not conn.closed and conn.info.transaction_status.name == "IDLE":
            conn.execute(_CLEAR.encode() + become.as_bytes(conn))


def _baseline(
    conn: psycopg.Connection[Any], become: Any, fixed: list[tuple[str, str]], lock_timeout_ms: int, timeout_ms: int
) -> bytes:
    from psycopg import sql

    values = [*fixed, ("lock_timeout", f"{lock_timeout_ms}ms"), ("statement_timeout", f"{timeout_ms}ms")]
    sets = [sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in values]
    return b"".join((_CLEAR.encode(), become.as_bytes(conn), sql.SQL("; ").join(sets).as_bytes(conn)))


def _is_superuser(conn: psycopg.Connection[Any]) -> bool:
    # Only a superuser can have changed it in the first place.
    return conn.info.parameter_status("is_superuser") == "on"
