"""The first message of a run: settings, the lock's first try, and whether there is a ledger, all asked at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from scripts.errors.session import SessionSettingError
from scripts.migrations import apply
from scripts.migrations.apply import migrate
from scripts.migrations.ledger.table import ABSENT
from scripts.migrations.session.lock import let_go, runner_lock, try_lock_sql
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import Databases, MigrationFolder, ScratchDatabase

    from scripts.migrations.model import Applied

QUICK = Settings(runner_lock_timeout_ms=20_000, migrate_trace=False)


def written(migrations: MigrationFolder, count: int) -> None:
    """Files that each make a table."""
    for number in range(1, count + 1):
        migrations.write(f"{number:04d}_t.sql", f"CREATE TABLE public.t{number} (id int);")


class Beside(threading.Thread):
    """A run in a thread of its own."""

    def __init__(self, database: ScratchDatabase, migrations: MigrationFolder) -> None:
        super().__init__()
        self.told = threading.Event()
        self.done: Applied | BaseException | None = None
        self._database, self._files = database, migrations.files()

    def run(self) -> None:
        """Migrate; what came of it is `done`."""
        try:
            with self._database.connect() as conn:
                # It remembers that there is none, and has looked up all else that the first message asks for.
                conn.execute(b"SET search_path = pg_catalog, pg_temp")
                conn.execute(try_lock_sql(conn) + b" FROM pg_catalog.pg_sleep(0)")
                conn.execute(ABSENT)
                let_go(conn)
                self.done = migrate(conn, self._files, QUICK, report=self._hear)
        except BaseException as exc:  # noqa: BLE001 - the test looks at it
            self.done = exc

    def _hear(self, line: str) -> None:
        if line.startswith("waiting for another runner"):
            self.told.set()


def test_what_was_seen_without_the_lock_is_not_relied_on(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """At the first try the lock is another's and there is no ledger; when it is had at last there is one."""
    written(migrations, 3)
    beside = Beside(empty_database, migrations)
    with empty_database.connect() as conn:
        with runner_lock(conn, QUICK, report=lambda _: None):
            beside.start()
            assert beside.told.wait(20)
            migrate(conn, migrations.files()[:1], QUICK, report=lambda _: None)
        beside.join(30)
    assert not isinstance(beside.done, BaseException), beside.done
    assert beside.done is not None
    assert (beside.done.before, len(beside.done.files)) == (1, 2)


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read", "read committed"])
def test_the_ledger_is_looked_for_as_of_the_lock(
    empty_database: ScratchDatabase,
    migrations: MigrationFolder,
    databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
    isolation: str,
) -> None:
    """Between the message's beginning and the lock another run makes the ledger: it is seen, at any isolation."""
    written(migrations, 2)
    with databases.admin() as conn:
        database = empty_database.name
        conn.execute(f"ALTER DATABASE {database} SET default_transaction_isolation = '{isolation}'".encode())
    slow = threading.Event()

    def slowly(conn: psycopg.Connection[object]) -> bytes:
        if threading.current_thread() is not beside:
            return try_lock_sql(conn)
        slow.set()
        return try_lock_sql(conn) + b" FROM pg_catalog.pg_sleep(1.5)"

    monkeypatch.setattr(apply, "try_lock_sql", slowly)
    beside = Beside(empty_database, migrations)
    beside.start()
    assert slow.wait(20)
    wait_until_it_sleeps(empty_database)
    empty_database.apply(migrations.files()[:1], QUICK)
    beside.join(30)
    assert not isinstance(beside.done, BaseException), beside.done
    assert beside.done is not None
    assert (beside.done.before, len(beside.done.files)) == (1, 1)


def wait_until_it_sleeps(database: ScratchDatabase) -> None:
    """Until the message is at the server: its snapshot, if it has only one, is taken then."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    deadline = threading.Event()
    for _ in range(400):
        if database.value(query) == 1:
            return
        deadline.wait(0.01)
    pytest.fail("nobody sleeps")


@pytest.mark.parametrize("broken", ["ABSENT", "WHO"])
def test_a_first_message_that_fails_leaves_nothing_behind(
    empty_database: ScratchDatabase, migrations: MigrationFolder, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Behind the try for the lock or before it: no lock stays, no transaction, no setting, and the error is told."""
    written(migrations, 1)
    monkeypatch.setattr(apply, broken, b"SELECT 1/0")
    conn = empty_database.connect()
    conn.execute("SET DateStyle = 'German'")
    with pytest.raises(Exception, match="22012"):
        migrate(conn, migrations.files(), QUICK, report=lambda _: None)
    assert empty_database.advisory_locks() == []
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    row = conn.execute("SHOW DateStyle").fetchone()
    assert row is not None
    assert row[0] == "German, DMY"


def test_a_search_path_that_is_refused_leaves_no_lock(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """It is judged when the lock is held already: both are given back."""
    written(migrations, 1)
    conn = empty_database.connect()
    conn.execute("SET search_path = public, pg_catalog")
    with pytest.raises(SessionSettingError, match="comes before pg_catalog"):
        migrate(conn, migrations.files(), QUICK, report=lambda _: None)
    assert empty_database.advisory_locks() == []
    assert conn.execute("SHOW search_path").fetchone() == ("public, pg_catalog",)


@pytest.mark.parametrize("broken", ["ANY_INVALID", "LEFT_PLAIN"])
def test_a_last_question_that_fails_keeps_nothing(
    empty_database: ScratchDatabase,
    migrations: MigrationFolder,
    databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    """What is asked when the session is given back cannot keep it from being given back; the files are recorded."""
    written(migrations, 1)
    monkeypatch.setattr(apply, broken, b"SELECT 1/0")
    with databases.admin() as admin:
        admin.execute(f"ALTER DATABASE {empty_database.name} SET check_function_bodies = off".encode())
    conn = empty_database.connect()
    names = ("lock_timeout", "search_path", "check_function_bodies")
    before = {name: conn.execute(f"SHOW {name}".encode()).fetchone() for name in names}
    assert before["check_function_bodies"] == ("off",)
    with pytest.raises(Exception, match="22012"):
        migrate(conn, migrations.files(), QUICK, report=lambda _: None)
    assert empty_database.advisory_locks() == []
    assert {name: conn.execute(f"SHOW {name}".encode()).fetchone() for name in before} == before
    assert empty_database.recorded() == ["0001_t.sql"]
