"""`--from`: how a file of somebody's mutants is cut, and what it may not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors.base import ExitCode
from scripts.errors.mutants import BlockError
from scripts.verifiers.mutants.blocks import parse_blocks, read_blocks

if TYPE_CHECKING:
    from pathlib import Path

STATEMENTS = (
    "DROP TRIGGER a ON public.t;",
    "COMMENT ON TABLE public.t IS '-- mutant: in a string';",
    "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $$\n-- mutant: in a body\nSELECT 1 $$;",
    "/* -- mutant: in a comment */ ALTER TABLE public.t DISABLE TRIGGER ALL;",
)


@given(st.lists(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=3), min_size=1, max_size=6), st.booleans())
def test_a_file_is_cut_at_its_headers_alone(blocks: list[list[str]], head: bool) -> None:  # noqa: FBT001 - drawn
    """Names, statements and their lines come out as they were written, whatever strings and comments hold."""
    text = "-- a file\n\n" if head else ""
    lines = []
    for number, block in enumerate(blocks):
        text += f"-- mutant: number {number}\n"
        lines.append(text.count("\n") + 1)
        text += "\n".join(block) + "\n"

    found = parse_blocks(text, where="x.sql")

    assert [mutant.name for mutant in found] == [f"number {number}" for number in range(len(blocks))]
    assert [len(mutant.sql) for mutant in found] == [len(block) for block in blocks]
    assert [mutant.places[0] for mutant in found] == [f"x.sql:{line}" for line in lines]
    assert all(mutant.given for mutant in found)


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("-- nothing", "x.sql:3: a mutant without a statement: write what it changes, or remove the line"),
        ("SELECT FROM WHERE;", 'x.sql:4:13: syntax error at or near "WHERE": correct the statement'),
        ("SELECT 'x;", "x.sql:4:8: unterminated quoted string at or near"),
        ("/* SELECT 1;", "x.sql:4:1: unterminated /* comment at or near"),
        ("\\d t", "x.sql:4:1: a psql command: correct the statement; psql's own commands and COPY data are none"),
        ("SELECT 1;\nCOMMIT;", "x.sql:5:1: COMMIT in a mutant: remove the statement"),
        ("SELECT 1; COMMIT AND CHAIN;", "x.sql:4:11: COMMIT in a mutant"),
        ("BEGIN;", "x.sql:4:1: BEGIN in a mutant"),
        ("ROLLBACK TO s;", "x.sql:4:1: ROLLBACK TO SAVEPOINT in a mutant"),
        ("RELEASE s;", "x.sql:4:1: RELEASE SAVEPOINT in a mutant"),
        ("PREPARE TRANSACTION 'x';", "x.sql:4:1: PREPARE TRANSACTION in a mutant"),
        ("SET ROLE x;", "x.sql:4:1: SET in a mutant: use ALTER ROLE … SET, ALTER DATABASE … SET or ALTER FUNCTION"),
        ("RESET ALL;", "x.sql:4:1: SET in a mutant"),
        ("DISCARD ALL;", "x.sql:4:1: DISCARD in a mutant"),
        ("COPY public.t FROM STDIN;", "x.sql:4:1: COPY … FROM STDIN in a mutant: write INSERT … VALUES"),
        ("COPY public.t TO PROGRAM 'cat';", "x.sql:4:1: COPY with a file or a program in a mutant"),
        ("ALTER SYSTEM SET jit = off;", "x.sql:4:1: ALTER SYSTEM cannot be undone: write it without CONCURRENTLY;"),
        ("CREATE DATABASE x;", "x.sql:4:1: CREATE DATABASE cannot be undone"),
        ("CREATE INDEX CONCURRENTLY i ON public.t (a);", "x.sql:4:1: CREATE INDEX CONCURRENTLY cannot be undone"),
        ("VACUUM;", "x.sql:4:1: VACUUM cannot be undone"),
    ],
)
def test_a_block_that_cannot_be_run_says_why_and_hides_no_other(block: str, reason: str) -> None:
    """Nothing of it is run; its neighbours are; the reason has place, what and help."""
    text = f"-- mutant: before\nSELECT 1;\n-- mutant: bad\n{block}\n-- mutant: after\nSELECT 2;\n"
    before, bad, after = parse_blocks(text, where="x.sql")

    assert (before.name, bad.name, after.name) == ("before", "bad", "after")
    assert (before.sql, bad.sql, after.sql) == (("SELECT 1",), (), ("SELECT 2",))
    assert (before.refused, after.refused) == ("", "")
    assert bad.refused.startswith(reason)
    assert bad.refused.count(": ") >= 2
    assert bad.given


def test_names_that_are_not_one_are_told_apart_by_their_lines() -> None:
    """A second mutant of a name, and one without, are judged like any other."""
    text = "-- mutant: a\nSELECT 1;\n-- mutant: a\nSELECT 2;\n-- mutant:\nSELECT 3;\n"
    found = parse_blocks(text, where="x.sql")

    assert [one.name for one in found] == ["a", "a (line 3)", "without a name (line 5)"]
    assert [one.sql for one in found] == [("SELECT 1",), ("SELECT 2",), ("SELECT 3",)]


@pytest.mark.parametrize("header", ["-- mutant: a b", "--mutant: a b", "-- Mutant:a b ", "  -- mutant:  a b"])
def test_headers_as_people_write_them(header: str) -> None:
    """Space and letter case are nobody's business; a comment behind a statement is no header."""
    (mutant,) = parse_blocks(f"{header}\nSELECT 1; -- mutant: no\n", where="x.sql")

    assert (mutant.name, mutant.sql) == ("a b", ("SELECT 1",))


def test_what_stands_before_the_first_header_is_told() -> None:
    """It belongs to no mutant, and is not run."""
    first, second = parse_blocks("-- hello\nSELECT 1;\n-- mutant: a\nSELECT 1;", where="x.sql")

    assert first.name == "before the first mutant"
    assert first.refused.startswith("x.sql:1: SQL before the first mutant: give it a name")
    assert second.refused == ""


@pytest.mark.parametrize("text", ["", "SELECT 1;", "-- a comment"])
def test_a_file_without_a_mutant_is_refused(text: str) -> None:
    """Nothing checked never reads as passed: exit 2."""
    with pytest.raises(BlockError) as caught:
        parse_blocks(text, where="x.sql")

    assert (caught.value.where, caught.value.what) == ("x.sql", "no mutant")
    assert caught.value.facts
    assert caught.value.help
    assert caught.value.exit_code is ExitCode.USAGE


def test_files_of_other_systems(tmp_path: Path) -> None:
    """CRLF and a byte order mark change neither names nor statements."""
    (tmp_path / "x.sql").write_bytes(b"\xef\xbb\xbf-- mutant: a\r\nSELECT 1;\r\n-- mutant: b\r\nSELECT\r\n2;\r\n")
    first, second = read_blocks(tmp_path / "x.sql")

    assert (first.name, first.sql, first.places) == ("a", ("SELECT 1",), ("x.sql:2",))
    assert (second.name, second.sql) == ("b", ("SELECT\n2",))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """And one that is no text."""
    with pytest.raises(BlockError, match="FileNotFoundError"):
        read_blocks(tmp_path / "none.sql")
    (tmp_path / "bytes.sql").write_bytes(b"\xff\xfe")
    with pytest.raises(BlockError, match="UnicodeDecodeError"):
        read_blocks(tmp_path / "bytes.sql")


def test_what_all_databases_share_is_known() -> None:
    """Roles, parameters and whatever may do anything are never broken by two lanes at once."""
    shared = {
        "ALTER ROLE x LOGIN;": True,
        "GRANT a TO b;": True,
        "GRANT SET ON PARAMETER jit TO x;": True,
        "DO $$ BEGIN END $$;": True,
        "UPDATE pg_catalog.pg_authid SET rolsuper = true;": True,
        "DELETE FROM pg_database;": True,
        "DELETE FROM public.t;": False,
        "GRANT SELECT ON public.t TO x;": False,
        "DROP TABLE public.t;": False,
    }
    for sql, expected in shared.items():
        (mutant,) = parse_blocks(f"-- mutant: a\n{sql}", where="x.sql")
        assert mutant.cluster is expected, sql
