"""Statements outside a transaction: their phases and locks are seen from a second session, or said not to be."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from make_zoo import strongest

from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.trace.phases import PhaseWatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from make_zoo import Zoo

    from scripts.migrations.trace.model import StatementTrace

SUX, AX = "SHARE UPDATE EXCLUSIVE", "ACCESS EXCLUSIVE"


def run(zoo: Zoo, sql: str) -> StatementTrace:
    """Run one statement outside a transaction, watched."""
    (statement,) = MigrationFile.of_text("0001_test.sql", sql).statements
    with zoo.tracer.phase_watch(statement) as watch:
        execute_batch(zoo.conn, statement.text.encode(), watch=watch)
    zoo.tracer.committed()
    return watch.trace()


@pytest.fixture
def writer(zoo: Zoo) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that has written to app.hot, and is open."""
    import psycopg

    with psycopg.connect(zoo.admin_dsn) as conn:
        conn.execute("INSERT INTO app.hot (id, n, sure) VALUES (100000, 1, 1)", prepare=False)
        yield conn
        conn.rollback()


def test_build_held_up_by_a_writer(zoo: Zoo, writer: psycopg.Connection[Any]) -> None:
    """A concurrent build waits for an open writer: its phase and its lock are seen while it waits."""
    threading.Timer(0.4, writer.rollback).start()

    trace = run(zoo, "CREATE INDEX CONCURRENTLY hot_sure_idx ON app.hot (sure)")
    execute_batch(zoo.conn, b"DROP INDEX app.hot_sure_idx")

    assert (trace.source, trace.effect, trace.built) == ("sampled", "index", ("app.hot_sure_idx",))
    assert trace.samples is not None
    assert trace.samples > 10
    waits = [phase for phase in trace.phases if phase.phase == "waiting for writers before build"]
    assert [(phase.relation, phase.mode, phase.granted) for phase in waits] == [
        ("app.hot", "ShareUpdateExclusiveLock", True)
    ]
    assert waits[0].last_us - waits[0].first_us > 100_000
    assert waits[0].samples > 5
    assert strongest(trace) == {"app.hot": SUX}
    assert {lock.source for lock in trace.locks if lock.mode == "ShareUpdateExclusiveLock"} == {"sampled"}
    assert trace.duration_us is not None
    assert 300_000 < trace.duration_us < 30_000_000


def test_build_that_waits_for_its_lock(zoo: Zoo) -> None:
    """A lock that is asked for and not had is seen as such, and is not told as taken by that look."""
    import psycopg

    with psycopg.connect(zoo.admin_dsn) as blocker:
        blocker.execute("LOCK TABLE app.hot IN SHARE MODE")
        threading.Timer(0.2, blocker.rollback).start()
        trace = run(zoo, "CREATE INDEX CONCURRENTLY hot_sure_idx ON app.hot (sure)")
    execute_batch(zoo.conn, b"DROP INDEX app.hot_sure_idx")

    assert ("app.hot", "ShareUpdateExclusiveLock", False) in {
        (phase.relation, phase.mode, phase.granted) for phase in trace.phases
    }


def test_over_before_the_first_look(zoo: Zoo) -> None:
    """A build on an empty table is not seen: the trace says so, and gives the documented mode as documented."""
    execute_batch(zoo.conn, b"CREATE TABLE app.empty (id int)")
    zoo.tracer.refresh()
    (statement,) = MigrationFile.of_text("0001_test.sql", "CREATE INDEX CONCURRENTLY ON app.empty (id)").statements

    with zoo.tracer.phase_watch(statement) as watch:
        execute_batch(zoo.conn, statement.text.encode())
    trace = watch.trace()
    execute_batch(zoo.conn, b"DROP TABLE app.empty")

    assert (trace.source, trace.samples, trace.phases) == ("documented", 0, ())
    assert [(lock.relation, lock.mode, lock.source) for lock in trace.locks] == [
        ("app.empty", "ShareUpdateExclusiveLock", "documented")
    ]


@pytest.mark.parametrize(
    ("prepare", "sql", "modes"),
    [
        (
            "CREATE INDEX gone_idx ON app.hot (sure)",
            "DROP INDEX CONCURRENTLY app.gone_idx",
            {"app.hot": SUX, "app.gone_idx": AX},
        ),
        ("", "REINDEX INDEX CONCURRENTLY app.hot_n_idx", {"app.hot": SUX, "app.hot_n_idx": SUX}),
        ("", "REINDEX TABLE CONCURRENTLY app.child", {"app.child": SUX, "app.child_pkey": SUX}),
        ("", "VACUUM app.child", {"app.child": SUX}),
        ("", "VACUUM (FULL) app.child", {"app.child": AX}),
        (
            "CREATE TABLE app.part PARTITION OF app.whole FOR VALUES FROM (5000) TO (6000)",
            "ALTER TABLE app.whole DETACH PARTITION app.part CONCURRENTLY",
            {"app.whole": SUX, "app.part": AX},
        ),
        ("", "ALTER TYPE app.mood ADD VALUE IF NOT EXISTS 'so so'", {}),
    ],
)
def test_documented_modes(zoo: Zoo, prepare: str, sql: str, modes: dict[str, str]) -> None:
    """Every statement that runs outside a transaction has its modes, seen or documented."""
    if prepare:
        execute_batch(zoo.conn, prepare.encode())
        zoo.tracer.refresh()

    trace = run(zoo, sql)

    assert {name: mode for name, mode in strongest(trace).items() if modes.get(name) == mode or name in modes} == modes
    execute_batch(zoo.conn, b"DROP TABLE IF EXISTS app.part")


@pytest.mark.parametrize("sql", ["DROP INDEX CONCURRENTLY app.held_idx", "REINDEX INDEX CONCURRENTLY app.held_idx"])
def test_no_documented_mode_is_weaker_than_what_is_seen(zoo: Zoo, sql: str) -> None:
    """Held up at several points by readers and writers, a statement is never seen with more than it is said to take."""
    import psycopg

    execute_batch(zoo.conn, b"CREATE INDEX held_idx ON app.hot (sure)")
    zoo.tracer.refresh()
    with psycopg.connect(zoo.admin_dsn) as holder:
        holder.execute("UPDATE app.hot SET n = n WHERE id = 1", prepare=False)
        threading.Timer(0.2, holder.rollback).start()
        trace = run(zoo, sql)
    execute_batch(zoo.conn, b"DROP INDEX IF EXISTS app.held_idx")

    assert trace.samples is not None
    assert trace.samples > 3
    found = strongest(trace)
    # At its very end REINDEX drops the index that it replaced, and which nobody can find any more, under the strongest
    # lock; only now and then is that moment seen.
    assert found.pop("app.held_idx") in ({AX} if sql.startswith("DROP") else {SUX, AX})
    assert found == {"app.hot": SUX}


def test_failed_build_is_traced_until_it_fails(zoo: Zoo) -> None:
    """An error ends the watch, and the error is the statement's own."""
    (statement,) = MigrationFile.of_text("0001_test.sql", "CREATE INDEX CONCURRENTLY ON app.hot (nowhere)").statements

    with pytest.raises(BatchError), zoo.tracer.phase_watch(statement) as watch:
        execute_batch(zoo.conn, statement.text.encode(), watch=watch)

    assert watch.trace().kind == "CREATE INDEX"


def test_without_a_second_session(zoo: Zoo, writer: psycopg.Connection[Any]) -> None:
    """Where no second connection is to be had the statement runs all the same, and the trace is documented."""
    import psycopg

    owner = zoo.conn.info.user
    with psycopg.connect(zoo.admin_dsn, autocommit=True) as admin:
        admin.execute(f'ALTER ROLE "{owner}" CONNECTION LIMIT 1'.encode())
        try:
            threading.Timer(0.2, writer.rollback).start()
            trace = run(zoo, "CREATE INDEX CONCURRENTLY hot_sure_idx ON app.hot (sure)")
        finally:
            admin.execute(f'ALTER ROLE "{owner}" CONNECTION LIMIT -1'.encode())
    execute_batch(zoo.conn, b"DROP INDEX app.hot_sure_idx")

    assert (trace.source, trace.samples) == ("documented", 0)
    assert strongest(trace) == {"app.hot": SUX}


def test_the_second_session_ends_with_the_tracer(zoo: Zoo, writer: psycopg.Connection[Any]) -> None:
    """Nothing of the tracer is left on the server."""
    import psycopg

    threading.Timer(0.2, writer.rollback).start()
    run(zoo, "CREATE INDEX CONCURRENTLY hot_sure_idx ON app.hot (sure)")
    execute_batch(zoo.conn, b"DROP INDEX app.hot_sure_idx")
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'parity trace' AND datname = current_database()"
    )
    with psycopg.connect(zoo.admin_dsn, autocommit=True) as admin:
        assert admin.execute(query).fetchone() == (1,)
        zoo.tracer.close()
        deadline = time.monotonic() + 10
        while admin.execute(query).fetchone() != (0,) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert admin.execute(query).fetchone() == (0,)
    assert zoo.conn.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_another_watch_looks_beside(zoo: Zoo, writer: psycopg.Connection[Any]) -> None:
    """Whoever reports blockers goes on doing so, at a pace of its own."""

    class Beside:
        """Counts its looks."""

        interval_s = 0.05
        looks = 0

        def look(self) -> None:
            """Look."""
            self.looks += 1

    beside = Beside()
    threading.Timer(0.4, writer.rollback).start()
    sql = "CREATE INDEX CONCURRENTLY hot_sure_idx ON app.hot (sure)"
    (statement,) = MigrationFile.of_text("0001_test.sql", sql).statements
    with zoo.tracer.phase_watch(statement, beside=beside) as watch:
        assert isinstance(watch, PhaseWatch)
        execute_batch(zoo.conn, statement.text.encode(), watch=watch)
    execute_batch(zoo.conn, b"DROP INDEX app.hot_sure_idx")

    assert 2 <= beside.looks <= 9


def test_notices_of_such_a_statement(zoo: Zoo) -> None:
    """What the server says meanwhile is kept."""
    trace = run(zoo, "DROP INDEX CONCURRENTLY IF EXISTS app.never_there")

    assert [notice.message for notice in trace.notices] == ['index "never_there" does not exist, skipping']
