"""Which changes of a file are suspected of having met no row: chosen from statements and row counts alone."""

from __future__ import annotations

import pytest

from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.row_security import suspects


def suspected(text: str, *counts: int | None) -> list[tuple[str, int, str]]:
    """Word, line and whereabouts of each suspect."""
    file = MigrationFile.of_text("0001_a.sql", text)
    found = suspects(file.statements, counts or (None,) * len(file.statements))
    return [(suspect.word, file.text.count("\n", 0, suspect.offset) + 1, suspect.inside) for suspect in found]


@pytest.mark.parametrize(
    ("text", "count", "found"),
    [
        ("UPDATE t SET a = 1", 0, [("UPDATE", 1, "")]),
        ("UPDATE t SET a = 1", 5, []),
        ("DELETE FROM t", 0, [("DELETE", 1, "")]),
        ("MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE", 0, [("MERGE", 1, "")]),
        ("INSERT INTO t SELECT 1 FROM u", 0, [("INSERT … SELECT", 1, "")]),
        ("WITH x AS (SELECT 1) INSERT INTO t SELECT 1 FROM u", 0, [("INSERT … SELECT", 1, "")]),
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", 0, []),
        ("INSERT INTO t DEFAULT VALUES", 0, []),
        ("SELECT 1 FROM t", 0, []),
        ("WITH x AS (DELETE FROM t RETURNING 1) SELECT count(*) FROM x", 1, [("DELETE", 1, "WITH")]),
        ("TRUNCATE t", None, []),
    ],
)
def test_a_statement(text: str, count: int | None, found: list[tuple[str, int, str]]) -> None:
    """Only what changes rows that are already there, and brought nothing."""
    assert suspected(text, count) == found


def test_a_body_counts_when_it_has_run() -> None:
    """A DO block always; a function when the file calls it, from a statement or from a DO block."""
    function = "CREATE FUNCTION s.f() RETURNS void LANGUAGE sql AS $$\nUPDATE t SET a = 1;\n$$"
    assert suspected(function) == []
    assert suspected(f"{function};\nSELECT s.g();") == []
    assert suspected(f"{function};\nSELECT s.f();") == [("UPDATE", 2, "a function")]
    assert suspected(f"{function};\nDO $$ BEGIN PERFORM s.f(); END $$;") == [("UPDATE", 2, "a function")]
    assert suspected("DO $$\nBEGIN\n  IF true THEN\n    DELETE FROM t;\n  END IF;\nEND $$") == [
        ("DELETE", 4, "a DO block")
    ]


def test_a_count_for_every_statement() -> None:
    """Counts that do not fit the statements are a mistake of ours, never a silent nothing."""
    with pytest.raises(ValueError, match="shorter"):
        suspected("UPDATE t SET a = 1; SELECT 1", 0)
