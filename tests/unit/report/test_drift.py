"""`invoke drift` as text and JSON: every difference whole, a body line by line, nothing that steers a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.catalog.drift import find_drift
from scripts.catalog.read import Catalog, CatalogObject
from scripts.report.drift import drift_json, render_drift

if TYPE_CHECKING:
    from scripts.catalog.drift import Drift
    from scripts.digest import Json

BODY = "BEGIN\n  PERFORM 'first';\n  PERFORM 'second';\n  RETURN 1;\nEND "


def item(kind: str, name: str, **facts: Json) -> CatalogObject:
    """An object."""
    return CatalogObject(kind, name, facts)


def drift_of(expected: list[CatalogObject], found: list[CatalogObject]) -> Drift:
    """The two compared."""
    return find_drift(
        Catalog(tuple(expected)),
        Catalog(tuple(found)),
        expected_origin="schema/catalog.txt, 2 of 2 files recorded",
        found_origin="me@host:5432/db, PostgreSQL 18.6",
    )


EXPECTED = [
    item("column", "public.a.x", position=1, type="text", not_null=True),
    item("function", "public.f()", body=BODY, security="invoker"),
    item("table", "public.a", owner="<owner>", acl=["PUBLIC=SELECT", "a=INSERT", "b=SELECT"]),
    item("view", "public.v", definition=" SELECT 1\n   FROM a;"),
]
FOUND = [
    item("column", "public.a.x", position=1, type="text", default="'x'::text"),
    item("function", "public.f()", body=BODY.replace("'second'", "'other'").removesuffix(" "), security="definer"),
    item("index", "public.i", definition="CREATE INDEX i ON public.a USING btree (x)"),
    item("table", "public.a", owner="mallory", acl=["PUBLIC=SELECT", "a=INSERT,UPDATE", "b=SELECT"]),
]
TEXT = """\
expected   schema/catalog.txt, 2 of 2 files recorded   4 objects
found      me@host:5432/db, PostgreSQL 18.6   4 objects

column   1

~ column public.a.x
    default
+     'x'::text
    not_null
-     true

function   1

~ function public.f()
    body
      @@ -1,5 +1,5 @@
      BEGIN
        PERFORM 'first';
-       PERFORM 'second';
+       PERFORM 'other';
        RETURN 1;
-     END\\s
+     END
    security
-     invoker
+     definer

index   1

+ index public.i
+     definition: CREATE INDEX i ON public.a USING btree (x)

table   1

~ table public.a
    acl
-     a=INSERT
+     a=INSERT,UPDATE
    owner
-     <owner>
+     mallory

view   1

- view public.v
-     definition:
-       |  SELECT 1
-       |    FROM a;

drift: 5 objects = 1 missing + 1 unexpected + 3 changed; make the change a migration, or undo it in the database"""


def test_the_whole_text() -> None:
    """Grouped by kind; - is expected, + is found, ~ is changed; the last line counts."""
    assert render_drift(drift_of(EXPECTED, FOUND)) == TEXT


def test_no_drift_is_three_lines() -> None:
    """What was compared, and that it is equal."""
    assert render_drift(drift_of(EXPECTED, EXPECTED)) == (
        "expected   schema/catalog.txt, 2 of 2 files recorded   4 objects\n"
        "found      me@host:5432/db, PostgreSQL 18.6   4 objects\n\n"
        "no drift: 4 objects as expected"
    )


def test_a_note_stands_with_the_two_sides() -> None:
    """What is no drift of an object is a line of its own."""
    ledger = [item("table", "public.schema_migrations")]
    newer = [*ledger, item("table", "public.schema_migrations_journal")]
    assert render_drift(drift_of(newer, ledger)).splitlines()[2:] == [
        (
            "note       the ledger was made by an older runner, without public.schema_migrations_journal; "
            "the next `invoke migrate` makes it"
        ),
        "",
        "no drift: 1 object as expected",
    ]


def test_colour_is_added_only_when_asked_for() -> None:
    """Red for what is missing, green for what is there, yellow for the changed; the same text below it."""
    drift = drift_of(EXPECTED, FOUND)
    painted = render_drift(drift, color=True)
    assert "\x1b[31m-     <owner>\x1b[0m" in painted
    assert "\x1b[32m+     mallory\x1b[0m" in painted
    assert "\x1b[33m~ table public.a\x1b[0m" in painted
    plain = painted
    for code in ("\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"):
        plain = plain.replace(code, "")
    assert plain == TEXT


def test_the_same_for_programs() -> None:
    """Both sides, the counts, and each difference with its values; a missing value is not a null one."""
    value = json.loads(drift_json(drift_of(EXPECTED, FOUND)))
    assert value["drift"] is True
    assert (value["missing"], value["unexpected"], value["changed"]) == (1, 1, 3)
    assert value["expected"]["from"] == "schema/catalog.txt, 2 of 2 files recorded"
    assert len(value["found"]["fingerprint"]) == 64
    by_name = {entry["name"]: entry for entry in value["differences"]}
    assert by_name["public.v"] == {
        "kind": "view",
        "name": "public.v",
        "change": "missing",
        "facts": {"definition": {"expected": " SELECT 1\n   FROM a;"}},
    }
    assert by_name["public.i"]["change"] == "unexpected"
    assert by_name["public.a.x"]["facts"]["not_null"] == {"expected": True, "found": None}
    assert json.loads(drift_json(drift_of(EXPECTED, EXPECTED)))["drift"] is False


@pytest.mark.parametrize(
    ("expected", "found", "lines"),
    [
        (["a", "b"], ["b", "a"], ['-     ["a", "b"]', '+     ["b", "a"]']),
        (["a", "a"], ["a"], ["-     a"]),
        (None, ["x"], ['+     ["x"]']),
        (True, 1, ["-     true", "+     1"]),
        ("a\r\nb", "a\nb", ["      @@ -1,2 +1,2 @@", "-     a\\r", "+     a", "      b"]),
        ("", "x", ['-     ""', "+     x"]),
        ("1\n2\n3\n4\n5\n6\n7\n8\n9", "1\n2\n3\n4\n5\n6\n7\n8\nx", ["      @@ -6,4 +6,4 @@", "      6", "      7"]),
    ],
)
def test_one_fact(expected: Json, found: Json, lines: list[str]) -> None:
    """Lists by entry, or whole when only their order differs; text of several lines with three lines around."""
    text = render_drift(drift_of([item("table", "t", fact=expected)], [item("table", "t", fact=found)]))
    shown = text.split("    fact\n")[1].split("\n\n")[0].split("\n")
    assert shown[: len(lines)] == lines


HOSTILE = st.text(alphabet="ab \x1b[\r\n\u202e\x00\\+-~", max_size=10)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_nothing_steers_the_terminal(name: str, expected: str, found: str) -> None:
    """No control character but the line feeds between lines, and every change of a value shows."""
    before, after = item("function", name, body=expected), item("function", name, body=found)
    text = render_drift(drift_of([before], [after]))
    assert not set(text) & set("\x1b\r\x00\u202e")
    assert ("\ndrift: 1 object" in text) is (expected != found)
