"""Records of a trace: their order of modes, their JSON, and what of a message may be shown."""

from __future__ import annotations

import pytest

from scripts.digest import canonical_json
from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.trace.messages import is_raised, shown_notice
from scripts.migrations.trace.model import (
    LOCK_MODES,
    FileTrace,
    HeldLock,
    LockTaken,
    Notice,
    PhaseSeen,
    StatementTrace,
    mode_words,
    strength,
)
from scripts.migrations.trace.words import words_of


def test_modes_are_ordered() -> None:
    """From ACCESS SHARE to ACCESS EXCLUSIVE; a mode of a later server counts as the strongest."""
    assert [strength(mode) for mode in LOCK_MODES] == list(range(8))
    assert strength("UnheardOfLock") == 8
    assert [mode_words(LOCK_MODES[0]), mode_words(LOCK_MODES[-1])] == ["ACCESS SHARE", "ACCESS EXCLUSIVE"]
    assert mode_words("UnheardOfLock") == "UnheardOfLock"


def test_strongest_of_a_statement() -> None:
    """Of its locks the strongest; of none, nothing."""
    locks = (LockTaken("a.t", "r", "ShareLock"), LockTaken("a.t", "r", "AccessExclusiveLock"))

    assert StatementTrace(0, 1, "ALTER TABLE", 5, locks=locks).strongest == "AccessExclusiveLock"
    assert StatementTrace(0, 1, "SELECT", 5).strongest == ""


def test_json_of_a_file() -> None:
    """Everything is there, nothing is a floating-point number, and what is empty is left out."""
    statement = StatementTrace(
        0,
        3,
        "CREATE INDEX",
        1500,
        locks=(LockTaken("app.t_idx", "i", "ShareLock", "app.t", "sampled"),),
        effect="index",
        built=("app.t_idx",),
        rows=0,
        notices=(Notice("NOTICE", "00000", "hello"),),
        source="sampled",
        phases=(PhaseSeen("building index", "app.t", "ShareLock", granted=True, first_us=1, last_us=2, samples=2),),
        samples=2,
    )
    trace = FileTrace((statement,), (HeldLock("app.t", 0, 2, 99),), (Notice("WARNING", "01000"),))

    document = trace.as_json()

    assert document == {
        "complete": True,
        "statements": [
            {
                "index": 0,
                "line": 3,
                "kind": "CREATE INDEX",
                "duration_us": 1500,
                "effect": "index",
                "source": "sampled",
                "locks": [
                    {
                        "relation": "app.t_idx",
                        "relkind": "i",
                        "mode": "SHARE",
                        "on": "app.t",
                        "source": "sampled",
                    }
                ],
                "strongest": "SHARE",
                "built": ["app.t_idx"],
                "rows": 0,
                "notices": [{"severity": "NOTICE", "sqlstate": "00000", "message": "hello"}],
                "samples": 2,
                "phases": [
                    {
                        "phase": "building index",
                        "relation": "app.t",
                        "mode": "SHARE",
                        "granted": True,
                        "first_us": 1,
                        "last_us": 2,
                        "samples": 2,
                    }
                ],
            }
        ],
        "held": [{"relation": "app.t", "taken_by": 0, "statements": 2, "exclusive_held_us": 99}],
        "unplaced": [{"severity": "WARNING", "sqlstate": "01000", "message": ""}],
    }
    assert canonical_json(document)
    assert StatementTrace(1, 1, "SET", None).as_json() == {
        "index": 1,
        "line": 1,
        "kind": "SET",
        "duration_us": None,
        "effect": "catalog",
    }
    assert LockTaken("app.t", "r", "ShareLock").as_json() == {"relation": "app.t", "relkind": "r", "mode": "SHARE"}


@pytest.mark.parametrize(
    ("message", "raised", "shown"),
    [
        ('table "t" does not exist, skipping', False, 'table "t" does not exist, skipping'),
        ('table "u" does not exist, skipping', False, 'table "(value withheld)" does not exist, skipping'),
        ('invalid input: "4242"', False, 'invalid input: "(value withheld)"'),
        ("done", True, "done"),
        ("it's done", True, "it's done"),
        ("done with 4242", True, ""),
        ("don", True, ""),
        ("", True, ""),
    ],
)
def test_what_may_be_shown(message: str, raised: bool, shown: str) -> None:  # noqa: FBT001 - a column
    """The server's own words; of a program's, only a constant of the file."""
    text = "DROP TABLE IF EXISTS t; DO $$ BEGIN RAISE NOTICE 'done'; RAISE NOTICE 'it''s done'; END $$"

    assert shown_notice(message, text, raised=raised) == shown


@pytest.mark.parametrize(
    ("source", "raised"),
    [
        ("pl_exec.c", True),
        ("plpy_plpymodule.c", True),
        ("/build/src/pl/plperl/plperl.c", True),
        (None, True),
        ("tablecmds.c", False),
        ("plancat.c", False),
        ("pljava.c", True),
    ],
)
def test_who_made_a_message_up(source: str | None, raised: bool) -> None:  # noqa: FBT001 - a column of the table
    """A source file of a procedural language; an unknown one counts as such."""
    assert is_raised(source) is raised


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CREATE TABLE a (id int)", "CREATE TABLE"),
        ("create  unique\nindex i on t (a)", "CREATE UNIQUE INDEX"),
        ("DO $$ BEGIN END $$", "DO"),
        ("INSERT INTO secret_table VALUES (1)", "INSERT INTO"),
        ("CREATE /* ☃ */ VIEW v AS SELECT 1", "CREATE VIEW"),
        ("CREATE -- x\n VIEW v AS SELECT 1", "CREATE VIEW"),
        ("UPDATE t SET a = 1", "UPDATE"),
        ("TABLE t", "TABLE"),
    ],
)
def test_first_words(text: str, words: str) -> None:
    """The words a statement begins with, twice the same."""
    (statement,) = MigrationFile.of_text("0001_x.sql", text).statements

    assert [words_of(statement), words_of(statement)] == [words, words]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE OR REPLACE FUNCTION"),
        ("CREATE UNIQUE INDEX f ON t (a)", "CREATE UNIQUE INDEX"),
        ("DROP MATERIALIZED VIEW f", "DROP MATERIALIZED VIEW"),
    ],
)
def test_only_the_head_is_scanned(text: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long body behind the first words costs nothing: 20 ms for our own files, were they scanned whole."""
    (statement,) = MigrationFile.of_text("0001_a.sql", text).statements
    monkeypatch.setattr("scripts.migrations.trace.words.statement_words", lambda _: "scanned")

    assert words_of(statement) == words
