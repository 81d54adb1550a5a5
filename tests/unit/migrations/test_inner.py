"""From the server's CONTEXT to places in the file: names and numbers alone, never what it quotes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.told.inner import Frame, Internal, frames_of, inner_places

FILE = MigrationFile.of_text(
    "0001_a.sql",
    "CREATE FUNCTION s.f(a int, OUT b int) LANGUAGE plpgsql AS $$\nBEGIN\n  b := 1;\n  PERFORM x FROM t;\nEND $$;\n"
    "DO $$\nBEGIN\n  PERFORM s.f(1);\nEND $$;\n",
)
DO = FILE.statements[1]


def test_frames_are_read_innermost_first() -> None:
    """PL/pgSQL, SQL, DO and compilation; what is quoted between them is not kept."""
    context = (
        'PL/pgSQL expression "4111"\n'
        "PL/pgSQL function s.f(integer,text) line 3 at assignment\n"
        'SQL statement "SELECT secret"\n'
        'SQL function "g" statement 2\n'
        'compilation of PL/pgSQL function "h" near line 4\n'
        "PL/pgSQL function inline_code_block line 7 during statement block local variable initialization"
    )
    assert frames_of(context) == (
        Frame("s.f(integer,text)", 3, "plpgsql", "assignment"),
        Frame("g", 2, "sql"),
        Frame("h", 4, "plpgsql"),
        Frame("", 7, "plpgsql", "statement block local variable initialization"),
    )
    assert frames_of("") == ()
    assert frames_of("PL/pgSQL-Funktion f() Zeile 3 bei RETURN") == ()


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("s.f(integer)", "0001_a.sql:3 (function s.f(integer), line 3)"),
        ("f(integer)", "0001_a.sql:3 (function f(integer), line 3)"),
        ("other.f(integer)", "function other.f(integer), line 3"),
        ("s.f(integer,integer)", "function s.f(integer,integer), line 3"),
        ("s.g(integer)", "function s.g(integer), line 3"),
    ],
)
def test_a_function_is_the_files_own_or_it_is_not(name: str, place: str) -> None:
    """By schema, name and number of arguments; OUT is no part of a signature."""
    assert inner_places((Frame(name, 3, "plpgsql"),), None, FILE, DO) == place


def test_a_function_made_later_was_not_called() -> None:
    """What stands below the statement that failed cannot have been inside it."""
    before = FILE.statements[0]
    later = MigrationFile.of_text("0001_a.sql", f"{DO.text};\n{before.text};")
    place = inner_places((Frame("s.f(integer)", 3, "plpgsql"),), None, later, later.statements[0])
    assert place == "function s.f(integer), line 3"


def test_the_end_of_the_transaction_has_an_inside_too() -> None:
    """A deferred trigger raises when no statement runs."""
    place = inner_places((Frame("s.f(integer)", 4, "plpgsql"),), None, FILE, None)
    assert place == "0001_a.sql:4 (function s.f(integer), line 4)"


def test_the_very_character() -> None:
    """PERFORM is sent as SELECT: the difference is taken off."""
    internal = Internal("SELECT x FROM t", 7)
    place = inner_places((Frame("s.f(integer)", 4, "plpgsql", "PERFORM"),), internal, FILE, DO)
    assert place == ("0001_a.sql:4:11 (function s.f(integer), line 4)\n  PERFORM x FROM t;\n          ^")


@given(st.text(max_size=80), st.integers(1, 50), st.integers(0, 200), st.text(max_size=20))
def test_nothing_the_server_says_is_shown_or_breaks_it(context: str, line: int, position: int, query: str) -> None:
    """Any numbers, any quoted text: a text comes out, and the inner statement is not in it."""
    frames = (*frames_of(context), Frame("", line, "plpgsql", "EXECUTE"), Frame("s.f(integer)", line, "plpgsql"))
    text = inner_places(frames, Internal(f"{query}4111111111111111", position), FILE, DO)
    assert "4111111111111111" not in text
    assert "0001_a.sql" in text
