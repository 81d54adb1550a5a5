"""Weaving: the file is sent whole and in order, every answer finds its statement, every place its way back."""

from __future__ import annotations

import re

import hypothesis.strategies as st
import pytest
from hypothesis import given

from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.trace.probe import Questions
from scripts.migrations.trace.weave import Draft, Woven, forgets_prepared, weave
from scripts.parser.statements import parse_statements

ASK = Questions("asked")
STATEMENTS = (
    "SELECT 1",
    "SELECT 'it''s ; not the end' AS \"a;b\"",
    "SET LOCAL lock_timeout = 100",
    "RESET ALL",
    "DEALLOCATE ALL",
    "SET client_min_messages TO error",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "CREATE TABLE app.t (id int PRIMARY KEY)",
    "CREATE INDEX t_idx ON app.t (id)",
    "CREATE INDEX IF NOT EXISTS t_idx ON app.t (id)",
    "ALTER TABLE app.t ADD COLUMN ü text DEFAULT '☃'",
    "COMMENT ON COLUMN app.t.id IS $$ -- ; $$",
    "GRANT SELECT ON app.t TO PUBLIC",
    "DO $body$ BEGIN PERFORM 1; /* ; */ END $body$",
    "CREATE FUNCTION app.f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
    "CREATE FUNCTION app.g() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$",
    "UPDATE app.t SET id = 1 /* ☃ ; */ WHERE true",
)
GAPS = st.sampled_from(["", " ", "\n", " -- é ; '\n", "/* ; /* nested ☃ */ */", ";", "\n\n\t"])
FILES = st.lists(st.tuples(GAPS, st.sampled_from(STATEMENTS), GAPS), min_size=1, max_size=12)


def file_of(parts: list[tuple[str, str, str]]) -> MigrationFile:
    """A file of these statements, each with something before it and behind it."""
    return MigrationFile.of_text("0001_x.sql", ";".join(before + text + after for before, text, after in parts))


@given(FILES, st.booleans())
def test_every_answer_finds_its_statement(parts: list[tuple[str, str, str]], event_triggers: bool) -> None:  # noqa: FBT001 - hypothesis
    """The woven text parses into as many statements as it says, and the file's own stand where it says."""
    file = file_of(parts)

    woven = weave(file, ASK, newest=20000, event_triggers=event_triggers)

    sent = parse_statements(woven.text.decode(), where="woven")
    assert woven.results == len(sent)
    own = [statement for statement in sent if woven.statement_of(statement.index) is not None]
    assert [statement.text for statement in own] == [statement.text for statement in file.statements]
    assert [woven.statement_of(statement.index) for statement in own] == list(range(len(file.statements)))
    assert all(woven.is_probe(statement.index) != (statement in own) for statement in sent)
    assert not woven.is_probe(woven.results)
    assert woven.statement_of(woven.results) is None


@given(FILES, st.sampled_from([16384, 2**32 - 1]))
def test_every_place_finds_its_way_back(parts: list[tuple[str, str, str]], newest: int) -> None:
    """Each character of a statement, as it was sent, leads to the same character of the file."""
    file = file_of(parts)

    woven = weave(file, ASK, newest=newest)

    text = woven.text.decode()
    for statement in parse_statements(text, where="woven"):
        index = woven.statement_of(statement.index)
        if index is None:
            assert 0 <= woven.to_file_offset(statement.offset) <= len(file.text)
            continue
        original = file.statements[index].offset
        for step in range(len(statement.text)):
            assert woven.to_file_offset(statement.offset + step) == original + step
            assert text[statement.offset + step] == file.text[original + step]


@given(FILES)
def test_nothing_of_the_file_is_lost(parts: list[tuple[str, str, str]]) -> None:
    """Without what was inserted, the woven text is the file."""
    file = file_of(parts)
    woven = weave(file, ASK)

    text = woven.text.decode()
    pieces = zip(woven._sent, [*woven._sent[1:], len(text)], woven._file, strict=True)
    kept = ""
    for start, end, offset in pieces:
        if file.text[offset : offset + end - start] == text[start:end] and len(kept) == offset:
            kept += text[start:end]

    assert kept == file.text


@given(FILES, st.lists(st.integers(min_value=16383, max_value=2**32 - 1), min_size=1, max_size=3))
def test_a_draft_serves_any_database(parts: list[tuple[str, str, str]], newest: list[int]) -> None:
    """Woven ahead of time, a file is sent as if it were woven now, whatever was made in between."""
    file = file_of(parts)
    draft = Draft(file, ASK, event_triggers=False)

    for oid in newest:
        assert draft.woven(oid) == weave(file, ASK, newest=oid)


@given(FILES)
def test_without_questions_the_bytes_are_the_files(parts: list[tuple[str, str, str]]) -> None:
    """Not a byte is added when nothing is asked."""
    file = file_of(parts)

    woven = weave(file, None)

    assert (woven.text, woven.results, dict(woven.probes)) == (file.data, len(file.statements), {})
    assert [woven.statement_of(index) for index in range(woven.results + 1)] == [*range(len(file.statements)), None]
    assert woven.to_file_offset(5) == 5


def test_no_question_before_set_transaction() -> None:
    """The server refuses SET TRANSACTION after a query."""
    file = MigrationFile.of_text("0001_x.sql", "LOCK TABLE t; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 1;")

    woven = weave(file, ASK)

    assert 0 not in woven.probes
    assert 2 in woven.probes


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("CREATE SCHEMA a; CREATE TABLE a.t (id int);", ["glance", "glance", "names"]),
        ("CREATE TABLE a.t (id int); ALTER TABLE a.u ADD c int", ["glance", "glance", "end"]),
        ("ALTER TABLE a.u ADD c int; CREATE SCHEMA a", ["probe", "glance", "end"]),
        ("SET LOCAL lock_timeout = 5", ["glance", "end"]),
        ("DO $$ BEGIN END $$", ["glance", "end"]),
    ],
)
def test_locks_are_asked_for_once_at_the_end(text: str, asked: list[str]) -> None:
    """Behind the last statement stands the time; then its locks, and the file's, or nothing where there are none."""
    woven = weave(MigrationFile.of_text("0001_x.sql", text), ASK)

    assert re.findall(r'EXECUTE "asked (\w+)"', woven.text.decode()) == asked


@pytest.mark.parametrize(
    ("text", "lost"),
    [("DEALLOCATE ALL", True), ("DISCARD PLANS", True), ("SELECT 1", False), ("PREPARE a AS SELECT 1", False)],
)
def test_files_that_lose_prepared_statements(text: str, lost: bool) -> None:  # noqa: FBT001 - a column of the table
    """They are known by their statements."""
    assert forgets_prepared(MigrationFile.of_text("0001_x.sql", text).statements) is lost


def test_a_woven_text_of_nothing_asked_has_no_probes() -> None:
    """The default of `Woven` is a file sent as it is."""
    assert not Woven(b"SELECT 1", 1, [0]).is_probe(0)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("CREATE TABLE app.t (id int REFERENCES app.parent)", []),
        ("CREATE TABLE app.t (id int); CREATE INDEX ON app.t (id)", []),
        ("ALTER TABLE app.t ADD n int", ["debug1"]),
        (
            "CREATE INDEX ON app.t (id); CREATE TABLE app.u (id int REFERENCES app.t); ALTER TABLE app.t ADD n int",
            ["debug1", "notice", "debug1"],
        ),
    ],
)
def test_the_server_is_heard_where_it_may_say_something(text: str, levels: list[str]) -> None:
    """A message costs more than a question: those of a table that is made by itself are not sent for."""
    woven = weave(MigrationFile.of_text("0001_x.sql", text), ASK).text.decode()

    assert re.findall(r"client_min_messages TO (\w+)", woven) == levels
