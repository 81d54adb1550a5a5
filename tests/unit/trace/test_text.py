"""The text of a trace: whatever a record holds, it is the JSON of its document."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from scripts.migrations.trace.model import (
    LOCK_MODES,
    FileTrace,
    HeldLock,
    LockTaken,
    Notice,
    PhaseSeen,
    StatementTrace,
)
from scripts.migrations.trace.text import trace_text

# A name may hold anything: quotes, a line's end, what is not ASCII, half of a pair.
NAMES = st.sampled_from(["public.t", 'app."odd"', "a\\b", "ü.☃", "line\nend", "\x1f", "\u2028", ""]) | st.text(
    max_size=5
)
NUMBERS = st.integers(min_value=0, max_value=2**53 - 1)
SOURCES = st.sampled_from(["measured", "sampled", "documented"])
MODES = st.sampled_from([*LOCK_MODES, "UnheardOfLock"])


def some(each: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    """None of them, more often than not."""
    return st.just(()) | st.lists(each, max_size=2).map(tuple)


LOCKS = st.builds(LockTaken, relation=NAMES, relkind=NAMES, mode=MODES, on=st.just("") | NAMES, source=SOURCES)
NOTICES = st.builds(Notice, severity=NAMES, sqlstate=NAMES, message=NAMES)
PHASES = st.builds(
    PhaseSeen,
    phase=NAMES,
    relation=NAMES,
    mode=MODES,
    granted=st.booleans(),
    first_us=NUMBERS,
    last_us=NUMBERS,
    samples=NUMBERS,
)
EFFECTS = st.sampled_from(["rewrite", "truncate", "index", "scan", "data", "catalog", "unseen", "none"])
# Every field but the first four has a default, and most statements leave it: each part is there or not by itself.
PARTS: dict[str, st.SearchStrategy[object]] = {
    "locks": some(LOCKS),
    "effect": EFFECTS,
    "rewritten": some(NAMES),
    "truncated": some(NAMES),
    "scanned": some(NAMES),
    "built": some(NAMES),
    "proved": some(NAMES),
    "rows": NUMBERS,
    "notices": some(NOTICES),
    "source": SOURCES,
    "phases": some(PHASES),
    "samples": NUMBERS,
    "catches": st.booleans(),
}
# One part more than the usual ones at a time: of many together, each would hide that another was forgotten.
USUAL = {name: PARTS[name] for name in ("locks", "rows", "effect")}
STATEMENTS = st.builds(
    lambda index, line, kind, duration_us, parts: StatementTrace(index, line, kind, duration_us, **parts),
    NUMBERS,
    NUMBERS,
    NAMES,
    st.none() | NUMBERS,
    st.one_of(
        *(st.fixed_dictionaries({name: part}, optional=USUAL) for name, part in PARTS.items() if name not in USUAL),
        st.fixed_dictionaries({}, optional=USUAL),
        st.fixed_dictionaries({}, optional=PARTS),
    ),
)
HELD = st.builds(HeldLock, relation=NAMES, taken_by=NUMBERS, statements=NUMBERS, exclusive_held_us=NUMBERS)


def as_document(trace: FileTrace) -> str:
    """The text by the standard library alone."""
    return json.dumps(trace.as_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@given(st.builds(FileTrace, some(STATEMENTS), some(HELD), some(NOTICES), st.booleans()))
def test_text_is_that_of_the_document(trace: FileTrace) -> None:
    """Byte for byte, whichever parts are there: the history's digest is made of it."""
    assert trace_text(trace) == as_document(trace)


@pytest.mark.parametrize("part", PARTS)
@given(st.data())
def test_each_part_alone(part: str, data: st.DataObject) -> None:
    """A part that is there by itself is in the text, too; so are two that are there together."""
    values: dict[str, Any] = {part: data.draw(PARTS[part]), **data.draw(st.fixed_dictionaries({}, optional=USUAL))}
    trace = FileTrace((StatementTrace(0, 1, "SELECT", 5, **values),))

    assert trace_text(trace) == as_document(trace)


def test_every_part_is_among_those_tried() -> None:
    """Control: a field that is added to a record, and to no example, would be held by nothing."""
    assert set(StatementTrace.__slots__) == {"index", "line", "kind", "duration_us", *PARTS}
