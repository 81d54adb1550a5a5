"""Locks: one runner at a time, short waits for tables, and whole transactions tried again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from scripts.errors.migration import MigrationFailedError, PoolerError, RunnerLockedError
from scripts.migrations.apply import migrate
from scripts.migrations.session.lock import RUNNER_LOCK_KEY, runner_lock
from scripts.migrations.transactional import pause_s
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigrationFolder, ScratchDatabase

QUICK = Settings(lock_timeout_ms=100, lock_attempts=3, runner_lock_timeout_ms=300)


@pytest.mark.parametrize("runners", [2, 8])
def test_runners_at_once_apply_each_file_once(
    empty_database: ScratchDatabase, migrations: MigrationFolder, background: Callable[..., Any], runners: int
) -> None:
    """On an empty database, ledger not yet made: all succeed, each file is applied by exactly one (D-17)."""
    for number in range(1, 7):
        migrations.write(f"{number:04d}_t.sql", f"CREATE TABLE public.t{number} (a int); SELECT pg_sleep(0.02);")
    migrations.write("0007_i.sql", "-- symphony:no_tx\nCREATE UNIQUE INDEX CONCURRENTLY t1_a ON public.t1 (a);")
    calls = [background(lambda: empty_database.apply(migrations.files())) for _ in range(runners)]
    done = [call.join() for call in calls]
    names = sorted(file.name for applied in done for file in applied.files)
    assert names == [file.name for file in migrations.files()]
    assert empty_database.recorded() == names


def test_the_holder_of_the_lock_is_named(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The deadline passes: exit 5, and the text says who holds the lock since when (of its own roles' sessions)."""
    migrations.write("0001_t.sql", "SELECT 1;")
    holder = empty_database.connect()
    holder.execute("SET application_name = 'other runner'")
    holder.execute("SELECT pg_advisory_lock(%s)", (RUNNER_LOCK_KEY,))
    told: list[str] = []
    with pytest.raises(RunnerLockedError) as caught:
        migrate(empty_database.connect(), migrations.files(), QUICK, report=told.append)
    text = str(caught.value)
    assert text.startswith("error[locked]: another runner is migrating this database")
    assert f"pid {holder.info.backend_pid}, application other runner, role symphony_owner, since 2" in text
    assert "RUNNER_LOCK_TIMEOUT_MS" in text
    assert len(told) == 1
    assert told[0].startswith("waiting for another runner: pid ")
    assert caught.value.exit_code == 5
    holder.execute("SELECT pg_advisory_unlock(%s)", (RUNNER_LOCK_KEY,))
    empty_database.apply(migrations.files(), QUICK)


def test_the_lock_is_let_go_after_a_failure(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """A failed run, on a connection that stays open, does not keep the next one out."""
    migrations.write("0001_t.sql", "SELECT nix;")
    conn = empty_database.connect()
    with pytest.raises(MigrationFailedError):
        migrate(conn, migrations.files(), QUICK, report=lambda _: None)
    migrations.write("0001_t.sql", "SELECT 1;")
    assert len(empty_database.apply(migrations.files(), QUICK).files) == 1


def test_a_waiting_runner_does_not_hold_up_a_concurrent_build(
    empty_database: ScratchDatabase, migrations: MigrationFolder, background: Callable[..., Any]
) -> None:
    """A session blocked in pg_advisory_lock would deadlock the build (40P01); one that polls does not."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    empty_database.apply(migrations.files())
    migrations.write("0002_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY t_a ON public.t (a);")
    writer = empty_database.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (1)")
    first = background(lambda: empty_database.apply(migrations.files()))
    wait_for_build(empty_database)
    second = background(lambda: empty_database.apply(migrations.files()))
    time.sleep(0.3)
    writer.commit()
    assert sorted(len(call.join().files) for call in (first, second)) == [0, 1]


def test_a_busy_table_is_tried_again_as_a_whole(
    empty_database: ScratchDatabase, migrations: MigrationFolder, migrating: Callable[..., Any]
) -> None:
    """While a reader holds the second table, the first is free; when it lets go, the file goes through (D-31)."""
    migrations.write("0001_t.sql", "CREATE TABLE public.a (x int); CREATE TABLE public.b (x int);")
    empty_database.apply(migrations.files())
    migrations.write("0002_c.sql", "ALTER TABLE public.a ADD y int; ALTER TABLE public.b ADD y int;")
    reader = empty_database.connect(autocommit=False)
    reader.execute("SELECT * FROM public.b")
    settings = Settings(lock_timeout_ms=250, lock_attempts=50)
    call = migrating(empty_database, migrations, settings)
    tried_again = "0002_c.sql: a lock was not to be had (attempt 1 of 50), rolled back, trying again in 0."
    call.until_told(tried_again)
    other = empty_database.connect()
    other.execute("SET statement_timeout = 1000")
    other.execute("SELECT * FROM public.a")
    reader.rollback()
    done = call.join()
    assert done.files[0].attempts > 1
    # Who was in the way is told once, not at every try.
    assert sum("in the way" in line for line in call.told) == 1
    assert empty_database.recorded() == ["0001_t.sql", "0002_c.sql"]


def test_the_budget_for_locks_ends(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The reader never lets go: the error counts the attempts and names who may be in the way; nothing is left."""
    migrations.write("0001_t.sql", "CREATE TABLE public.a (x int);")
    empty_database.apply(migrations.files())
    migrations.write("0002_c.sql", "CREATE TABLE public.n (x int); ALTER TABLE public.a ADD y int;")
    reader = empty_database.connect(autocommit=False)
    reader.execute("SET application_name = 'idle reader'")
    reader.execute("SELECT * FROM public.a")
    with pytest.raises(MigrationFailedError) as caught:
        empty_database.apply(migrations.files(), QUICK)
    facts = dict(caught.value.facts)
    assert caught.value.sqlstate == "55P03"
    assert facts["attempts"] == "3"
    assert (
        f"pid {reader.info.backend_pid}, role symphony_owner, application idle reader, idle in transaction"
        in (facts["in the way"])
    )
    assert "LOCK_TIMEOUT_MS and LOCK_ATTEMPTS" in caught.value.help
    assert empty_database.value("SELECT to_regclass('public.n')") is None


def test_a_catalog_row_changed_by_another_session_is_tried_again(
    empty_database: ScratchDatabase, migrations: MigrationFolder, migrating: Callable[..., Any]
) -> None:
    """`tuple concurrently updated` (XX000) is no failure of the file (D-33)."""
    migrations.write("0001_t.sql", "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';")
    empty_database.apply(migrations.files())
    migrations.write("0002_g.sql", "GRANT EXECUTE ON FUNCTION public.f() TO pg_monitor;")
    other = empty_database.connect(autocommit=False)
    other.execute("GRANT EXECUTE ON FUNCTION public.f() TO pg_read_all_stats")
    call = migrating(empty_database, migrations)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid'"
    call.until(lambda: empty_database.value(waiting))
    other.commit()
    assert call.join().files[0].attempts == 2
    assert any("a catalog row was changed by another session" in line for line in call.told)


class _Proxied:
    """A connection whose driver was told a number that no backend has, as a pooler does."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    @property
    def info(self) -> Any:
        """What the driver knows."""
        return _ProxiedInfo(self._conn.info)


class _ProxiedInfo(_Proxied):
    backend_pid = 1


def test_a_backend_that_a_second_connection_gets_too_is_refused(
    empty_database: ScratchDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for transaction mode; tests/db/locks/test_pooler.py asks a real pooler. No lock is left behind."""
    conn = empty_database.connect()
    monkeypatch.setattr("scripts.migrations.session.pooler.connect_beside", lambda _: conn)
    with (
        pytest.raises(PoolerError, match="a second connection got it too"),
        runner_lock(cast("Any", _Proxied(conn)), QUICK, report=lambda _: None),
    ):
        pass
    assert empty_database.advisory_locks() == []


def test_a_proxy_that_keeps_sessions_is_passed(empty_database: ScratchDatabase) -> None:
    """Another number than the driver's is no proof: sessions hold here, and the true backend is handed on."""
    conn = empty_database.connect()
    with runner_lock(cast("Any", _Proxied(conn)), QUICK, report=lambda _: None) as backend_pid:
        assert backend_pid == conn.info.backend_pid
        # Exclusive, and shared.
        assert empty_database.advisory_locks() == [backend_pid, backend_pid]


def test_pauses_grow_and_are_bounded() -> None:
    """Exponential with jitter, never above five seconds, whatever the attempt."""
    for attempt in range(1, 1001):
        longest = min(0.1 * 2 ** min(attempt - 1, 10), 5.0)
        assert longest / 2 <= pause_s(attempt) <= longest


def wait_for_build(database: ScratchDatabase) -> int:
    """Until some session builds an index concurrently: its pid."""
    for _ in range(1000):
        pid = database.value("SELECT pid FROM pg_stat_progress_create_index")
        if pid:
            return int(pid)
        time.sleep(0.01)
    raise AssertionError("no build was seen")
