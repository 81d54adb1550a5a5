"""Locks in a copy of the database: its objects have the numbers of ours, and are not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from scripts.migrations.batch import execute_batch
from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.trace.tracer import Tracer
from scripts.migrations.waiting.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import Databases, ScratchDatabase


def test_what_is_waited_for_in_another_database_has_no_name(
    empty_database: ScratchDatabase, databases: Databases, background: Callable[..., Any]
) -> None:
    """The session in our way waits for a schema of its database; ours with that number is another."""
    with empty_database.connect() as conn:
        conn.execute("CREATE SCHEMA ours")
    empty_database.close()
    with databases.copy(empty_database.name) as copy, psycopg.connect(copy.admin_dsn, autocommit=True) as renaming:
        renaming.execute("ALTER SCHEMA ours RENAME TO theirs")
        first, second = psycopg.connect(copy.admin_dsn), psycopg.connect(copy.admin_dsn)
        runner = empty_database.connect()
        with first, second, Observer(runner) as observer:
            first.execute("DROP SCHEMA theirs")
            second.execute("LOCK TABLE pg_catalog.pg_shdescription IN ACCESS EXCLUSIVE MODE")
            between = background(lambda: second.execute("DROP SCHEMA theirs"))
            between.until(
                lambda: empty_database.value("SELECT true FROM pg_locks WHERE classid = 2615 AND NOT granted")
            )
            waiting = background(
                lambda: execute_batch(runner, f"COMMENT ON DATABASE {empty_database.name} IS 'x'".encode())
            )
            wait = waiting.until(observer.look)
            first.rollback()
            between.join()
            second.rollback()
            waiting.join()
            assert wait.wants == "ROW EXCLUSIVE on pg_catalog.pg_shdescription"
            told = {blocker.pid: blocker.wants for blocker in wait.blockers}
            assert told[second.info.backend_pid] == "ACCESS EXCLUSIVE on something of another database"


def test_a_copy_of_a_copy_locks_nothing_of_ours(empty_database: ScratchDatabase, databases: Databases) -> None:
    """CREATE DATABASE locks what it copies, table by table: the trace told of locks on tables of this database."""
    with empty_database.connect() as conn:
        conn.execute("CREATE TABLE public.t AS SELECT g, repeat('x', 900) FROM generate_series(1, 60000) g")
    empty_database.close()
    name = f"{empty_database.name}_again"
    with databases.copy(empty_database.name) as copy:
        template = psycopg.conninfo.conninfo_to_dict(copy.dsn)["dbname"]
        text = f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log"
        (statement,) = MigrationFile.of_text("0001_d.sql", text).statements
        conn = empty_database.connect_admin()
        tracer = Tracer(conn)
        try:
            with tracer.phase_watch(statement) as watch:
                execute_batch(conn, text.encode(), watch=watch)
            trace = watch.trace()
        finally:
            tracer.close()
            databases.drop(name)
    assert trace.samples
    assert trace.locks == ()
