"""Waiting for locks without harm: how long others queue behind us, what a retry frees, and what a build waits for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from scripts.errors.migration import MigrationFailedError
from scripts.migrations.apply import migrate
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigrationFolder, ScratchDatabase

BUILD = "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY t_a ON public.t (a);"


@pytest.fixture
def tables(empty_database: ScratchDatabase) -> ScratchDatabase:
    """A database with public.t and public.u (a int), a row in each."""
    with empty_database.connect() as conn:
        for name in ("t", "u"):
            conn.execute(f"CREATE TABLE public.{name} (a int); INSERT INTO public.{name} VALUES (1)".encode())
    return empty_database


QUEUED = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"


def test_a_reader_waits_behind_us_no_longer_than_our_lock_timeout(
    tables: ScratchDatabase, migrations: MigrationFolder, migrating: Callable[..., Any]
) -> None:
    """A waiting ACCESS EXCLUSIVE makes readers queue; they pass while we pause."""
    migrations.write("0001_c.sql", "ALTER TABLE public.t ADD c int;")
    idle, reader = tables.connect(autocommit=False), tables.connect()
    idle.execute("SELECT * FROM public.t")
    settings = Settings(lock_timeout_ms=400, lock_attempts=20)
    call = migrating(tables, migrations, settings)
    call.until(lambda: tables.value(QUEUED))
    started = time.monotonic()
    reader.execute("SELECT * FROM public.t")
    waited_s = time.monotonic() - started
    # Not at once (else the test showed nothing), and not longer than one try; the rest is a busy machine's.
    assert 0.05 < waited_s < 1.5
    idle.rollback()
    call.join()


def test_every_try_has_the_same_lock_timeout(tables: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The last try is no different: the timeout is never dropped."""
    migrations.write("0001_c.sql", "ALTER TABLE public.t ADD c int;")
    reader = tables.connect(autocommit=False)
    reader.execute("SELECT * FROM public.t")
    started = time.monotonic()
    with pytest.raises(MigrationFailedError) as caught:
        tables.apply(migrations.files(), Settings(lock_timeout_ms=100, lock_attempts=3))
    # Three waits of 0.1 s, two pauses of at most 0.1 and 0.2 s; without an end the test would not come back.
    assert 0.3 <= time.monotonic() - started < 5
    assert caught.value.sqlstate == "55P03"
    assert dict(caught.value.facts)["attempts"] == "3"


def test_a_retry_frees_the_first_table(
    tables: ScratchDatabase, migrations: MigrationFolder, migrating: Callable[..., Any]
) -> None:
    """The whole transaction is tried again: between two tries nothing is locked, and nothing half done is seen."""
    migrations.write("0001_c.sql", "ALTER TABLE public.t ADD c int; ALTER TABLE public.u ADD c int;")
    idle, writer = tables.connect(autocommit=False), tables.connect()
    idle.execute("SELECT * FROM public.u")
    settings = Settings(lock_timeout_ms=100, lock_attempts=50)
    call = migrating(tables, migrations, settings)
    call.until_told("rolled back, trying again")
    writer.execute("SET lock_timeout = 5000")
    writer.execute("INSERT INTO public.t VALUES (2)")
    idle.rollback()
    assert call.join().files[0].attempts > 1
    assert tables.value("SELECT count(*) FROM public.t") == 2


def test_locks_taken_before_a_savepoint_are_freed_as_well(
    tables: ScratchDatabase, migrations: MigrationFolder, migrating: Callable[..., Any]
) -> None:
    """Rolling back a block with an exception handler keeps the locks from before it; our retry does not."""
    migrations.write(
        "0001_c.sql",
        "ALTER TABLE public.t ADD c int;\n"
        "DO $$ BEGIN ALTER TABLE public.u ADD c int;\n"
        "EXCEPTION WHEN lock_not_available THEN RAISE lock_not_available; END $$;",
    )
    idle, reader = tables.connect(autocommit=False), tables.connect()
    idle.execute("SELECT * FROM public.u")
    settings = Settings(lock_timeout_ms=100, lock_attempts=50)
    call = migrating(tables, migrations, settings)
    call.until_told("rolled back, trying again")
    reader.execute("SET lock_timeout = 5000")
    reader.execute("SELECT * FROM public.t")
    idle.rollback()
    call.join()


@pytest.mark.parametrize(
    "held",
    [
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1",
        "BEGIN; DECLARE c CURSOR FOR SELECT 1; FETCH c",
        "BEGIN; INSERT INTO public.t VALUES (2)",
    ],
)
def test_a_build_waits_for_old_snapshots_and_writers(
    tables: ScratchDatabase, migrations: MigrationFolder, migrating: Callable[..., Any], held: str
) -> None:
    """A snapshot, even of a transaction that read no table, an open cursor, a writer: told, and waited for."""
    migrations.write("0001_i.sql", BUILD)
    other = tables.connect()
    other.execute(held.encode())
    call = migrating(tables, migrations)
    call.until_told(f"in the way: pid {other.info.backend_pid}, role symphony_owner")
    other.execute("COMMIT")
    call.join()
    assert tables.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.t_a'::regclass") is True


@pytest.mark.parametrize(
    "idle",
    [
        "BEGIN; SELECT * FROM public.t",
        "BEGIN; INSERT INTO public.u VALUES (2)",
        "BEGIN; SELECT pg_advisory_xact_lock(1)",
    ],
)
def test_a_build_does_not_wait_for_idle_sessions(
    tables: ScratchDatabase, migrations: MigrationFolder, idle: str
) -> None:
    """A simple SELECT that is over, a writer of another table, an advisory lock: no snapshot, no wait."""
    migrations.write("0001_i.sql", BUILD)
    other = tables.connect()
    other.pgconn.exec_(idle.encode())
    settings = Settings(lock_timeout_ms=300, index_timeout_ms=3_000)
    tables.apply(migrations.files(), settings)
    other.execute("ROLLBACK")


def test_no_connection_of_ours_holds_a_snapshot_while_a_build_runs(
    tables: ScratchDatabase, migrations: MigrationFolder, migrating: Callable[..., Any]
) -> None:
    """Every other connection of the engine is outside a transaction between its looks, at every moment we look."""
    migrations.write("0001_i.sql", BUILD)
    writer = tables.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (2)")
    call = migrating(tables, migrations)
    call.until_told("in the way")
    ours = (
        "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8,"
        " count(*) FILTER (WHERE state LIKE 'idle in transaction%'), count(*)"
        " FROM pg_stat_activity WHERE application_name LIKE 'parity%'"
    )
    admin = tables.connect_admin()
    looks = 0
    for _ in range(100):
        row = admin.execute(ours.encode()).fetchone()
        assert row is not None
        longest_s, idle_in_transaction, seen = row
        assert longest_s < 0.5
        assert idle_in_transaction == 0
        looks += seen > 0
        time.sleep(0.005)
    assert looks > 0, "the second connection was never seen"
    writer.commit()
    call.join()


def in_a_deadlock(database: ScratchDatabase, held: str, started: str, call_of: Callable[[], Any]) -> Any:
    """Run something that waits for a transaction which then waits for it; the other one is patient, so ours is ended.

    Args:
        database: with public.t.
        held: SQL after which the other transaction is waited for.
        started: a query that is true once it is.
        call_of: starts what runs.
    """
    with database.connect_admin() as admin:
        # A session looks once for each wait, after this time: servers of our own have ten milliseconds, and ours would
        # have looked before there is a circle.
        admin.execute(sql.SQL("ALTER DATABASE {} SET deadlock_timeout TO '1s'").format(sql.Identifier(database.name)))
    other = database.connect_admin(autocommit=False)
    other.execute("SET LOCAL deadlock_timeout = '60s'")
    other.execute(held.encode())
    call = call_of()
    call.until(lambda: database.value(started))
    other.execute("LOCK TABLE public.t IN SHARE UPDATE EXCLUSIVE MODE")  # until ours is ended
    other.rollback()
    return call.join()


WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('virtualxid', 'transactionid')"


def test_a_build_that_was_ended_waiting_is_repaired_by_the_same_run(
    tables: ScratchDatabase, migrations: MigrationFolder, background: Callable[..., Any]
) -> None:
    """A deadlock (40P01) leaves an INVALID index: the next try drops it and builds anew with the same text."""
    migrations.write("0001_i.sql", BUILD)
    told: list[str] = []
    done = in_a_deadlock(
        tables,
        "INSERT INTO public.t VALUES (2)",
        WAITS,
        lambda: background(lambda: migrate(tables.connect(), migrations.files(), Settings(), report=told.append)),
    ).files[0]
    assert done.attempts > 1
    assert any("a deadlock, trying again" in line for line in told), told
    assert "public.t_a was left invalid by an interrupted build: dropped and built again" in " ".join(done.notes)
    assert tables.value("SELECT array_agg(indisvalid) FROM pg_index WHERE indrelid = 'public.t'::regclass") == [True]


def test_a_drop_that_was_ended_waiting_is_completed_by_the_same_run(
    tables: ScratchDatabase, migrations: MigrationFolder, background: Callable[..., Any]
) -> None:
    """DROP INDEX CONCURRENTLY waits likewise, and leaves an INVALID index likewise."""
    with tables.connect() as conn:
        conn.execute("CREATE INDEX t_a ON public.t (a)")
    migrations.write("0001_d.sql", "-- symphony:no_tx\nDROP INDEX CONCURRENTLY public.t_a;")
    told: list[str] = []
    done = in_a_deadlock(
        tables,
        "SELECT * FROM public.t",
        WAITS,
        lambda: background(lambda: migrate(tables.connect(), migrations.files(), Settings(), report=told.append)),
    ).files[0]
    assert done.attempts > 1
    assert any("a deadlock, trying again" in line for line in told), told
    assert tables.value("SELECT to_regclass('public.t_a')") is None


@pytest.mark.parametrize(
    "statement", ["CREATE INDEX CONCURRENTLY t_b ON public.t (a)", "DROP INDEX CONCURRENTLY public.t_a"]
)
def test_a_builds_budget_ends_and_the_next_run_completes_it(
    tables: ScratchDatabase, migrations: MigrationFolder, statement: str
) -> None:
    """INDEX_TIMEOUT_MS bounds the wait: the error names who was in the way, and the next run repairs what is left."""
    with tables.connect() as conn:
        conn.execute("CREATE INDEX t_a ON public.t (a)")
    migrations.write("0001_i.sql", f"-- symphony:no_tx\n{statement};")
    writer = tables.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (4111)")
    with pytest.raises(MigrationFailedError) as caught:
        tables.apply(migrations.files(), Settings(index_timeout_ms=500))
    assert caught.value.sqlstate in ("55P03", "57014")
    assert f"pid {writer.info.backend_pid}, role symphony_owner" in dict(caught.value.facts)["in the way"]
    assert "4111" not in str(caught.value)
    assert tables.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 1
    writer.commit()
    assert len(tables.apply(migrations.files()).files) == 1
    assert tables.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


def test_a_transaction_timeout_of_the_role_does_not_end_a_build(
    tables: ScratchDatabase, migrations: MigrationFolder, background: Callable[..., Any]
) -> None:
    """transaction_timeout would end the session (25P04); the runner's baseline takes it off."""
    with tables.connect_admin() as admin:
        admin.execute("ALTER ROLE symphony_owner SET transaction_timeout = 400")
    try:
        migrations.write("0001_i.sql", BUILD)
        writer = tables.connect_admin(autocommit=False)
        writer.execute("INSERT INTO public.t VALUES (2)")
        runner = tables.connect()
        row = runner.execute("SHOW transaction_timeout").fetchone()
        assert row == ("400ms",)
        call = background(lambda: migrate(runner, migrations.files(), Settings(), report=lambda _: None))
        call.until(lambda: tables.value("SELECT pid FROM pg_stat_progress_create_index"))
        time.sleep(0.8)
        assert call.running
        writer.commit()
        assert len(call.join().files) == 1
    finally:
        with tables.connect_admin() as admin:
            admin.execute("ALTER ROLE symphony_owner RESET transaction_timeout")


def test_without_the_runner_the_same_waits_are_as_bad_as_said(tables: ScratchDatabase) -> None:
    """The control: a bare build under lock_timeout fails with 55P03, leaves INVALID, and the same text meets 42P07."""
    writer, bare = tables.connect(autocommit=False), tables.connect()
    writer.execute("INSERT INTO public.t VALUES (2)")
    bare.execute("SET lock_timeout = 100")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        bare.execute("CREATE INDEX CONCURRENTLY t_a ON public.t (a)")
    assert tables.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.t_a'::regclass") is False
    writer.rollback()
    with pytest.raises(psycopg.errors.DuplicateTable):
        bare.execute("CREATE INDEX CONCURRENTLY t_a ON public.t (a)")
    bare.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON public.t (a)")
    assert tables.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.t_a'::regclass") is False
