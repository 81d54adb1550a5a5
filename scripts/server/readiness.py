"""Connecting: one place that turns the driver's failures into errors with a cause, and that waits for a server.

Owns: how a connection is shown (never its password), the polling interval, the version a server must have.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from scripts.errors.server import (
    MAJOR_MIN,
    DatabaseMissingError,
    ServerError,
    TooOldError,
    UnreachableError,
    WrongPasswordError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection, OperationalError

POLL_S = 0.005
CONNECT_TIMEOUT_S = 10
APPLICATION = "parity-runner"
# libpq hands on no SQLSTATE for a refused connection, only the server's words. A server that speaks another language
# gets the general error, with those words in it.
_REFUSED_LOGIN = re.compile(
    r'authentication failed|no pg_hba\.conf entry|no password supplied|role "[^"]*" does not exist'
)
_PORTS = re.compile(r"[0-9,]*")
_NO_DATABASE = re.compile(r'database "([^"]*)" does not exist')


def parse_dsn(dsn: str) -> dict[str, str]:
    """The parts of a libpq URL or conninfo string.

    Raises:
        UnreachableError: it cannot be read. libpq's own message would quote it, password and all, so it is dropped.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    except (psycopg.ProgrammingError, UnicodeDecodeError):
        raise UnreachableError.malformed() from None
    # A password with an unencoded @ or / is cut there, and its pieces become host, port or database, which are shown.
    if "@" in parts.get("host", "") + parts.get("dbname", "") or not _PORTS.fullmatch(parts.get("port", "")):
        raise UnreachableError.malformed()
    return parts


def address_of(dsn: str) -> str:
    """`user@host:port/database`, for people: without the password."""
    parts = parse_dsn(dsn)
    user = parts.get("user", "")
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    port = "" if host.startswith("/") else ":" + parts.get("port", "5432")
    return f"{user}@{host}{port}/{parts.get('dbname', user)}" if user else f"{host}{port}/{parts.get('dbname', '')}"


def with_database(dsn: str, database: str) -> str:
    """The same server and login, another database."""
    from psycopg.conninfo import make_conninfo

    parse_dsn(dsn)
    return make_conninfo(dsn, dbname=database)


def connect(dsn: str) -> Connection:
    """A connection in autocommit mode.

    Raises:
        UnreachableError: nothing answers.
        WrongPasswordError: the login is refused.
        DatabaseMissingError: the server has no such database.
    """
    import psycopg

    parts = parse_dsn(dsn)
    timeout = parts.get("connect_timeout", str(CONNECT_TIMEOUT_S))
    try:
        return psycopg.connect(dsn, autocommit=True, connect_timeout=timeout, application_name=APPLICATION)
    except psycopg.OperationalError as exc:
        # `from None`: the driver's error carries the connection's parameters.
        raise error_of(exc, dsn) from None


def error_of(exc: OperationalError, dsn: str) -> ServerError:
    """The error for a connection that failed."""
    parts = parse_dsn(dsn)
    reason = str(exc).strip().removeprefix("connection failed: ")
    password = parts.get("password")
    if password:
        reason = reason.replace(password, "***")
    if _REFUSED_LOGIN.search(reason):
        return WrongPasswordError.at(address_of(dsn))
    missing = _NO_DATABASE.search(reason)
    if missing:
        return DatabaseMissingError.at(address_of(dsn), missing[1])
    return UnreachableError.at(address_of(dsn), reason)


def wait_until_ready(dsn: str, *, timeout_ms: int, require_alive: Callable[[], None]) -> Connection | None:
    """Connect as soon as the server answers, looking every 5 ms.

    Args:
        dsn: the very database wanted: a server that is still setting itself up says no to it.
        timeout_ms: the longest to wait, in milliseconds.
        require_alive: raises when waiting has become pointless.

    Returns:
        The first connection, or None when the time is over.

    Raises:
        WrongPasswordError: it answers, and refuses the login; waiting will not change that.
    """
    deadline = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            return connect(dsn)
        except (UnreachableError, DatabaseMissingError):
            require_alive()
        if time.monotonic() > deadline:
            return None
        time.sleep(POLL_S)


def require_version(conn: Connection, dsn: str) -> str:
    """The server's version as people write it, such as "18.6".

    Raises:
        TooOldError: its major version is below 18.
    """
    return require_major(conn.info.server_version, conn.info.parameter_status("server_version") or "", address_of(dsn))


def require_major(number: int, text: str, address: str) -> str:
    """Judge a version number.

    Args:
        number: as in server_version_num: 180006.
        text: as in server_version: "18.6 (Debian 18.6-1)"; shown.
        address: where the server is, for the error.

    Returns:
        major.minor, from the number: distributors decorate the text.

    Raises:
        TooOldError: the major version is below 18.
    """
    version = f"{number // 10000}.{number % 10000}"
    if number < MAJOR_MIN * 10000:
        raise TooOldError.server(address, text or version)
    return version
