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
    ("text", "where", "what"),
    [
        ("", "x.sql", "no mutant"),
        ("SELECT 1;", "x.sql", "no mutant"),
        ("-- hello\nSELECT 1;\n-- mutant: a\nSELECT 1;", "x.sql:1", "SQL before the first mutant"),
        ("-- mutant:\nSELECT 1;", "x.sql:1", "a mutant without a name"),
        ("-- mutant: a\nSELECT 1;\n-- mutant: a\nSELECT 1;", "x.sql:3", "a name that another mutant has"),
        ("-- mutant: a\n-- nothing\n-- mutant: b\nSELECT 1;", "x.sql:1", "a mutant without a statement"),
        ("-- mutant: a\nSELECT FROM WHERE;", "x.sql:2:13", 'syntax error at or near "WHERE"'),
        ("-- mutant: a\nSELECT 'x;", "x.sql:2:8", 'unterminated quoted string at or near "\'x;"'),
        ("-- mutant: a\n\\d t", "x.sql:2:1", "a psql command"),
        ("-- mutant: a\nSELECT 1;\nCOMMIT;", "x.sql:3:1", "COMMIT in a mutant"),
        ("-- mutant: a\nBEGIN;", "x.sql:2:1", "BEGIN in a mutant"),
        ("-- mutant: a\nROLLBACK TO s;", "x.sql:2:1", "ROLLBACK TO SAVEPOINT in a mutant"),
        ("-- mutant: a\nRELEASE s;", "x.sql:2:1", "RELEASE SAVEPOINT in a mutant"),
        ("-- mutant: a\nPREPARE TRANSACTION 'x';", "x.sql:2:1", "PREPARE TRANSACTION in a mutant"),
        ("-- mutant: a\nSET ROLE x;", "x.sql:2:1", "SET in a mutant"),
        ("-- mutant: a\nRESET ALL;", "x.sql:2:1", "SET in a mutant"),
        ("-- mutant: a\nDISCARD ALL;", "x.sql:2:1", "DISCARD in a mutant"),
        ("-- mutant: a\nCOPY public.t FROM STDIN;", "x.sql:2:1", "COPY … FROM STDIN in a mutant"),
        ("-- mutant: a\nCOPY public.t TO PROGRAM 'cat';", "x.sql:2:1", "COPY with a file or a program in a mutant"),
        ("-- mutant: a\nALTER SYSTEM SET jit = off;", "x.sql:2:1", "ALTER SYSTEM cannot be undone"),
        ("-- mutant: a\nCREATE DATABASE x;", "x.sql:2:1", "CREATE DATABASE cannot be undone"),
        (
            "-- mutant: a\nCREATE INDEX CONCURRENTLY i ON public.t (a);",
            "x.sql:2:1",
            "CREATE INDEX CONCURRENTLY cannot be undone",
        ),
        ("-- mutant: a\nVACUUM;", "x.sql:2:1", "VACUUM cannot be undone"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(text: str, where: str, what: str) -> None:
    """Nothing of such a file runs: what, where, expected and found, help; exit 2."""
    with pytest.raises(BlockError) as caught:
        parse_blocks(text, where="x.sql")

    error = caught.value
    assert (error.where, error.what) == (where, what)
    assert error.facts
    assert error.help
    assert error.exit_code is ExitCode.USAGE


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
        "GRANT SELECT ON public.t TO x;": False,
        "DROP TABLE public.t;": False,
    }
    for sql, expected in shared.items():
        (mutant,) = parse_blocks(f"-- mutant: a\n{sql}", where="x.sql")
        assert mutant.cluster is expected, sql
