"""PostgreSQL 18's traps for whoever runs migrations, each met on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog
from scripts.errors.migration import MigrationFailedError
from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.session.baseline import open_session
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

SETTINGS = Settings(migrate_trace=False)


def failure(database: ScratchDatabase, migrations: MigrationFolder, sql: str) -> MigrationFailedError:
    """What the run of the next file ends with."""
    migrations.write("0002_x.sql", sql)
    with pytest.raises(MigrationFailedError) as caught:
        database.apply(migrations.files(), SETTINGS)
    return caught.value


def test_a_dumps_empty_search_path_stays_in_its_file(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """A pg_dump baseline empties search_path for the session; the next file still finds public, and so does the row."""
    migrations.write(
        "0001_dump.sql",
        "SET statement_timeout = 0;\nSET lock_timeout = 0;\nSET client_encoding = 'UTF8';\n"
        "SET standard_conforming_strings = on;\nSELECT pg_catalog.set_config('search_path', '', false);\n"
        "SET check_function_bodies = false;\nSET xmloption = content;\nSET row_security = off;\n"
        "SET default_table_access_method = heap;\nCREATE TABLE public.t (a int);\nALTER TABLE public.t OWNER TO"
        " symphony_owner;\n",
    )
    migrations.write("0002_x.sql", "ALTER TABLE t ADD b int;")
    empty_database.apply(migrations.files(), SETTINGS)
    assert empty_database.recorded() == ["0001_dump.sql", "0002_x.sql"]


def test_several_statements_in_one_message_are_a_transaction(empty_database: ScratchDatabase) -> None:
    """Why no_tx statements are sent alone: with a SET before it, a concurrent build is refused, 25001."""
    with empty_database.connect() as conn, open_session(conn, SETTINGS):
        execute_batch(conn, b"CREATE TABLE public.t (a int)")
        with pytest.raises(BatchError) as caught:
            execute_batch(conn, b"SET lock_timeout = 0; CREATE INDEX CONCURRENTLY i ON public.t (a)")
        assert caught.value.error.sqlstate == "25001"
        execute_batch(conn, b"CREATE INDEX CONCURRENTLY i ON public.t (a)")


def test_ddl_behind_deferred_rows(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """55006: points at the ALTER, and says what to do; doing that helps."""
    setup = (
        "CREATE TABLE public.p (id int PRIMARY KEY);\n"
        "CREATE TABLE public.c (id int REFERENCES public.p DEFERRABLE INITIALLY DEFERRED);\n"
    )
    migrations.write("0001_t.sql", setup)
    empty_database.apply(migrations.files(), SETTINGS)
    text = "INSERT INTO public.p VALUES (1);\nINSERT INTO public.c VALUES (1);\n{}ALTER TABLE public.c ADD x int;\n"
    error = failure(empty_database, migrations, text.format(""))
    assert (error.sqlstate, error.where) == ("55006", "0002_x.sql:3:1")
    assert error.help == (
        "the table has triggers or a cursor waiting in this transaction: SET CONSTRAINTS ALL IMMEDIATE before the"
        " statement, or a file of its own for it"
    )
    migrations.write("0002_x.sql", text.format("SET CONSTRAINTS ALL IMMEDIATE;\n"))
    assert len(empty_database.apply(migrations.files(), SETTINGS).files) == 1


def test_an_enum_value_in_the_transaction_that_adds_it(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """55P04: points at the use, not at the ADD VALUE; in two files it works."""
    migrations.write("0001_t.sql", "CREATE TYPE public.mood AS ENUM ('a'); CREATE TABLE public.t (m public.mood);")
    empty_database.apply(migrations.files(), SETTINGS)
    add, use = "ALTER TYPE public.mood ADD VALUE 'b';\n", "INSERT INTO public.t VALUES ('b');"
    error = failure(empty_database, migrations, add + use)
    assert error.sqlstate == "55P04"
    assert error.where == "0002_x.sql:2:30"
    assert dict(error.facts)["statement"] == "0002_x.sql:2:1 INSERT INTO"
    assert error.help == "a new enum value can be used once it is committed: move ADD VALUE into an earlier file"
    migrations.write("0002_x.sql", add)
    migrations.write("0003_x.sql", use)
    assert len(empty_database.apply(migrations.files(), SETTINGS).files) == 2


def test_a_plan_from_before_the_column(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """0A000, in a file that prepares, alters and executes: explained."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    empty_database.apply(migrations.files(), SETTINGS)
    error = failure(
        empty_database,
        migrations,
        "PREPARE p AS SELECT * FROM public.t;\nEXECUTE p;\nALTER TABLE public.t ADD b int;\nEXECUTE p;",
    )
    assert (error.sqlstate, error.where) == ("0A000", "0002_x.sql:4:1")
    assert error.help == (
        "a statement prepared before the table changed is run after it: DEALLOCATE it, or name its columns"
    )


def test_percent_signs_and_backslashes_arrive_as_written(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """Neither the driver's placeholders nor a format touches the text."""
    text = "CREATE TABLE public.t (s text);\nINSERT INTO public.t VALUES ('100% %s %(x)s %% \\d $1 {} é');"
    migrations.write("0001_t.sql", text)
    empty_database.apply(migrations.files(), SETTINGS)
    assert empty_database.value("SELECT s FROM public.t") == "100% %s %(x)s %% \\d $1 {} é"


def test_a_file_may_give_its_table_away(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """OWNER TO takes effect for the table and its index, and the ledger stays the runner's."""
    migrations.write(
        "0001_t.sql", "CREATE TABLE public.t (a int PRIMARY KEY);\nALTER TABLE public.t OWNER TO pg_monitor;"
    )
    admin = empty_database.connect_admin()
    admin.execute("GRANT CREATE ON SCHEMA public TO pg_monitor")
    admin.execute("GRANT pg_monitor TO symphony_owner WITH SET TRUE")
    try:
        empty_database.apply(migrations.files(), SETTINGS)
    finally:
        # Memberships are the cluster's: other tests are to find the owner without it.
        admin.execute("REVOKE pg_monitor FROM symphony_owner")
    owners = "SELECT string_agg(relname || ' ' || relowner::regrole, ', ' ORDER BY relname) FROM pg_class"
    found = empty_database.value(f"{owners} WHERE relname IN ('t', 't_pkey', 'schema_migrations')")
    assert found == "schema_migrations symphony_owner, t pg_monitor, t_pkey pg_monitor"


def test_not_null_is_read_from_the_constraint(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Attnotnull says true of NOT NULL NOT VALID while NULLs are there: the catalog keeps convalidated."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int); INSERT INTO public.t VALUES (NULL);")
    migrations.write("0002_t.sql", "ALTER TABLE public.t ADD CONSTRAINT t_a NOT NULL a NOT VALID;")
    empty_database.apply(migrations.files(), SETTINGS)
    assert empty_database.value(
        "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'public.t'::regclass AND attnum = 1"
    )
    with empty_database.connect() as conn:
        before = fingerprint(read_catalog(conn))
        conn.execute("UPDATE public.t SET a = 1")
        conn.execute("ALTER TABLE public.t VALIDATE CONSTRAINT t_a")
        assert fingerprint(read_catalog(conn)) != before


def test_not_enforced_and_virtual_are_told_apart(empty_database: ScratchDatabase) -> None:
    """A CHECK that is not enforced is another schema than one that is; VIRTUAL another than STORED."""
    seen = set()
    with empty_database.connect() as conn:
        for column in (
            "b int CONSTRAINT c CHECK (b > 0)",
            "b int CONSTRAINT c CHECK (b > 0) NOT ENFORCED",
            "b int GENERATED ALWAYS AS (a + 1)",
            "b int GENERATED ALWAYS AS (a + 1) STORED",
        ):
            conn.execute(f"CREATE TABLE public.t (a int, {column})".encode())
            seen.add(fingerprint(read_catalog(conn)))
            conn.execute("DROP TABLE public.t")
    assert len(seen) == 4


def test_a_timestamp_does_not_rewrite_because_of_the_login(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """Timestamp → timestamptz rewrites the table unless TimeZone is UTC: the login's own zone does not count."""
    with empty_database.connect_admin() as admin:
        admin.execute(f"ALTER DATABASE {empty_database.name} SET TimeZone = 'Africa/Lusaka'".encode())
    migrations.write("0001_t.sql", "CREATE TABLE public.t (at timestamp); INSERT INTO public.t VALUES ('2026-01-01');")
    empty_database.apply(migrations.files(), SETTINGS)
    node = "SELECT pg_relation_filenode('public.t')"
    before = empty_database.value(node)
    migrations.write("0002_t.sql", "ALTER TABLE public.t ALTER at TYPE timestamptz;")
    empty_database.apply(migrations.files(), SETTINGS)
    assert empty_database.value(node) == before


def test_a_file_that_times_itself_out(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """transaction_timeout ends the session (25P04): told as a lost connection, nothing recorded."""
    from scripts.errors.migration import ConnectionLostError

    migrations.write("0001_t.sql", "SET LOCAL transaction_timeout = '50ms';\nSELECT pg_sleep(5);")
    with pytest.raises(ConnectionLostError) as caught:
        empty_database.apply(migrations.files(), SETTINGS)
    assert dict(caught.value.facts)["SQLSTATE"] == "25P04"
    assert empty_database.value("SELECT count(*) FROM public.schema_migrations") == 0
