"""The wire of a stage: what is owed arrives in order with the next question, and never changes an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.verifiers.probes.wire import NotPlanted, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def test_a_row_that_is_refused_is_no_answer_to_the_question_it_travels_with(conn: psycopg.Connection) -> None:
    """Whoever asked would take the SQLSTATE for the question's; what comes behind is asked as usual."""
    wire = Wire(conn)
    wire.save()
    wire.plant("INSERT INTO w VALUES (%s)", [1])
    wire.save()
    wire.plant("INSERT INTO w VALUES (11)")
    with pytest.raises(NotPlanted) as caught:
        wire.ask("SELECT n FROM w")
    assert caught.value.cause.sqlstate == "23514"
    wire.undo()
    assert wire.ask("SELECT n FROM w") == [(1,)]
    with pytest.raises(psycopg.errors.CheckViolation):
        wire.ask("INSERT INTO w VALUES (12)")
    wire.undo()
    assert wire.ask("SELECT n FROM w") == []


def test_a_savepoint_behind_a_row_that_is_refused_was_never_made(conn: psycopg.Connection) -> None:
    """Its end is not the end of the savepoint around it, which has the same name."""
    wire = Wire(conn)
    wire.save()
    wire.ask("INSERT INTO w VALUES (1)")
    wire.save()
    wire.plant("INSERT INTO w VALUES (11)")
    wire.save()
    wire.owe("INSERT INTO w VALUES (2)")
    with pytest.raises(NotPlanted):
        wire.ask("SELECT n FROM w")
    wire.undo()
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        wire.ask("SELECT n FROM w")
    wire.undo()
    assert wire.ask("SELECT n FROM w") == [(1,)]


def test_a_row_that_nobody_asked_about_is_not_planted(conn: psycopg.Connection) -> None:
    """Its savepoint ends first: then nobody hears that it would have been refused."""
    wire = Wire(conn)
    wire.save()
    wire.ask("INSERT INTO w VALUES (1)")
    wire.plant("INSERT INTO w VALUES (11)")
    wire.undo()
    assert wire.ask("SELECT n FROM w") == []


class Model:
    """The wire on a real server beside a stack of lists, one a savepoint; None stands for a row that is refused.

    Nothing but the moment differs: a row that is refused makes the first thing that is sent behind it raise, and until
    its savepoint is undone nothing is answered.
    """

    def __init__(self, conn: psycopg.Connection) -> None:
        self.conn, self.wire = conn, Wire(conn)
        self.levels: list[list[int | None]] = [[]]
        self.broken: int | None = None
        self.wire.save()

    def save(self) -> None:
        """One more savepoint."""
        self.wire.save()
        self.levels.append([])

    def undo(self) -> None:
        """The innermost one ends; the outermost stays for the end."""
        if len(self.levels) > 1:
            self.wire.undo()
            self.levels.pop()
            if self.broken is not None and self.broken >= len(self.levels):
                self.broken = None

    def plant(self, value: int | None) -> None:
        """A row for whatever is asked next."""
        self.wire.plant("INSERT INTO w VALUES (%s)", [99 if value is None else value])
        self.levels[-1].append(value)

    def ask(self) -> None:
        """What the table holds, by a question or behind the wire's back, unless nothing is answered."""
        refused = next((at for at, level in enumerate(self.levels) if None in level), None)
        if self.broken is not None:
            with pytest.raises((psycopg.Error, NotPlanted)):
                self.wire.ask("SELECT n FROM w")
        elif refused is not None:
            with pytest.raises(NotPlanted):
                self.wire.ask("SELECT n FROM w")
            self.broken = refused
        else:
            expected = sorted(row for level in self.levels for row in level if row is not None)
            assert sorted(row[0] for row in self.wire.ask("SELECT n FROM w")) == expected
            self.wire.settle()
            assert kept(self.conn) == expected

    def attack(self, text: LiteralString, state: str) -> None:
        """What is refused itself, where everything before it is answered."""
        self.ask()
        if self.broken is None:
            with pytest.raises(psycopg.Error) as caught:
                self.wire.ask(text)
            assert caught.value.sqlstate == state
            self.broken = len(self.levels) - 1

    def end(self) -> None:
        """Every savepoint ends."""
        for _ in self.levels:
            self.wire.undo()
        self.wire.settle()
        assert kept(self.conn) == []


STEPS: dict[str, Callable[[Model], None]] = {
    "save": Model.save,
    "undo": Model.undo,
    "plant": lambda model: model.plant(1),
    "plant another": lambda model: model.plant(2),
    "plant in vain": lambda model: model.plant(None),
    "ask": Model.ask,
    "refused": lambda model: model.attack("INSERT INTO w VALUES (99)", "23514"),
    "no sql": lambda model: model.attack("INSERT INTO w VALUS (1)", "42601"),
}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=30))
def test_the_table_is_what_it_would_be_if_every_statement_were_sent_at_once(
    conn: psycopg.Connection, steps: list[str]
) -> None:
    """Whatever is done in whatever order."""
    model = Model(conn)
    for step in steps:
        STEPS[step](model)
    model.end()
