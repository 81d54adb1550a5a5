"""A server that fails while a run works on it: told as the server's failure, with exit 3, and never as a traceback."""

from __future__ import annotations

import os
import signal
import subprocess  # noqa: TID251 - what a terminal sees
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest
from make_runs import quiet

from scripts.errors.base import ExitCode, ProjectError
from scripts.errors.drift import ReadingError
from scripts.errors.migration import ConnectionLostError
from scripts.errors.room import DiskFullError
from scripts.server.model import Server
from scripts.server.open import open_server
from scripts.server.readiness import address_of, connect
from scripts.server.telling import telling
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from fix_database import ScratchDatabase

    from scripts.server.model import Origin


def told(database: ScratchDatabase, question: str, origin: Origin = "external") -> ProjectError:
    """What a question that fails is told as."""
    server = Server(database.dsn, None, origin, "a test", "18", {"data_directory": "/place"})
    with pytest.raises(ProjectError) as caught, telling(server, lock_timeout_ms=100), connect(database.dsn) as conn:
        conn.execute(question.encode())
    assert caught.value.exit_code is ExitCode.NO_SERVER
    assert caught.value.__suppress_context__
    return caught.value


def raising(code: str) -> str:
    """A question that the server answers with that SQLSTATE, and a row in its words."""
    return f"DO $$ BEGIN RAISE EXCEPTION 'secret row' USING ERRCODE = '{code}'; END $$"


@pytest.mark.parametrize("origin", ["embedded", "external"])
@pytest.mark.parametrize("code", ["53100", "53200"])
def test_no_room_is_told_with_the_place(empty_database: ScratchDatabase, code: str, origin: Origin) -> None:
    """Whoever asked; whose machine it is; what the server said."""
    error = told(empty_database, raising(code), origin)
    assert isinstance(error, DiskFullError)
    assert error.what == "the server has no room left for what it was asked"
    assert error.where == ("/place" if origin == "embedded" else address_of(empty_database.dsn))


@pytest.mark.parametrize("code", ["42501", "57014", "25006", "40001", "53400", "55000", "58000", "XX001"])
def test_what_is_the_servers_own_is_no_fault_of_ours(empty_database: ScratchDatabase, code: str) -> None:
    """The SQLSTATE with its name, the address, and none of the words, which may quote a row."""
    error = told(empty_database, raising(code))
    assert isinstance(error, ReadingError)
    assert str(error).startswith(
        f"error[reading]: {address_of(empty_database.dsn)}: the server does not do what it is asked\n"
        f"  SQLSTATE  {code} "
    )
    assert "secret" not in str(error)


def test_a_lock_that_is_not_had_is_told_with_the_wait(empty_database: ScratchDatabase) -> None:
    """As where the catalog is read."""
    error = told(empty_database, raising("55P03"))
    assert "waited    100 ms" in str(error)


def test_a_session_that_was_ended_is_told_as_lost(empty_database: ScratchDatabase) -> None:
    """By an administrator, and by a client that knows its connection to be closed."""
    ended = told(empty_database, "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())")
    assert isinstance(ended, ConnectionLostError)
    server = Server(empty_database.dsn, None, "external", "a test", "18")
    conn = connect(empty_database.dsn)
    conn.close()
    with pytest.raises(ConnectionLostError), telling(server, lock_timeout_ms=100):
        conn.execute("SELECT 1")


@pytest.mark.parametrize("question", ["SELEC 1", "SELECT 1/0", "SELECT 'x'::int"])
def test_a_fault_of_ours_stays_one(empty_database: ScratchDatabase, question: str) -> None:
    """A question that no server could answer is told with its traceback."""
    server = Server(empty_database.dsn, None, "external", "a test", "18")
    with pytest.raises(psycopg.Error), telling(server, lock_timeout_ms=100), connect(empty_database.dsn) as conn:
        conn.execute(question.encode())


def kill_and_ask(settings: Settings) -> None:
    """The run's own server, by its number."""
    with open_server(settings, run_id="died", report=quiet) as server, connect(str(server.admin_dsn)) as conn:
        row = conn.execute("SELECT pg_catalog.pg_read_file('postmaster.pid')").fetchone()
        assert row is not None
        os.kill(int(str(row[0]).splitlines()[0]), signal.SIGKILL)
        conn.execute("SELECT pg_catalog.pg_sleep(5)")


def test_a_server_of_the_runs_own_that_died_is_told_as_lost() -> None:
    """Killed, not full."""
    with pytest.raises(ConnectionLostError):
        kill_and_ask(Settings(server="embedded"))


INTERRUPTED = """
import sys
from scripts.server.readiness import connect
try:
    with connect(sys.stdin.read()) as conn:
        conn.pgconn.send_query(b"SELECT pg_sleep(0.1)")
        raise KeyboardInterrupt
except KeyboardInterrupt:
    print("interrupted")
"""


def test_the_driver_says_nothing_on_the_terminal(empty_database: ScratchDatabase) -> None:
    """A connection that was interrupted in the middle of a question cannot be rolled back: the run tells its end."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        input=empty_database.dsn,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
