"""What a file stores for later sessions holds for the files behind it, in the same run as in the next one."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from scripts.errors.session import SessionSettingError
from scripts.migrations.apply import migrate
from scripts.migrations.session.stored import may_store
from scripts.server.provision import OWNER
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

SETTINGS = Settings(migrate_trace=False)
# In this database alone: the server is shared by all tests.
ROLE = "DO $$ BEGIN EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I {}', current_database()); END $$;"
DYNAMIC = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {}', current_database()); END $$;"
SEEN = "CREATE TABLE public.seen_{n} AS SELECT current_setting('{name}', true) AS value;"
WORK_MEM = ROLE.format("SET work_mem = ''7MB''")
# What is stored, which setting shows it, and what the next file finds.
STORED = [
    (DYNAMIC.format("SET search_path = zoo, public"), "search_path", "zoo, public"),
    (WORK_MEM, "work_mem", "7MB"),
    (DYNAMIC.format('SET search_path = "it\'\'s ""x""", public'), "search_path", '"it\'s ""x""", public'),
    (DYNAMIC.format("SET default_tablespace = pg_default"), "default_tablespace", "pg_default"),
    (DYNAMIC.format("SET TimeZone = ''Asia/Tokyo''"), "TimeZone", "UTC"),
    (DYNAMIC.format("SET lock_timeout = 1234"), "lock_timeout", f"{SETTINGS.lock_timeout_ms // 1000}s"),
    (DYNAMIC.format("SET work_mem = ''9MB''") + WORK_MEM, "work_mem", "7MB"),
    (f"-- {WORK_MEM}\nSELECT 1;", "work_mem", "4MB"),
]


def stop_behind(database: ScratchDatabase, migrations: MigrationFolder, number: int) -> None:
    """Apply the first files of the folder, as a run that is interrupted behind them does."""
    database.apply(migrations.files()[:number], SETTINGS)


@pytest.mark.parametrize("marker", ["", "-- symphony:no_tx\n"])
@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("stored", STORED)
def test_the_next_file_finds_what_was_stored(
    empty_database: ScratchDatabase,
    migrations: MigrationFolder,
    stored: tuple[str, str, str],
    *,
    marker: str,
    interrupted: bool,
) -> None:
    """Whether the run goes on or another begins there, and behind a file without a transaction as well."""
    text, name, value = stored
    migrations.write("0001_s.sql", "CREATE SCHEMA zoo; CREATE TABLE public.t (a int);\n" + text)
    migrations.write("0002_m.sql", f"{marker}VACUUM public.t;" if marker else "SELECT 1;")
    migrations.write("0003_s.sql", SEEN.format(n=3, name=name))
    migrations.write("0004_s.sql", SEEN.format(n=4, name=name))
    if interrupted:
        stop_behind(empty_database, migrations, 1)
    empty_database.apply(migrations.files(), SETTINGS)
    assert empty_database.value("SELECT value FROM public.seen_3") == value
    assert empty_database.value("SELECT value FROM public.seen_4") == value


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_table_is_made_in_the_same_schema(
    empty_database: ScratchDatabase, migrations: MigrationFolder, *, interrupted: bool
) -> None:
    """The path of new sessions decides where an unqualified name goes."""
    migrations.write("0001_z.sql", "CREATE SCHEMA zoo;" + DYNAMIC.format("SET search_path = zoo, public"))
    migrations.write("0002_t.sql", "CREATE TABLE t (a int);")
    if interrupted:
        stop_behind(empty_database, migrations, 1)
    empty_database.apply(migrations.files(), SETTINGS)
    assert empty_database.value("SELECT to_regclass('zoo.t') IS NOT NULL AND to_regclass('public.t') IS NULL") is True


def test_what_the_connection_asks_for_goes_before(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """As in a new session with the same options."""
    migrations.write("0001_s.sql", WORK_MEM)
    migrations.write("0002_s.sql", SEEN.format(n=2, name="work_mem"))
    with psycopg.connect(empty_database.dsn, autocommit=True, options="-c work_mem=5MB") as conn:
        migrate(conn, migrations.files(), SETTINGS, report=lambda _: None)
    assert empty_database.value("SELECT value FROM public.seen_2") == "5MB"


def test_what_is_stored_and_taken_back_is_as_before(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """In one run, and without a word: nothing was stored when it began."""
    told: list[str] = []
    migrations.write("0001_s.sql", WORK_MEM)
    migrations.write("0002_s.sql", ROLE.format("RESET work_mem"))
    migrations.write("0003_s.sql", SEEN.format(n=3, name="work_mem"))
    with empty_database.connect(autocommit=True) as conn:
        migrate(conn, migrations.files(), SETTINGS, report=told.append)
    assert empty_database.value("SELECT value FROM public.seen_3") == "4MB"
    assert [line for line in told if "work_mem" in line] == []


def test_what_a_session_cannot_know_is_told(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """It began with what is not stored any more."""
    told: list[str] = []
    with empty_database.connect(autocommit=True) as conn:
        conn.execute(WORK_MEM.encode())
    migrations.write("0001_s.sql", ROLE.format("RESET work_mem"))
    with empty_database.connect(autocommit=True) as conn:
        migrate(conn, migrations.files(), SETTINGS, report=told.append)
    assert "0001_s.sql: work_mem is not stored any more: what new sessions have instead, the next run has" in told


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_path_that_no_session_may_have_ends_both_runs(
    empty_database: ScratchDatabase, migrations: MigrationFolder, *, interrupted: bool
) -> None:
    """In the same words."""
    migrations.write("0001_p.sql", DYNAMIC.format("SET search_path = public, pg_catalog"))
    migrations.write("0002_t.sql", "CREATE TABLE public.t (a int);")
    if interrupted:
        with pytest.raises(SessionSettingError):
            stop_behind(empty_database, migrations, 1)
    told: list[str] = []
    with pytest.raises(SessionSettingError) as caught:
        migrate(empty_database.connect(), migrations.files(), SETTINGS, report=told.append)
    assert "public, pg_catalog" in str(caught.value)
    # The file that stored it is applied, and told.
    assert empty_database.recorded() == ["0001_p.sql"]
    assert [line.split("   ")[0] for line in told if line.startswith("applied")] == ["applied 0001_p.sql"][interrupted:]
    assert empty_database.value("SELECT to_regclass('public.t') IS NULL") is True


@pytest.mark.parametrize(
    ("text", "stores"),
    [
        (b"ALTER DATABASE d SET x = 1", True),
        (b"alter\nrole all reset all", True),
        (b"EXECUTE format('ALTER USER %I SET x TO 1', u)", True),
        (b"ALTER ROLE r NOLOGIN; SET x = 1", False),
        (b"ALTER TABLE t SET (fillfactor = 1)", False),
        (b"-- ALTER ROLE r SET x = 1\nSELECT 1", False),
        (b"-- ALTER ROLE\nALTER ROLE r SET x = 1", True),
        (b"ALTER /* x */ ROLE r SET x = 1", True),
        (b"ALTER DATABASE d /* ; */ SET x = 1", True),
        (b'ALTER ROLE "a--b" SET x = 1', True),
    ],
)
def test_which_files_have_the_words(text: bytes, *, stores: bool) -> None:
    """In a body or a string, too; not in a comment."""
    assert may_store(text) is stores


@pytest.mark.parametrize("unit", [b"to alter role names, ask support ", b"/*", b"alter  ", b"alter role\n"])
def test_whatever_a_file_says_it_is_looked_through_once(unit: bytes) -> None:
    """A second for 8 MB of it would be long; the square of it would take days."""
    began = time.process_time()
    may_store(b"INSERT INTO t VALUES ('" + unit * (8_000_000 // len(unit)) + b"')")
    assert time.process_time() - began < 20


def test_a_file_that_speaks_of_an_origin_needs_no_right_on_it(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """Who is no superuser has set none up; a superuser's is let go of as himself, whoever the files run as."""
    migrations.write("0001_o.sql", "-- replication_origin\nCREATE TABLE public.t (replication_origin text);")
    migrations.write(
        "0002_i.sql",
        "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY replication_origin_i ON public.t (replication_origin);",
    )
    assert len(empty_database.apply(migrations.files(), SETTINGS).files) == 2
    migrations.write("0003_o.sql", "CREATE TABLE public.u (replication_origin text);")
    as_owner = replace(SETTINGS, migrate_role=OWNER)
    with psycopg.connect(empty_database.admin_dsn, autocommit=True) as admin:
        assert len(migrate(admin, migrations.files(), as_owner, report=lambda _: None).files) == 1


def test_no_file_begins_as_another_servers(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """A replication origin that a superuser's file sets up is let go of behind it."""
    origin = f"o_{empty_database.value('SELECT oid FROM pg_database WHERE datname = current_database()')}"
    migrations.write(
        "0001_o.sql",
        f"SELECT pg_replication_origin_create('{origin}'); SELECT pg_replication_origin_session_setup('{origin}');",
    )
    migrations.write("0002_o.sql", "CREATE TABLE public.seen AS SELECT pg_replication_origin_session_is_setup() AS up;")
    with psycopg.connect(empty_database.admin_dsn, autocommit=True) as admin:
        try:
            migrate(admin, migrations.files(), SETTINGS, report=lambda _: None)
            assert admin.execute("SELECT up FROM public.seen").fetchone() == (False,)
        finally:
            admin.execute("SELECT pg_replication_origin_drop(%s)", [origin])
