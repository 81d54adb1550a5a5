"""Applying migrations: schema and ledger move together or not at all, and the error says where and why."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from scripts.errors.base import Interrupted
from scripts.errors.history import LedgerShapeError, OutOfOrderError, TamperedError, VanishedError
from scripts.errors.ledger import LedgerChainError
from scripts.errors.migration import ConnectionLostError, InvalidIndexError, LedgerAccessError, MigrationFailedError
from scripts.errors.sql_text import TransactionControlError
from scripts.migrations.apply import migrate
from scripts.migrations.ledger.table import LEDGER_SQL
from scripts.migrations.waiting.observer import Watching
from scripts.server.signals import ending_on_signals
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_database import MigrationFolder, ScratchDatabase

QUICK = Settings(lock_timeout_ms=100, lock_attempts=3, runner_lock_timeout_ms=300)


def ordinary(migrations: MigrationFolder, count: int) -> None:
    """Write 0001 … count, each with one table of its own."""
    for number in range(1, count + 1):
        migrations.write(f"{number:04d}_t.sql", f"CREATE TABLE public.t{number} (id int);\n")


def test_the_broken_file_of_twenty_leaves_no_trace(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """The 14th fails: 13 are recorded, the 14th neither ran nor is recorded, and the error points at it."""
    ordinary(migrations, 20)
    migrations.write("0014_t.sql", "-- é\nCREATE TABLE public.t14 (id int);\nINSERT INTO public.nix VALUES (1);\n")
    with pytest.raises(MigrationFailedError) as caught:
        empty_database.apply(migrations.files())

    assert str(caught.value) == (
        'error[migration failed]: 0014_t.sql:3:13: relation "public.nix" does not exist\n'
        "  source     INSERT INTO public.nix VALUES (1);\n"
        "                         ^\n"
        "  statement  0014_t.sql:3:1 INSERT INTO\n"
        "  SQLSTATE   42P01\n"
        "  recorded   13 of 20; 0014_t.sql left nothing behind\n"
        "  help: correct the file and run again"
    )
    assert caught.value.exit_code == 5
    assert caught.value.sqlstate == "42P01"
    assert [file.name for file in caught.value.applied.files] == [f"{n:04d}_t.sql" for n in range(1, 14)]
    assert empty_database.recorded() == [f"{n:04d}_t.sql" for n in range(1, 14)]
    assert empty_database.value("SELECT to_regclass('public.t14')") is None

    ordinary(migrations, 20)
    done = empty_database.apply(migrations.files())
    assert (len(done.files), done.before, done.recorded, done.total) == (7, 13, 20, 20)


def test_nothing_to_do_asks_for_the_ledger_once(
    empty_database: ScratchDatabase, migrations: MigrationFolder, tmp_path: Path
) -> None:
    """A second run applies nothing, parses nothing, and reads the ledger in one query."""
    ordinary(migrations, 3)
    empty_database.apply(migrations.files())
    files = migrations.files()
    conn = empty_database.connect()
    with (tmp_path / "sent").open("w+") as sent:
        conn.pgconn.trace(sent.fileno())
        done = migrate(conn, files, Settings(), report=lambda _: None)
        conn.pgconn.untrace()
    asked = (tmp_path / "sent").read_text()
    assert done.files == ()
    assert asked.count("JOIN public.schema_migrations_history") == 1
    assert asked.count("\tQuery\t") == 4  # settings and lock, ledger, sweep, both given back
    assert not any("statements" in file.__dict__ for file in files)


def test_percent_signs_are_percent_signs(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """No placeholder is looked for in a migration."""
    migrations.write("0001_a.sql", "CREATE TABLE public.t (a text DEFAULT '100% %s %(x)s');")
    empty_database.apply(migrations.files())
    default = "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'public.t'::regclass"
    assert empty_database.value(default) == "'100% %s %(x)s'::text"


def test_foreign_files_of_any_tables(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The engine knows no domain: other names, other schemas, unqualified names, functions, bodies with semicolons."""
    migrations.write("0000_start.sql", 'CREATE SCHEMA shop; CREATE TABLE shop."Böcker" ("nr;" serial PRIMARY KEY);')
    migrations.write(
        "0001_fn.sql",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;\n"
        "CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END; $$;\n",
    )
    done = empty_database.apply(migrations.files())
    assert [file.statements for file in done.files] == [2, 2]
    assert empty_database.value('SELECT count(*) FROM shop."Böcker"') == 0


@pytest.mark.parametrize(
    ("leak", "probe", "clean"),
    [
        ("SET search_path = pg_catalog", "SHOW search_path", '"$user", public'),
        ("SET lock_timeout = 0", "SHOW lock_timeout", "2s"),
        ("SET TimeZone = 'Africa/Lusaka'", "SHOW TimeZone", "UTC"),
        ("SELECT set_config('statement_timeout', '0', false)", "SHOW statement_timeout", "5min"),
        ("SET ROLE pg_monitor", "SELECT current_user::text", "symphony_owner"),
        ("SET check_function_bodies = off", "SHOW check_function_bodies", "on"),
        ("CREATE TEMP TABLE schema_migrations (x int)", "SELECT to_regclass('pg_temp.schema_migrations')::text", None),
        (
            "PREPARE p AS SELECT 1; DECLARE c CURSOR WITH HOLD FOR SELECT 1",
            "SELECT count(*)::text FROM pg_cursors",
            "0",
        ),
    ],
)
def test_a_file_cannot_leak_into_the_next(
    empty_database: ScratchDatabase, migrations: MigrationFolder, leak: str, probe: str, clean: str | None
) -> None:
    """Whatever the first file sets, the second finds the baseline, and both are recorded by the runner's own role."""
    migrations.write("0001_leak.sql", leak + ";")
    migrations.write(
        "0002_probe.sql",
        "CREATE TABLE public.seen (value text);\n"
        f"DO $do$ DECLARE v text; BEGIN EXECUTE $q${probe}$q$ INTO v; INSERT INTO public.seen VALUES (v); END $do$;",
    )
    with empty_database.connect_admin() as admin:
        admin.execute("GRANT pg_monitor TO symphony_owner")
        try:
            empty_database.apply(migrations.files())
        finally:  # roles are the server's: other tests would find it
            admin.execute("REVOKE pg_monitor FROM symphony_owner")
    assert empty_database.value("SELECT value FROM public.seen") == clean
    assert empty_database.recorded() == ["0001_leak.sql", "0002_probe.sql"]


def test_the_connection_comes_back_as_it_was(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The caller's timeouts are the connection's defaults again, its role is kept, the lock is free."""
    with empty_database.connect_admin() as admin:
        admin.execute("CREATE SCHEMA s AUTHORIZATION symphony_owner")
    migrations.write("0001_a.sql", "CREATE TABLE s.t (id int);")
    conn = empty_database.connect("symphony_owner")
    migrate(conn, migrations.files(), Settings(), report=lambda _: None)
    row = conn.execute("SELECT current_user::text, current_setting('lock_timeout')").fetchone()
    assert row == ("symphony_owner", "0")
    assert empty_database.value("SELECT relowner::regrole::text FROM pg_class WHERE relname = 't'") == "symphony_owner"
    assert empty_database.advisory_locks() == []


def test_row_data_stays_out_of_the_error(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """DETAIL and CONTEXT are dropped; a value that the message itself quotes is withheld, unless the file says it."""
    migrations.write("0001_a.sql", "CREATE TABLE public.card (pan text, n int CHECK (n > 0));")
    empty_database.apply(migrations.files())
    with empty_database.connect() as conn:
        conn.execute("INSERT INTO public.card VALUES ('4111111111111111', 5), ('4111111111111111', 6)")
    broken = {
        "CREATE UNIQUE INDEX card_pan ON public.card (pan);": "23505",
        "ALTER TABLE public.card ALTER pan TYPE uuid USING pan::uuid;": "22P02",
        "ALTER TABLE public.card ADD CHECK (n > 5);": "23514",
        "UPDATE public.card SET n = -n;": "23514",
        "DO $$ DECLARE x int; BEGIN SELECT pan::int INTO STRICT x FROM public.card LIMIT 1; END $$;": "22003",
    }
    for sql, sqlstate in broken.items():
        migrations.write("0002_b.sql", sql)
        with pytest.raises(MigrationFailedError) as caught:
            empty_database.apply(migrations.files())
        assert caught.value.sqlstate == sqlstate
        assert "4111111111111111" not in str(caught.value)
        assert caught.value.__cause__ is None
    migrations.write("0002_b.sql", "SELECT 'abc'::uuid;")
    with pytest.raises(MigrationFailedError, match='uuid: "abc"'):
        empty_database.apply(migrations.files())


def test_the_inner_line_of_a_do_block(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """An error inside DO names the line of the file; one inside a function names the function and its line."""
    migrations.write(
        "0001_a.sql",
        "SELECT 1;\n\nDO $$\nBEGIN\n  PERFORM 1;\n  RAISE EXCEPTION 'stop'\n    USING HINT = 'ask';\nEND $$;",
    )
    with pytest.raises(MigrationFailedError) as caught:
        empty_database.apply(migrations.files())
    facts = dict(caught.value.facts)
    assert caught.value.where == "0001_a.sql:3:1"
    assert facts["inside"] == "0001_a.sql:6 (line 4 of the DO block)"
    assert facts["hint"] == "ask"
    assert facts["SQLSTATE"] == "P0001"

    migrations.write(
        "0001_a.sql",
        "CREATE FUNCTION public.f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN 1/0;\nEND $$;\n"
        "SELECT public.f();",
    )
    with pytest.raises(MigrationFailedError) as caught:
        empty_database.apply(migrations.files())
    assert caught.value.where == "0001_a.sql:5:1"
    assert dict(caught.value.facts)["inside"] == "0001_a.sql:3 (function f(), line 3)"


def test_a_deferred_constraint_fails_its_own_file(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """What is only checked at COMMIT is still told as the file's failure, with the constraint's name."""
    migrations.write(
        "0001_a.sql",
        "CREATE TABLE public.p (id int PRIMARY KEY);\n"
        "CREATE TABLE public.c (id int CONSTRAINT c_fk REFERENCES public.p DEFERRABLE INITIALLY DEFERRED);\n"
        "INSERT INTO public.c VALUES (7);",
    )
    with pytest.raises(MigrationFailedError) as caught:
        empty_database.apply(migrations.files())
    assert caught.value.where == "0001_a.sql"
    assert dict(caught.value.facts)["constraint"] == "c_fk"
    assert empty_database.recorded() == []


def test_history_is_refused_before_anything_runs(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Tampered, vanished, out of order, and a bad pending file: each stops the run with nothing applied."""
    ordinary(migrations, 3)
    empty_database.apply(migrations.files())
    ordinary(migrations, 5)

    good = (migrations.folder / "0002_t.sql").read_text()
    migrations.write("0002_t.sql", good + " ")
    with pytest.raises(TamperedError, match=r"0002_t\.sql is not the file that was applied"):
        empty_database.apply(migrations.files())
    migrations.write("0002_t.sql", good)

    (migrations.folder / "0002_t.sql").rename(migrations.folder / "0002_u.sql")
    with pytest.raises(VanishedError, match=r"0002_t\.sql was applied, but is not in the folder"):
        empty_database.apply(migrations.files())
    (migrations.folder / "0002_u.sql").rename(migrations.folder / "0002_t.sql")

    with empty_database.connect() as conn:
        conn.execute("DELETE FROM public.schema_migrations WHERE version = '0002_t.sql'")
    with pytest.raises(LedgerChainError, match=r"the row of 0002_t\.sql was removed from the ledger"):
        empty_database.apply(migrations.files())
    with empty_database.connect() as conn:  # as a runner without history left it
        conn.execute("DROP TABLE public.schema_migrations_history, public.schema_migrations_journal")
    with pytest.raises(OutOfOrderError, match=r"0002_t\.sql comes too late"):
        empty_database.apply(migrations.files())
    assert empty_database.recorded() == ["0001_t.sql", "0003_t.sql"]


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE public.schema_migrations (version bigint PRIMARY KEY, dirty boolean)",
        "CREATE TABLE public.schema_migrations (version text, checksum text, applied_at timestamptz)",
        "CREATE TABLE public.schema_migrations (version text PRIMARY KEY, checksum text, applied_at timestamptz)",
        "CREATE VIEW public.schema_migrations AS SELECT 1 AS version",
    ],
)
def test_another_tools_table_is_not_taken_for_the_ledger(
    empty_database: ScratchDatabase, migrations: MigrationFolder, table: str
) -> None:
    """A table of that name with another shape is refused, shape against shape, and stays as it was."""
    ordinary(migrations, 1)
    with empty_database.connect() as conn:
        conn.execute(table.encode())
    with pytest.raises(LedgerShapeError) as caught:
        empty_database.apply(migrations.files())
    text = str(caught.value)
    assert "error[ledger]: public.schema_migrations is not this runner's ledger" in text
    assert "expected  version text not null, checksum text not null" in text
    assert caught.value.exit_code == 4
    assert empty_database.value("SELECT to_regclass('public.t1')") is None


def test_a_role_without_create_is_told_so(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """No CREATE on public: an error of its own; likewise when public is gone, or the ledger may not be read."""
    ordinary(migrations, 1)
    with empty_database.connect_admin() as admin:
        admin.execute("ALTER SCHEMA public OWNER TO postgres")
        with pytest.raises(LedgerAccessError, match=r"(?s)the ledger cannot be made.*grant the role CREATE"):
            empty_database.apply(migrations.files())
        admin.execute(LEDGER_SQL.read_bytes())
        with pytest.raises(LedgerAccessError, match=r"(?s)the ledger may not be read.*role that made it"):
            empty_database.apply(migrations.files())
        admin.execute("DROP SCHEMA public CASCADE")
    with pytest.raises(LedgerAccessError, match="there is no schema public"):
        empty_database.apply(migrations.files())


def test_the_ledger_is_closed_to_public(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The table has the contract's shape, and PUBLIC may do nothing with it."""
    ordinary(migrations, 1)
    empty_database.apply(migrations.files())
    assert empty_database.value("SELECT has_table_privilege('public', 'public.schema_migrations', 'SELECT')") is False
    assert empty_database.value("SELECT checksum FROM public.schema_migrations") == migrations.files()[0].checksum


def test_a_lost_connection_says_what_is_recorded(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The backend dies in the second file: exit 3, one recorded, the password nowhere in the text."""
    ordinary(migrations, 1)
    migrations.write("0002_end.sql", "SELECT pg_terminate_backend(pg_backend_pid());")
    with pytest.raises(ConnectionLostError) as caught:
        empty_database.apply(migrations.files())
    assert str(caught.value) == (
        "error[connection lost]: 0002_end.sql: the connection to the server is lost\n"
        "  recorded      1 of 2\n"
        "  0002_end.sql  not recorded by this run\n"
        "  SQLSTATE      57P01\n"
        "  help: run again when the server answers: the ledger decides what is left to do"
    )
    assert caught.value.exit_code == 3
    assert caught.value.applied.recorded == 1
    password = psycopg.conninfo.conninfo_to_dict(empty_database.dsn)["password"]
    assert str(password) not in str(caught.value) + repr(caught.value)


def test_interrupted_in_the_middle(
    empty_database: ScratchDatabase, migrations: MigrationFolder, background: Callable[..., Any]
) -> None:
    """Ctrl-C while a statement runs: the file is rolled back, the interrupt goes on, the next run completes."""
    import _thread
    import time

    ordinary(migrations, 1)
    migrations.write("0002_slow.sql", "CREATE TABLE public.slow (id int); SELECT pg_sleep(30);")

    def interrupt() -> None:
        while not empty_database.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
            time.sleep(0.02)
        _thread.interrupt_main()

    helper = background(interrupt)
    with pytest.raises(KeyboardInterrupt):
        empty_database.apply(migrations.files())
    helper.join()
    assert empty_database.recorded() == ["0001_t.sql"]
    assert empty_database.value("SELECT to_regclass('public.slow')") is None
    migrations.write("0002_slow.sql", "CREATE TABLE public.slow (id int);")
    assert len(empty_database.apply(migrations.files()).files) == 1


def test_an_invalid_index_anywhere_ends_the_run_red(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """In any schema; but not the parent index of a partitioned table, which is meant to be invalid."""
    migrations.write(
        "0001_a.sql",
        "CREATE SCHEMA other; CREATE TABLE other.t (a int); INSERT INTO other.t VALUES (1), (1);\n"
        "CREATE TABLE public.p (a int) PARTITION BY RANGE (a); CREATE TABLE public.p1 PARTITION OF public.p DEFAULT;\n"
        "CREATE INDEX p_a ON ONLY public.p (a);",
    )
    empty_database.apply(migrations.files())
    with empty_database.connect() as conn, pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("CREATE UNIQUE INDEX CONCURRENTLY t_a ON other.t (a)")
    with pytest.raises(InvalidIndexError) as caught:
        empty_database.apply(migrations.files())
    assert "one index is not valid" in str(caught.value)
    assert "found  other.t_a on other.t" in str(caught.value)
    assert caught.value.exit_code == 5


def test_an_interruption_cancels_the_statement_and_keeps_the_connection(
    empty_database: ScratchDatabase, migrations: MigrationFolder, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGTERM in a long statement: the server is asked to end it, and the driver has nothing to say about it."""
    migrations.write("0001_slow.sql", "SELECT pg_sleep(25);")
    conn, watch = empty_database.connect(), empty_database.connect()

    def interrupt_the_sleep() -> None:
        asleep = "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
        deadline = time.monotonic() + 20
        while not watch.execute(asleep, [conn.info.backend_pid]).fetchall() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt_the_sleep).start()
    began = time.monotonic()
    with pytest.raises(Interrupted), ending_on_signals():
        migrate(conn, migrations.files(), Settings(), report=lambda _: None)
    assert time.monotonic() - began < 20
    assert [record.getMessage() for record in caplog.records] == []
    assert not conn.closed


def test_an_interruption_of_our_own_look_keeps_the_connection_too(
    empty_database: ScratchDatabase, migrations: MigrationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come while it is looked who is in the way: the driver then does not hear what became of the statement."""
    migrations.write("0001_slow.sql", "CREATE TABLE t (a int); SELECT pg_sleep(25);")
    conn = empty_database.connect()
    monkeypatch.setattr(Watching, "look", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    began = time.monotonic()
    with pytest.raises(Interrupted), ending_on_signals():
        migrate(conn, migrations.files(), Settings(), report=lambda _: None)
    assert time.monotonic() - began < 20
    assert not conn.closed
    assert conn.execute("SELECT to_regclass('public.t')").fetchone() == (None,)


def test_an_open_transaction_is_our_own_mistake(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """A connection that is not in autocommit is a fault of the caller, not of the data."""
    ordinary(migrations, 1)
    conn = empty_database.connect(autocommit=False)
    with pytest.raises(RuntimeError, match="autocommit"):
        migrate(conn, migrations.files(), QUICK, report=lambda _: None)


HELPS = {
    "57014": ("SELECT pg_sleep(5);", "STATEMENT_TIMEOUT_MS"),
    "42501": ("SELECT * FROM pg_authid;", "run as a role that may do this"),
    "25001": ("REINDEX TABLE public.p;", "put the statement into a file marked `-- symphony:no_tx`"),
}


@pytest.mark.parametrize("sqlstate", HELPS)
def test_the_help_fits_the_cause(empty_database: ScratchDatabase, migrations: MigrationFolder, sqlstate: str) -> None:
    """Out of time, not allowed, or only refused in a transaction because the table is partitioned."""
    sql, words = HELPS[sqlstate]
    migrations.write("0001_p.sql", "CREATE TABLE public.p (a int) PARTITION BY LIST (a); CREATE INDEX ON public.p (a);")
    empty_database.apply(migrations.files())
    migrations.write("0002_x.sql", sql)
    with pytest.raises(MigrationFailedError) as caught:
        empty_database.apply(migrations.files(), Settings(statement_timeout_ms=500))
    assert caught.value.sqlstate == sqlstate
    assert words in caught.value.help


def test_the_runners_own_statements_may_fail(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Outside any file: the server's message and SQLSTATE, exit 5, no traceback of the driver."""
    ordinary(migrations, 1)
    conn = empty_database.connect()
    conn.execute("SET default_transaction_read_only = on")
    empty_database.apply(migrations.files())
    with empty_database.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE public.schema_migrations IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(MigrationFailedError) as caught:
            migrate(conn, migrations.files(), QUICK, report=lambda _: None)
    assert str(caught.value).startswith("error[migration failed]: the runner's own statements: canceling statement")
    assert caught.value.exit_code == 5


def test_a_refused_file_leaves_no_ledger(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Files are checked while the server makes the ledger: what is refused then takes the ledger with it."""
    ordinary(migrations, 1)
    migrations.write("0002_end.sql", "SELECT 1;\nCOMMIT;")
    with empty_database.connect() as conn:
        with pytest.raises(TransactionControlError, match=r"0002_end\.sql:2:1: COMMIT"):
            migrate(conn, migrations.files(), Settings(), report=lambda _: None)
        assert conn.execute("SELECT to_regclass('public.schema_migrations')").fetchone() == (None,)
        migrations.write("0002_end.sql", "SELECT 1;")
        migrate(conn, migrations.files(), Settings(), report=lambda _: None)
    assert empty_database.recorded() == ["0001_t.sql", "0002_end.sql"]
