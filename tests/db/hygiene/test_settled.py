"""No verb hangs on what the server, the database or the login set, nor runs what somebody planted in a search_path."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from make_voices import Heard
from psycopg import sql
from psycopg.conninfo import make_conninfo

from scripts.errors.session import SessionSettingError
from scripts.migrations.apply import migrate
from scripts.migrations.ledger.table import LEDGER, read_ledger
from scripts.migrations.session.baseline import open_session
from scripts.run.commands import COMMANDS
from scripts.server import readiness
from scripts.server.facts import read_facts
from scripts.server.readiness import EVEN, connect, settle
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fix_database import MigrationFolder, ScratchDatabase

STRANGE = {
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "client_encoding": "latin1",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "statement_timeout": "20ms",
    "transaction_timeout": "20ms",
    "idle_session_timeout": "20ms",
    "idle_in_transaction_session_timeout": "20ms",
    "lock_timeout": "20ms",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "default_transaction_read_only": "on",
}
VERBS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {}),
    ("plan", {"trace": True}),
    ("migrate", {}),
    ("drift", {}),
    ("ledger.verify", {}),
)
LOGINS = pytest.mark.parametrize("superuser", [False, True], ids=["owner", "superuser"])
# Better matches for the arguments of the runner's own questions than the server's functions are.
PLANTED = """
CREATE TABLE public.pwned (what text);
GRANT ALL ON public.pwned TO public;
CREATE FUNCTION public.format(text, name, text, text) RETURNS text LANGUAGE plpgsql AS
  $f$BEGIN INSERT INTO public.pwned VALUES ('format'); RETURN pg_catalog.concat($2, ' ', $3, $4); END$f$;
CREATE FUNCTION public.string_agg_step(text, name, text) RETURNS text LANGUAGE plpgsql AS
  $f$BEGIN INSERT INTO public.pwned VALUES ('string_agg'); RETURN pg_catalog.concat_ws($3, $1, $2); END$f$;
CREATE AGGREGATE public.string_agg(name, text) (SFUNC = public.string_agg_step, STYPE = text);
"""
EVIL = """
CREATE SCHEMA evil;
CREATE TABLE evil.pwned (what text);
GRANT ALL ON SCHEMA evil TO public;
GRANT ALL ON evil.pwned TO public;
CREATE FUNCTION evil.same(a name, b name) RETURNS boolean LANGUAGE plpgsql AS
  $f$BEGIN INSERT INTO evil.pwned VALUES ('name'); RETURN a OPERATOR(pg_catalog.=) b; END$f$;
CREATE OPERATOR evil.= (FUNCTION = evil.same, LEFTARG = name, RIGHTARG = name);
CREATE FUNCTION evil.same(a text, b text) RETURNS boolean LANGUAGE plpgsql AS
  $f$BEGIN INSERT INTO evil.pwned VALUES ('text'); RETURN a OPERATOR(pg_catalog.=) b; END$f$;
CREATE OPERATOR evil.= (FUNCTION = evil.same, LEFTARG = text, RIGHTARG = text);
"""


def configure(database: ScratchDatabase, settings: dict[str, str]) -> None:
    """ALTER DATABASE … SET each of them, for every session to come."""
    # Another database's session: ours would be bound by the settings it has just made.
    with psycopg.connect(make_conninfo(database.admin_dsn, dbname="postgres"), autocommit=True) as conn:
        for name, value in settings.items():
            conn.execute(f"ALTER DATABASE {database.name} SET {name} = {value}".encode())


def literal(settings: dict[str, str]) -> dict[str, str]:
    """The values in quotes."""
    return {name: f"'{value}'" for name, value in settings.items()}


def reach(database: ScratchDatabase, folder: MigrationFolder, *, superuser: bool) -> Settings:
    """Settings of a run on the database, as its owner or as a superuser."""
    url = database.url
    if superuser:
        url = database.admin_dsn
    return Settings(fresh_db=False, server="external", database_url=url, migrations_dir=folder.folder)


def run_verbs(settings: Settings, verbs: Sequence[tuple[str, dict[str, Any]]] = VERBS) -> dict[str, str]:
    """What each verb says; every one of them passes."""
    said: dict[str, str] = {}
    for verb, arguments in verbs:
        heard = Heard()
        assert COMMANDS[verb](settings, heard.voice(json=verb == "status"), **arguments) == 0, verb
        said[verb] = heard.text
    return said


@LOGINS
@pytest.mark.parametrize("encoding", ["latin1", "SQL_ASCII"])
def test_no_verb_hangs_on_the_logins_settings(
    empty_database: ScratchDatabase, migrations: MigrationFolder, encoding: str, *, superuser: bool
) -> None:
    """Every verb passes, and tells the same times, whatever the database sets for how values and patience are."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int, b text);\nCOMMENT ON TABLE public.t IS 'grün — ü';")
    settings = reach(empty_database, migrations, superuser=superuser)
    run_verbs(settings, [("migrate", {})])
    before = run_verbs(settings)["status"]
    migrations.write("0002_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY t_a ON public.t (a);")
    migrations.write("0003_u.sql", "CREATE TABLE public.u (at timestamptz DEFAULT '2001-02-03', f float8 DEFAULT 0.1);")
    migrations.write("0004_s.sql", "SELECT pg_sleep(0.05);")
    configure(empty_database, literal(STRANGE | {"client_encoding": encoding}))
    said = run_verbs(settings)
    assert json.loads(said["status"])["applied"] == json.loads(before)["applied"]
    assert "4 files = 1 applied before + 3 applied now" in said["migrate"]
    assert said["ledger.verify"].startswith("4 rows, 4 records, 4 traces: one chain")


@LOGINS
def test_a_connection_from_anywhere_is_settled_for_the_run(
    empty_database: ScratchDatabase, migrations: MigrationFolder, *, superuser: bool
) -> None:
    """migrate() needs no connection of ours, and hands back what it was given: the login's settings, or one's own."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);\nSELECT pg_sleep(0.05);")
    strange = STRANGE | {"client_encoding": "SQL_ASCII", "idle_session_timeout": "5min"}
    configure(empty_database, literal(strange))
    conn = empty_database.connect_admin() if superuser else empty_database.connect()
    conn.execute("SET IntervalStyle = 'iso_8601'")
    before = shown(conn)
    assert len(migrate(conn, migrations.files(), Settings(), report=lambda _: None).files) == 1
    assert migrate(conn, migrations.files(), Settings(), report=lambda _: None).files == ()
    assert shown(conn) == before
    assert before["IntervalStyle"] == b"iso_8601"
    assert before["client_encoding"] == b"SQL_ASCII"


def shown(conn: psycopg.Connection[Any]) -> dict[str, bytes]:
    """Every settled setting as the session has it now."""
    found = {}
    for name in EVEN:
        result = conn.execute(f"SHOW {name}".encode()).pgresult
        assert result is not None
        found[name] = result.get_value(0, 0) or b""
    return found


@LOGINS
def test_a_connection_of_ours_is_settled(empty_database: ScratchDatabase, *, superuser: bool) -> None:
    """Every setting of EVEN, before and after a session that runs files; the login is seen to bring others."""
    configure(empty_database, literal(STRANGE))
    dsn = empty_database.admin_dsn if superuser else empty_database.dsn
    wanted = {name: value.encode() for name, value in EVEN.items()}
    with psycopg.connect(dsn, autocommit=True) as plain:
        assert all(shown(plain)[name] != value for name, value in wanted.items())
    with connect(dsn) as conn:
        assert shown(conn) == wanted
        with open_session(conn, Settings()):
            pass
        assert shown(conn) == wanted
    with connect(make_conninfo(dsn, options="-c default_transaction_read_only=on -c lock_timeout=7")) as conn:
        asked = {"default_transaction_read_only": b"on", "lock_timeout": b"7ms"}
        assert shown(conn) == wanted | asked


def test_a_session_of_ours_looks_whether_we_live(
    empty_database: ScratchDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the server and the login say; but not where the DSN says it, or where the server cannot."""
    shown = "SHOW client_connection_check_interval"
    stored = empty_database.dsn
    with connect(stored) as conn:
        statement = "ALTER ROLE CURRENT_USER IN DATABASE {} SET client_connection_check_interval = 0"
        conn.execute(sql.SQL(statement).format(sql.Identifier(conn.info.dbname)))
    with psycopg.connect(stored) as plain:
        assert plain.execute(shown).fetchone() == ("0",)
    with connect(stored) as conn:
        assert conn.execute(shown).fetchone() == ("500ms",)
    with connect(make_conninfo(stored, options="-c client_connection_check_interval=20ms")) as conn:
        assert conn.execute(shown).fetchone() == ("20ms",)
    # The words of a system that cannot see it are those for a value that is none.
    monkeypatch.setattr(readiness, "_CHECK", "-c client_connection_check_interval=never")
    with connect(make_conninfo(stored, options="-c work_mem=7MB")) as conn:
        assert conn.execute(shown).fetchone() == ("0",)
        assert conn.execute("SHOW work_mem").fetchone() == ("7MB",)


def test_nothing_is_set_where_nothing_differs(empty_database: ScratchDatabase) -> None:
    """Of a plain login only the search_path is replaced."""
    configure(empty_database, {"TimeZone": "UTC"})
    with connect(empty_database.dsn) as conn:
        tracked = [name for (name,) in conn.execute("SELECT name FROM pg_settings WHERE source = 'session'")]
        assert tracked == ["search_path"]
        assert settle(conn) == EVEN


def test_the_facts_tell_what_the_login_brings(empty_database: ScratchDatabase) -> None:
    """A deviation of the database is evidence, although our own connection does not have it."""
    configure(empty_database, {"extra_float_digits": "-15", "TimeZone": "'Asia/Kathmandu'"})
    with connect(empty_database.dsn) as conn:
        facts = read_facts(conn)
        assert conn.execute("SHOW extra_float_digits").fetchone() == ("1",)
    assert facts["setting.extra_float_digits"] == "-15"
    assert facts["setting.timezone"] == "Asia/Kathmandu"


def test_the_ledgers_times_are_read_as_text(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Times of an old ledger: with microseconds, beyond what Python knows, and infinite."""
    with empty_database.connect() as conn:
        conn.execute(
            f"CREATE TABLE {LEDGER} (version text PRIMARY KEY, checksum text NOT NULL,".encode() + b""
            b" applied_at timestamptz NOT NULL)"
        )
        conn.execute(
            f"INSERT INTO {LEDGER} VALUES ('0001_a.sql', 'x', '2024-02-29 23:59:59.000001+02'),"
            " ('0002_b.sql', 'x', 'infinity'), ('0003_c.sql', 'x', '20000-01-01 00:00+00')".encode()
        )
        conn.execute("SET DateStyle = 'German'; SET TimeZone = 'Africa/Monrovia'")
        times = {row.version: row.applied_at for row in read_ledger(conn).rows}
    assert times == {
        "0001_a.sql": datetime(2024, 2, 29, 21, 59, 59, 1, tzinfo=UTC),
        "0002_b.sql": None,
        "0003_c.sql": None,
    }


@LOGINS
def test_what_is_planted_in_public_is_never_called(
    empty_database: ScratchDatabase, migrations: MigrationFolder, *, superuser: bool
) -> None:
    """A better match in public stays uncalled, also where the ledger's shape is asked for."""
    migrations.write("0001_t.sql", "CREATE TABLE public.c (a int);")
    settings = reach(empty_database, migrations, superuser=superuser)
    run_verbs(settings, [("migrate", {})])
    with empty_database.connect_admin() as conn:
        conn.execute(PLANTED.encode())
        # The trap can snap: unqualified, it is called.
        conn.execute("SELECT format('%s%s%s', attname, 'a'::text, 'b'::text) FROM pg_attribute LIMIT 1")
        assert conn.execute("DELETE FROM public.pwned").rowcount == 1
        # As an older runner left it, so that its shape is asked for.
        conn.execute("DROP TABLE public.schema_migrations_history, public.schema_migrations_journal")
    migrations.write("0002_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY c_a ON public.c (a);")
    run_verbs(settings, [("status", {}), ("migrate", {}), ("ledger.verify", {})])
    assert empty_database.value("SELECT string_agg(what, ' ') FROM public.pwned") is None


@LOGINS
@pytest.mark.parametrize(
    "path",
    ["evil, public, pg_catalog", "pg_temp, pg_catalog", '"$user", PG_Catalog', '"a""b,pg_catalog", "pg_catalog"'],
)
def test_a_schema_before_pg_catalog_is_refused(
    empty_database: ScratchDatabase, migrations: MigrationFolder, path: str, *, superuser: bool
) -> None:
    """Every verb exits 2 before an operator is asked, as owner and as superuser; migrate() on any connection too."""
    migrations.write("0001_t.sql", "CREATE TABLE public.c (a int);")
    settings = reach(empty_database, migrations, superuser=superuser)
    run_verbs(settings, [("migrate", {})])
    with empty_database.connect_admin() as conn:
        conn.execute(EVIL.encode())
    configure(empty_database, {"search_path": path})
    with psycopg.connect(empty_database.dsn) as plain:
        (found,) = plain.execute("SHOW search_path").fetchone() or ("",)
    for verb, arguments in VERBS:
        with pytest.raises(SessionSettingError) as caught:
            COMMANDS[verb](settings, Heard().voice(), **arguments)
        assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "error[session]: search_path: another schema comes before pg_catalog: what it holds would stand in for the"
        " server's own operators\n"
        "  expected  pg_catalog not named, or named first\n"
        f"  found     {found}\n"
        "  help: take pg_catalog out of the search_path of the login and the database (ALTER ROLE, ALTER DATABASE)"
    )
    conn = empty_database.connect_admin() if superuser else empty_database.connect()
    with pytest.raises(SessionSettingError, match="comes before pg_catalog"):
        migrate(conn, migrations.files(), settings, report=lambda _: None)
    # A caller's own SET does not hide what the login brings, which comes back before every file.
    conn.execute("SET search_path = public")
    with pytest.raises(SessionSettingError, match="comes before pg_catalog"), open_session(conn, settings):
        pytest.fail("opened")
    conn.execute("SET search_path = pg_catalog")
    assert conn.execute("SELECT pg_catalog.count(*) FROM evil.pwned").fetchone() == (0,)


@pytest.mark.parametrize("path", ["''", "public", "pg_catalog", "pg_catalog, evil, pg_catalog", "'public, pg_catalog'"])
def test_a_harmless_search_path_is_taken(empty_database: ScratchDatabase, path: str) -> None:
    """Unnamed or first; a schema whose name merely holds the word is another one."""
    configure(empty_database, {"search_path": path})
    with connect(empty_database.dsn) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
