"""Values that the server's own messages quote: no row in an error, in a notice, or in the stored history."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from scripts.errors.migration import MigrationFailedError
from scripts.migrations.apply import migrate
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

SECRET = "secretmail@x"
EACH = "DO $$ DECLARE r record; BEGIN FOR r IN SELECT email FROM t LOOP EXECUTE format({}, r.email); END LOOP; END $$;"
# The row's value in the server's message, quoted or not; None: the words around it differ by what the role may do.
TELLING: dict[str, tuple[str, str | None]] = {
    "tsquery": ("SELECT to_tsquery('simple', t.email||' & &') FROM t;", 'syntax error in tsquery: "(value withheld)"'),
    "regclass": ("SELECT email::regclass FROM t;", 'relation "(value withheld)" does not exist'),
    "regclass in DO": (
        "DO $$ BEGIN PERFORM email::regclass FROM t; END $$;",
        'relation "(value withheld)" does not exist',
    ),
    "regrole": ("SELECT email::regrole FROM t;", 'role "(value withheld)" does not exist'),
    "regoper": ("SELECT email::regoper FROM t;", "operator does not exist: (value withheld)"),
    "nextval": ("SELECT nextval(email) FROM t;", 'relation "(value withheld)" does not exist'),
    "privilege": (
        "SELECT has_table_privilege(email, 'select') FROM t;",
        'relation "(value withheld)" does not exist',
    ),
    "setting": ("SELECT current_setting(email) FROM t;", 'unrecognized configuration parameter "(value withheld)"'),
    "set_config value": ("SELECT set_config('work_mem', email, false) FROM t;", None),
    "set_config name": ("SELECT set_config(email, 'x', false) FROM t;", None),
    "set_config number": ("SELECT set_config('work_mem', '7654321987654', false) WHERE false; " + EACH.format(
        "'SELECT set_config(''work_mem'', length(%L)::text, false)'"), None),
    "file": ("SELECT pg_read_file(email) FROM t;", None),
    "large object": ("SELECT lo_import(email) FROM t;", None),
    "DROP TABLE": (EACH.format("'DROP TABLE %I'"), 'table "(value withheld)" does not exist'),
    "DROP ROLE": (EACH.format("'DROP ROLE %I'"), None),
    "constraint": (
        "CREATE TABLE u (a int); " + EACH.format("'ALTER TABLE u DROP CONSTRAINT %I'"),
        'constraint "(value withheld)" does not exist',
    ),
    "function": (EACH.format("'SELECT %I()'"), "function (value withheld) does not exist"),
    "column": (EACH.format("'SELECT t.%I FROM t'"), "column (value withheld) does not exist"),
    "dotted": (
        "SELECT ('a.b.c.' || replace(email, '@', '.'))::regclass FROM t;",
        "improper relation name (too many dotted names): (value withheld)",
    ),
    "dotted function": (
        "SELECT ('a.b.c.' || replace(email, '@', '.'))::regproc FROM t;",
        "improper qualified name (too many dotted names): (value withheld)",
    ),
    "other database": ("SELECT (replace(email, '@', '.') || '.z')::regclass FROM t;", None),
    "notice": (EACH.format("'DROP TABLE IF EXISTS %I'") + " SELECT 1/0;", "division by zero"),
}  # fmt: skip


@pytest.fixture
def rows(empty_database: ScratchDatabase, migrations: MigrationFolder) -> ScratchDatabase:
    """A table with an address that no file holds."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (email text);")
    empty_database.apply(migrations.files(), Settings(migrate_trace=False))
    with empty_database.connect() as conn:
        conn.execute("INSERT INTO public.t VALUES (%s)", (SECRET,))
    return empty_database


def fails(database: ScratchDatabase, migrations: MigrationFolder, sql: str, *, trace: bool) -> MigrationFailedError:
    """The error, whose every text is free of the row."""
    migrations.write("0002_b.sql", sql)
    told: list[str] = []
    with pytest.raises(MigrationFailedError) as caught, database.connect_admin() as conn:
        migrate(conn, migrations.files(), Settings(migrate_trace=trace), report=told.append)
    error = caught.value
    texts = [str(error), repr(error), repr(error.facts), repr(vars(error)), *told, json.dumps(error.applied.as_json())]
    assert [text for text in texts if "secret" in text.lower()] == []
    return error


@pytest.mark.parametrize("trace", [False, True], ids=["plain", "traced"])
@pytest.mark.parametrize("case", TELLING)
def test_no_error_quotes_a_row(rows: ScratchDatabase, migrations: MigrationFolder, case: str, *, trace: bool) -> None:
    """Not in str, repr, facts, the report, or what is kept of the run."""
    sql, what = TELLING[case]
    error = fails(rows, migrations, sql, trace=trace)
    if what is not None:
        assert error.what.replace(' of relation "t"', "") == what


CARD = "41112222"
RUN = "DO $$ BEGIN EXECUTE format({}, (SELECT card FROM c)); END $$;"
WITHHELD = "(value withheld)"
# A card's number put where the server says a number without quotes.
NUMBERS = {
    "restart": (
        "CREATE SEQUENCE s MAXVALUE 100;" + RUN.format("'ALTER SEQUENCE s RESTART WITH %s'"),
        f"RESTART value {WITHHELD} cannot be greater than MAXVALUE (100)",
    ),
    "txid_status": ("SELECT txid_status(card) FROM c;", f"transaction ID {WITHHELD} is in the future"),
    "precision": (RUN.format("'SELECT 1::numeric(%s)'"), f"NUMERIC precision {WITHHELD} must be between 1 and 1000"),
    "fillfactor": (
        RUN.format("'CREATE TABLE f () WITH (fillfactor=%s)'"),
        f'value {WITHHELD} out of bounds for option "fillfactor"',
    ),
    "order by": (RUN.format("'SELECT 1 ORDER BY %s'"), f"ORDER BY position {WITHHELD} is not in select list"),
    "group by": (RUN.format("'SELECT 1 GROUP BY %s'"), f"GROUP BY position {WITHHELD} is not in select list"),
    "parameter": (RUN.format("'SELECT $%s'"), f"there is no parameter {WITHHELD}"),
    "setval": (
        "CREATE SEQUENCE s MAXVALUE 100; SELECT setval('s', card) FROM c;",
        f'setval: value {WITHHELD} is out of bounds for sequence "s" ({WITHHELD}..100)',
    ),
    "large object": ("SELECT lo_get(card::oid) FROM c;", f"large object {WITHHELD} does not exist"),
    "get_byte": (r"SELECT get_byte('\x00', card::int) FROM c;", f"index {WITHHELD} out of valid range, 0..{WITHHELD}"),
    "work_mem": (RUN.format("'SET work_mem TO -%s'"), None),
    "hour": (
        "SELECT to_timestamp(left(card::text, 2), 'HH12') FROM c;",
        'hour "(value withheld)" is invalid for the 12-hour clock',
    ),
}


@pytest.fixture
def numbers(empty_database: ScratchDatabase, migrations: MigrationFolder) -> ScratchDatabase:
    """A table with a number that no file holds."""
    migrations.write("0001_c.sql", "CREATE TABLE public.c (card bigint);")
    empty_database.apply(migrations.files(), Settings(migrate_trace=False))
    with empty_database.connect() as conn:
        conn.execute("INSERT INTO public.c VALUES (%s)", (int(CARD),))
    return empty_database


@pytest.mark.parametrize("case", NUMBERS)
def test_no_error_says_a_number_of_a_row(numbers: ScratchDatabase, migrations: MigrationFolder, case: str) -> None:
    """Wherever the server puts one; the file's own numbers and the server's limits stay."""
    sql, what = NUMBERS[case]
    migrations.write("0002_b.sql", sql)
    with pytest.raises(MigrationFailedError) as caught, numbers.connect_admin() as conn:
        migrate(conn, migrations.files(), Settings(migrate_trace=False), report=list[str]().append)
    error = caught.value
    # Two digits alone stand in many a hash.
    secret, texts = (CARD[:2], ()) if case == "hour" else (CARD, (str(error), repr(error.facts), repr(vars(error))))
    assert secret in error.row_data.reveal()
    assert [text for text in (error.what, *texts) if secret in text] == []
    if what is not None:
        assert error.what == what


def test_no_stored_notice_says_a_number_of_a_row(numbers: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The chained record is kept for good: a WARNING with a process's number from a row."""
    migrations.write(
        "0002_b.sql", "SELECT pg_cancel_backend(card::int), pg_terminate_backend(card::int) FROM public.c;"
    )
    with numbers.connect() as conn:
        migrate(conn, migrations.files(), Settings(migrate_trace=True), report=list[str]().append)
        kept = conn.execute("SELECT trace::text FROM public.schema_migrations_history ORDER BY seq").fetchall()
    assert f"PID {WITHHELD} is not a PostgreSQL backend process" in str(kept[-1])
    assert CARD not in str(kept)


CAUGHT = "DO $$ BEGIN PERFORM email::regclass FROM t; EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%', SQLERRM; END $$;\n"


def test_no_stored_notice_quotes_a_row(rows: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The trace is stored for good: notices of the server itself, and those raised with its words."""
    migrations.write("0002_b.sql", EACH.format("'DROP TABLE IF EXISTS %I'") + "\nDROP TABLE IF EXISTS nix;\n" + CAUGHT)
    with rows.connect() as conn:
        migrate(conn, migrations.files(), Settings(migrate_trace=True), report=list[str]().append)
    with rows.connect() as conn:
        kept = conn.execute("SELECT trace::text FROM public.schema_migrations_history").fetchall()
    stored = "".join(str(row) for row in kept)
    assert "secret" not in stored.lower()
    assert "(value withheld)" in stored
    assert "nix" in stored
    assert "does not exist, skipping" in stored


@pytest.mark.parametrize("trace", [False, True], ids=["plain", "traced"])
def test_a_row_moves_no_cursor_and_forges_no_line(
    empty_database: ScratchDatabase, migrations: MigrationFolder, *, trace: bool
) -> None:
    """ESC and LF in a constant that RAISE shows whole, in a name of the catalog, and in one made at run time."""
    migrations.write(
        "0001_a.sql", "DO $$ BEGIN RAISE EXCEPTION E'gone \\033[2J\\nPASSED' USING HINT = E'a\\rb'; END $$;"
    )
    with pytest.raises(MigrationFailedError) as caught:
        empty_database.apply(migrations.files(), Settings(migrate_trace=trace))
    assert caught.value.what == "gone \\x1b[2J\\x0aPASSED"
    assert dict(caught.value.facts)["hint"] == "a\\x0db"
    migrations.write(
        "0001_a.sql",
        "DO $$ BEGIN EXECUTE format('CREATE TABLE %I (a int CONSTRAINT %I CHECK (a > 0)); INSERT INTO %I VALUES (-1)',"
        " chr(27) || '[2Jx', chr(10) || 'PASSED' || chr(8238), chr(27) || '[2Jx'); END $$;",
    )
    with pytest.raises(MigrationFailedError) as caught:
        empty_database.apply(migrations.files(), Settings(migrate_trace=trace))
    text = str(caught.value)
    assert not {"\x1b", "\u202e", "\r"} & set(text)
    assert "\nPASSED" not in text
    assert dict(caught.value.facts)["constraint"] == "\\x0aPASSED\\u202e"
    assert "\\x1b[2Jx" in caught.value.what
