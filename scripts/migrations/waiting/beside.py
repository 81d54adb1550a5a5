"""A second connection to the same database, and questions to it that are given up in time.

Owns: how it is opened, and how long it may take to answer.
Why the patience: between two connections and the server there may be a pool that has one backend left; the second would
wait for the first, and the first, which asks, for the second.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from scripts.migrations.batch import BatchError, execute_batch
from scripts.server.places import connecting_to
from scripts.server.readiness import parse_dsn

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGresult

APPLICATION = "parity-runner observer"
ANSWER_S = 1.0
_CONNECT_S = 2  # the driver's and libpq's least


def connect_beside(conn: psycopg.Connection[Any], *, application: str = APPLICATION) -> psycopg.Connection[Any]:
    """Another connection to the same database, the same way; the caller closes it.

    Raises:
        psycopg.Error: it cannot be had.
    """
    import psycopg

    info = conn.info
    # Of several hosts in the DSN, the one that the first connection reached.
    place: dict[str, Any] = {"host": info.host, "port": info.port}
    if info.hostaddr and not info.host.startswith("/"):
        place["hostaddr"] = info.hostaddr
    dsn = info.dsn
    with connecting_to(parse_dsn(dsn)):
        return psycopg.connect(
            dsn,
            password=info.password or None,
            autocommit=True,
            application_name=application,
            client_encoding="UTF8",
            connect_timeout=_CONNECT_S,
            **place,
        )


def ask(conn: psycopg.Connection[Any], query: bytes, *, within_s: float = ANSWER_S) -> str:
    """The first value of the last answer, as text; empty for NULL, for no row and for what has no answer.

    Args and errors: as of `ask_in_time`.
    """
    result = ask_in_time(conn, query, within_s=within_s)
    value = result.get_value(0, 0) if result.ntuples else None
    return "" if value is None else value.decode(errors="replace")


def ask_in_time(conn: psycopg.Connection[Any], query: bytes, *, within_s: float = ANSWER_S) -> PGresult:
    """The last answer to a query.

    Args:
        conn: with nothing under way.
        query: one or more statements.
        within_s: after so many seconds the connection is closed.

    Raises:
        psycopg.Error: the server refuses; the connection is lost; there was no answer in time.
    """
    import psycopg

    try:
        results = execute_batch(conn, query, watch=_Patience(within_s))
    except BatchError as exc:
        raise exc.error from None
    except _LateError:
        conn.close()
        msg = "no answer in time"
        raise psycopg.OperationalError(msg) from None
    return results[-1]


class _LateError(Exception):
    """Time is up."""


class _Patience:
    """A `Watch` that ends the wait by raising."""

    interval_s = 0.05

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def look(self) -> None:
        if time.monotonic() >= self._deadline:
            raise _LateError
