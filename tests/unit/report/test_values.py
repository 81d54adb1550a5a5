"""Expected beside observed: both whole, and where they differ."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from make_results import values

from scripts.report.escape import escape, escape_lines
from scripts.report.values import render_value, render_values
from scripts.result import Check

if TYPE_CHECKING:
    from scripts.digest import Json


@pytest.mark.parametrize(
    ("expected", "observed", "lines"),
    [
        (True, False, ["expected  true", "observed  false"]),
        (True, 1, ["expected  true", "observed  1"]),
        (None, "Grüße", ["expected  null", 'observed  "Grüße"']),
        (
            {"a": [1, 2], "b": {"c": "x"}, "gone": None},
            {"a": [1, 3, 4], "b": {"c": "y"}, "new": True},
            [
                'expected  {"a": [1, 2], "b": {"c": "x"}, "gone": null}',
                'observed  {"a": [1, 3, 4], "b": {"c": "y"}, "new": true}',
                "differs   .a[1]: expected 2, observed 3",
                "differs   .a[2]: expected nothing, observed 4",
                'differs   .b.c: expected "x", observed "y"',
                "differs   .gone: expected null, observed nothing",
                "differs   .new: expected nothing, observed true",
            ],
        ),
        ([], ["a:1:1 x", "b:2:1 y"], ["expected  []", 'observed  "a:1:1 x"', 'observed  "b:2:1 y"']),
        ([], [[]], ["expected  []", "observed  [[]]", "differs   [0]: expected nothing, observed []"]),
        ([1], {"a": 1}, ["expected  [1]", 'observed  {"a": 1}']),
        ("a\nb\n", "a\nc\n", ["differs   - expected  + observed", "    a", "  - b", "  + c"]),
        (
            "a\nb",
            "a\nb\n",
            [
                "differs   - expected  + observed",
                "    a",
                "    b",
                "  (the same lines; only the line feed at the end differs)",
            ],
        ),
        ("a\r\nb", "a\nb", ["differs   - expected  + observed", "  - a\\r", "  + a", "    b"]),
    ],
)
def test_how_a_difference_is_shown(expected: Json, observed: Json, lines: list[str]) -> None:
    """Scalars side by side, structures with the places that differ, long texts line by line."""
    assert render_values(expected, observed) == lines


@given(values, values)
def test_every_difference_is_seen(expected: Json, observed: Json) -> None:
    """Two different values never look the same."""
    assume(not Check("x", expected, observed).holds)
    lines = render_values(expected, observed)
    if lines[0].startswith("differs"):
        assert any(line.startswith(("  - ", "  + ", "  -", "  +", "  (")) for line in lines[1:])
    else:
        assert lines[0].removeprefix("expected  ") != lines[1].removeprefix("observed  ")


@given(values)
def test_a_value_stays_on_one_line(value: Json) -> None:
    """JSON on one printable line, and for harmless text the JSON itself."""
    line = render_value(value)
    assert "\n" not in line
    assert line.isprintable()
    text = json.dumps(value, ensure_ascii=False)
    assert line == text or not text.isprintable()


@given(st.text())
def test_escaped_text_is_printable(text: str) -> None:
    """Whatever the text, one printable line comes out; printable ASCII comes out as it was."""
    escaped = escape(text)
    assert escaped.isprintable()
    if text.isascii() and text.isprintable():
        assert escaped == text
    assert all(line.isprintable() for line in escape_lines(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc\rd", "a\\tb\\nc\\rd"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eabc", "\\u202eabc"),
        ("a\u200bb", "a\\u200bb"),
        ("\U000e0041", "\\U000e0041"),
        ("Grüße 東京", "Grüße 東京"),
        ("", ""),
    ],
)
def test_how_an_unsafe_character_is_shown(text: str, shown: str) -> None:
    """Each by its code; letters of every script as they are."""
    assert escape(text) == shown


def test_lines() -> None:
    """Only line feeds end a line, and a last one adds none."""
    assert escape_lines("a\nb\r\n\u2028c\n") == ["a", "b\\r", "\\u2028c"]
    assert escape_lines("") == [""]
