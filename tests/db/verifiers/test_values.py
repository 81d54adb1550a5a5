"""Values in the text of a statement: what the driver's own way makes of them, and quicker."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from scripts.verifiers.probes.values import Values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.verifiers.conftest import Bench

# PostgreSQL's text holds no NUL.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
ANY = st.one_of(
    *(
        st.none(),
        TEXTS,
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.uuids(),
        st.binary(),
        st.decimals(allow_nan=False),
    ),
    *(st.floats(), st.dates(), st.datetimes(), st.datetimes(timezones=st.just(UTC)), st.timedeltas()),
    st.dictionaries(TEXTS, st.integers(), max_size=2).map(Jsonb),
    *(st.lists(TEXTS, max_size=3), st.lists(st.integers(-9, 9), max_size=3), st.lists(st.uuids(), max_size=2)),
)
NAMES = ("a", "b_1", "c")
PIECES = st.text(st.sampled_from("%%ab '\"\n;(){}s"), max_size=6).map(lambda text: text.replace("%", "%%"))


@pytest.fixture(scope="module")
def conn(server: Any) -> Iterator[psycopg.Connection[Any]]:
    """Whose settings the literals are for."""
    with psycopg.connect(server.dsn) as opened:
        yield opened


def mogrified(conn: psycopg.Connection[Any], text: str, params: Any) -> str:
    """As the driver has it."""
    return psycopg.ClientCursor(conn).mogrify(text.encode(), params)


@given(st.data())
def test_it_is_what_the_driver_makes_of_it(conn: psycopg.Connection[Any], data: st.DataObject) -> None:
    """Whatever the values are and wherever they stand, in order and by name; one quoting for all of them."""
    values = Values(conn)
    for _ in range(3):
        params = data.draw(st.lists(ANY, max_size=4))
        text = "".join(data.draw(PIECES) + "%s" for _ in params) + data.draw(PIECES)
        assert values.put(text, params) == mogrified(conn, text, params)
        named = {name: data.draw(ANY) for name in NAMES}
        chosen = data.draw(st.lists(st.sampled_from(NAMES), max_size=4))
        text = "".join(f"{data.draw(PIECES)}%({name})s" for name in chosen) + data.draw(PIECES)
        assert values.put(text, named) == mogrified(conn, text, named)


@pytest.mark.parametrize("setting", ["on", "off"])
def test_a_backslash_is_one_under_either_setting(bench: Bench, setting: str) -> None:
    """The setting may change while the quoting lives."""
    with bench.owner.transaction(force_rollback=True):
        values = Values(bench.owner)
        for now in ("on", "off", setting):
            bench.owner.execute(f"SET LOCAL standard_conforming_strings TO {now}")
            found = bench.owner.execute(values.put("SELECT %s::text", ["a\\'b\\"]).encode()).fetchall()
            assert found == [("a\\'b\\",)]


def test_each_type_is_written_with_its_own(conn: psycopg.Connection[Any]) -> None:
    """What the server would otherwise have to guess."""
    put = Values(conn).put
    assert put("%s", [UUID(int=1)]) == "'00000000000000000000000000000001'::uuid"
    assert put("%s", ["it's"]) == "'it''s'"
    assert put("%s %s", [-1, Decimal("1.50")]) == " -1 1.50"
    assert put("%s", [date(2026, 1, 2)]) == "'2026-01-02'::date"
    assert put("%s", [datetime(2026, 1, 2, tzinfo=UTC)]) == "'2026-01-02 00:00:00+00:00'::timestamptz"
    assert put("%s", [timedelta(hours=1)]).endswith("::interval")
    assert put("%s %%s", [None]) == "NULL %s"


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("%s %s", [1]),
        ("%s", [1, 2]),
        ("%s", {"a": 1}),
        ("%(a)s", [1]),
        ("%(a)s %s", {"a": 1}),
        ("10 % of", [1]),
        ("%d", [1]),
        ("%b", [b""]),
        ("%(a)d", {"a": 1}),
    ],
)
def test_places_that_do_not_belong_to_the_values_are_refused(
    conn: psycopg.Connection[Any], text: str, params: Any
) -> None:
    """A fault of ours, which must not become a statement."""
    with pytest.raises(ValueError, match=r"place|percent"):
        Values(conn).put(text, params)


def test_a_name_without_a_value_is_refused(conn: psycopg.Connection[Any]) -> None:
    """The same."""
    with pytest.raises(KeyError):
        Values(conn).put("%(a)s", {"b": 1})
