"""The session of a run: a recorded baseline, no leak from one file to the next, and the role the files run as."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

from scripts.errors.migration import LedgerAccessError, MigrationFailedError
from scripts.errors.session import MigrateRoleError, SessionSettingError
from scripts.errors.sql_text import MarkerError
from scripts.migrations.apply import migrate
from scripts.migrations.batch import execute_batch
from scripts.migrations.session.baseline import open_session
from scripts.migrations.session.lock import RUNNER_LOCK_KEY
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_database import Databases, MigrationFolder, ScratchDatabase

OWNER = "symphony_owner"
SETTINGS = Settings(migrate_trace=False)
PROBE = (
    "CREATE TABLE public.seen (value text);\n"
    "DO $do$ DECLARE v text; BEGIN EXECUTE $q${}$q$ INTO v; INSERT INTO public.seen VALUES (v); END $do$;"
)


@pytest.mark.parametrize(
    ("leak", "probe", "clean"),
    [
        ("SELECT set_config('search_path', '', false)", "SHOW search_path", '"$user", public'),
        ("SET transform_null_equals = on", "SELECT (NULL = NULL) IS NULL", "true"),
        ("SET client_min_messages = error", "SHOW client_min_messages", "notice"),
        ("SET default_transaction_read_only = on", "SHOW transaction_read_only", "off"),
        ("SET default_transaction_deferrable = on", "SHOW default_transaction_deferrable", "off"),
        ("SET transaction_timeout = '1h'", "SHOW transaction_timeout", "0"),
        ("SET idle_in_transaction_session_timeout = '1s'", "SHOW idle_in_transaction_session_timeout", "0"),
        ("SET idle_session_timeout = '1s'", "SHOW idle_session_timeout", "0"),
        ("SET synchronous_commit = remote_apply", "SHOW synchronous_commit", "off"),
        ("SET quote_all_identifiers = on", "SHOW quote_all_identifiers", "off"),
        ("SET LOCAL work_mem = '64kB'", "SELECT current_setting('work_mem') = '64kB'", "false"),
        ("SET app.login = 'mallory'", "SELECT current_setting('app.login', true)", ""),
        ("PREPARE p AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements WHERE name = 'p'", "0"),
        ("LISTEN gossip", "SELECT count(*) FROM pg_listening_channels()", "0"),
        ("SELECT pg_advisory_lock(7)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7", "0"),
        (
            (
                "SELECT pg_advisory_lock(-1), pg_advisory_lock(-1), pg_advisory_lock_shared(-1),"
                " pg_advisory_lock(-5, 6), pg_advisory_lock_shared(5, -6), pg_advisory_lock_shared(5, -6)"
            ),
            # The runner's own lock is two of them.
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
            "2",
        ),
        ("SELECT pg_advisory_xact_lock(8)", "SELECT count(*) FROM pg_locks WHERE objid = 8", "0"),
    ],
)
def test_a_file_cannot_leak_into_the_next(
    empty_database: ScratchDatabase, migrations: MigrationFolder, leak: str, probe: str, clean: str | None
) -> None:
    """Whatever the first file sets, the second finds the baseline."""
    migrations.write("0001_leak.sql", leak + ";")
    migrations.write("0002_probe.sql", PROBE.format(probe))
    empty_database.apply(migrations.files(), SETTINGS)
    assert empty_database.value("SELECT value FROM public.seen") == clean
    assert empty_database.recorded() == ["0001_leak.sql", "0002_probe.sql"]


def test_the_probes_of_the_leaks_can_fail(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Inside one file the same leaks are seen: the probes above are not blind."""
    migrations.write(
        "0001_leak.sql",
        "SET synchronous_commit = remote_apply; SELECT pg_advisory_lock(7); PREPARE p AS SELECT 1;\n"
        + PROBE.format(
            "SELECT concat_ws(' ', current_setting('synchronous_commit'),"
            " (SELECT count(*) FROM pg_prepared_statements WHERE name = 'p'),"
            " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()))"
        ),
    )
    empty_database.apply(migrations.files(), SETTINGS)
    assert empty_database.value("SELECT value FROM public.seen") == "remote_apply 1 3"


def test_currval_does_not_reach_the_next_file(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """A file that asks for another file's currval fails, as it would in a session of its own."""
    migrations.write("0001_s.sql", "CREATE SEQUENCE public.s; SELECT nextval('public.s');")
    migrations.write("0002_s.sql", "SELECT currval('public.s');")
    with pytest.raises(MigrationFailedError, match="currval") as caught:
        empty_database.apply(migrations.files(), SETTINGS)
    assert caught.value.sqlstate == "55000"


def test_session_authorization_does_not_reach_the_next_file(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """A superuser's file that became somebody else affects itself alone, and the row is written as the runner."""
    migrations.write("0001_a.sql", f"SET SESSION AUTHORIZATION {OWNER};")
    migrations.write("0002_a.sql", PROBE.format("SELECT session_user || ' ' || current_user"))
    conn = empty_database.connect_admin()
    login = conn.info.user
    migrate(conn, migrations.files(), SETTINGS, report=lambda _: None)
    assert empty_database.value("SELECT value FROM public.seen") == f"{login} {login}"
    # One that was somebody else when it was handed over stays so.
    conn.execute(f"SET SESSION AUTHORIZATION {OWNER}".encode())
    with open_session(conn, SETTINGS) as session:
        assert (session.baseline["session_user"], session.baseline["current_user"]) == (OWNER, OWNER)
    assert conn.execute("SELECT session_user::text").fetchone() == (OWNER,)


def test_an_open_cursor_and_a_temporary_table_end_with_their_file(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """The next file may use the same names."""
    text = "CREATE TEMP TABLE scratch (id int); PREPARE p AS SELECT 1; DECLARE c CURSOR WITH HOLD FOR SELECT 1;"
    migrations.write("0001_a.sql", text)
    migrations.write("0002_a.sql", text)
    assert len(empty_database.apply(migrations.files(), SETTINGS).files) == 2


def test_the_baseline_is_recorded(empty_database: ScratchDatabase) -> None:
    """Every fixed setting, and what the server decides: search_path, role, synchronous_commit, timeouts."""
    with empty_database.connect_admin() as admin:
        admin.execute(f"ALTER DATABASE {empty_database.name} SET DateStyle = 'German'".encode())
        admin.execute(f"ALTER DATABASE {empty_database.name} SET search_path = shop, public".encode())
    with empty_database.connect() as conn, open_session(conn, SETTINGS) as session:
        found = session.baseline
        for name, value in found.items():
            if name not in ("session_user", "current_user"):
                assert conn.execute("SELECT current_setting(%s)", (name,)).fetchone() == (value,)
    assert found["DateStyle"] == "ISO, MDY"
    assert found["TimeZone"] == "UTC"
    assert found["search_path"] == "shop, public"
    assert found["role"] == "none"
    assert found["session_user"] == OWNER
    assert found["synchronous_commit"] == "off"
    assert (found["lock_timeout"], found["statement_timeout"]) == ("2s", "5min")


def test_only_what_differs_is_set(empty_database: ScratchDatabase) -> None:
    """Each SET costs every file; a login that brings another value pays for it, and finds the baseline all the same."""
    with empty_database.connect() as conn, open_session(conn, SETTINGS) as session:
        assert b"TimeZone" not in session.ordinary
    with empty_database.connect_admin() as admin:
        admin.execute(f"ALTER DATABASE {empty_database.name} SET TimeZone = 'Asia/Tokyo'".encode())
    with empty_database.connect() as conn:
        assert conn.execute("SHOW TimeZone").fetchone() == ("Asia/Tokyo",)
        with open_session(conn, SETTINGS) as session:
            assert conn.execute("SHOW TimeZone").fetchone() == ("UTC",)
            conn.execute("SET TimeZone = 'Africa/Lusaka'")
            execute_batch(conn, session.ordinary)
            assert conn.execute("SHOW TimeZone").fetchone() == ("UTC",)
        assert conn.execute("SHOW TimeZone").fetchone() == ("Asia/Tokyo",)


def test_a_callers_own_set_is_no_baseline(empty_database: ScratchDatabase) -> None:
    """What the connection was SET to before it was handed over counts neither as the server's value nor afterwards."""
    with empty_database.connect() as conn:
        conn.execute("SET DateStyle = 'German'; SET search_path = pg_catalog")
        with open_session(conn, SETTINGS) as session:
            assert (session.baseline["DateStyle"], session.baseline["search_path"]) == ("ISO, MDY", '"$user", public')


def test_a_reload_in_mid_run_is_told(empty_database: ScratchDatabase) -> None:
    """The server's own configuration may move a setting between two files; nothing is said when it was not reloaded."""
    told: list[str] = []
    admin = empty_database.connect_admin()
    for reload in (False, True):
        with empty_database.connect() as conn, open_session(conn, SETTINGS, report=told.append):
            if reload:
                admin.execute("SELECT pg_reload_conf()")
                while not told_of_reload(conn):
                    pass
    assert told == [
        (
            "the server's configuration was reloaded while files ran: a setting may have changed between them;"
            " invoke drift compares what they made"
        )
    ]


def told_of_reload(conn: psycopg.Connection) -> bool:
    """Whether this backend has read the configuration within the last second."""
    row = conn.execute("SELECT pg_conf_load_time() > clock_timestamp() - interval '1 second'").fetchone()
    return row == (True,)


def test_the_runners_lock_is_never_let_go_of(empty_database: ScratchDatabase) -> None:
    """The way back to the baseline frees the file's advisory locks, not the runner's; the end of the run likewise."""
    ask = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    with empty_database.connect() as conn:
        conn.execute("SELECT pg_advisory_lock(%s)", (RUNNER_LOCK_KEY,))
        with open_session(conn, SETTINGS) as session:
            conn.execute("SELECT pg_advisory_lock(3), pg_advisory_lock(3)")
            assert conn.execute(ask).fetchone() == (2,)
            execute_batch(conn, session.after(b"SELECT PG_Advisory_Lock(3)"))
            assert conn.execute(ask).fetchone() == (1,)
            # A function that an earlier file made is called by one that does not say so.
            conn.execute("SELECT pg_advisory_lock(4)")
            execute_batch(conn, session.after(b"SELECT public.f()"))
            assert conn.execute(ask).fetchone() == (1,)
            conn.execute("SELECT pg_advisory_lock(5)")
        assert conn.execute(ask).fetchone() == (1,)
        assert conn.execute("SHOW client_min_messages").fetchone() == ("notice",)


def test_the_way_back_asks_no_operator_of_the_files(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """A file that puts its own `=` before the server's does not decide which locks are let go of."""
    migrations.write(
        "0001_evil.sql",
        "CREATE SCHEMA evil;\n"
        "CREATE FUNCTION evil.no(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT 1/0 = 1';\n"
        "CREATE FUNCTION evil.no(bigint, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT 1/0 = 1';\n"
        "CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.no);\n"
        "CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.no);\n"
        "SELECT pg_advisory_lock(9);\nSET search_path = evil, pg_catalog;",
    )
    migrations.write("0002_probe.sql", PROBE.format("SELECT count(*) FROM pg_locks WHERE objid = 9"))
    for trace in (False, True):
        empty_database.apply(migrations.files()[: 2 if trace else 1], Settings(migrate_trace=trace))
    assert empty_database.value("SELECT value FROM public.seen") == "0"


def test_the_drivers_own_prepared_statements_survive_as_far_as_the_caller_sees(
    empty_database: ScratchDatabase,
) -> None:
    """DEALLOCATE ALL takes psycopg's statements away; psycopg is told, and prepares them anew."""
    with empty_database.connect() as conn:
        for _ in range(2):
            for _ in range(7):
                assert conn.execute("SELECT %s::int", (1,)).fetchone() == (1,)
            with open_session(conn, SETTINGS):
                pass
        assert conn.execute("SELECT %s::int", (1,)).fetchone() == (1,)


@pytest.fixture
def roles(databases: Databases) -> Iterator[None]:
    """Roles of this module: one that may be MIGRATE_ROLE, and one for each reason to refuse."""
    names = {
        "hygiene_ddl": "NOLOGIN",
        "hygiene_super": "NOLOGIN SUPERUSER",
        "hygiene_bypass": "NOLOGIN BYPASSRLS",
        "hygiene_stranger": "NOLOGIN",
    }
    with databases.admin() as conn:
        for name, options in names.items():
            conn.execute(f"CREATE ROLE {name} {options}".encode())
        conn.execute(f"GRANT hygiene_ddl, hygiene_super, hygiene_bypass TO {OWNER} WITH SET TRUE".encode())
        yield
        for name in names:
            conn.execute(f"DROP ROLE {name}".encode())


@pytest.fixture
def role_database(roles: None, empty_database: ScratchDatabase) -> Iterator[ScratchDatabase]:
    """A database whose schema public belongs to hygiene_ddl."""
    with empty_database.connect_admin() as conn:
        conn.execute("ALTER SCHEMA public OWNER TO hygiene_ddl")
        yield empty_database
        conn.execute(f"REASSIGN OWNED BY hygiene_ddl TO {OWNER}".encode())


def test_the_files_run_as_migrate_role(role_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Tables and ledger are the role's; RESET ROLE and SET ROLE in a file affect that file alone."""
    settings = Settings(migrate_role="hygiene_ddl", migrate_trace=False)
    migrations.write("0001_a.sql", "CREATE TABLE public.a (id int); RESET ROLE;")
    migrations.write("0002_b.sql", "CREATE TABLE public.b (id int); SET ROLE NONE; SELECT current_user;")
    migrations.write("0003_c.sql", "CREATE TABLE public.c (id int);")
    told: list[str] = []
    for conn in (role_database.connect(), role_database.connect_admin()):
        before = conn.execute("SELECT current_user::text").fetchone()
        migrate(conn, migrations.files(), settings, report=told.append)
        assert conn.execute("SELECT current_user::text").fetchone() == before
    owners = role_database.value(
        "SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class"
        " WHERE relname IN ('a', 'b', 'c', 'schema_migrations')"
    )
    assert owners == "hygiene_ddl"
    assert not any("superuser" in line for line in told)


def test_a_login_with_no_rights_of_its_own(role_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """A membership WITH INHERIT FALSE is enough: the ledger is read, not only written, as MIGRATE_ROLE."""
    settings = Settings(migrate_role="hygiene_ddl", migrate_trace=False)
    with role_database.connect_admin() as admin:
        admin.execute(f"GRANT hygiene_ddl TO {OWNER} WITH INHERIT FALSE, SET TRUE".encode())
    migrations.write("0001_a.sql", "CREATE TABLE public.a (id int);")
    conn = role_database.connect()
    for before in (0, 1):
        assert migrate(conn, migrations.files(), settings, report=lambda _: None).before == before
    assert conn.execute("SELECT current_user::text").fetchone() == (OWNER,)
    assert role_database.value("SELECT tableowner FROM pg_tables WHERE tablename = 'a'") == "hygiene_ddl"


def test_the_role_that_lacks_a_right_is_named(role_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Not the login, but the role it became."""
    migrations.write("0001_a.sql", "SELECT 1;")
    with role_database.connect_admin() as admin:
        admin.execute("ALTER SCHEMA public OWNER TO pg_database_owner")
    with pytest.raises(LedgerAccessError) as caught:
        role_database.apply(migrations.files(), Settings(migrate_role="hygiene_ddl", migrate_trace=False))
    assert dict(caught.value.facts)["role"] == "hygiene_ddl"


def test_a_role_with_a_name_that_needs_quotes(
    databases: Databases, empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """Names are quoted, whatever they hold."""
    name = 'hygiene "x"; --'
    quoted = psycopg.sql.Identifier(name)
    with databases.admin() as admin:
        admin.execute(psycopg.sql.SQL("CREATE ROLE {}").format(quoted))
        admin.execute(psycopg.sql.SQL("GRANT {} TO symphony_owner WITH SET TRUE").format(quoted))
    with empty_database.connect_admin() as admin:
        admin.execute(psycopg.sql.SQL("ALTER SCHEMA public OWNER TO {}").format(quoted))
        migrations.write("0001_a.sql", "CREATE TABLE public.a (id int);")
        empty_database.apply(migrations.files(), Settings(migrate_role=name, migrate_trace=False))
        assert empty_database.value("SELECT tableowner FROM pg_tables WHERE tablename = 'a'") == name
        admin.execute(psycopg.sql.SQL("DROP OWNED BY {} CASCADE").format(quoted))
    with databases.admin() as admin:
        admin.execute(psycopg.sql.SQL("DROP ROLE {}").format(quoted))


@pytest.mark.parametrize(
    ("role", "text"),
    [
        (
            "hygiene_nobody",
            (
                "error[role]: MIGRATE_ROLE: the role does not exist\n"
                "  expected  a role that symphony_owner may become\n"
                "  found     no role hygiene_nobody\n"
                "  help: correct the name, or create the role: CREATE ROLE … NOLOGIN"
            ),
        ),
        (
            "hygiene_stranger",
            (
                "error[role]: MIGRATE_ROLE: symphony_owner may not become hygiene_stranger\n"
                "  expected  symphony_owner to be a member of hygiene_stranger, with SET\n"
                "  found     no such membership\n"
                "  help: as a superuser: GRANT hygiene_stranger TO symphony_owner WITH SET TRUE"
            ),
        ),
        (
            "hygiene_super",
            (
                "error[role]: MIGRATE_ROLE: hygiene_super is a superuser\n"
                "  expected  an owner that rights and row security hold for\n"
                "  found     SUPERUSER: neither is asked\n"
                "  help: name the role that owns the tables; leave MIGRATE_ROLE unset to run as the login itself"
            ),
        ),
        (
            "hygiene_bypass",
            (
                "error[role]: MIGRATE_ROLE: hygiene_bypass passes by row security\n"
                "  expected  an owner that FORCE ROW LEVEL SECURITY holds for\n"
                "  found     BYPASSRLS: a backfill that no policy lets through would seem to work\n"
                "  help: ALTER ROLE hygiene_bypass NOBYPASSRLS, or name another role"
            ),
        ),
    ],
)
def test_a_role_that_will_not_do_is_refused(
    role_database: ScratchDatabase, migrations: MigrationFolder, role: str, text: str
) -> None:
    """Missing, not ours, superuser, BYPASSRLS: exit 2 before anything runs, and the connection is left as it was."""
    migrations.write("0001_a.sql", "CREATE TABLE public.a (id int);")
    conn = role_database.connect()
    with pytest.raises(MigrateRoleError) as caught:
        migrate(conn, migrations.files(), Settings(migrate_role=role, migrate_trace=False), report=lambda _: None)
    assert str(caught.value) == text
    assert caught.value.exit_code == 2
    assert role_database.value("SELECT to_regclass('public.a')") is None
    assert role_database.value("SELECT to_regclass('public.schema_migrations')") is None
    assert conn.execute("SELECT current_user::text").fetchone() == (OWNER,)
    assert conn.prepare_threshold == 5


def test_a_superuser_is_told_what_that_hides(empty_database: ScratchDatabase) -> None:
    """One line when the files run as a superuser; nothing for an owner, nor for a superuser that became one."""
    told: list[str] = []
    admin = empty_database.connect_admin()
    with open_session(admin, SETTINGS, report=told.append) as session:
        assert session.notes == tuple(told)
    assert told == [
        (
            f"running as the superuser {admin.info.user}: a missing right or a row that FORCE ROW LEVEL SECURITY hides"
            " will not show; MIGRATE_ROLE runs the files as the tables' owner"
        )
    ]
    for conn in (empty_database.connect(), empty_database.connect(OWNER)):
        with open_session(conn, SETTINGS, report=told.append) as session:
            assert session.notes == ()
    assert len(told) == 1


def test_a_login_that_switches_triggers_off_is_refused(empty_database: ScratchDatabase, databases: Databases) -> None:
    """Foreign keys and triggers would not be asked. A superuser's login is switched on again instead."""
    with databases.admin() as conn:
        conn.execute(f"ALTER DATABASE {empty_database.name} SET session_replication_role = replica".encode())
    conn = empty_database.connect()
    with pytest.raises(SessionSettingError) as caught, open_session(conn, SETTINGS):
        pass
    assert str(caught.value) == (
        "error[session]: session_replication_role: triggers and foreign keys are switched off for this login\n"
        "  expected  origin\n"
        "  found     replica\n"
        "  role      symphony_owner\n"
        "  help: as a superuser: ALTER ROLE symphony_owner RESET session_replication_role; see ALTER DATABASE too"
    )
    assert caught.value.exit_code == 2
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    with open_session(empty_database.connect_admin(), SETTINGS) as session:
        assert session.baseline["session_replication_role"] == "origin"


@pytest.mark.parametrize(
    "leak",
    [
        "SET ROLE pg_monitor",
        "SET SESSION AUTHORIZATION pg_monitor",
        "SET default_transaction_read_only = on",
        "SET search_path = pg_temp",
        "RESET ALL",
        "DISCARD ALL",
    ],
)
def test_a_file_without_a_transaction_may_not_touch_the_session(
    empty_database: ScratchDatabase, migrations: MigrationFolder, leak: str
) -> None:
    """Between its statements the runner writes its journal: role and settings are the runner's own."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    migrations.write("0002_i.sql", f"-- symphony:no_tx\nCREATE INDEX CONCURRENTLY t_a ON public.t (a);\n{leak};")
    with pytest.raises(MarkerError, match=r"0002_i\.sql:3:1: [A-Z ]+ in a no_tx file"):
        empty_database.apply(migrations.files(), SETTINGS)
    assert empty_database.value("SELECT to_regclass('public.t')") is None


@pytest.mark.parametrize("trace", [False, True], ids=["plain", "traced"])
def test_a_budget_set_for_a_build_ends_with_its_file(
    empty_database: ScratchDatabase, migrations: MigrationFolder, *, trace: bool
) -> None:
    """What a build may set, its workers and its memory, is back at the baseline for the next file."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    migrations.write(
        "0002_i.sql",
        "-- symphony:no_tx\nSET max_parallel_maintenance_workers = 0;\nSET maintenance_work_mem = '3MB';\n"
        "CREATE INDEX CONCURRENTLY t_a ON public.t (a);",
    )
    ask = (
        "SELECT concat_ws(' ', current_setting('max_parallel_maintenance_workers'),"
        " current_setting('maintenance_work_mem') = '3MB')"
    )
    migrations.write("0003_probe.sql", PROBE.format(ask))
    empty_database.apply(migrations.files(), Settings(migrate_trace=trace))
    assert empty_database.value("SELECT value FROM public.seen") == "2 f"


@pytest.mark.parametrize("superuser", [False, True], ids=["owner", "superuser"])
def test_no_setting_of_the_server_leaks(empty_database: ScratchDatabase, *, superuser: bool) -> None:
    """Every setting that a session may change is changed, in a file's way, and is back afterwards."""
    conn = empty_database.connect_admin() if superuser else empty_database.connect()
    with open_session(conn, SETTINGS) as session:
        before = all_settings(conn)
        changed = 0
        for name, value in another_value(conn):
            with suppress(psycopg.DatabaseError):  # not ours to set, or not a value of it
                conn.execute("SELECT set_config(%s, %s, false)", (name, value))
                changed += 1
            assert not conn.closed, f"{name} = {value}"
        moved = {name for name, value in all_settings(conn).items() if before.get(name) != value}
        assert changed > 100
        assert len(moved) > 100
        execute_batch(conn, b"BEGIN; " + session.after(b"") + b"; COMMIT")
        assert all_settings(conn) == before


def all_settings(conn: psycopg.Connection) -> dict[str, str]:
    """Name and value of every setting."""
    return dict(conn.execute("SELECT name, setting FROM pg_settings ORDER BY name").fetchall())


def another_value(conn: psycopg.Connection) -> list[tuple[str, str]]:
    """For every setting that can be SET, a value that it does not have."""
    return [
        (name, value)
        for name, value in conn.execute(
            """
            SELECT name, CASE vartype
                           WHEN 'bool' THEN CASE setting WHEN 'on' THEN 'off' ELSE 'on' END
                           WHEN 'enum' THEN (SELECT v FROM unnest(enumvals) v WHERE v <> setting LIMIT 1)
                           WHEN 'string' THEN CASE name WHEN 'TimeZone' THEN 'Asia/Tokyo' WHEN 'DateStyle' THEN 'German'
                                                        WHEN 'client_encoding' THEN 'UTF8' ELSE setting || 'x' END
                           ELSE CASE WHEN setting::numeric + 1000 <= max_val::numeric
                                     THEN (setting::numeric + 1000)::text ELSE min_val END
                         END
              FROM pg_settings WHERE context IN ('user', 'superuser')
               AND name NOT IN ('role', 'session_authorization', 'log_min_messages', 'log_statement')
             ORDER BY name = 'exit_on_error'
            """
        ).fetchall()
        if value is not None
    ]


@pytest.mark.parametrize("trace", [False, True])
def test_nothing_that_the_runner_prepared_is_left(
    empty_database: ScratchDatabase, migrations: MigrationFolder, *, trace: bool
) -> None:
    """Row, record, journal, proof and the tracer's questions: the connection is handed back without any of them."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    migrations.write("0002_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY t_a ON public.t (a);")
    conn = empty_database.connect()
    for _ in range(2):
        migrate(conn, migrations.files(), Settings(migrate_trace=trace), report=lambda _: None)
        assert conn.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        migrations.write("0003_u.sql", "CREATE TABLE public.u (a int);")
