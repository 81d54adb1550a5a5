"""The wire of a stage: what is owed arrives in order with the next question, and never changes an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.verifiers.probes.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.verifiers.conftest import Bench


@pytest.fixture
def conn(bench: Bench) -> Iterator[psycopg.Connection]:
    """A connection in a transaction, with a table of the test's own."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute("CREATE TEMPORARY TABLE w (n int CONSTRAINT small CHECK (n < 10))")
        yield bench.owner


def kept(conn: psycopg.Connection) -> list[int]:
    """What is in the table, asked behind the wire's back."""
    return [row[0] for row in conn.execute("SELECT n FROM w ORDER BY n")]


def test_what_is_owed_goes_with_the_next_question_and_not_before(conn: psycopg.Connection) -> None:
    """In the order in which it was handed in; `settle` sends it without a question."""
    wire = Wire(conn)
    wire.owe("INSERT INTO w VALUES (1)")
    assert kept(conn) == []
    assert wire.ask("SELECT n FROM w") == [(1,)]
    wire.owe("INSERT INTO w VALUES (2)", "INSERT INTO w SELECT n + 1 FROM w WHERE n = 2")
    wire.settle()
    assert kept(conn) == [1, 2, 3]
    wire.settle()
    assert kept(conn) == [1, 2, 3]


def test_the_answer_is_that_of_the_question_itself(conn: psycopg.Connection) -> None:
    """Neither of what came before it nor of what is done behind it, and the last of several statements."""
    wire = Wire(conn)
    wire.owe("SELECT 'before'")
    assert wire.ask("SELECT 'asked'", None, "SELECT 'behind'") == [("asked",)]
    wire.save()
    assert wire.ask("SELECT 1; SELECT 2") == [(2,)]
    assert wire.ask("INSERT INTO w VALUES (1)") == []
    assert wire.ask("INSERT INTO w VALUES (2) RETURNING n", None, "SET CONSTRAINTS ALL IMMEDIATE") == [(2,)]


@pytest.mark.parametrize(
    "text",
    [
        "it's",
        'a "quoted" one',
        "a\\b",
        "$tag$ $1 %s %(n)s",
        "); DROP TABLE w; --",
        "-- a comment",
        "\n;\n",
        "é 漢 \U0001f600",
    ],
)
def test_values_are_values_whatever_is_in_them(conn: psycopg.Connection, text: str) -> None:
    """The driver quotes them; none becomes a statement, under either setting of backslashes."""
    wire = Wire(conn)
    for setting in ("on", "off"):
        conn.execute(f"SET LOCAL standard_conforming_strings TO {setting}")
        wire.save()
        assert wire.ask("SELECT %s::text", [text]) == [(text,)]
        assert wire.ask("SELECT %(n)s::text -- the end", {"n": text}, "SELECT 1") == [(text,)]
        wire.undo()
    assert kept(conn) == []


def test_a_savepoint_that_was_never_sent_is_forgotten_with_all_that_came_after_it(conn: psycopg.Connection) -> None:
    """Nothing is sent for it; what was owed before it still is."""
    wire = Wire(conn)
    wire.owe("INSERT INTO w VALUES (1)")
    wire.save()
    wire.owe("INSERT INTO w VALUES (2)")
    wire.save()
    wire.owe("INSERT INTO w VALUES (3)")
    wire.undo()
    wire.undo()
    assert wire.ask("SELECT n FROM w") == [(1,)]


def test_an_error_leaves_the_way_back(conn: psycopg.Connection) -> None:
    """The savepoint's end puts everything right again; what should come behind was not done."""
    wire = Wire(conn)
    wire.save()
    wire.ask("INSERT INTO w VALUES (1)")
    wire.save()
    with pytest.raises(psycopg.errors.CheckViolation):
        wire.ask("INSERT INTO w VALUES (11)", None, "INSERT INTO w VALUES (5)")
    wire.undo()
    assert wire.ask("SELECT n FROM w") == [(1,)]
    wire.undo()
    assert wire.ask("SELECT n FROM w") == []


def test_what_is_no_sql_leaves_the_way_back_to_the_savepoint_that_the_server_knows(conn: psycopg.Connection) -> None:
    """The message was read as a whole and refused, its savepoint with it: until the one around it ends, no answer."""
    wire = Wire(conn)
    wire.save()
    wire.ask("INSERT INTO w VALUES (1)")
    wire.save()
    with pytest.raises(psycopg.errors.SyntaxError):
        wire.ask("INSERT INTO w VALUS (1)")
    wire.undo()
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        wire.ask("SELECT n FROM w")
    wire.undo()
    assert wire.ask("SELECT n FROM w") == []


def test_an_owed_statement_that_is_refused_is_told_by_the_question(conn: psycopg.Connection) -> None:
    """And the question is not asked."""
    wire = Wire(conn)
    wire.save()
    wire.owe("SET LOCAL ROLE nobody_of_that_name")
    with pytest.raises(psycopg.Error) as caught:
        wire.ask("INSERT INTO w VALUES (1)")
    assert caught.value.sqlstate == "22023"
    wire.undo()
    assert wire.ask("SELECT n FROM w") == []


STEPS = st.lists(st.sampled_from(["save", "undo", "insert", "refused", "owe", "settle"]), max_size=25)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_the_table_is_what_it_would_be_if_every_statement_were_sent_at_once(
    conn: psycopg.Connection, steps: list[str]
) -> None:
    """Against a model: a stack of lists, one a savepoint."""
    wire, model, broken = Wire(conn), [[0]], False
    wire.save()
    wire.ask("INSERT INTO w VALUES (0)")
    for number, step in enumerate(steps):
        value = number % 9
        if step == "save" and not broken:
            wire.save()
            model.append(list(model[-1]))
        elif step == "undo" and len(model) > 1:
            wire.undo()
            model.pop()
            broken = False
        elif step == "insert" and not broken:
            wire.ask("INSERT INTO w VALUES (%s)", [value])
            model[-1].append(value)
        elif step == "refused" and not broken and len(model) > 1:
            with pytest.raises(psycopg.Error):
                wire.ask("INSERT INTO w VALUES (%s)", [99])
            broken = True
        elif step == "owe" and not broken:
            wire.owe(f"INSERT INTO w VALUES ({value})")
            model[-1].append(value)
        elif step == "settle" and not broken:
            wire.settle()
        if not broken and step != "owe":
            wire.settle()
            assert sorted(model[-1]) == kept(conn)
    for _ in model:
        wire.undo()
    wire.settle()
    assert kept(conn) == []
