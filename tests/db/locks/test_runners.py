"""One runner at a time: sixteen processes at once, an orphan's build, a file that lets go of the lock."""

from __future__ import annotations

import subprocess  # noqa: TID251 - runners are processes
import sys
import textwrap
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from scripts.errors.migration import RunnerLockedError, RunnerLockLostError
from scripts.migrations.session.lock import RUNNER_LOCK_KEY, runner_lock, still_held_sql
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_database import MigrationFolder, ScratchDatabase

QUICK = Settings(runner_lock_timeout_ms=300)
_RUNNER = """
    import sys
    from pathlib import Path
    import psycopg
    from scripts.migrations.apply import migrate
    from scripts.migrations.folder.files import read_files
    from scripts.settings import Settings
    settings = Settings(runner_lock_timeout_ms=300_000)
    with psycopg.connect(sys.stdin.readline().strip(), autocommit=True) as conn:
        done = migrate(conn, read_files(Path(sys.argv[1])), settings, report=lambda _: None)
    print(*(file.name for file in done.files))
"""


def start_runner(dsn: str, folder: Path) -> subprocess.Popen[str]:
    """A runner in a process of its own; the DSN, which holds a password, goes through its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_RUNNER), str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(dsn + "\n")
    process.stdin.flush()
    return process


def test_sixteen_runners_on_an_empty_database(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Real processes, ledger not yet made: all exit 0, each file is applied by one of them, nobody queues."""
    for number in range(1, 9):
        migrations.write(f"{number:04d}_t.sql", f"CREATE TABLE public.t{number} (a int); SELECT pg_sleep(0.05);")
    migrations.write("0009_i.sql", "-- symphony:no_tx\nCREATE UNIQUE INDEX CONCURRENTLY t1_a ON public.t1 (a);")
    # Nobody begins before everybody has tried: the lock is ours until all sixteen have looked.
    holder = empty_database.connect()
    holder.execute("SELECT pg_advisory_lock(%s)", (RUNNER_LOCK_KEY,))
    with ExitStack() as stack:
        runners = [stack.enter_context(start_runner(empty_database.dsn, migrations.folder)) for _ in range(16)]
        for runner in runners:
            stack.callback(runner.kill)
        deadline = time.monotonic() + 200  # sixteen interpreters, perhaps on a busy machine
        others = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'symphony_owner' AND pid <> %s"
        others += " AND datname = current_database() AND query LIKE '%%advisory_lock%%'"
        while empty_database.value(others, holder.info.backend_pid) < 16:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        assert empty_database.value(waiting) == 0
        holder.execute("SELECT pg_advisory_unlock_all()")
        answers = [runner.communicate(timeout=200) for runner in runners]
    assert [runner.returncode for runner in runners] == [0] * 16, [err for _, err in answers]
    applied = sorted(name for out, _ in answers for name in out.split())
    assert applied == [file.name for file in migrations.files()]
    assert empty_database.recorded() == applied


def test_an_orphans_build_is_waited_for(
    empty_database: ScratchDatabase, migrations: MigrationFolder, migrating: Callable[..., Any]
) -> None:
    """The client of a build is killed: its session keeps the lock until the build ends, and is waited for."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int); CREATE TABLE public.u (a int);")
    empty_database.apply(migrations.files())
    migrations.write("0002_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY t_a ON public.t (a);")
    writer = empty_database.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (1)")
    with start_runner(empty_database.dsn, migrations.folder) as orphan:
        deadline = time.monotonic() + 60
        while not empty_database.value("SELECT pid FROM pg_stat_progress_create_index"):
            assert orphan.poll() is None, orphan.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        orphan.kill()
        orphan.communicate()
    started = time.monotonic()
    call = migrating(empty_database, migrations, QUICK)
    time.sleep(1.0)
    assert call.running, "the runner did not wait for the orphan"
    writer.commit()
    call.join()
    assert time.monotonic() - started > 0.9
    waits = [line for line in call.told if "to end its index build" in line]
    assert len(waits) == 1
    assert waits[0].startswith("waiting for another runner's session to end its index build: pid ")
    assert waits[0].endswith("; for up to 3600 s")
    assert empty_database.recorded() == ["0001_t.sql", "0002_i.sql"]
    assert empty_database.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


def test_an_orphans_drop_is_waited_for(empty_database: ScratchDatabase, background: Callable[..., Any]) -> None:
    """DROP INDEX CONCURRENTLY shows in no progress view; its text shows it."""
    holder, reader = empty_database.connect(), empty_database.connect(autocommit=False)
    holder.execute("CREATE TABLE public.t (a int); CREATE INDEX t_a ON public.t (a)")
    holder.execute("SELECT pg_advisory_lock(%s)", (RUNNER_LOCK_KEY,))
    reader.execute("SELECT * FROM public.t")
    drop = background(lambda: holder.execute("DROP INDEX CONCURRENTLY public.t_a"))
    drop.until(lambda: empty_database.value("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    def take() -> None:
        with runner_lock(empty_database.connect(), QUICK, report=lambda _: None):
            pass

    call = background(take)
    time.sleep(0.8)
    assert call.running
    reader.rollback()
    drop.join()
    holder.execute("SELECT pg_advisory_unlock_all()")
    call.join()


def test_even_a_builds_budget_ends(empty_database: ScratchDatabase, background: Callable[..., Any]) -> None:
    """A build that never ends: exit 5 with its own text, after INDEX_TIMEOUT_MS."""
    holder, writer = empty_database.connect(), empty_database.connect(autocommit=False)
    holder.execute("CREATE TABLE public.t (a int)")
    holder.execute("SELECT pg_advisory_lock(%s)", (RUNNER_LOCK_KEY,))
    writer.execute("INSERT INTO public.t VALUES (1)")
    build = background(lambda: holder.execute("CREATE INDEX CONCURRENTLY t_a ON public.t (a)"))
    build.until(lambda: empty_database.value("SELECT count(*) FROM pg_stat_progress_create_index"))
    settings = Settings(runner_lock_timeout_ms=100, index_timeout_ms=400)
    with (
        pytest.raises(RunnerLockedError, match="still building an index") as caught,
        runner_lock(empty_database.connect(), settings, report=lambda _: None),
    ):
        pass
    assert 400 <= int(dict(caught.value.facts)["waited"].removesuffix(" ms")) < 2000
    assert "INDEX_TIMEOUT_MS" in caught.value.help
    assert caught.value.exit_code == 5
    writer.rollback()
    build.join()


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE public.t (a int); SELECT pg_advisory_unlock_all();",
        f"CREATE TABLE public.t (a int); SELECT pg_advisory_unlock({RUNNER_LOCK_KEY});",
        f"SELECT pg_advisory_unlock({RUNNER_LOCK_KEY}), pg_advisory_unlock_shared({RUNNER_LOCK_KEY});",
        "CREATE TABLE public.t (a int); DO $$ BEGIN PERFORM pg_advisory_unlock_all(); END $$;",
    ],
)
def test_a_file_that_lets_go_of_the_lock_is_not_recorded(
    empty_database: ScratchDatabase, migrations: MigrationFolder, text: str
) -> None:
    """Another runner could have come in: the file is rolled back with a named error."""
    migrations.write("0001_t.sql", text)
    with pytest.raises(RunnerLockLostError) as caught:
        empty_database.apply(migrations.files(), QUICK)
    assert caught.value.where == "0001_t.sql"
    assert "pg_advisory_unlock_all()" in caught.value.help
    assert empty_database.recorded() == []
    assert empty_database.value("SELECT to_regclass('public.t')") is None


def test_the_condition_is_true_only_in_the_session_that_holds(empty_database: ScratchDatabase) -> None:
    """Held here, let go, held by another: only the first is true."""
    conn, other = empty_database.connect(), empty_database.connect()
    query = f"SELECT {still_held_sql()}".encode()

    def held() -> bool:
        row = conn.execute(query).fetchone()
        assert row is not None
        return bool(row[0])

    with runner_lock(conn, QUICK, report=lambda _: None):
        assert held()
        conn.execute("SELECT pg_advisory_unlock_all()")
        assert not held()
        other.execute("SELECT pg_advisory_lock(%s)", (RUNNER_LOCK_KEY,))
        assert not held()
        # Another key of ours, and the same key in its form of two numbers, are no runner locks.
        conn.execute("SELECT pg_advisory_lock(%s)", (RUNNER_LOCK_KEY + 1,))
        conn.execute("SELECT pg_advisory_lock(%s, %s)", (RUNNER_LOCK_KEY >> 32, (RUNNER_LOCK_KEY & 0x7FFF_FFFF)))
        assert not held()


def test_nobody_comes_in_while_the_lock_is_proved(empty_database: ScratchDatabase) -> None:
    """The proof gives up the exclusive hold for a moment: the shared one keeps every other runner out meanwhile."""
    conn, other = empty_database.connect(), empty_database.connect()

    def comes_in() -> bool:
        row = other.execute("SELECT pg_try_advisory_lock(%s)", (RUNNER_LOCK_KEY,)).fetchone()
        assert row is not None
        return bool(row[0])

    with runner_lock(conn, QUICK, report=lambda _: None):
        for _ in range(3):
            assert conn.execute(f"SELECT {still_held_sql()}".encode()).fetchone() == (True,)
            assert not comes_in()
        # In the middle of it.
        assert conn.execute("SELECT pg_advisory_unlock(%s)", (RUNNER_LOCK_KEY,)).fetchone() == (True,)
        assert not comes_in()
        conn.execute("SELECT pg_advisory_lock(%s)", (RUNNER_LOCK_KEY,))
        # Let go of twice, it is free, and what is free is not held.
        conn.execute("SELECT pg_advisory_unlock(%(k)s), pg_advisory_unlock_shared(%(k)s)", {"k": RUNNER_LOCK_KEY})
        assert comes_in()
        assert conn.execute(f"SELECT {still_held_sql()}".encode()).fetchone() == (False,)
        other.execute("SELECT pg_advisory_unlock_all()")


def test_waiting_runners_hold_no_snapshot(
    empty_database: ScratchDatabase, migrations: MigrationFolder, background: Callable[..., Any]
) -> None:
    """Between two tries a runner has no transaction: a concurrent build of the holder does not wait for it (40P01)."""
    holder = empty_database.connect()
    holder.execute("CREATE TABLE public.t (a int)")
    holder.execute("SELECT pg_advisory_lock(%s)", (RUNNER_LOCK_KEY,))
    migrations.write("0001_x.sql", "SELECT 1;")
    calls = [background(lambda: empty_database.apply(migrations.files())) for _ in range(4)]
    time.sleep(0.3)
    for number in range(5):
        holder.execute(f"CREATE INDEX CONCURRENTLY t_{number} ON public.t (a)".encode())
    holder.execute("SELECT pg_advisory_unlock_all()")
    assert sum(len(call.join().files) for call in calls) == 1
    assert empty_database.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
