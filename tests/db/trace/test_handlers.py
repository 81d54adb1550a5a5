"""Programs that catch errors: what was rolled back inside them is told as far as the server tells, or said not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from make_zoo import strongest

from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.trace.handlers import Handlers

if TYPE_CHECKING:
    from make_zoo import Zoo

UNDONE = "DO $$ BEGIN BEGIN {}; RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END; END $$"


def test_a_rewrite_that_is_rolled_back(zoo: Zoo) -> None:
    """The table was written anew under the strongest lock, whatever became of it; the lock is not called seen."""
    trace = zoo.would_do(UNDONE.format("ALTER TABLE app.hot ALTER sure TYPE bigint"))
    (only,) = trace.statements

    assert (only.effect, only.rewritten, only.catches) == ("rewrite", ("app.hot",), True)
    assert strongest(only) == {"app.hot": "ACCESS EXCLUSIVE"}
    assert {lock.source for lock in only.locks} == {"documented"}
    assert trace.held == ()
    assert only.as_json()["catches"] is True


def test_a_rewrite_that_is_rolled_back_under_a_lock_that_stays(zoo: Zoo) -> None:
    """The lock was there before: it is told once, as measured, by the statement that took it."""
    first, second = zoo.would_do(
        "LOCK TABLE app.hot;" + UNDONE.format("ALTER TABLE app.hot ALTER sure TYPE bigint")
    ).statements

    assert strongest(first) == {"app.hot": "ACCESS EXCLUSIVE"}
    assert (second.effect, second.rewritten, second.locks) == ("rewrite", ("app.hot",), ())


@pytest.mark.parametrize(
    ("sql", "effect", "scanned", "built"),
    [
        ("ALTER TABLE app.hot ADD CHECK (n < 100000)", "scan", ("app.hot",), ()),
        ("CREATE INDEX x ON app.hot (n)", "index", (), ("app.x",)),
        ("UPDATE app.hot SET n = n", "unseen", (), ()),
        ("ALTER TABLE app.hot ADD COLUMN extra int", "unseen", (), ()),
    ],
)
def test_other_things_rolled_back(
    zoo: Zoo, sql: str, effect: str, scanned: tuple[str, ...], built: tuple[str, ...]
) -> None:
    """A scan and a build are told of; where nothing is, it is not called catalog only."""
    trace = zoo.last(UNDONE.format(sql))
    assert (trace.effect, trace.scanned, trace.built, trace.catches) == (effect, scanned, built, True)


def test_a_function_of_the_file_that_catches(zoo: Zoo) -> None:
    """Called by a SELECT of the same file."""
    body = UNDONE.format("UPDATE app.hot SET n = n").removeprefix("DO ")
    trace = zoo.last(f"CREATE FUNCTION app.tries() RETURNS void LANGUAGE plpgsql AS {body}; SELECT app.tries()")
    assert (trace.effect, trace.catches) == ("unseen", True)


NEW = "ALTER TABLE app.hot ADD COLUMN {} int"
CAUGHT = "EXCEPTION WHEN duplicate_column OR undefined_table THEN NULL; WHEN others THEN RAISE NOTICE 'no'; END"


@pytest.mark.parametrize(
    ("sql", "effect", "locked"),
    [
        (f"DO $$ BEGIN {NEW}; {CAUGHT} $$", "catalog", True),
        (f"DO $$ DECLARE x int := 1; BEGIN BEGIN IF x = 1 THEN {NEW}; END IF; {CAUGHT}; END $$", "catalog", True),
        # Rolled back, with a lock that was taken before the block, in its handler, or for a variable.
        (f"DO $$ BEGIN LOCK app.hot; BEGIN {NEW}; RAISE division_by_zero; {CAUGHT}; END $$", "unseen", True),
        (f"DO $$ BEGIN {NEW}; RAISE division_by_zero; EXCEPTION WHEN others THEN LOCK app.hot; END $$",
         "unseen", True),
        ((f"DO $$ DECLARE x int := (SELECT count(*) FROM app.hot WHERE false); BEGIN {NEW}; RAISE division_by_zero;"
         f" {CAUGHT} $$"), "unseen", True),
        (f"DO $$ BEGIN {NEW}; RAISE division_by_zero; {CAUGHT} $$", "unseen", False),
        # The second of two blocks, or the second round of a loop, may be the one that was undone.
        (f"DO $$ BEGIN BEGIN LOCK app.hot; {CAUGHT}; BEGIN {NEW}; RAISE division_by_zero; {CAUGHT}; END $$",
         "unseen", True),
        (f"DO $$ BEGIN FOR i IN 1..2 LOOP BEGIN LOCK app.hot; PERFORM 1 / (2 - i); {CAUGHT}; END LOOP; END $$",
         "unseen", True),
    ],
)  # fmt: skip
def test_a_lock_that_is_left_says_that_nothing_was_undone(zoo: Zoo, sql: str, effect: str, *, locked: bool) -> None:
    """Where all that was done is in the block that catches; everywhere else it says nothing."""
    trace = zoo.last(sql.format("extra"))
    assert (trace.effect, trace.catches, bool(trace.locks)) == (effect, True, locked)


@pytest.mark.parametrize(
    ("sql", "catches"),
    [
        ("DO $$ BEGIN EXCEPTION WHEN others THEN NULL; END $$", True),
        ("DO $$ BEGIN exception -- so\n /* and so */ when others THEN NULL; END $$", True),
        ("DO E'BEGIN EXCEPTION\\nWHEN others THEN NULL; END'", True),
        ("DO $$ BEGIN RAISE EXCEPTION 'exception when'; END $$", False),
        ("DO $$ BEGIN NULL; -- exception when\n END $$", False),
        ("SELECT 'exception when'", False),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXCEPTION WHEN others THEN END $$", False),
    ],
)
def test_what_is_a_handler(sql: str, *, catches: bool) -> None:
    """The words in a program, not in a string or a comment; making a function runs nothing."""
    file = MigrationFile.of_text("0001_a.sql", sql)
    assert Handlers(file).catches(file.statements[0]) is catches
