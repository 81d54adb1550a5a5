"""A session that is ended, or a question that is cancelled, while a gate asks: that gate's error, and no other's."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from scripts.errors.base import ExitCode
from scripts.errors.drift import ReadingError
from scripts.errors.migration import ConnectionLostError
from scripts.gates import TRACES, all_gates
from scripts.migrations.folder.files import read_files
from scripts.result import Outcome
from scripts.run.database import DatabaseGates
from scripts.server.foreign.origin import open_existing
from scripts.server.model import Server
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fix_database import ScratchDatabase

    from scripts.gates import Gate


@contextmanager
def asking(database: ScratchDatabase) -> Iterator[tuple[DatabaseGates, Mapping[str, Gate]]]:
    """The gates on a database that is there."""
    settings = Settings(fresh_db=True)
    server = Server(database.dsn, None, "external", "a test", "18")
    files = read_files(settings.migrations_dir)
    with DatabaseGates(settings, server, files, learn=lambda **_: None, say=lambda _: None) as asked:
        yield asked, {gate.id: gate for gate in all_gates()}


def end_sessions(database: ScratchDatabase) -> None:
    """All of the database."""
    with database.connect_admin() as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = %s AND pid <> pg_backend_pid()",
            [database.name],
        )


def test_a_session_that_is_ended_costs_the_gate_that_asked(database: ScratchDatabase) -> None:
    """Its answer did not come; the others are asked over another connection."""
    with asking(database) as (asked, gates):
        assert asked.settle(gates["outbox-mvcc-posture"], apply=False).passed
        end_sessions(database)
        result = asked.settle(TRACES, apply=False)
        assert result.outcome is Outcome.ERROR
        assert result.error.startswith("the connection to the database was lost")
        assert asked.settle(gates["migrate"], apply=False).passed
        assert asked.settle(gates["baseline-drift"], apply=False).passed


def test_a_server_that_is_gone_is_a_lost_connection(database: ScratchDatabase) -> None:
    """Nobody gets a new session: exit 3 with what to do, and no fault of ours."""
    with asking(database) as (asked, gates):
        assert asked.settle(gates["migrate"], apply=False).passed
        with database.connect_admin() as admin:
            admin.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 0").format(sql.Identifier(database.name)))
        end_sessions(database)
        with pytest.raises(ConnectionLostError) as caught:
            asked.settle(gates["baseline-drift"], apply=False)
        with database.connect_admin() as admin:
            admin.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT -1").format(sql.Identifier(database.name)))
    assert caught.value.exit_code is ExitCode.NO_SERVER
    assert str(caught.value).startswith("error[connection lost]: the connection to the server is lost\n")


def test_a_question_that_is_cancelled_costs_the_gate_that_asked(database: ScratchDatabase) -> None:
    """The catalog's, as it waits for a table that somebody holds."""
    with (
        asking(database) as (asked, gates),
        database.connect() as holder,
        database.connect_admin() as admin,
        ThreadPoolExecutor() as pool,
    ):
        with holder.transaction(force_rollback=True):
            holder.execute("LOCK TABLE public.tenants IN ACCESS EXCLUSIVE MODE")
            settling = pool.submit(asked.settle, gates["baseline-drift"], apply=False)
            waiting = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
            while not (found := admin.execute(waiting, [database.name]).fetchall()):
                assert not settling.done(), settling.result()
                time.sleep(0.01)
            admin.execute("SELECT pg_cancel_backend(%s)", found[0])
            result = settling.result(30)
        assert result.outcome is Outcome.ERROR
        assert result.error.startswith("the database gave no answer (SQLSTATE 57014 QueryCanceled")
        assert asked.settle(gates["baseline-drift"], apply=False).passed


def test_a_limit_that_is_stored_for_the_login_is_told(database: ScratchDatabase) -> None:
    """What is known of the server is asked first of all: it spills to the disk, which it may not; no traceback."""
    name = sql.Identifier(database.name)
    with database.connect_admin() as admin:
        for setting, value in (("temp_file_limit", "1kB"), ("work_mem", "64kB")):
            admin.execute(sql.SQL("ALTER DATABASE {} SET {} = {}").format(name, sql.Identifier(setting), value))
    with pytest.raises(ReadingError) as caught, open_existing(database.dsn, reason="a test"):
        pytest.fail("it was opened")
    assert caught.value.exit_code is ExitCode.NO_SERVER
    assert "53400 ConfigurationLimitExceeded" in str(caught.value)


def test_where_no_verifier_ran_there_are_no_traces_to_look_for(database: ScratchDatabase) -> None:
    """Its session was ended before it asked anything: a snapshot of before that proves nothing."""
    with asking(database) as (asked, gates):
        asked._catalog = None

        def lost() -> object:
            end_sessions(database)
            return asked._conn.execute("SELECT 1")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asked, "_read_catalog", lost)
            first = asked.settle(gates["outbox-mvcc-posture"], apply=False)
        result = asked.settle(TRACES, apply=False)
    assert first.outcome is Outcome.ERROR
    assert result.outcome is Outcome.ERROR
    assert result.error.startswith("no verifier ran before it")
