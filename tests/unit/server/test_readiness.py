"""How a connection is shown, and how its failures are told apart: no password survives, whatever it looks like."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors.base import ExitCode
from scripts.errors.server import (
    DatabaseMissingError,
    MalformedUrlError,
    NoConnectionLeftError,
    StartError,
    UnreachableError,
    WrongPasswordError,
)
from scripts.errors.unfit import TooNewError, TooOldError
from scripts.server.embedded.boot import require_major_of_banner
from scripts.server.readiness import (
    KNOCK,
    address_of,
    connect,
    error_of,
    parse_dsn,
    require_major,
    wait_until_ready,
    with_database,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Passwords that a message could not hold by chance.
PASSWORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=30).map("Zq9".__add__)


@given(PASSWORDS)
def test_an_address_never_shows_a_well_encoded_password(password: str) -> None:
    """User, host, port and database only."""
    url = f"postgresql://app:{quote(password, safe='')}@db.example:6432/pay"
    assert address_of(url) == "app@db.example:6432/pay"
    assert parse_dsn(url)["password"] == password


@given(PASSWORDS)
def test_no_error_shows_a_password_that_was_pasted_as_it_is(password: str) -> None:
    """Unencoded, its tail may be read as host, port or database; the errors say nothing of it."""
    url = f"postgresql://app:{password}@127.0.0.1:1/pay"
    try:
        parts = parse_dsn(url)
    except MalformedUrlError:
        with pytest.raises(MalformedUrlError) as refused:
            connect(url)
        assert str(refused.value) == str(MalformedUrlError.not_read())
        assert refused.value.__cause__ is None
        return
    assert parts["host"] == "127.0.0.1"
    with pytest.raises(UnreachableError) as caught:
        connect(url)
    assert password not in str(caught.value)
    assert str(parts.get("password")) not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:p@ss@db.example/pay",
        "postgresql://app:secret@db.example:port/pay",
        "postgresql://app:12/secret@db.example/pay",
        "postgresql://us@er:secret@db.example/pay",
        "postgresql://app:sec%zzret@db.example/pay",
        "postgresql://app:secret@[::1/pay",
        "host=a nonsense",
    ],
)
def test_an_unreadable_url_is_not_quoted(url: str) -> None:
    """The library would quote it; and it is a setting that is wrong, not a server: exit 2."""
    with pytest.raises(MalformedUrlError) as caught:
        connect(url)
    assert str(caught.value) == str(MalformedUrlError.not_read())
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://app@h/db", "app@h:5432/db"),
        ("postgresql:///db?host=/run/pg&user=app", "app@/run/pg/db"),
        ("postgresql://app@h", "app@h:5432/app"),
        ("host=h", "h:5432/"),
        ("hostaddr=10.0.0.1 user=u dbname=d port=99", "u@10.0.0.1:99/d"),
    ],
)
def test_addresses(dsn: str, shown: str) -> None:
    """Sockets have no port; a missing database is the user's name, as in libpq."""
    assert address_of(dsn) == shown


def test_with_database_changes_nothing_else() -> None:
    """Not the login, not the options."""
    dsn = with_database("postgresql://app:s%40cret@h:99/db?sslmode=require", "other")
    assert parse_dsn(dsn) == {
        "user": "app",
        "password": "s@cret",
        "host": "h",
        "port": "99",
        "dbname": "other",
        "sslmode": "require",
    }


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ('FATAL:  password authentication failed for user "app"', WrongPasswordError),
        ('FATAL:  Peer authentication failed for user "app"', WrongPasswordError),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "app", database "d"', WrongPasswordError),
        ("fe_sendauth: no password supplied", WrongPasswordError),
        ('FATAL:  role "app" does not exist', WrongPasswordError),
        ('FATAL:  database "d" does not exist', DatabaseMissingError),
        ("FATAL:  the database system is starting up", UnreachableError),
        ('FATAL:  too many connections for role "app"', NoConnectionLeftError),
        ('FATAL:  too many connections for database "d"', NoConnectionLeftError),
        ("FATAL:  sorry, too many clients already", NoConnectionLeftError),
        (
            "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
            NoConnectionLeftError,
        ),
        ("Connection refused\n\tIs the server running on that host?", UnreachableError),
        ("password hunter22 is in here", UnreachableError),
    ],
)
def test_failures_are_told_apart_by_the_servers_words(words: str, kind: type[Exception]) -> None:
    """The library gives no SQLSTATE for a refused connection."""
    error = error_of(psycopg.OperationalError(f"connection failed: {words}"), "postgresql://app:hunter22@h/d")
    assert type(error) is kind
    assert "hunter22" not in str(error)
    assert "app@h:5432/d" in str(error)


def test_too_old_a_server_is_refused_with_its_version() -> None:
    """At the function's level only: no PostgreSQL 17 is at hand to ask."""
    with pytest.raises(TooOldError) as caught:
        require_major(170005, "17.5 (Debian 17.5-1.pgdg12+1)", "app@h:5432/d")
    assert str(caught.value) == (
        "error[too old]: app@h:5432/d: the server is too old\n"
        "  expected  PostgreSQL 18\n"
        "  found     17.5 (Debian 17.5-1.pgdg12+1)\n"
        "  help: use a PostgreSQL 18 server, or unset DATABASE_URL for a fresh one"
    )


def test_too_new_a_server_is_refused_with_its_version() -> None:
    """Another major's catalog is another one: its verdict would be about something else."""
    with pytest.raises(TooNewError) as caught:
        require_major(190000, "19beta1", "app@h:5432/d")
    assert str(caught.value) == (
        "error[too new]: app@h:5432/d: the server is too new\n"
        "  expected  PostgreSQL 18\n"
        "  found     19beta1\n"
        "  help: use a PostgreSQL 18 server, or unset DATABASE_URL for a fresh one"
    )


@given(st.integers(min_value=90000, max_value=400000))
def test_the_version_is_judged_by_its_number(number: int) -> None:
    """180000 is the first one taken, 189999 the last."""
    if not 180000 <= number < 190000:
        with pytest.raises(TooOldError if number < 180000 else TooNewError):
            require_major(number, "", "h")
    else:
        assert require_major(number, "decorated", "h") == f"{number // 10000}.{number % 10000}"


@pytest.mark.parametrize(
    ("banner", "refusal"),
    [
        ("postgres (PostgreSQL) 18.6", None),
        ("postgres (PostgreSQL) 18.6 (Debian 18.6-1.pgdg12+1)", None),
        ("postgres (PostgreSQL) 19beta1", TooNewError),
        ("postgres (PostgreSQL) 20.1", TooNewError),
        ("postgres (PostgreSQL) 17.5", TooOldError),
        ("postgres (PostgreSQL) 9.6.24", TooOldError),
        ("", TooOldError),
        ("mysqld  Ver 8.0", TooOldError),
    ],
)
def test_a_banner_is_judged_the_same_way(banner: str, refusal: type[Exception] | None) -> None:
    """PG_BINDIR is judged before initdb runs."""
    if refusal is None:
        require_major_of_banner(banner, "/bin")
    else:
        with pytest.raises(refusal):
            require_major_of_banner(banner, "/bin")


def test_waiting_has_a_deadline_and_looks_whether_it_makes_sense(tmp_path: Path) -> None:
    """None when the time is over; at once when the server is known to be dead."""
    looks: list[int] = []
    dsn = f"host={tmp_path} user=u dbname=d"
    assert wait_until_ready(dsn, timeout_ms=60, require_alive=lambda: looks.append(1)) is None
    assert len(looks) >= 2

    def dead() -> None:
        raise StartError.failed("the server", "exit status 1", "")

    with pytest.raises(StartError):
        wait_until_ready(dsn, timeout_ms=60_000, require_alive=dead)


@contextmanager
def proxy(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A port that takes every connection, says the same each time and closes it; what it was told."""
    told: list[bytes] = []

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = server.accept()
                with near:
                    told.append(near.recv(64))
                    near.sendall(answer)
                    if answer:
                        told.append(near.recv(64))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        yield server.getsockname()[1], told
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_proxy_before_a_server_that_is_not_there_yet_is_knocked_at() -> None:
    """It takes every connection: only who gets an answer connects, since a whole connection of the driver's is dear."""
    with proxy(b"") as (port, told):
        dsn = f"host=127.0.0.1 port={port} user=u dbname=d"
        assert wait_until_ready(dsn, timeout_ms=100, require_alive=lambda: None) is None
    assert len(told) > 3
    assert set(told) == {KNOCK}


def test_who_answers_is_connected_to() -> None:
    """And what it then says is what counts."""
    with proxy(b"N") as (port, told):
        dsn = f"host=127.0.0.1 port={port} user=u dbname=d"
        assert wait_until_ready(dsn, timeout_ms=100, require_alive=lambda: None) is None
    # The driver begins with the same question, and goes on.
    assert told[:2] == [KNOCK, b""]
    assert told[2] == KNOCK
    assert b"user\x00u\x00database\x00d\x00" in told[3]
