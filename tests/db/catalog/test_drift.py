"""`invoke drift` on real databases: nothing planted is missed, nothing undone is told, nothing is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scripts.catalog.read import read_catalog
from scripts.errors.base import ExitCode
from scripts.errors.drift import NoGoldenCatalogError, ReadingError
from scripts.gates import BASELINE
from scripts.run import original
from scripts.run.drift import drift, expected_catalog
from scripts.run.original import open_read_only, read_original
from scripts.run.rehearsal import rehearsal_settings
from scripts.server.provision import OWNER
from scripts.settings import Settings
from scripts.verifiers.twin.names import COMMENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigratedDatabase, MigrationFolder, ScratchDatabase
    from make_voices import Heard
    from psycopg import Connection

    from scripts.catalog.read import Catalog
    from scripts.result import Result

    Existing = Callable[..., Settings]

# What somebody does by hand, how it is undone, and the line that must tell it.
PLANTED = {
    "ALTER TABLE public.tenants ADD COLUMN planted text": (
        "ALTER TABLE public.tenants DROP COLUMN planted",
        "+ column public.tenants.planted",
    ),
    "ALTER TABLE public.tenants ALTER tenant_name DROP NOT NULL": (
        "ALTER TABLE public.tenants ALTER tenant_name SET NOT NULL",
        "~ column public.tenants.tenant_name",
    ),
    "ALTER TABLE public.tenants ALTER status SET DEFAULT 'SUSPENDED'": (
        "ALTER TABLE public.tenants ALTER status SET DEFAULT 'ACTIVE'",
        "~ column public.tenants.status",
    ),
    "ALTER TABLE public.tenants ALTER tenant_name SET STORAGE external": (
        "ALTER TABLE public.tenants ALTER tenant_name SET STORAGE extended",
        "~ column public.tenants.tenant_name",
    ),
    "ALTER TABLE public.tenants SET (fillfactor = 70)": (
        "ALTER TABLE public.tenants RESET (fillfactor)",
        "~ table public.tenants",
    ),
    "ALTER TABLE public.tenants ENABLE ROW LEVEL SECURITY": (
        "ALTER TABLE public.tenants DISABLE ROW LEVEL SECURITY",
        "~ table public.tenants",
    ),
    "GRANT INSERT ON public.tenants TO PUBLIC": (
        "REVOKE INSERT ON public.tenants FROM PUBLIC",
        "~ table public.tenants",
    ),
    "GRANT UPDATE (status) ON public.tenants TO symphony_ingest": (
        "REVOKE UPDATE (status) ON public.tenants FROM symphony_ingest",
        "~ column public.tenants.status",
    ),
    "ALTER TABLE public.tenants REPLICA IDENTITY FULL": (
        "ALTER TABLE public.tenants REPLICA IDENTITY DEFAULT",
        "~ table public.tenants",
    ),
    "CREATE INDEX planted ON public.tenants (status)": ("DROP INDEX public.planted", "+ index public.planted"),
    "ALTER TABLE public.revoked_tokens DISABLE TRIGGER trg_deny_revoked_tokens_mutation": (
        "ALTER TABLE public.revoked_tokens ENABLE ALWAYS TRIGGER trg_deny_revoked_tokens_mutation",
        "~ trigger public.revoked_tokens.trg_deny_revoked_tokens_mutation",
    ),
    "CREATE FUNCTION public.planted() RETURNS int LANGUAGE sql AS 'SELECT 1'": (
        "DROP FUNCTION public.planted()",
        "+ function public.planted()",
    ),
    "CREATE VIEW public.planted AS SELECT 1 AS one": ("DROP VIEW public.planted", "+ view public.planted"),
    "CREATE SEQUENCE public.planted": ("DROP SEQUENCE public.planted", "+ sequence public.planted"),
    "CREATE TYPE public.planted AS ENUM ('a')": ("DROP TYPE public.planted", "+ enum public.planted"),
    "CREATE DOMAIN public.planted AS text": ("DROP DOMAIN public.planted", "+ domain public.planted"),
    "CREATE SCHEMA planted": ("DROP SCHEMA planted", "+ schema planted"),
    "CREATE POLICY planted ON public.tenants USING (true)": (
        "DROP POLICY planted ON public.tenants",
        "+ policy public.tenants.planted",
    ),
    "CREATE RULE planted AS ON DELETE TO public.tenants DO INSTEAD NOTHING": (
        "DROP RULE planted ON public.tenants",
        "+ rule public.tenants.planted",
    ),
    "CREATE STATISTICS public.planted ON tenant_name, status FROM public.tenants": (
        "DROP STATISTICS public.planted",
        "+ statistics public.planted",
    ),
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO symphony_readonly": (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT ON TABLES FROM symphony_readonly",
        "+ default privileges <owner> in public tables",
    ),
    "COMMENT ON SCHEMA public IS 'planted'": (
        "COMMENT ON SCHEMA public IS 'standard public schema'",
        "~ schema public",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_told_and_undone_is_well(
    database: ScratchDatabase, existing: Existing, heard: Heard, planted: str
) -> None:
    """Exit 1 and the object by name; after the undoing exit 0 and not a word (D-27)."""
    undo, line = PLANTED[planted]
    settings = existing(database)
    with database.connect_admin() as conn:
        conn.execute(f"SET ROLE {OWNER}".encode())
        conn.execute(planted.encode())
        assert drift(settings, heard.voice()) == ExitCode.FAILED
        assert line in heard.text.splitlines()
        conn.execute(undo.encode())
    heard.out.clear()
    assert drift(settings, heard.voice()) == ExitCode.PASSED
    assert heard.text.splitlines()[-1].startswith("no drift: ")
    assert heard.text.splitlines()[0].startswith("expected   schema/catalog.txt, 27 of 27 files recorded")


def test_no_place_hides_what_a_superuser_put_there(database: ScratchDatabase, existing: Existing, heard: Heard) -> None:
    """Neither where long values lie, nor a schema that is called like a verifier's, with its lock, and has a view."""
    twin = "parity_twin_deadbeefdeadbeef"
    with database.connect_admin() as conn:
        conn.execute(
            f"CREATE FUNCTION pg_toast.planted() RETURNS int LANGUAGE sql RETURN 1; CREATE SCHEMA {twin}".encode()
        )
        conn.execute(f"COMMENT ON SCHEMA {twin} IS '{COMMENT}'; CREATE TABLE {twin}.t (x int)".encode())
        conn.execute("SELECT pg_advisory_lock(x'deadbeefdeadbeef'::bigint)")
        drift(existing(database), heard.voice())
        own = heard.text.splitlines()
        heard.out.clear()
        conn.execute(f"CREATE VIEW {twin}.planted AS SELECT 1 AS one".encode())
        drift(existing(database), heard.voice())

    assert "+ function pg_toast.planted()" in own
    assert not any(twin in line for line in own)
    assert {f"+ schema {twin}", f"+ view {twin}.planted"} <= set(heard.text.splitlines())


def test_a_changed_body_is_told_line_by_line(database: ScratchDatabase, existing: Existing, heard: Heard) -> None:
    """A unified diff of the lines that differ, not the two bodies."""
    text = str(database.value("SELECT pg_get_functiondef('public.deny_revocation_mutation'::regproc)"))
    with database.connect() as conn:
        conn.execute(text.replace("BEGIN", "BEGIN\n  -- planted\n", 1).encode())
    assert drift(existing(database), heard.voice()) == ExitCode.FAILED
    assert "+       -- planted" in heard.text.splitlines()
    assert "      @@ " in heard.text
    assert heard.text.splitlines()[-1].startswith("drift: 1 object = 0 missing + 0 unexpected + 1 changed;")


def test_json_is_the_same_value(database: ScratchDatabase, existing: Existing, heard: Heard) -> None:
    """One JSON value as the result; no password in it or in the progress."""
    settings = existing(database)
    with database.connect() as conn:
        conn.execute("ALTER TABLE public.tenants SET (fillfactor = 70)")
    assert drift(settings, heard.voice(json=True)) == ExitCode.FAILED
    value = json.loads(heard.text)
    assert value["drift"] is True
    assert value["differences"] == [
        {
            "kind": "table",
            "name": "public.tenants",
            "change": "changed",
            "facts": {"options": {"expected": None, "found": ["fillfactor=70"]}},
        }
    ]
    from psycopg.conninfo import conninfo_to_dict

    password = str(conninfo_to_dict(database.dsn)["password"])
    assert password not in heard.text + "\n".join(heard.progress)


def test_an_older_state_is_compared_with_that_state(
    migrated_to: Callable[[int], MigratedDatabase], existing: Existing, heard: Heard
) -> None:
    """At 0020 nothing has drifted, although the golden catalog is of 0027; a planted change is told alone."""
    database = migrated_to(20)
    settings = existing(database)
    assert drift(settings, heard.voice()) == ExitCode.PASSED, heard.text
    assert heard.text.startswith("expected   a throw-away copy, 20 of 27 files recorded")
    with database.connect() as conn:
        conn.execute("DROP TRIGGER trg_deny_revoked_tokens_mutation ON public.revoked_tokens")
    heard.out.clear()
    assert drift(settings, heard.voice()) == ExitCode.FAILED
    assert "- trigger public.revoked_tokens.trg_deny_revoked_tokens_mutation" in heard.text.splitlines()
    assert "drift: 1 object = 1 missing + 0 unexpected + 0 changed;" in heard.text


@pytest.mark.parametrize("number", [20, 27])
def test_the_gate_compares_with_the_recorded_state(
    migrated_to: Callable[[int], MigratedDatabase], existing: Existing, number: int
) -> None:
    """baseline-drift passes at any recorded state, says what it compared with, and fails on what was planted."""
    from scripts.migrations.folder.files import read_files
    from scripts.run.database import DatabaseGates
    from scripts.server.model import Server

    database = migrated_to(number)
    settings = existing(database)
    server = Server(database.dsn, None, "external", "a test", "18")
    files = read_files(settings.migrations_dir)

    def settle() -> Result:
        with DatabaseGates(settings, server, files, learn=lambda **_: None, say=lambda _: None) as asked:
            return asked.settle(BASELINE, apply=False)

    result = settle()
    assert result.passed, result.failures
    told = result.details["expected_from"]
    assert told == (
        "a throw-away copy, 20 of 27 files recorded" if number == 20 else "schema/catalog.txt, 27 of 27 files recorded"
    )
    with database.connect() as conn:
        conn.execute("ALTER TABLE public.tenants SET (fillfactor = 70)")
    failures = settle().failures
    assert {check.where for check in failures} == {"table", "table public.tenants options"}


def test_the_gate_errs_alone_without_a_golden_catalog(database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """A foreign folder on a fresh database: nothing to compare with is an error of this gate, never a pass."""
    from scripts.result import Outcome
    from scripts.run.database import DatabaseGates
    from scripts.server.model import Server

    migrations.write("0001_a.sql", "CREATE TABLE public.t (id int);\n")
    settings = Settings(migrations_dir=migrations.folder)
    server = Server(database.dsn, None, "external", "a test", "18")
    with DatabaseGates(settings, server, migrations.files(), learn=lambda **_: None, say=lambda _: None) as asked:
        result = asked.settle(BASELINE, apply=False)
    assert result.outcome is Outcome.ERROR
    assert "the folder has no golden catalog beside it" in result.error


def test_a_foreign_folder_is_compared_with_a_copy(
    empty_database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard
) -> None:
    """Without a golden catalog the files themselves say what ought to be there; with one, that does."""
    migrations.write("0001_a.sql", "CREATE TABLE public.t (id int, x text DEFAULT 'one');\n")
    migrations.write("0002_b.sql", "CREATE INDEX t_x ON public.t (x) WHERE x <> 'a';\n")
    empty_database.apply(migrations.files())
    settings = existing(empty_database, migrations.folder)
    assert drift(settings, heard.voice()) == ExitCode.PASSED, heard.text
    assert "a throw-away copy, 2 of 2 files recorded" in heard.text
    with empty_database.connect() as conn:
        conn.execute("ALTER TABLE public.t ALTER x SET DEFAULT 'two'")
    heard.out.clear()
    assert drift(settings, heard.voice()) == ExitCode.FAILED
    assert "~ column public.t.x" in heard.text.splitlines()

    from scripts.catalog.golden import write_golden

    with empty_database.connect() as conn:
        write_golden(migrations.folder, read_original(conn, empty_database.dsn).catalog)
    heard.out.clear()
    assert drift(settings, heard.voice()) == ExitCode.PASSED
    assert f"{migrations.folder.parent.name}/catalog.txt, 2 of 2 files recorded" in heard.text


def test_a_database_without_a_ledger(
    empty_database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard
) -> None:
    """Nothing recorded: everything in it is unexpected, and it is said that there is no ledger."""
    migrations.write("0001_a.sql", "CREATE TABLE public.t (id int);\n")
    with empty_database.connect() as conn:
        conn.execute("CREATE TABLE public.stray (id int)")
    assert drift(existing(empty_database, migrations.folder), heard.voice()) == ExitCode.FAILED
    assert "+ table public.stray" in heard.text.splitlines()
    assert "note       the database has no ledger: no file is recorded in it" in heard.text.splitlines()


def test_a_ledger_of_an_older_runner_is_no_drift(database: ScratchDatabase, existing: Existing, heard: Heard) -> None:
    """History and journal not there yet: one line, exit 0."""
    with database.connect() as conn:
        conn.execute("DROP TABLE public.schema_migrations_history, public.schema_migrations_journal")
    assert drift(existing(database), heard.voice()) == ExitCode.PASSED, heard.text
    notes = [line for line in heard.text.splitlines() if line.startswith("note ")]
    assert len(notes) == 1
    assert "made by an older runner" in notes[0]


def test_a_fresh_database_of_a_foreign_folder_has_nothing_to_differ_from(
    migrations: MigrationFolder, heard: Heard
) -> None:
    """A folder's files compared with themselves would always be equal: refused, exit 4, before a server starts."""
    migrations.write("0001_a.sql", "CREATE TABLE public.t (id int);\n")
    with pytest.raises(NoGoldenCatalogError) as caught:
        drift(Settings(migrations_dir=migrations.folder), heard.voice())
    assert str(caught.value) == (
        f"error[golden catalog]: {migrations.folder.parent.name}/catalog.txt: "
        "a fresh database cannot drift, and the folder has no golden catalog beside it\n"
        "  expected  a golden catalog, or an existing database\n"
        "  found     neither\n"
        "  help: FRESH_DB=0 with DATABASE_URL compares a database; `invoke catalog.update` makes a golden catalog"
    )
    assert caught.value.exit_code == ExitCode.HISTORY
    assert not heard.progress


def test_a_fresh_database_is_the_golden_one(heard: Heard) -> None:
    """The project's own files make what schema/catalog.txt says."""
    assert drift(Settings(server="embedded"), heard.voice()) == ExitCode.PASSED, heard.text
    assert "a fresh database on PostgreSQL 18." in heard.text


FOOTPRINT = """
SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
    SELECT format('%s %s %s', tableoid, oid, xmin) AS line FROM pg_class
    UNION ALL SELECT format('%s %s %s', tableoid, attrelid, xmin) FROM pg_attribute
    UNION ALL SELECT format('%s %s %s', tableoid, oid, xmin) FROM pg_proc
    UNION ALL SELECT format('%s %s %s', tableoid, oid, xmin) FROM pg_authid
    UNION ALL SELECT format('%s %s %s', tableoid, version, xmin) FROM public.schema_migrations
    UNION ALL SELECT format('%s %s %s', tableoid, seq, xmin) FROM public.schema_migrations_history) AS rows"""


def test_nothing_is_written(migrated_to: Callable[[int], MigratedDatabase], existing: Existing, heard: Heard) -> None:
    """Every row of catalog and ledger is the very same version afterwards."""
    database = migrated_to(20)
    before = database.value(FOOTPRINT)
    drift(existing(database), heard.voice())
    assert database.value(FOOTPRINT) == before


def test_the_session_cannot_write(database: ScratchDatabase, existing: Existing) -> None:
    """DDL and DML are refused by the server; options of the URL are kept."""
    from psycopg import errors
    from psycopg.conninfo import make_conninfo

    dsn = make_conninfo(database.dsn, options="-c work_mem=1234kB")
    with open_read_only(dsn, existing(database)) as conn:
        for text in ("CREATE TABLE public.t (id int)", "DELETE FROM public.schema_migrations"):
            with pytest.raises(errors.ReadOnlySqlTransaction):
                conn.execute(text.encode())
        assert conn.execute("SHOW work_mem").fetchone() == ("1234kB",)


def test_a_pooler_that_drops_options_is_refused(
    database: ScratchDatabase, existing: Existing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that is not read only is not used."""
    from psycopg.conninfo import make_conninfo

    from scripts.server.readiness import address_of, connect

    monkeypatch.setattr(original, "connect", lambda dsn: connect(make_conninfo(dsn, options="")))
    with pytest.raises(ReadingError) as caught, open_read_only(database.dsn, existing(database)):
        pass
    assert str(caught.value) == (
        f"error[reading]: {address_of(database.dsn)}: the session is not read only\n"
        "  expected  default_transaction_read_only = on\n"
        "  found     off\n"
        "  help: point DATABASE_URL at the server itself: a pooler in between drops the options of a connection"
    )
    assert caught.value.exit_code == ExitCode.NO_SERVER


def test_a_locked_ledger_is_not_waited_for_without_end(
    database: ScratchDatabase, existing: Existing, heard: Heard
) -> None:
    """Somebody holds it exclusively: exit 3 within the budget, and what to do."""
    with database.connect(autocommit=False) as conn:
        conn.execute("LOCK TABLE public.schema_migrations")
        with pytest.raises(ReadingError) as caught:
            drift(existing(database), heard.voice())
        conn.rollback()
    assert str(caught.value).splitlines()[1:] == [
        "  waited    300 ms",
        "  SQLSTATE  55P03",
        "  help: run again when that transaction has ended, or raise LOCK_TIMEOUT_MS",
    ]
    assert "the catalog cannot be read: somebody holds a table exclusively" in str(caught.value)


@pytest.mark.parametrize(("meanwhile", "seen"), [(1, 21), (9, None)])
def test_ledger_and_catalog_are_of_one_moment(
    migrated_to: Callable[[int], MigratedDatabase], monkeypatch: pytest.MonkeyPatch, meanwhile: int, seen: int | None
) -> None:
    """A file recorded in between: both are read again; if it goes on so, it is said that somebody migrates."""
    database = migrated_to(20)
    numbers = iter(range(21, 21 + meanwhile))

    def reading(conn: Connection[Any], *, sweeping: bool) -> Catalog:
        assert not sweeping  # the session cannot write
        number = next(numbers, None)
        if number is not None:
            database.migrate(number)
        return read_catalog(conn)

    monkeypatch.setattr(original, "read_seen", reading)
    with database.connect() as conn:
        if seen is not None:
            found = read_original(conn, database.dsn)
            assert len(found.recorded.rows) == seen
            assert found.recorded.has_ledger
            return
        with pytest.raises(ReadingError) as caught:
            read_original(conn, database.dsn)
    assert "somebody is migrating this database" in str(caught.value)
    assert "tried  3 times: a file was recorded while the catalog was read" in str(caught.value)


def test_the_copy_is_never_on_the_server_of_the_original() -> None:
    """Whatever SERVER and DATABASE_URL say, a copy is on a fresh server of our own."""
    for kind in ("auto", "docker", "embedded", "external"):
        own = rehearsal_settings(Settings(server=kind, fresh_db=False, database_url="postgresql://h/d", keep_db=True))
        assert (own.fresh_db, own.database_url, own.keep_db) == (True, None, False)
        assert own.server == ("auto" if kind == "external" else kind)


def test_a_tampered_file_is_not_compared(
    empty_database: ScratchDatabase, migrations: MigrationFolder, existing: Existing
) -> None:
    """Which state is expected cannot be said when files and ledger disagree."""
    from scripts.errors.history import TamperedError

    migrations.write("0001_a.sql", "CREATE TABLE public.t (id int);\n")
    empty_database.apply(migrations.files())
    migrations.write("0001_a.sql", "CREATE TABLE public.t (id bigint);\n")
    settings = existing(empty_database, migrations.folder)
    with empty_database.connect() as conn:
        recorded = read_original(conn, empty_database.dsn).recorded
    with pytest.raises(TamperedError):
        expected_catalog(settings, migrations.files(), recorded, report=lambda _: None)


def test_the_migrating_role_is_no_matter(
    empty_database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard
) -> None:
    """Files that ran as MIGRATE_ROLE, in a database of another role: neither its name nor its preparation is drift."""
    from dataclasses import replace

    role = f"painter {empty_database.name}"
    with empty_database.connect_admin() as conn:
        conn.execute(f'CREATE ROLE "{role}" NOLOGIN'.encode())
        conn.execute(f'GRANT "{role}" TO {OWNER} WITH INHERIT FALSE'.encode())
        conn.execute(f'GRANT CREATE, USAGE ON SCHEMA public TO "{role}"'.encode())
    migrations.write("0001_a.sql", "CREATE TABLE public.t (id int);\nGRANT SELECT ON public.t TO pg_monitor;\n")
    settings = replace(existing(empty_database, migrations.folder), migrate_role=role)
    empty_database.apply(migrations.files(), settings)
    assert drift(settings, heard.voice()) == ExitCode.PASSED, heard.text
    with empty_database.connect_admin() as conn:
        conn.execute(f"ALTER TABLE public.t OWNER TO {OWNER}".encode())
    heard.out.clear()
    assert drift(settings, heard.voice()) == ExitCode.FAILED
    assert "~ table public.t" in heard.text.splitlines()


def test_files_of_a_superuser_run_as_one_on_the_copy(
    empty_database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard
) -> None:
    """An event trigger is for superusers alone: the copy is made as the database was."""
    from dataclasses import replace

    migrations.write(
        "0001_a.sql",
        "CREATE FUNCTION public.f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';\n"
        "CREATE EVENT TRIGGER planted ON sql_drop EXECUTE FUNCTION public.f();\n",
    )
    admin = replace(empty_database, dsn=empty_database.admin_dsn)
    admin.apply(migrations.files())
    settings = existing(admin, migrations.folder)
    assert drift(settings, heard.voice()) == ExitCode.PASSED, heard.text
    with admin.connect() as conn:
        conn.execute("ALTER EVENT TRIGGER planted DISABLE")
    heard.out.clear()
    assert drift(settings, heard.voice()) == ExitCode.FAILED
    assert "~ event trigger planted" in heard.text.splitlines()
