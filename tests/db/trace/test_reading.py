"""Reading the answers: as they come or all at once, the short way or by judging all there is, the trace is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.trace.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from make_zoo import Zoo
    from psycopg.pq.abc import PGresult

    from scripts.migrations.trace.model import FileTrace

STATEMENTS = (
    "SET LOCAL lock_timeout = 1000",
    "CREATE SCHEMA other",
    "CREATE SCHEMA IF NOT EXISTS app",
    "COMMENT ON SCHEMA app IS 'x'",
    "COMMENT ON TABLE app.hot IS 'hot'",
    "CREATE TABLE app.fresh (id int PRIMARY KEY)",
    "CREATE INDEX ON app.hot (n, sure)",
    "ALTER TABLE app.hot ADD COLUMN extra int",
    "ALTER TABLE app.hot ALTER sure TYPE bigint",
    "ALTER TABLE app.hot VALIDATE CONSTRAINT hot_n_check",
    "ALTER TABLE app.child RENAME TO grandchild",
    "ALTER TABLE app.whole DETACH PARTITION app.whole_1",
    "ALTER DOMAIN app.amount ADD CHECK (value > 0)",
    "CLUSTER app.hot USING hot_pkey",
    "DROP TABLE app.loose",
    "DROP TABLE app.parent CASCADE",
    "INSERT INTO app.parent VALUES (1000, 'x')",
    "UPDATE app.hot SET note = 'x' WHERE id <= 20",
    "SELECT count(*) FROM app.parent",
    "ANALYZE app.hot",
    "TRUNCATE app.child",
    "REFRESH MATERIALIZED VIEW app.hot_sum",
    "DO $$ BEGIN BEGIN LOCK TABLE app.hot; RAISE 'no'; EXCEPTION WHEN others THEN NULL; END; END $$",
    "DO $$ BEGIN RAISE NOTICE 'x'; LOCK TABLE app.whole_2 IN SHARE MODE; END $$",
    "EXPLAIN ANALYZE UPDATE app.hot SET n = n",
    "CREATE TABLE app.taken AS SELECT * FROM app.hot",
)
EASY = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FILES = st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=8, unique=True)


def outcome(zoo: Zoo, sql: str) -> tuple[Sequence[PGresult], Callable[[], Reading]] | None:
    """The answers to a file, which is rolled back, and how to read them anew; None when the server refuses it."""
    tracer, file = zoo.tracer, MigrationFile.of_text("0001_test.sql", sql)
    woven = tracer.weave(file)
    into = tracer.begin(file)
    draft = tracer._draft
    assert draft is not None
    execute_batch(zoo.conn, b"BEGIN")
    try:
        results = execute_batch(zoo.conn, woven.text, into=into)
    except BatchError:  # its statements do not go together
        return None
    finally:
        execute_batch(zoo.conn, b"ROLLBACK")
    return results, lambda: Reading(tracer._known, tracer._listener, draft, woven, ahead=0)


@EASY
@given(FILES, st.lists(st.integers(min_value=0, max_value=40)))
def test_answers_may_come_in_any_pieces(zoo: Zoo, statements: list[str], pieces: list[int]) -> None:
    """However few are there at a time, and however often one looks: nothing is lost, doubled or misplaced."""
    found = outcome(zoo, ";\n".join(statements))
    if found is None:
        return
    results, reading = found
    slow = reading()
    for end in sorted(pieces):
        slow.take(results[:end])

    assert slow.finished(results) == reading().finished(results)


@pytest.mark.parametrize("skip", [1, 3])
def test_what_comes_before_the_text_is_skipped(zoo: Zoo, skip: int) -> None:
    """Answers to what was sent in front of the file are none of its statements'."""
    found = outcome(zoo, "COMMENT ON TABLE app.hot IS 'x'; ALTER TABLE app.hot ADD COLUMN extra int; SELECT 1")
    assert found is not None
    results, reading = found
    slow = reading()
    for end in range(len(results)):
        slow.take([*[results[0]] * skip, *results[:end]], skip=skip)

    assert slow.finished(results) == reading().finished(results)
    assert len(slow.finished(results).statements) == 3


def judged(monkeypatch: pytest.MonkeyPatch, found: tuple[Sequence[PGresult], Callable[[], Reading]]) -> FileTrace:
    """The trace by judging every statement."""
    results, reading = found
    with monkeypatch.context() as patch:
        patch.setattr("scripts.migrations.trace.reading.is_weighed", lambda _: True)
        return reading().finished(results)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_short_way_says_what_judging_says(zoo: Zoo, monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    """A statement that surely did nothing but lock is not judged; judged, it would have the same trace."""
    found = outcome(zoo, f"COMMENT ON TABLE app.hot IS 'x'; COMMENT ON TABLE app.child IS 'x'; {statement}; SELECT 1")
    assert found is not None
    results, reading = found

    assert reading().finished(results) == judged(monkeypatch, found)


@EASY
@given(FILES)
def test_of_many_as_well(zoo: Zoo, statements: list[str]) -> None:
    """The same, when each finds what those before it left."""
    found = outcome(zoo, ";\n".join(statements))
    if found is None:
        return
    results, reading = found

    with pytest.MonkeyPatch.context() as patch:
        assert reading().finished(results) == judged(patch, found)


def test_the_files_beginning_is_the_messages(zoo: Zoo) -> None:
    """The first statement's time counts from when the server took the message, though that is told last."""
    found = outcome(zoo, "SELECT pg_sleep(0.05); SELECT 1")
    assert found is not None
    results, reading = found
    trace = reading().finished(results)

    durations = [statement.duration_us or 0 for statement in trace.statements]
    assert 50_000 <= durations[0] < 5_000_000
    assert durations[1] < durations[0]


@pytest.mark.parametrize(
    ("before", "then"),
    [
        ("CREATE TABLE app.once (id int); CREATE INDEX ON app.once (id)", "COMMENT ON TABLE app.once IS 'x'"),
        (
            "CREATE TABLE app.once (id int); INSERT INTO app.once VALUES (1)",
            "DO $$ BEGIN LOCK TABLE app.once IN ACCESS SHARE MODE; END $$",
        ),
    ],
)
def test_the_counters_begin_anew_with_every_file(zoo: Zoo, before: str, then: str) -> None:
    """What a file read and wrote is not the next one's, whichever question stands at its end."""
    zoo.does("SELECT 1")
    zoo.does(before)
    try:
        trace = zoo.last(then)
    finally:
        zoo.does("DROP TABLE app.once")

    assert (trace.effect, trace.scanned) == ("catalog", ())
