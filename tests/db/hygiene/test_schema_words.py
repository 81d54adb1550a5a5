"""What a message says of the schema is shown, whoever made it: types, and names of objects that earlier files made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.errors.migration import MigrationFailedError
from scripts.migrations.apply import migrate
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

HIDDEN = "(value withheld)"
EARLIER = """CREATE TYPE public.en3 AS ENUM ('a');
CREATE TABLE public.t2 (a varchar(10), b char(7), c bit(3), d bit varying(4), e public.en3, f numeric(9,3));
CREATE VIEW public.v4 AS SELECT a, f FROM public.t2;
CREATE TABLE public.data (secret text);
INSERT INTO public.data VALUES ('name" john "oid'), ('t2" 41112222 "v4');
"""
LATER = "DO $$ BEGIN EXECUTE (SELECT replace('{}', '#', x.relname) FROM pg_class x WHERE x.relname ~ '^t.$'); END $$;"
CASES = {
    "varchar": ("INSERT INTO t2 (a) VALUES (repeat('x', 99));", "value too long for type character varying(10)"),
    "char": ("INSERT INTO t2 (b) VALUES (repeat('x', 99));", "value too long for type character(7)"),
    "bit": (
        "INSERT INTO t2 (c) VALUES (repeat('1', length('+++++'))::bit varying);",
        f"bit string length {HIDDEN} does not match type bit(3)",
    ),
    "bit varying": (
        "INSERT INTO t2 (d) VALUES (repeat('1', 9)::bit varying);",
        "bit string too long for type bit varying(4)",
    ),
    "enum": (
        "INSERT INTO t2 (e) SELECT NULL::text;",
        'column "e" is of type en3 but expression is of type text',
    ),
    "view": (
        "CREATE OR REPLACE VIEW v4 AS SELECT a::text, f FROM t2;",
        'cannot change data type of view column "a" from character varying(10) to text',
    ),
    "view, two numbers": (
        "CREATE OR REPLACE VIEW v4 AS SELECT a, f::numeric(8,2) FROM t2;",
        'cannot change data type of view column "f" from numeric(9,3) to numeric(8,2)',
    ),
    "unquoted name": (LATER.format("DROP TABLE #"), "cannot drop table t2 because other objects depend on it"),
    "quoted name": (LATER.format("CREATE TABLE # ()"), 'relation "t2" already exists'),
    "two quoted names": (
        LATER.format("ALTER TABLE # ADD a int"),
        'column "a" of relation "t2" already exists',
    ),
    # Nothing is called so.
    "no name": (LATER.format("DROP TABLE #7"), f'table "{HIDDEN}" does not exist'),
    # The value begins and ends with names, and says something in between.
    "quotes in a value": (
        "SELECT secret::uuid FROM public.data ORDER BY secret LIMIT 1;",
        f'invalid input syntax for type uuid: "{HIDDEN}"',
    ),
    "quotes and digits": (
        "SELECT secret::uuid FROM public.data ORDER BY secret DESC LIMIT 1;",
        f'invalid input syntax for type uuid: "{HIDDEN}"',
    ),
}


@pytest.fixture
def earlier(empty_database: ScratchDatabase, migrations: MigrationFolder) -> ScratchDatabase:
    """Objects with a digit in their names, made by a file that is recorded."""
    migrations.write("0001_a.sql", EARLIER)
    empty_database.apply(migrations.files(), Settings(migrate_trace=False))
    return empty_database


@pytest.mark.parametrize("trace", [False, True], ids=["plain", "traced"])
@pytest.mark.parametrize("case", CASES)
def test_a_message_tells_of_the_schema(
    earlier: ScratchDatabase, migrations: MigrationFolder, case: str, *, trace: bool
) -> None:
    """A type's modifiers, and names that the catalog has; a row's value stays withheld."""
    sql, what = CASES[case]
    migrations.write("0002_b.sql", sql)
    with pytest.raises(MigrationFailedError) as caught:
        earlier.apply(migrations.files(), Settings(migrate_trace=trace))
    assert caught.value.what == what


def test_the_same_outside_a_transaction(earlier: ScratchDatabase, migrations: MigrationFolder) -> None:
    """A statement of a no_tx file: the connection is asked as well."""
    migrations.write("0002_b.sql", "CREATE TABLE public.k9 (a int CONSTRAINT ones UNIQUE);")
    earlier.apply(migrations.files(), Settings(migrate_trace=False))
    migrations.write("0003_c.sql", "-- symphony:no_tx\nDROP INDEX CONCURRENTLY public.ones;")
    with pytest.raises(MigrationFailedError) as caught:
        earlier.apply(migrations.files(), Settings(migrate_trace=False))
    assert caught.value.what == "cannot drop index ones because constraint ones on table k9 requires it"


def test_the_question_may_fail(earlier: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Then the words stay withheld, and the failure is told as ever."""
    with earlier.connect_admin() as conn:
        conn.execute("REVOKE SELECT ON pg_catalog.pg_constraint FROM PUBLIC")
    migrations.write("0002_b.sql", LATER.format("CREATE TABLE # ()"))
    with pytest.raises(MigrationFailedError) as caught:
        earlier.apply(migrations.files(), Settings(migrate_trace=False))
    assert (caught.value.what, caught.value.sqlstate) == (f'relation "{HIDDEN}" already exists', "42P07")


def test_a_vacuum_of_everything_names_what_it_skips(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """As the database's owner: the shared catalogs belong to somebody else, and the file does not name them."""
    with empty_database.connect_admin() as conn:
        conn.execute("GRANT CREATE ON SCHEMA public TO symphony_owner")
    migrations.write("0001_v.sql", "-- symphony:no_tx\nVACUUM;")
    applied = migrate(
        empty_database.connect(), migrations.files(), Settings(migrate_trace=False), report=list[str]().append
    )
    notes = applied.files[-1].notes
    assert notes
    assert HIDDEN not in "\n".join(notes)
    assert 'line 2: the server warned: permission denied to vacuum "pg_authid", skipping it (SQLSTATE 01000)' in notes
