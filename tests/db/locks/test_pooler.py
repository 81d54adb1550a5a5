"""A real PgBouncer between: session mode is fine, transaction and statement mode are refused before anything runs.

Needs the program `pgbouncer` (`nox -s tests-pooler`); fails without it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess  # noqa: TID251 - the pooler is an outside program
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from scripts.errors.migration import MigrationFailedError, PoolerError
from scripts.migrations.apply import migrate
from scripts.migrations.session.lock import RUNNER_LOCK_KEY
from scripts.server.embedded.account import find_account
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_database import MigrationFolder, ScratchDatabase

    from scripts.migrations.folder.files import MigrationFile

pytestmark = pytest.mark.pooler
_PORT = 6432
_CONFIG = """
[databases]
* = host={server} port=5432
[pgbouncer]
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
unix_socket_mode = 0700
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = {size}
server_round_robin = {round_robin}
query_wait_timeout = 20
"""


@contextmanager
def pooled(dsn: str, mode: str, *, round_robin: bool = False, size: int = 5) -> Iterator[str]:
    """A PgBouncer before the server of a DSN, on a socket of its own; yields the DSN through it."""
    program = shutil.which("pgbouncer", path=os.defpath + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.fail("these tests need PgBouncer: apt-get install pgbouncer")
    parts = conninfo_to_dict(dsn)
    account = find_account()
    with tempfile.TemporaryDirectory(prefix="pooler-", dir="/tmp") as name:
        folder = Path(name)
        (folder / "users").write_text(f'"{parts["user"]}" "{parts["password"]}"\n')
        (folder / "ini").write_text(
            _CONFIG.format(
                server=parts["host"], port=_PORT, folder=folder, mode=mode, size=size, round_robin=int(round_robin)
            )
        )
        for path in (folder, folder / "users", folder / "ini"):
            path.chmod(0o700 if path.is_dir() else 0o600)
            if account is not None:
                os.chown(path, account.uid, account.gid)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [program, str(folder / "ini")],
                stdout=log,
                stderr=log,
                user=None if account is None else account.uid,
                group=None if account is None else account.gid,
                extra_groups=None if account is None else [],
            )
        try:
            _wait_for(folder / f".s.PGSQL.{_PORT}", process, folder / "log")
            yield make_conninfo(dsn, host=str(folder), port=_PORT)
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"PgBouncer did not start:\n{log.read_text()}")
        time.sleep(0.01)


def _migrate(dsn: str, files: tuple[MigrationFile, ...]) -> list[str]:
    told: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as conn:
        done = migrate(conn, files, Settings(runner_lock_timeout_ms=500), report=told.append)
    return [file.name for file in done.files]


@pytest.mark.parametrize("round_robin", [False, True])
def test_session_mode_migrates_everything(
    empty_database: ScratchDatabase, project_files: tuple[MigrationFile, ...], *, round_robin: bool
) -> None:
    """The pid that the driver knows is the pooler's; the sessions are real, and the lock goes with the connection."""
    with pooled(empty_database.dsn, "session", round_robin=round_robin) as dsn:
        with psycopg.connect(dsn, autocommit=True) as conn:
            row = conn.execute("SELECT pg_backend_pid()").fetchone()
            assert row is not None
            assert row[0] != conn.info.backend_pid, "this pooler hands on the true pid: the test shows nothing"
        assert _migrate(dsn, project_files) == [file.name for file in project_files]
        assert _migrate(dsn, project_files) == []
    assert empty_database.advisory_locks() == []


@pytest.mark.parametrize("warm", [1, 4])
@pytest.mark.parametrize("round_robin", [False, True])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_transaction_and_statement_mode_are_refused(
    empty_database: ScratchDatabase, migrations: MigrationFolder, mode: str, warm: int, *, round_robin: bool
) -> None:
    """With one backend in the pool, and with several that take turns: nothing has run, no lock is left behind."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    with pooled(empty_database.dsn, mode, round_robin=round_robin) as dsn:
        _warm(dsn, warm)
        with pytest.raises(PoolerError) as caught:
            _migrate(dsn, migrations.files())
        assert caught.value.exit_code == 5
        assert "session mode" in caught.value.help
        assert empty_database.value("SELECT to_regclass('public.t')") is None
        key = f"(classid::bigint << 32 | objid::bigint) = {RUNNER_LOCK_KEY}"
        assert empty_database.value(f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {key}") == 0


def _warm(dsn: str, number: int) -> None:
    """Let the pool open as many backends as there are statements at once."""
    connections = [psycopg.connect(dsn, autocommit=True) for _ in range(number)]
    for conn in connections:
        conn.pgconn.send_query(b"SELECT pg_sleep(0.05)")
    for conn in connections:
        while conn.pgconn.get_result() is not None:
            pass
        conn.close()


def test_transaction_mode_under_load_is_refused(
    empty_database: ScratchDatabase, migrations: MigrationFolder, background: Callable[..., Any]
) -> None:
    """Other clients take backends in between, so that ours seldom come back: refused all the same, every time."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    with pooled(empty_database.dsn, "transaction", size=8) as dsn:
        stop = False

        def load() -> None:
            with psycopg.connect(dsn, autocommit=True) as conn:
                while not stop:
                    conn.execute("SELECT pg_sleep(0.002)", prepare=False)

        others = [background(load) for _ in range(4)]
        try:
            for _ in range(10):
                with pytest.raises(PoolerError):
                    _migrate(dsn, migrations.files())
        finally:
            stop = True
            for other in others:
                other.join()


def test_a_session_pool_without_room_for_the_test_is_refused(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """One backend: the second connection waits for the first. That is no proof either way, and no wait without end."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    with pooled(empty_database.dsn, "session", size=1) as dsn:
        started = time.monotonic()
        with pytest.raises(PoolerError, match="does not show that a session stays a session") as caught:
            _migrate(dsn, migrations.files())
        assert time.monotonic() - started < 10
        assert "with two connections to spare" in caught.value.help


def test_who_is_in_the_way_is_seen_through_a_session_pool(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """The backend looked at is the server's, not the number that the driver was given."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    empty_database.apply(migrations.files())
    migrations.write("0002_t.sql", "ALTER TABLE public.t ADD b int;")
    reader = empty_database.connect(autocommit=False)
    reader.execute("SELECT * FROM public.t WHERE a = 4111")
    settings = Settings(lock_timeout_ms=400, lock_attempts=1)
    with pooled(empty_database.dsn, "session") as dsn, psycopg.connect(dsn, autocommit=True) as conn:
        with pytest.raises(MigrationFailedError) as caught:
            migrate(conn, migrations.files(), settings, report=lambda _: None)
        assert f"pid {reader.info.backend_pid}, role symphony_owner" in dict(caught.value.facts)["in the way"]


@pytest.mark.parametrize("size", [2, 3])
def test_a_pool_that_runs_out_of_backends_stops_nothing(
    empty_database: ScratchDatabase, migrations: MigrationFolder, background: Callable[..., Any], size: int
) -> None:
    """Whoever looks on gets no backend: the build goes on without, and no look waits until the pool gives up (20 s)."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    empty_database.apply(migrations.files())
    migrations.write("0002_c.sql", "ALTER TABLE public.t ADD b int;")
    migrations.write("0003_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY t_a ON public.t (a);")
    reader, writer = empty_database.connect(autocommit=False), empty_database.connect(autocommit=False)
    reader.execute("SELECT * FROM public.t")
    with pooled(empty_database.dsn, "session", size=size) as dsn:
        call = background(lambda: _migrate(dsn, migrations.files()))
        # The first to look on gets the second backend; whoever looks at the build finds none with a size of two.
        call.until(lambda: empty_database.value("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        time.sleep(0.3)
        writer.execute("SET lock_timeout = 0; SELECT pg_advisory_xact_lock(1)")
        reader.rollback()
        writer.execute("INSERT INTO public.t (a) VALUES (1)")
        call.until(lambda: empty_database.value("SELECT pid FROM pg_stat_progress_create_index"))
        time.sleep(0.5)
        writer.commit()
        started = time.monotonic()
        call.join()
        assert time.monotonic() - started < 8
