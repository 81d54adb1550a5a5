"""Who is in the way: seen while the statement waits, followed to the head of the queue, and shown without constants."""

from __future__ import annotations

import re
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from scripts.errors.migration import MigrationFailedError
from scripts.migrations.apply import migrate
from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.waiting.lock_modes import mode_words, modes_conflict
from scripts.migrations.waiting.observer import Observer
from scripts.server.embedded import layout
from scripts.server.embedded.origin import open_embedded
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fix_database import MigrationFolder, ScratchDatabase

    from scripts.migrations.waiting.blockers import Wait
    from scripts.server.model import Server

SETTINGS = Settings(lock_timeout_ms=400, lock_attempts=1)


@pytest.fixture
def table(empty_database: ScratchDatabase) -> ScratchDatabase:
    """A database with public.t (a int, b int), one row."""
    with empty_database.connect() as conn:
        conn.execute("CREATE TABLE public.t (a int, b int); INSERT INTO public.t VALUES (1, 1)")
    return empty_database


def seen(observer: Observer) -> Wait:
    """What the observer sees as soon as the backend waits."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = observer.look()
        if found is not None:
            return found
        time.sleep(0.01)
    raise AssertionError("no wait was seen")


def test_a_blocker_is_shown_with_all_that_helps(table: ScratchDatabase, background: Callable[..., Any]) -> None:
    """Pid, role, application, state, age, what it holds, and its query without the constants."""
    runner, app = table.connect(), table.connect(autocommit=False)
    app.execute("SET application_name = 'web'")
    app.execute(b"UPDATE public.t SET a = 4111 WHERE b = 1 /* zqx */")
    with Observer(runner) as observer:
        call = background(lambda: execute_batch(runner, b"ALTER TABLE public.t ADD c int"))
        wait = seen(observer)
        blocker = wait.blockers[0]
        assert wait.wants == "ACCESS EXCLUSIVE on public.t"
        assert (blocker.pid, blocker.head, blocker.direct) == (app.info.backend_pid, True, True)
        assert (blocker.state, blocker.kind) == ("idle in transaction", "client backend")
        assert blocker.transaction_s is not None
        assert str(blocker) == (
            f"pid {app.info.backend_pid}, role symphony_owner, application web, idle in transaction for 0 s, "
            "holding ROW EXCLUSIVE on public.t, last query: UPDATE public.t SET a = ? WHERE b = ?"
        )
        assert observer.blockers() != ()
        app.commit()
        call.join()
        assert observer.blockers() == ()


def test_the_chain_is_followed_to_its_head(table: ScratchDatabase, background: Callable[..., Any]) -> None:
    """The runner waits for one who waits for another: the head comes first, because ending it helps."""
    runner, middle, head = table.connect(), table.connect(), table.connect(autocommit=False)
    head.execute("SELECT * FROM public.t")
    waiting = background(lambda: middle.execute("LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE; SELECT 1"))
    with Observer(middle) as first:
        seen(first)
    with Observer(runner) as observer:
        text = b"BEGIN; LOCK TABLE public.t IN SHARE ROW EXCLUSIVE MODE; COMMIT"
        call = background(lambda: execute_batch(runner, text))
        wait = seen(observer)
        assert [blocker.pid for blocker in wait.blockers] == [head.info.backend_pid, middle.info.backend_pid]
        assert [blocker.head for blocker in wait.blockers] == [True, False]
        assert [blocker.direct for blocker in wait.blockers] == [False, True]
        said = str(wait)
        assert said.startswith("waiting 0.")
        assert "for SHARE ROW EXCLUSIVE on public.t; in the way: pid " in said
        assert (
            "holding ACCESS SHARE on public.t, at the head of the queue, last query: SELECT * FROM public.t; " in said
        )
        assert f"itself waiting for ACCESS EXCLUSIVE on public.t behind pid {head.info.backend_pid}, running: " in said
        head.rollback()
        waiting.join()
        call.join()


def test_a_session_of_a_role_we_may_not_look_into(table: ScratchDatabase) -> None:
    """The owner is no superuser: pid, role and application are seen, the rest is said to be hidden."""
    runner, admin = table.connect(), table.connect_admin(autocommit=False)
    admin.execute("SET application_name = 'batch'; SELECT * FROM public.t")
    told: list[str] = []
    runner.execute("SET lock_timeout = 1500")
    with (
        Observer(runner, lock_timeout_ms=1500) as observer,
        observer.watching("0001_x.sql", told.append) as watch,
        pytest.raises(BatchError),
    ):
        execute_batch(runner, b"ALTER TABLE public.t ADD c int", watch=watch)
    pid = admin.info.backend_pid
    assert watch.seen_text == (
        f"pid {pid}, role postgres, application batch, holding ACCESS SHARE on public.t, last query: (hidden)"
    )
    assert len(told) == 1
    assert told[0].startswith("0001_x.sql: waiting ")
    assert told[0].endswith(f" s for ACCESS EXCLUSIVE on public.t; in the way: {watch.seen_text}")


def test_a_failed_file_names_who_was_in_the_way(table: ScratchDatabase, migrations: MigrationFolder) -> None:
    """After 55P03 nobody could be asked any more: the error has what was seen while it waited, told once in the log."""
    migrations.write("0001_c.sql", "ALTER TABLE public.t ADD c int;")
    app = table.connect(autocommit=False)
    app.execute(b"UPDATE public.t SET b = 4111")
    told: list[str] = []
    settings = Settings(lock_timeout_ms=100, lock_attempts=3)
    with pytest.raises(MigrationFailedError) as caught:
        migrate(table.connect(), migrations.files(), settings, report=told.append)
    assert caught.value.sqlstate == "55P03"
    assert f"pid {app.info.backend_pid}, role symphony_owner" in dict(caught.value.facts)["in the way"]
    assert "SET b = ?" in dict(caught.value.facts)["in the way"]
    assert sum("in the way" in line for line in told) == 1
    assert "4111" not in str(caught.value) + "".join(told)


def test_a_concurrent_build_shows_whom_it_waits_for(
    table: ScratchDatabase, migrations: MigrationFolder, migrating: Callable[..., Any]
) -> None:
    """A build waits for transactions, not for tables; the error of one that gave up names them as well."""
    migrations.write("0001_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY t_a ON public.t (a);")
    app = table.connect(autocommit=False)
    app.execute(b"UPDATE public.t SET b = 4111")
    call = migrating(table, migrations)
    call.until_told("in the way")
    app.commit()
    call.join()
    line = next(line for line in call.told if "in the way" in line)
    assert "for the end of a transaction that began earlier; in the way: " in line
    assert f"pid {app.info.backend_pid}, role symphony_owner" in line


def test_a_dropped_index_shows_whom_it_waits_for(table: ScratchDatabase, background: Callable[..., Any]) -> None:
    """DROP INDEX CONCURRENTLY waits likewise."""
    runner, app = table.connect(), table.connect(autocommit=False)
    runner.execute("CREATE INDEX t_a ON public.t (a)")
    app.execute("SELECT * FROM public.t")
    with Observer(runner) as observer:
        call = background(lambda: execute_batch(runner, b"DROP INDEX CONCURRENTLY public.t_a"))
        assert [blocker.pid for blocker in seen(observer).blockers] == [app.info.backend_pid]
        app.rollback()
        call.join()


def test_a_waiter_in_a_deadlock_is_seen_and_ends(table: ScratchDatabase, background: Callable[..., Any]) -> None:
    """Two who wait for each other: the walk along the queue stops."""
    with table.connect() as conn:
        conn.execute("CREATE TABLE public.u (a int)")
    one, two = table.connect_admin(), table.connect_admin()
    for conn, name in ((one, "t"), (two, "u")):
        # So that the circle is there to be looked at for a while, on a busy machine as well.
        conn.execute(f"SET deadlock_timeout = '1500ms'; BEGIN; LOCK TABLE public.{name}".encode())
    with Observer(one) as observer:
        first = background(lambda: one.execute("LOCK TABLE public.u"))
        seen(observer)
        second = background(lambda: two.execute("LOCK TABLE public.t"))
        ends = 0
        deadline = time.monotonic() + 10
        while first.running and second.running and time.monotonic() < deadline:
            wait = observer.look()
            ends += wait is not None and not any(blocker.head for blocker in wait.blockers)
        for call, conn in ((first, one), (second, two)):
            try:
                call.join()
            except psycopg.errors.DeadlockDetected:
                conn.rollback()
                one.rollback()
                two.rollback()
    assert ends > 0


@pytest.fixture(scope="module")
def preparing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own that allows prepared transactions."""
    config: Path = tmp_path_factory.mktemp("config") / "postgresql.conf"
    config.write_bytes(layout.CONFIG.read_bytes() + b"\nmax_prepared_transactions = 5\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "CONFIG", config)
        with open_embedded(Settings(server="embedded"), reason="prepared transactions") as opened:
            yield opened


@pytest.mark.parametrize("statement", ["ALTER TABLE public.p ADD c int", "CREATE INDEX CONCURRENTLY ON public.p (a)"])
def test_a_prepared_transaction_is_named_by_its_number(preparing: Server, statement: str) -> None:
    """Pid 0 among the blockers: no session has it. Its name may be data; its number finds it."""
    assert preparing.admin_dsn is not None
    dsn = make_conninfo(preparing.admin_dsn, dbname="postgres")
    told: list[str] = []
    with (
        closing(psycopg.connect(dsn, autocommit=True)) as runner,
        closing(psycopg.connect(dsn, autocommit=True)) as other,
    ):
        runner.execute("DROP TABLE IF EXISTS public.p; CREATE TABLE public.p (a int)")
        other.execute("BEGIN; INSERT INTO public.p VALUES (1); PREPARE TRANSACTION 'customer 4111'")
        row = other.execute("SELECT transaction::text FROM pg_prepared_xacts").fetchone()
        assert row is not None
        # Long enough for a look on a busy machine, too.
        runner.execute("SET lock_timeout = 1500")
        try:
            with (
                Observer(runner) as observer,
                observer.watching("0001_x.sql", told.append) as watch,
                pytest.raises(BatchError) as caught,
            ):
                execute_batch(runner, statement.encode(), watch=watch)
        finally:
            other.execute("ROLLBACK PREPARED 'customer 4111'")
    assert caught.value.error.sqlstate == "55P03"
    assert watch.seen[0].pid == 0
    number = re.escape(row[0])
    told_of = rf"prepared transaction {number} \(see pg_prepared_xacts\), role postgres, prepared \d s ago"
    assert re.match(told_of, watch.seen_text)
    assert "4111" not in watch.seen_text + "".join(told)


def test_an_observer_that_cannot_connect_is_said_once(table: ScratchDatabase) -> None:
    """No second connection is to be had: one line, and the statement is not harmed."""
    runner, app = table.connect(), table.connect(autocommit=False)
    app.execute("SELECT * FROM public.t")
    runner.execute("SET lock_timeout = 300")
    told: list[str] = []

    def refuse() -> Any:
        raise psycopg.OperationalError("too many connections for role zqx")

    with (
        Observer(runner, connect=refuse) as observer,
        observer.watching("0001_x.sql", told.append) as watch,
        pytest.raises(BatchError) as caught,
    ):
        execute_batch(runner, b"ALTER TABLE public.t ADD c int", watch=watch)
    assert caught.value.error.sqlstate == "55P03"
    assert told == ["who is in the way cannot be seen from a second connection (OperationalError); going on without"]
    assert watch.seen == ()


def test_an_observer_that_is_ended_is_said_once(table: ScratchDatabase, background: Callable[..., Any]) -> None:
    """An administrator ends the second session in the middle: the statement goes through."""
    runner, app = table.connect(), table.connect(autocommit=False)
    app.execute("SELECT * FROM public.t")
    told: list[str] = []
    with Observer(runner) as observer, observer.watching("0001_x.sql", told.append) as watch:
        call = background(lambda: execute_batch(runner, b"ALTER TABLE public.t ADD c int", watch=watch))
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s"
        deadline = time.monotonic() + 10
        while not table.value(ended, "parity-runner observer") and time.monotonic() < deadline:
            time.sleep(0.01)
        while not any("cannot be seen" in line for line in told) and time.monotonic() < deadline:
            time.sleep(0.01)
        app.rollback()
        call.join()
    assert sum("cannot be seen" in line for line in told) == 1


def test_a_report_that_fails_harms_nothing(table: ScratchDatabase, background: Callable[..., Any]) -> None:
    """A closed stderr must not abort a migration that only waits."""
    runner, app = table.connect(), table.connect(autocommit=False)
    app.execute("SELECT * FROM public.t")
    told: list[str] = []

    def broken(line: str) -> None:
        told.append(line)
        raise BrokenPipeError

    with Observer(runner) as observer, observer.watching("0001_x.sql", broken) as watch:
        call = background(lambda: execute_batch(runner, b"ALTER TABLE public.t ADD c int", watch=watch))
        deadline = time.monotonic() + 10
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
        app.rollback()
        call.join()
    assert told


def test_a_look_that_meets_a_lock_itself_is_taken_back(table: ScratchDatabase, background: Callable[..., Any]) -> None:
    """The question waits for what the watched session holds: it leaves the server's queue, not only our patience."""
    admin, app, witness = table.connect_admin(), table.connect(autocommit=False), table.connect_admin()
    app.execute("SELECT * FROM public.t")
    queue = "SELECT count(*) FROM pg_lock_status() l WHERE NOT l.granted AND l.relation = 1259"

    def queued() -> int:
        row = witness.execute(queue, prepare=True).fetchone()
        assert row is not None
        return int(row[0])

    assert queued() == 0  # and the witness needs no catalog for it any more
    told: list[str] = []
    with Observer(admin) as observer, observer.watching("0001_x.sql", told.append) as watch:
        text = b"BEGIN; LOCK TABLE pg_catalog.pg_class IN ACCESS EXCLUSIVE MODE; ALTER TABLE public.t ADD c int; COMMIT"
        # Connected before: a new session would need the catalog as well.
        assert observer.blockers() == ()
        call = background(lambda: execute_batch(admin, text, watch=watch))
        deadline = time.monotonic() + 10
        while not queued() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert queued() == 1
        # The next looks ask again; each is taken back within a third of a second.
        most = 0.0
        for _ in range(3):
            began = time.monotonic()
            while queued() and time.monotonic() < deadline:
                time.sleep(0.005)
            most = max(most, time.monotonic() - began)
            while not queued() and time.monotonic() < began + 1:
                time.sleep(0.005)
        assert most < 0.7
        app.rollback()
        call.join()
    assert len(told) == 1
    assert "cannot be seen from a second connection (SQLSTATE 55P03)" in told[0]


def test_the_table_of_conflicts_is_the_servers(table: ScratchDatabase) -> None:
    """Every mode against every other, as LOCK TABLE … NOWAIT answers."""
    modes = [
        "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
        "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
    ]  # fmt: skip
    one, other = table.connect(autocommit=False), table.connect(autocommit=False)
    for held in modes:
        one.execute(f"LOCK TABLE public.t IN {mode_words(held)} MODE".encode())
        for wanted in modes:
            try:
                other.execute(f"LOCK TABLE public.t IN {mode_words(wanted)} MODE NOWAIT".encode())
                refused = False
            except psycopg.errors.LockNotAvailable:
                refused = True
            other.rollback()
            assert modes_conflict(held, wanted) == refused, (held, wanted)
        one.rollback()
