"""A backfill that row security turns into nothing is reported, with the line, the table and the role."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.migrations import row_security
from scripts.migrations.apply import migrate
from scripts.settings import Settings

if TYPE_CHECKING:
    import psycopg
    from fix_database import MigrationFolder, ScratchDatabase

SETTINGS = Settings(migrate_trace=False)
OWNER = "symphony_owner"
SETUP = """
CREATE SCHEMA shop;
CREATE TABLE shop.payment (id int PRIMARY KEY, payer text);
CREATE TABLE shop.copy (id int);
CREATE TABLE shop.part (id int, payer text) PARTITION BY LIST (id);
CREATE TABLE shop.part_1 PARTITION OF shop.part FOR VALUES IN (1);
ALTER TABLE shop.payment ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE shop.part ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
"""
HIDES = "FORCE ROW LEVEL SECURITY hides rows of shop.payment from symphony_owner"
ADVICE = "; if it was to change some, give symphony_owner a policy on shop.payment before it"


@pytest.fixture
def shop(empty_database: ScratchDatabase, migrations: MigrationFolder) -> ScratchDatabase:
    """Two payments under FORCE ROW LEVEL SECURITY, with no policy for the owner."""
    migrations.write("0001_shop.sql", SETUP)
    empty_database.apply(migrations.files(), SETTINGS)
    with empty_database.connect_admin() as admin:
        admin.execute("INSERT INTO shop.payment VALUES (1), (2)")
        admin.execute("INSERT INTO shop.part VALUES (1)")
    return empty_database


def notes_of(
    database: ScratchDatabase,
    migrations: MigrationFolder,
    sql: str,
    conn: psycopg.Connection | None = None,
    settings: Settings = SETTINGS,
) -> tuple[str, ...]:
    """What the run of one more file noted."""
    migrations.write("0002_fill.sql", sql)
    told: list[str] = []
    done = migrate(conn or database.connect(), migrations.files(), settings, report=told.append)
    notes = done.files[0].notes
    assert all(any(note in line for line in told) for note in notes), "what is noted is told, too"
    return notes


@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize(
    ("sql", "notes"),
    [
        ("UPDATE shop.payment SET payer = 'x';", [f"0002_fill.sql:1:1: UPDATE changed 0 rows, and {HIDES}{ADVICE}"]),
        (
            "SELECT 1;\n  DELETE FROM shop.payment;",
            [f"0002_fill.sql:2:3: DELETE changed 0 rows, and {HIDES}{ADVICE}"],
        ),
        (
            "INSERT INTO shop.copy SELECT id FROM shop.payment;",
            [f"0002_fill.sql:1:1: INSERT … SELECT changed 0 rows, and {HIDES}{ADVICE}"],
        ),
        (
            (
                "MERGE INTO shop.payment p USING (VALUES (1)) v (id) ON p.id = v.id"
                " WHEN MATCHED THEN UPDATE SET payer = 'x';"
            ),
            [f"0002_fill.sql:1:1: MERGE changed 0 rows, and {HIDES}{ADVICE}"],
        ),
        (
            "SET search_path = shop;\nUPDATE payment SET payer = 'x';",
            [f"0002_fill.sql:2:1: UPDATE changed 0 rows, and {HIDES}{ADVICE}"],
        ),
        (
            "WITH c AS (UPDATE shop.payment SET payer = 'x' RETURNING 1) SELECT count(*) FROM c;",
            [f"0002_fill.sql:1:1: UPDATE in WITH may have changed nothing: {HIDES}{ADVICE}"],
        ),
        (
            "DO $$\nBEGIN\n  UPDATE shop.payment SET payer = 'x';\nEND $$;",
            [f"0002_fill.sql:3:3: UPDATE inside a DO block may have changed nothing: {HIDES}{ADVICE}"],
        ),
        (
            (
                "CREATE FUNCTION shop.f() RETURNS void LANGUAGE sql AS $$\n  DELETE FROM shop.payment;\n$$;\n"
                "SELECT shop.f();"
            ),
            [f"0002_fill.sql:2:3: DELETE inside a function may have changed nothing: {HIDES}{ADVICE}"],
        ),
        (
            "UPDATE shop.part SET payer = 'x';",
            [
                (
                    "0002_fill.sql:1:1: UPDATE changed 0 rows, and FORCE ROW LEVEL SECURITY hides rows of shop.part"
                    " from symphony_owner; if it was to change some, give symphony_owner a policy on shop.part"
                    " before it"
                )
            ],
        ),
    ],
)
def test_a_backfill_of_nothing_is_reported(
    shop: ScratchDatabase, migrations: MigrationFolder, sql: str, notes: list[str], *, trace: bool
) -> None:
    """Each kind of change, in the file itself, in WITH, in a DO block, in a function; traced or not."""
    assert list(notes_of(shop, migrations, sql, settings=Settings(migrate_trace=trace))) == notes
    assert shop.recorded() == ["0001_shop.sql", "0002_fill.sql"]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE POLICY all_rows ON shop.payment TO symphony_owner USING (true); UPDATE shop.payment SET payer = 'x';",
        (
            "ALTER TABLE shop.payment NO FORCE ROW LEVEL SECURITY; UPDATE shop.payment SET payer = 'x';"
            " ALTER TABLE shop.payment FORCE ROW LEVEL SECURITY;"
        ),
        "UPDATE shop.copy SET id = 1;",
        "DO $$ BEGIN PERFORM 1 FROM shop.payment; END $$;",
        "CREATE FUNCTION shop.f() RETURNS void LANGUAGE sql AS $$ DELETE FROM shop.payment; $$;",
        "INSERT INTO shop.payment SELECT id FROM shop.copy;",
        "INSERT INTO shop.copy VALUES (1);",
        "TRUNCATE shop.payment; UPDATE shop.payment SET payer = 'x';",
        (
            "CREATE TABLE shop.other (id int); ALTER TABLE shop.other ENABLE ROW LEVEL SECURITY,"
            " FORCE ROW LEVEL SECURITY; UPDATE shop.other SET id = 1;"
        ),
    ],
)
def test_what_hides_nothing_is_not_reported(shop: ScratchDatabase, migrations: MigrationFolder, sql: str) -> None:
    """A policy lets it through, no FORCE, another table, nothing changed, never called, an empty table."""
    assert notes_of(shop, migrations, sql) == ()


def test_a_superuser_sees_every_row(shop: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Nothing is hidden from it, so nothing is reported; its row count tells."""
    notes = notes_of(shop, migrations, "UPDATE shop.payment SET payer = 'x';", shop.connect_admin())
    assert notes == ()
    assert shop.value("SELECT count(*) FROM shop.payment WHERE payer = 'x'") == 2


def test_migrate_role_shows_what_the_superuser_hides(shop: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The same superuser with MIGRATE_ROLE is told."""
    settings = Settings(migrate_trace=False, migrate_role=OWNER)
    notes = notes_of(shop, migrations, "UPDATE shop.payment SET payer = 'x';", shop.connect_admin(), settings)
    assert [HIDES in note for note in notes] == [True]


@pytest.mark.parametrize("trace", [False, True])
def test_a_question_that_fails_is_told_and_costs_nothing(
    shop: ScratchDatabase, migrations: MigrationFolder, monkeypatch: pytest.MonkeyPatch, *, trace: bool
) -> None:
    """The file is committed by then: it stays, the next one runs, and what is not known is not passed over."""
    monkeypatch.setattr(row_security, "_HIDING", "SELECT 1/0")
    migrations.write("0003_next.sql", "CREATE TABLE shop.next (id int);")
    settings = Settings(migrate_trace=trace)
    notes = notes_of(shop, migrations, "UPDATE shop.payment SET payer = 'x';", settings=settings)
    assert notes == ("0002_fill.sql: whether row security hid rows from it could not be asked (SQLSTATE 22012)",)
    assert shop.recorded() == ["0001_shop.sql", "0002_fill.sql", "0003_next.sql"]


def test_row_security_off_is_refused_by_the_server(shop: ScratchDatabase, migrations: MigrationFolder) -> None:
    """SET row_security = off turns silence into 42501, and reaches no further than its file."""
    from scripts.errors.migration import MigrationFailedError

    migrations.write("0002_fill.sql", "SET row_security = off;\nUPDATE shop.payment SET payer = 'x';")
    with pytest.raises(MigrationFailedError, match="row-level security") as caught:
        shop.apply(migrations.files(), SETTINGS)
    assert caught.value.sqlstate == "42501"
    assert caught.value.where == "0002_fill.sql:2:1"
