"""Files that change their session under the tracer's feet: the file runs as it would, and the trace stays right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from make_zoo import strongest

from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.folder.files import MigrationFile

if TYPE_CHECKING:
    from make_zoo import Zoo

ADD = "ALTER TABLE app.hot ADD COLUMN extra int CHECK (extra > 0);"
EVIL = """
CREATE SCHEMA evil;
CREATE FUNCTION evil.is_same(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.is_same);
CREATE FUNCTION evil.is_same(int, int) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.is_same);
CREATE FUNCTION evil.pg_lock_status() RETURNS int LANGUAGE sql AS 'SELECT 1/0';
"""


@pytest.mark.parametrize(
    "before",
    [
        "SET search_path = '';",
        "SET client_min_messages = error;",
        "SET LOCAL client_min_messages TO warning;",
        'SET "CLIENT_MIN_MESSAGES" TO error;',
        "RESET ALL;",
        "RESET client_min_messages;",
        "DEALLOCATE ALL;",
        "PREPARE mine AS SELECT 1; DEALLOCATE mine;",
        "DISCARD PLANS;",
        "DISCARD TEMP;",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;",
        "SET LOCAL lock_timeout = 500; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;",
        "SET transaction_isolation = 'serializable';",
        "SET SESSION AUTHORIZATION DEFAULT;",
        "SET extra_float_digits = 0; SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601';",
        "SET standard_conforming_strings = off; SET bytea_output = 'escape';",
        "SET plan_cache_mode = force_custom_plan;",
        "SET CONSTRAINTS ALL DEFERRED;",
        "DO $$ BEGIN PERFORM set_config('client_min_messages', 'error', true); END $$; RESET client_min_messages;",
        EVIL + "SET search_path = evil, pg_catalog, app;",
        "DECLARE c CURSOR FOR SELECT 1; FETCH ALL FROM c; CLOSE c;",
        "DO $$ BEGIN BEGIN LOCK TABLE app.hot; RAISE 'no'; EXCEPTION WHEN others THEN NULL; END; END $$;",
        "",
    ],
)
def test_trace_survives(zoo: Zoo, before: str) -> None:
    """Whatever the file set before it, a statement's locks, effect and time are found."""
    trace = zoo.last(before + ADD)

    assert (trace.effect, trace.scanned, strongest(trace)) == ("scan", ("app.hot",), {"app.hot": "ACCESS EXCLUSIVE"})
    assert trace.duration_us is not None
    assert 0 < trace.duration_us < 60_000_000


def test_another_role(zoo: Zoo) -> None:
    """A role that may do next to nothing can still be asked."""
    import psycopg

    with psycopg.connect(zoo.admin_dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE trace_nobody")
        try:
            conn.execute(f'GRANT trace_nobody TO "{zoo.conn.info.user}"'.encode())
            trace = zoo.would_do("SET ROLE trace_nobody; SELECT 1; RESET ROLE; " + ADD)
        finally:
            conn.execute("DROP ROLE trace_nobody")

    assert [statement.effect for statement in trace.statements] == ["catalog", "catalog", "catalog", "scan"]


def test_questions_that_may_not_be_asked(zoo: Zoo) -> None:
    """Where the server refuses a question the caller can tell it from a statement of the file."""
    import psycopg

    with psycopg.connect(zoo.admin_dsn, autocommit=True) as conn:
        conn.execute("REVOKE EXECUTE ON FUNCTION pg_lock_status() FROM PUBLIC")
        try:
            file = MigrationFile.of_text("0001_test.sql", "SELECT 1; SELECT 2;")
            woven = zoo.tracer.weave(file)
            execute_batch(zoo.conn, b"BEGIN")
            with pytest.raises(BatchError) as caught:
                execute_batch(zoo.conn, woven.text)
        finally:
            execute_batch(zoo.conn, b"ROLLBACK")
            conn.execute("GRANT EXECUTE ON FUNCTION pg_lock_status() TO PUBLIC")

    assert woven.is_probe(caught.value.index)
    assert woven.statement_of(caught.value.index) is None

    plain = zoo.tracer.weave(file, probes=False)
    zoo.tracer.begin(file)
    trace = zoo.tracer.read(execute_batch(zoo.conn, plain.text), plain)
    zoo.tracer.committed()
    assert plain.text == file.data
    assert (trace.complete, trace.statements) == (False, ())


def test_dropped_questions_are_put_in_full(zoo: Zoo) -> None:
    """After the session's prepared statements are gone the tracer goes on without them."""
    execute_batch(zoo.conn, b"DEALLOCATE ALL")
    zoo.tracer.forget_prepared()

    assert strongest(zoo.last(ADD)) == {"app.hot": "ACCESS EXCLUSIVE"}


def test_dropped_by_a_file_before(zoo: Zoo) -> None:
    """A file that drops them, and is rolled back, leaves the next one traced all the same."""
    zoo.would_do("SELECT 1; DEALLOCATE ALL; SELECT 2;")

    assert strongest(zoo.last(ADD)) == {"app.hot": "ACCESS EXCLUSIVE"}


@pytest.mark.parametrize("failing", [0, 1, 2, 3])
def test_failed_statement_is_told_by_its_answers(zoo: Zoo, failing: int) -> None:
    """The number of answers before the error is the statement, and the server's position leads back to the file."""
    parts = ["SELECT 1", "/* é — ü */ COMMENT ON TABLE app.hot IS 'x'", "SELECT 'straße' -- ☃\n", "SELECT 4"]
    parts[failing] = "SELECT 'ü', nowhere"
    text = "-- ☃\n" + ";\n".join(parts)
    file = MigrationFile.of_text("0001_test.sql", text)
    woven = zoo.tracer.weave(file)

    with pytest.raises(BatchError) as caught:
        execute_batch(zoo.conn, b"BEGIN;" + woven.text)
    execute_batch(zoo.conn, b"ROLLBACK")

    assert woven.statement_of(caught.value.index - 1) == failing
    position = int(caught.value.error.diag.statement_position or 0) - 1 - len("BEGIN;")
    assert text[woven.to_file_offset(position) :].startswith("nowhere")


def test_event_trigger_at_work(zoo: Zoo) -> None:
    """An event trigger may lock anything after any statement: then every statement is asked for its locks."""
    import psycopg

    from scripts.migrations.trace.tracer import Tracer

    with psycopg.connect(zoo.admin_dsn, autocommit=True) as conn:
        conn.execute(
            "CREATE FUNCTION app.sneak() RETURNS event_trigger LANGUAGE plpgsql"
            " AS 'BEGIN LOCK TABLE app.hot IN SHARE MODE; END'"
        )
        conn.execute("CREATE EVENT TRIGGER sneak ON ddl_command_end EXECUTE FUNCTION app.sneak()")
        tracer = Tracer(conn)
        try:
            file = MigrationFile.of_text("0001_test.sql", "COMMENT ON SCHEMA app IS 'x'; SELECT 1;")
            woven = tracer.weave(file)
            tracer.begin(file)
            trace = tracer.read(execute_batch(conn, b"BEGIN;" + woven.text)[1:], woven)
            execute_batch(conn, b"ROLLBACK")
        finally:
            tracer.close()
            conn.execute("DROP EVENT TRIGGER sneak")

    assert strongest(trace.statements[0]) == {"app.hot": "SHARE"}


def test_server_that_lets_nobody_ask(zoo: Zoo) -> None:
    """Where even the preparation is refused, files are sent as they are, and their records are not complete."""
    import psycopg

    from scripts.migrations.trace.tracer import Tracer

    with psycopg.connect(zoo.admin_dsn, autocommit=True) as conn:
        conn.execute("REVOKE EXECUTE ON FUNCTION pg_stat_force_next_flush() FROM PUBLIC")
        try:
            tracer = Tracer(zoo.conn)
            file = MigrationFile.of_text("0001_test.sql", "DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
            woven = tracer.weave(file)
            into = tracer.begin(file)
            trace = tracer.read(execute_batch(zoo.conn, woven.text, into=into), woven)
            tracer.committed()
            tracer.close()
        finally:
            conn.execute("GRANT EXECUTE ON FUNCTION pg_stat_force_next_flush() TO PUBLIC")

    assert woven.text == file.data
    assert (trace.complete, [notice.message for notice in trace.unplaced]) == (False, ["hello"])


def test_lost_connection_is_the_drivers_error(zoo: Zoo) -> None:
    """When the server goes away between files the caller meets the error it knows."""
    import psycopg

    from scripts.migrations.trace.tracer import Tracer

    with psycopg.connect(zoo.admin_dsn, autocommit=True) as conn, psycopg.connect(zoo.admin_dsn) as other:
        tracer = Tracer(conn)
        other.execute("SELECT pg_terminate_backend(%s)", (conn.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            tracer.refresh()
        tracer.close()
