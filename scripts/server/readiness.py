"""Connecting: one place that turns the driver's failures into errors with a cause, and that waits for a server.

Owns: how a connection is shown (never its password), the polling interval, the version a server must have, and the
settings that every connection of ours has, whatever the server, the database or the login say (`settle`).
"""

from __future__ import annotations

import re
import socket
import time
from traceback import clear_frames
from typing import TYPE_CHECKING, Any, Final

from scripts.errors.server import (
    DatabaseMissingError,
    MalformedUrlError,
    NoConnectionLeftError,
    ServerError,
    UnreachableError,
    WrongPasswordError,
)
from scripts.errors.session import SessionSettingError
from scripts.errors.unfit import MAJOR, TooNewError, TooOldError
from scripts.server.places import connecting_to

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from psycopg import Connection, OperationalError
    from psycopg.pq.abc import PGresult

POLL_S = 0.002
LOOK_S = 0.0005
CONNECT_TIMEOUT_S = 10
KNOCK_TIMEOUT_S = 2
# "Would you encrypt?": answered with one letter by every PostgreSQL, and logged by none.
KNOCK: Final = bytes.fromhex("0000000804d2162f")
APPLICATION = "parity-runner"
# libpq hands on no SQLSTATE for a refused connection, only the server's words. A server that speaks another language
# gets the general error, with those words in it.
_REFUSED_LOGIN = re.compile(
    r'authentication failed|no pg_hba\.conf entry|no password supplied|role "[^"]*" does not exist'
)
_FULL = re.compile(
    r'too many connections for (?:role|database) "[^"]*"|sorry, too many clients already'
    r"|remaining connection slots are reserved for [^\n]*"
)
_PORTS = re.compile(r"[0-9,]*")
# At the value PostgreSQL ships with: what decides how a value is written, and how long one may take. And the
# search_path under which no operator or function of ours is somebody's: one that is planted in public wins wherever its
# arguments fit better than those of pg_catalog's. Files run under the login's own
# (scripts/migrations/session/baseline.py).
EVEN: Final = {
    "search_path": "pg_catalog, pg_temp",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "lock_timeout": "0",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
}
# Of these, what the options of a DSN ask for is a caution that somebody wants.
_CAUTIONS = frozenset({"default_transaction_read_only", "lock_timeout"})
# No operator, and every function qualified: the search_path that is asked for is not known to be harmless yet.
ASK_SETTINGS: Final = ("SELECT " + ", ".join(f"pg_catalog.current_setting('{name}', true)" for name in EVEN)).encode()
# They would end the session, or our first question, before anything can be SET; so they come with the first packet.
_FIRST: Final = "-c idle_session_timeout=0 -c statement_timeout=0 -c transaction_timeout=0"
# As our own servers have it (postgresql.conf): a statement whose run was killed ends, instead of holding its locks to
# the end. A system where the server cannot see that refuses any value but 0.
_CHECK_NAME: Final = "client_connection_check_interval"
_CHECK: Final = f"-c {_CHECK_NAME}=500ms"
_NO_CHECK = re.compile(rf"invalid value for parameter \"{_CHECK_NAME}\"")
# A pool that knows no options, or a server that knows no such setting.
_NO_OPTIONS = re.compile(r"unsupported startup parameter|unrecognized configuration parameter")
_PATH_ITEM = re.compile(r'"((?:[^"]|"")*)"|([^\s,"]+)')
_NO_DATABASE = re.compile(r'database "([^"]*)" does not exist')


def parse_dsn(dsn: str) -> dict[str, str]:
    """The parts of a libpq URL or conninfo string.

    Raises:
        MalformedUrlError: it cannot be read. libpq's own message would quote it, password and all, so it is dropped.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    except (psycopg.ProgrammingError, UnicodeDecodeError):
        raise MalformedUrlError.not_read() from None
    # A password with an unencoded @ or / is cut there, and its pieces become host, port or database, which are shown.
    if "@" in parts.get("host", "") + parts.get("dbname", "") or not _PORTS.fullmatch(parts.get("port", "")):
        raise MalformedUrlError.not_read()
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
    """A connection in autocommit mode, settled: nothing hangs on what the login brings.

    A default_transaction_read_only or lock_timeout among the options of the DSN stays.

    Raises:
        MalformedUrlError: the DSN cannot be read.
        UnreachableError: nothing answers, or no connection is left.
        WrongPasswordError: the login is refused.
        DatabaseMissingError: the server has no such database.
        SessionSettingError: the login's search_path has pg_catalog behind another schema.
    """
    import psycopg

    options = parse_dsn(dsn).get("options", "")
    try:
        conn = _open(dsn)
        try:
            settle(conn, {name: EVEN[name] for name in EVEN if name not in _CAUTIONS or name not in options})
        except BaseException:
            conn.close()
            raise
    except psycopg.OperationalError as exc:
        # `from None`: the driver's error carries the connection's parameters.
        raise error_of(exc, dsn) from None
    return conn


def settle(conn: Connection[Any], wanted: Mapping[str, str] = EVEN) -> dict[str, str]:
    """Give a session settings that the runner's own questions may rely on; one exchange when it has them already.

    Args:
        conn: in autocommit, outside a transaction.
        wanted: names and values; what an earlier call returned puts them back.

    Returns:
        What they were before; a setting that the server does not know is left out.

    Raises:
        SessionSettingError: an operator of the runner could be somebody else's.
    """
    with conn.cursor() as cursor:
        cursor.execute(ASK_SETTINGS, prepare=False)
        found = {} if cursor.pgresult is None else settings_of(cursor.pgresult)
    require_own_catalog(found["search_path"])
    changed = {name: value for name, value in wanted.items() if found.get(name, value) != value}
    if changed:
        conn.execute(setting_sql(conn, changed), prepare=False)
    return found


def settings_of(answer: PGresult) -> dict[str, str]:
    """What `ASK_SETTINGS` found; a setting that the server does not know is left out."""
    # Not through the driver's types: they hang on client_encoding.
    cells = [answer.get_value(0, column) for column in range(answer.nfields)]
    values = [None if cell is None else cell.decode(errors="surrogateescape") for cell in cells]
    return {name: value for name, value in zip(EVEN, values, strict=True) if value is not None}


def setting_sql(conn: Connection[Any], values: Mapping[str, str]) -> bytes:
    """The SQL that sets them, to be sent with something else."""
    return b"; ".join(_set(conn, name, value) for name, value in values.items())


def stored_sql(conn: Connection[Any], name: str, value: str) -> bytes:
    """The SQL that sets it as what is stored for a role or a database is set; the value as the catalog has it."""
    from psycopg.pq import Escaping

    escaping = Escaping(conn.pgconn)
    known, literal = (escaping.escape_literal(text.encode(errors="surrogateescape")) for text in (name, value))
    return b"SELECT pg_catalog.set_config(%b, %b, false)" % (known, literal)


def _set(conn: Connection[Any], name: str, value: str) -> bytes:
    # A list of names, which SET would take for one name.
    return stored_sql(conn, name, value) if name == "search_path" else f"SET {name} = '{value}'".encode()


def require_own_catalog(search_path: str) -> None:
    """Refuse a search_path that looks for operators and functions elsewhere before it does in pg_catalog.

    Args:
        search_path: as the server shows it.

    Raises:
        SessionSettingError: it names pg_catalog, and another schema (pg_temp too) before it.
    """
    names = [
        item[1].replace('""', '"') if item[2] is None else item[2].lower() for item in _PATH_ITEM.finditer(search_path)
    ]
    if "pg_catalog" in names[1:] and names[0] != "pg_catalog":
        shown = search_path.encode(errors="surrogateescape").decode(errors="replace")
        raise SessionSettingError.search_path(found=shown)


def _open(dsn: str) -> Connection:
    """A connection as the login makes it, but for what cannot wait."""
    parts = parse_dsn(dsn)
    with connecting_to(parts):
        return _opened(dsn, parts)


def _opened(dsn: str, parts: Mapping[str, str]) -> Connection:
    import psycopg
    from psycopg.pq import Conninfo

    given: dict[str, Any] = {
        "autocommit": True,
        "connect_timeout": parts.get("connect_timeout", str(CONNECT_TIMEOUT_S)),
        "application_name": APPLICATION,
        "client_encoding": "UTF8",
    }
    # libpq takes PGOPTIONS only where no options are given.
    inherited = next((item.val for item in Conninfo.get_defaults() if item.keyword == b"options"), None) or b""
    options = parts.get("options", inherited.decode(errors="replace"))
    first = f"{options} {_FIRST}".strip()
    try:
        return _connection(dsn, options=first if _CHECK_NAME in options else f"{first} {_CHECK}", **given)
    except psycopg.OperationalError as exc:
        if not _NO_OPTIONS.search(str(exc)) and not _NO_CHECK.search(str(exc)):
            raise
        if _NO_CHECK.search(str(exc)):
            return _connection(dsn, options=first, **given)
    return _connection(dsn, **given)


def _connection(dsn: str, **given: Any) -> Connection:
    import logging  # the driver has loaded it

    import psycopg

    # What a driver cannot do with a connection that an interruption left in the middle of a question it would say on
    # the terminal, with the object's own name. What became of the run is ours to say.
    driver = logging.getLogger("psycopg")
    if not driver.handlers:
        driver.addHandler(logging.NullHandler())
    try:
        return psycopg.connect(dsn, **given)
    except KeyboardInterrupt as exc:
        # Half a connection hangs on these frames, and they on the exception. Until it is closed the server waits for
        # our password; and a process of it that waits for that holds up whoever drops a database, us too.
        clear_frames(exc.__traceback__)
        raise


def error_of(exc: OperationalError, dsn: str) -> ServerError:
    """The error for a connection that failed."""
    parts = parse_dsn(dsn)
    reason = str(exc).strip().removeprefix("connection failed: ")
    password = parts.get("password")
    if password:
        reason = reason.replace(password, "***")
    if _REFUSED_LOGIN.search(reason):
        return WrongPasswordError.at(address_of(dsn))
    full = _FULL.search(reason)
    if full:
        return NoConnectionLeftError.at(address_of(dsn), full[0])
    missing = _NO_DATABASE.search(reason)
    if missing:
        return DatabaseMissingError.at(address_of(dsn), missing[1])
    return UnreachableError.at(address_of(dsn), reason)


def wait_until_ready(
    dsn: str, *, timeout_ms: int, require_alive: Callable[[], None], answers: Callable[[], bool] | None = None
) -> Connection | None:
    """Connect as soon as the server answers, looking every 2 ms, or every half where there is a way to look.

    Args:
        dsn: the very database wanted: a server that is still setting itself up says no to it.
        timeout_ms: the longest to wait, in milliseconds.
        require_alive: raises when waiting has become pointless.
        answers: whether it is worth the try; None where only trying tells.

    Returns:
        The first connection, or None when the time is over.

    Raises:
        WrongPasswordError: it answers, and refuses the login; waiting will not change that.
    """
    deadline = time.monotonic() + timeout_ms / 1000
    parts = parse_dsn(dsn)
    while True:
        try:
            if _answers(parts) if answers is None else answers():
                return connect(dsn)
        except (UnreachableError, DatabaseMissingError):
            pass
        require_alive()
        if time.monotonic() > deadline:
            return None
        time.sleep(POLL_S if answers is None else LOOK_S)


def _answers(parts: Mapping[str, str]) -> bool:
    """Whether a server is behind a port: a proxy takes every connection, and a whole one of the driver's costs 3 ms."""
    host, port = parts.get("host", ""), parts.get("port", "")
    if not port.isdecimal() or host.startswith("/") or "," in host:
        return True  # where a refusal is as cheap
    try:
        with socket.create_connection((host, int(port)), KNOCK_TIMEOUT_S) as knock:
            knock.sendall(KNOCK)
            return bool(knock.recv(1))
    except OSError:
        return False


def require_version(conn: Connection, dsn: str) -> str:
    """The server's version as people write it, such as "18.6".

    Raises:
        TooOldError: its major version is below 18.
        TooNewError: it is above 18.
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
        TooNewError: it is above 18.
    """
    version = f"{number // 10000}.{number % 10000}"
    if number // 10000 < MAJOR:
        raise TooOldError.server(address, text or version)
    if number // 10000 > MAJOR:
        raise TooNewError.server(address, text or version)
    return version
