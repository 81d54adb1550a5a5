"""Warnings of the server: noted by the run, for a file may have done less than it says, and be recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scripts.errors.migration import MigrationFailedError
from scripts.migrations.apply import migrate
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

MARK = "-- symphony:no_tx\n"
traced = pytest.mark.parametrize("trace", [True, False], ids=["traced", "untraced"])


def run(database: ScratchDatabase, migrations: MigrationFolder, *, trace: bool = True) -> tuple[list[str], list[str]]:
    """Migrate as the owner: the progress lines, and the notes of the last file."""
    told: list[str] = []
    settings = Settings(migrate_trace=trace)
    applied = migrate(database.connect(), migrations.files(), settings, report=told.append)
    return told, list(applied.files[-1].notes)


@pytest.fixture
def theirs(empty_database: ScratchDatabase) -> ScratchDatabase:
    """A table that whoever migrates may not touch, and one of his own with a card number in it."""
    with empty_database.connect_admin() as conn:
        conn.execute("CREATE TABLE public.theirs (a int); GRANT CREATE ON SCHEMA public TO symphony_owner")
        # Whoever owns the database may vacuum all of it.
        conn.execute(f"ALTER DATABASE {empty_database.name} OWNER TO CURRENT_USER".encode())
    with empty_database.connect() as conn:
        conn.execute("CREATE TABLE public.c (card text); INSERT INTO public.c VALUES ('41112222')")
    return empty_database


@traced
@pytest.mark.parametrize(
    ("statement", "word"),
    [("VACUUM FULL public.theirs", "vacuum"), ("VACUUM public.theirs", "vacuum"), ("ANALYZE public.theirs", "analyze")],
)
def test_what_is_skipped_is_noted(
    theirs: ScratchDatabase, migrations: MigrationFolder, statement: str, word: str, *, trace: bool
) -> None:
    """Without the right the server skips the table, warns and succeeds: the file was recorded without a word."""
    no_tx = statement.startswith("VACUUM")
    migrations.write("0001_v.sql", f"{MARK if no_tx else ''}{statement};")
    told, notes = run(theirs, migrations, trace=trace)
    words = f'the server warned: permission denied to {word} "theirs", skipping it (SQLSTATE 01000)'
    assert notes == [f"line 2: {words}" if no_tx else f"0001_v.sql: {words}"]
    assert f"0001_v.sql: {'line 2: ' if no_tx else ''}{words}" in told
    assert theirs.recorded() == ["0001_v.sql"]


@traced
def test_a_warning_of_the_files_own_shows_its_words_and_no_row(
    theirs: ScratchDatabase, migrations: MigrationFolder, *, trace: bool
) -> None:
    """As an error's: the constants of the author, with … for what was put between; of the server's, no value."""
    migrations.write(
        "0001_w.sql",
        "DO $$ DECLARE x text; BEGIN SELECT card INTO x FROM public.c;\n"
        "RAISE WARNING 'card % is odd', x; RAISE WARNING '%', x; RAISE NOTICE 'no warning';\n"
        "PERFORM pg_cancel_backend(x::int); END $$;",
    )
    told, notes = run(theirs, migrations, trace=trace)
    assert notes[0] == "0001_w.sql: the server warned: card … is odd (SQLSTATE 01000)"
    assert "not a PostgreSQL backend process" in notes[2]
    assert len(notes) == 3
    assert "41112222" not in "\n".join([*told, *notes])


@traced
def test_a_function_of_an_earlier_file_warns_in_its_authors_words(
    theirs: ScratchDatabase, migrations: MigrationFolder, *, trace: bool
) -> None:
    """Its source is the database's; and what is said for every row is said once."""
    migrations.write(
        "0001_f.sql",
        "CREATE FUNCTION public.w(i int) RETURNS void LANGUAGE plpgsql AS\n"
        "$$ BEGIN RAISE WARNING 'number % left out', i; END $$;",
    )
    migrations.write("0002_w.sql", "SELECT public.w(g) FROM generate_series(1, 3) g;")
    _, notes = run(theirs, migrations, trace=trace)
    assert notes == ["0002_w.sql: the server warned: number … left out (SQLSTATE 01000), 3 times"]


def test_a_flood_of_warnings_is_cut(theirs: ScratchDatabase, migrations: MigrationFolder) -> None:
    """A loop may warn for every row; what is kept is bounded, and how much is left out is said."""
    migrations.write("0001_w.sql", "DO $$ BEGIN FOR i IN 1..500 LOOP RAISE WARNING 'w %', i; END LOOP; END $$;")
    _, notes = run(theirs, migrations)
    assert notes == [
        "0001_w.sql: the server warned: w … (SQLSTATE 01000), 20 times",
        "0001_w.sql: the server warned 480 times more",
    ]


def test_what_was_warned_of_before_a_failure_is_told(theirs: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The warning may be the reason; of a try that is repeated it is not told."""
    migrations.write("0001_w.sql", "DO $$ BEGIN RAISE WARNING 'mind this'; END $$;\nSELECT 1 / 0;")
    told: list[str] = []

    def apply() -> Any:
        return migrate(theirs.connect(), migrations.files(), Settings(), report=told.append)

    with pytest.raises(MigrationFailedError, match="division by zero"):
        apply()
    assert told == ["0001_w.sql: the server warned: mind this (SQLSTATE 01000)"]


@traced
def test_the_runners_own_statements_warn_of_nothing(
    theirs: ScratchDatabase, migrations: MigrationFolder, *, trace: bool
) -> None:
    """The baseline behind a file, and all that is recorded, are quiet, whatever the file did to the session."""
    migrations.write(
        "0001_w.sql",
        "SET ROLE NONE; SELECT pg_advisory_lock(7), pg_advisory_lock_shared(8); PREPARE p AS SELECT 1; LISTEN x;"
        " CREATE TEMP TABLE g (a int); DECLARE c CURSOR WITH HOLD FOR SELECT 1;",
    )
    migrations.write("0002_w.sql", f"{MARK}VACUUM public.c;")
    told, _ = run(theirs, migrations, trace=trace)
    assert not [line for line in told if "warned" in line]
