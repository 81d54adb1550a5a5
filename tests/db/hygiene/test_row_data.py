"""Row data stays out of every text the product keeps or prints, but for a person at a terminal who asks for it."""

from __future__ import annotations

import json
import os
import pickle
import pty
import subprocess  # noqa: TID251 - starts the product as its users do
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.errors.migration import DuplicateKeysError, MigrationFailedError
from scripts.migrations.apply import migrate
from scripts.migrations.told.shown import WITHHELD
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

ROOT = Path(__file__).resolve().parents[3]
PAN = "4111111111111111"
SETTINGS = Settings(migrate_trace=False)
CARDS = """CREATE TABLE public.card (pan text, n int, CONSTRAINT card_n CHECK (n > 0));
CREATE FUNCTION public.guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'card % must not change', OLD.pan USING HINT = 'ask about ' || OLD.pan, COLUMN = OLD.pan,
    DETAIL = OLD.pan, ERRCODE = 'CD001';
END $$;
CREATE FUNCTION public.quiet() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING MESSAGE = (SELECT pan FROM public.card LIMIT 1);
END $$;
"""
# Each of these makes the server say the card's number somewhere: message, DETAIL, HINT, CONTEXT, an object's name.
TELLING = {
    "unique": ("CREATE UNIQUE INDEX card_pan ON public.card (pan);", "23505", None),
    "check": ("UPDATE public.card SET n = -n;", "23514", None),
    "not null": (
        "CREATE TABLE public.c2 (pan text, x int NOT NULL); INSERT INTO public.c2 SELECT pan, NULL FROM public.card;",
        "23502",
        None,
    ),
    "uuid": (
        "ALTER TABLE public.card ALTER pan TYPE uuid USING pan::uuid;",
        "22P02",
        'invalid input syntax for type uuid: "(value withheld)"',
    ),
    "integer": (
        "SELECT pan::int FROM public.card;",
        "22003",
        'value "(value withheld)" is out of range for type integer',
    ),
    "quotes": (
        """SELECT ('"' || pan || '"')::uuid FROM public.card;""",
        "22P02",
        'invalid input syntax for type uuid: "(value withheld)"',
    ),
    "json": ("SELECT ('{' || pan || '}')::json FROM public.card;", "22P02", "invalid input syntax for type json"),
    "raise": (
        (
            "DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM public.card LOOP RAISE EXCEPTION 'bad card %', r;"
            " END LOOP; END $$;"
        ),
        "P0001",
        "bad card …",
    ),
    "assert": (
        "DO $$ BEGIN ASSERT false, 'card ' || (SELECT pan FROM public.card LIMIT 1); END $$;",
        "P0004",
        "card …",
    ),
    "trigger of an earlier file": (
        (
            "CREATE TRIGGER t BEFORE UPDATE ON public.card FOR EACH ROW EXECUTE FUNCTION public.guard();"
            " UPDATE public.card SET n = 9;"
        ),
        "CD001",
        "card … must not change",
    ),
    "message from a row": ("SELECT public.quiet();", "P0001", WITHHELD),
    "dynamic": (
        "DO $$ BEGIN EXECUTE 'SELECT ' || (SELECT 'x' || pan FROM public.card LIMIT 1); END $$;",
        "42703",
        'column "(value withheld)" does not exist',
    ),
    "dynamic context": (
        (
            "DO $$ BEGIN EXECUTE 'SELECT 1/0 FROM public.card WHERE pan = ' ||"
            " (SELECT quote_literal(pan) FROM public.card LIMIT 1); END $$;"
        ),
        "22012",
        "division by zero",
    ),
}


@pytest.fixture
def cards(empty_database: ScratchDatabase, migrations: MigrationFolder) -> ScratchDatabase:
    """A table that holds card numbers."""
    migrations.write("0001_cards.sql", CARDS)
    empty_database.apply(migrations.files(), SETTINGS)
    with empty_database.connect() as conn:
        conn.execute("INSERT INTO public.card VALUES (%s, 5), (%s, 6)", (PAN, PAN))
    return empty_database


@pytest.mark.parametrize("trace", [False, True], ids=["plain", "traced"])
@pytest.mark.parametrize("case", TELLING)
def test_no_text_holds_a_row(cards: ScratchDatabase, migrations: MigrationFolder, case: str, *, trace: bool) -> None:
    """Not the error, its parts, a traceback with locals, a pickle, or what is told on the way."""
    sql, sqlstate, message = TELLING[case]
    migrations.write("0002_b.sql", sql)
    told: list[str] = []
    with pytest.raises(MigrationFailedError) as caught:
        migrate(cards.connect(), migrations.files(), Settings(migrate_trace=trace), report=told.append)
    error = caught.value
    assert error.sqlstate == sqlstate
    assert PAN in error.row_data.reveal()
    trail = traceback.TracebackException.from_exception(error, capture_locals=True)
    texts = [
        str(error), repr(error), repr(vars(error)), json.dumps(error.facts), *trail.format(), *told,
        repr(pickle.dumps(vars(error) | {"applied": None})), json.dumps(error.applied.as_json()),
    ]  # fmt: skip
    assert [text for text in texts if PAN in text] == []
    if message is not None:
        assert error.what == message


def test_duplicates_are_counted_and_not_shown(cards: ScratchDatabase, migrations: MigrationFolder) -> None:
    """A unique build outside a transaction: the query that lists the keys, never a key; not in the cause either."""
    migrations.write("0002_i.sql", "-- symphony:no_tx\nCREATE UNIQUE INDEX CONCURRENTLY card_pan ON public.card (pan);")
    with pytest.raises(DuplicateKeysError) as caught:
        cards.apply(migrations.files(), SETTINGS)
    error = caught.value
    assert PAN in error.row_data.reveal()
    trail = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert [text for text in (str(error), repr(vars(error)), *trail.format()) if PAN in text] == []


def test_what_is_withheld_is_said(cards: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The error says that there is a DETAIL, and how to see it."""
    migrations.write("0002_b.sql", "UPDATE public.card SET n = -n;")
    with pytest.raises(MigrationFailedError) as caught:
        cards.apply(migrations.files(), SETTINGS)
    assert str(caught.value) == (
        "error[migration failed]: 0002_b.sql:1:1: "
        'new row for relation "card" violates check constraint "card_n"\n'
        "  source      UPDATE public.card SET n = -n;\n"
        "              ^\n"
        "  SQLSTATE    23514\n"
        "  constraint  card_n\n"
        "  table       public.card\n"
        "  detail      (withheld: `invoke migrate --show-row-data` prints it on a terminal)\n"
        "  recorded    1 of 2; 0002_b.sql left nothing behind\n"
        "  help: correct the file and run again"
    )


def test_the_authors_constant_message_is_shown(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Message and hint without values are the author's words, whole, whatever the SQLSTATE."""
    migrations.write(
        "0001_a.sql",
        "DO $$ BEGIN\n  RAISE EXCEPTION 'not before 0017 (100%%)' USING HINT = 'it''s in the runbook',"
        " ERRCODE = 'AB001', TABLE = 'card';\nEND $$;",
    )
    with pytest.raises(MigrationFailedError) as caught:
        empty_database.apply(migrations.files(), SETTINGS)
    facts = dict(caught.value.facts)
    assert caught.value.what == "not before 0017 (100%)"
    assert (facts["hint"], facts["SQLSTATE"], facts["table"]) == ("it's in the runbook", "AB001", "card")


def test_the_servers_log_holds_no_row(cards: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Our own servers log neither statements, nor parameters, nor DETAIL."""
    with cards.connect_admin() as conn:
        found = dict(
            conn.execute(
                "SELECT name, setting FROM pg_settings WHERE name IN ('log_statement', 'log_min_error_statement',"
                " 'log_error_verbosity', 'log_parameter_max_length', 'log_parameter_max_length_on_error',"
                " 'log_min_duration_statement')"
            ).fetchall()
        )
    assert found == {
        "log_statement": "none",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_min_duration_statement": "-1",
    }


def test_the_servers_log_as_it_was_written(cards: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The file itself: the failure is in it, the row is not."""
    migrations.write("0002_b.sql", "CREATE UNIQUE INDEX card_seen_in_log ON public.card (pan);")
    with pytest.raises(MigrationFailedError):
        cards.apply(migrations.files(), SETTINGS)
    data = Path(cards.value("SELECT current_setting('data_directory')"))
    log = (data.parent / "log").read_text(encoding="utf-8")
    assert 'could not create unique index "card_seen_in_log"' in log
    assert f"({PAN})" not in log
    assert "DETAIL" not in log


def run_migrate(
    database: ScratchDatabase, migrations: MigrationFolder, *options: str, terminal: bool, ci: str = ""
) -> tuple[int, str, str]:
    """`invoke migrate` as its users run it: exit code, stdout, and what reached stderr."""
    environ = {
        "PATH": os.environ["PATH"],  # noqa: TID251 - the child's environment
        "FRESH_DB": "0",
        "DATABASE_URL": database.url,
        "MIGRATIONS_DIR": str(migrations.folder),
        "CI": ci,
        "MIGRATE_TRACE": "0",
    }
    ours, theirs = pty.openpty() if terminal else os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "invoke", "migrate", *options],
            cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:
        pass  # a terminal whose other end is closed
    finally:
        os.close(ours)
    return done.returncode, done.stdout, said.decode().replace("\r\n", "\n")


def test_shown_on_a_terminal_alone(cards: ScratchDatabase, migrations: MigrationFolder) -> None:
    """With the flag, on a terminal: after the error, on stderr. Without it: nothing."""
    migrations.write("0002_b.sql", "CREATE UNIQUE INDEX card_pan ON public.card (pan);")
    code, out, said = run_migrate(cards, migrations, terminal=True)
    assert (code, PAN in out + said) == (5, False)
    code, out, said = run_migrate(cards, migrations, "--show-row-data", terminal=True)
    assert (code, PAN in out) == (5, False)
    assert said.endswith(
        "row data, shown on this terminal and kept nowhere:\n"
        '  message  could not create unique index "card_pan"\n'
        f"  detail   Key (pan)=({PAN}) is duplicated.\n"
    )


@pytest.mark.parametrize(
    ("terminal", "ci", "text"),
    [(False, "", "row data is shown on a terminal alone"), (True, "true", "row data is never shown in CI")],
)
def test_refused_before_anything_runs(
    cards: ScratchDatabase, migrations: MigrationFolder, ci: str, text: str, *, terminal: bool
) -> None:
    """Into a pipe, or in CI: exit 2, and no file was tried."""
    migrations.write("0002_b.sql", "CREATE TABLE public.after (id int);")
    code, out, said = run_migrate(cards, migrations, "--show-row-data", terminal=terminal, ci=ci)
    assert code == 2
    assert text in said
    assert PAN not in out + said
    assert cards.value("SELECT to_regclass('public.after')") is None
