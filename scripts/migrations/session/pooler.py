"""Something stands between us and the server: is a session still a session?

Owns: the test of a proxy, made only when the backend is not the one that the driver was told of.
How: a pool in transaction or statement mode lends each transaction any backend. So the first connection must keep its
backend while a second one comes and goes, the second must never get it, and a session lock must stay where it was
taken. Limits: other clients of a pool can hide a change for a moment; the lock is therefore asked for again with each
row that is written (`still_held_sql`).
"""

from __future__ import annotations

import secrets
from contextlib import closing
from typing import TYPE_CHECKING, Any

from scripts.errors.migration import PoolerError
from scripts.migrations.waiting.beside import ask, connect_beside

if TYPE_CHECKING:
    import psycopg

_ROUNDS = 5
_PID = b"SELECT pg_catalog.pg_backend_pid()"


def require_own_backend(conn: psycopg.Connection[Any]) -> int:
    """The pid of the backend that this connection alone has for as long as it lasts.

    Args:
        conn: in autocommit, idle.

    Raises:
        PoolerError: the backend is shared, or changes, or it cannot be found out.
        psycopg.Error: the first connection fails.
    """
    import psycopg

    mine = int(ask(conn, _PID))
    _require_same(conn, mine)
    try:
        second = connect_beside(conn)
    except psycopg.Error as exc:
        raise PoolerError.not_tested(f"no second connection (SQLSTATE {exc.sqlstate or 'none'})") from None
    with closing(second):
        for _ in range(_ROUNDS):
            _require_other(second, mine)
            _require_same(conn, mine)
            _end(second)
        _require_sticking(conn, second, mine)
    return mine


def _require_same(conn: psycopg.Connection[Any], mine: int) -> None:
    found = int(ask(conn, _PID))
    if found != mine:
        raise PoolerError.found(mine, found)


def _require_other(second: psycopg.Connection[Any], mine: int) -> None:
    """Open a transaction there; it stays open while the first connection is asked again."""
    import psycopg

    try:
        ask(second, b"BEGIN")
        other = int(ask(second, _PID))
    except psycopg.Error as exc:
        # Statement mode refuses a transaction; a pool with one backend left lets the second connection wait.
        raise PoolerError.not_tested(f"a second connection got no transaction ({_why(exc)})") from None
    if other == mine:
        raise PoolerError.shared(mine)


def _end(second: psycopg.Connection[Any]) -> None:
    import psycopg

    try:
        ask(second, b"ROLLBACK")
    except psycopg.Error as exc:
        raise PoolerError.not_tested(f"a second connection could not end its transaction ({_why(exc)})") from None


def _require_sticking(conn: psycopg.Connection[Any], second: psycopg.Connection[Any], mine: int) -> None:
    """A session lock is still there in the next statement, and keeps another session out."""
    import psycopg

    key = secrets.randbits(62)
    ask(conn, f"SELECT pg_catalog.pg_advisory_lock({key})".encode())
    try:
        got = ask(second, f"SELECT pg_catalog.pg_try_advisory_xact_lock({key})".encode())
    except psycopg.Error as exc:
        raise PoolerError.not_tested(f"a second connection got no answer ({_why(exc)})") from None
    # A backend that is shared after all keeps a lock that nobody will ever ask for.
    if got != "f" or ask(conn, f"SELECT pg_catalog.pg_advisory_unlock({key})".encode()) != "t":
        raise PoolerError.shared(mine)
    _require_same(conn, mine)


def _why(exc: psycopg.Error) -> str:
    return f"SQLSTATE {exc.sqlstate}" if exc.sqlstate else "no answer"
