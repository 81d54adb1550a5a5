"""Drift as text and JSON: object by object, fact by fact, and a body line by line.

Owns: the words of `invoke drift`. `-` is what ought to be there, `+` what is there, `~` an object that is there with
    other facts.
Promises: every difference is told, whole; nothing from a database can steer the terminal; the last line counts.
Never: prints. Colours only when asked for.
"""

from __future__ import annotations

import difflib
import json
from itertools import groupby
from typing import TYPE_CHECKING, Final

from scripts.catalog.compare import Difference
from scripts.catalog.render import render_object
from scripts.report.escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from scripts.catalog.compare import ObjectDifference
    from scripts.catalog.drift import Drift
    from scripts.digest import Json

_SHADES: Final = {"-": "\x1b[31m", "+": "\x1b[32m", "~": "\x1b[33m"}
_RESET: Final = "\x1b[0m"
_CONTEXT: Final = 3
NO_DRIFT: Final = "no drift"


def render_drift(drift: Drift, *, color: bool = False) -> str:
    """Everything that differs, grouped by kind, and a last line that counts it.

    Args:
        drift: the comparison.
        color: whether lines that begin with a sign are coloured.
    """
    head = [
        f"expected   {escape(drift.expected.origin)}   {_objects(drift.expected.objects)}",
        f"found      {escape(drift.found.origin)}   {_objects(drift.found.objects)}",
        *(f"note       {escape(note)}" for note in drift.notes),
    ]
    blocks = ["\n".join(head)]
    for kind, items in groupby(drift.differences, key=lambda item: item.either.kind):
        same = list(items)
        blocks.append(f"{kind}   {len(same)}")
        blocks += ["\n".join(_painted(line, color=color) for line in _object_lines(item)) for item in same]
    return "\n\n".join([*blocks, _verdict(drift)])


def drift_json(drift: Drift) -> str:
    """The same for programs: both sides, every difference with its values, the counts."""
    value: dict[str, Any] = {
        "drift": bool(drift.differences),
        "expected": drift.expected.as_json(),
        "found": drift.found.as_json(),
        "missing": drift.missing,
        "unexpected": drift.unexpected,
        "changed": drift.changed,
        "notes": list(drift.notes),
        "differences": [_difference_json(item) for item in drift.differences],
    }
    return json.dumps(value, indent=2, ensure_ascii=False)


def _difference_json(item: ObjectDifference) -> dict[str, Json]:
    facts = {
        fact.fact: _pair(fact, expected=item.expected is not None, found=item.found is not None)
        for fact in item.facts or _whole(item)
    }
    return {"kind": item.either.kind, "name": item.either.name, "change": _change(item), "facts": dict(facts)}


def _pair(fact: Difference, *, expected: bool, found: bool) -> Json:
    values: dict[str, Json] = {}
    if expected:
        values["expected"] = fact.expected
    if found:
        values["found"] = fact.found
    return values


def _whole(item: ObjectDifference) -> Iterator[Difference]:
    """Every fact of an object that is on one side alone."""
    for name in sorted(item.either.facts):
        value = item.either.facts[name]
        yield Difference(
            item.either.title,
            name,
            None if item.expected is None else value,
            None if item.found is None else value,
        )


def _change(item: ObjectDifference) -> str:
    if item.found is None:
        return "missing"
    return "unexpected" if item.expected is None else "changed"


def _object_lines(item: ObjectDifference) -> list[str]:
    sign = {"missing": "-", "unexpected": "+", "changed": "~"}[_change(item)]
    if not item.facts:
        title, *facts = render_object(item.either).rstrip("\n").split("\n")
        return [f"{sign} {escape(title)}", *(f"{sign}   {escape(line)}".rstrip() for line in facts)]
    lines = [f"{sign} {escape(item.either.title)}"]
    for fact in item.facts:
        lines += [f"    {escape(fact.fact)}", *_fact_lines(fact)]
    return lines


def _fact_lines(fact: Difference) -> list[str]:
    """The two values under each other; text of several lines as a unified diff, a list by its entries."""
    expected, found = fact.expected, fact.found
    if isinstance(expected, str) and isinstance(found, str) and ("\n" in expected or "\n" in found):
        return _unified(expected, found)
    if (
        isinstance(expected, list)
        and isinstance(found, list)
        and sorted(map(_text, expected)) != sorted(map(_text, found))
    ):
        return _entries(expected, found)
    lines = [] if expected is None else [f"-     {line}" for line in _value_lines(expected)]
    return lines + ([] if found is None else [f"+     {line}" for line in _value_lines(found)])


def _unified(expected: str, found: str) -> list[str]:
    lines = list(difflib.unified_diff(expected.split("\n"), found.split("\n"), n=_CONTEXT, lineterm=""))[2:]
    return [
        f"      {line}" if line.startswith("@@") else f"{line[:1]}     {_marked(line[1:])}".rstrip() for line in lines
    ]


def _marked(line: str) -> str:
    """A line of a body; a space at its end would not be seen."""
    return escape(line[:-1]) + "\\s" if line.endswith(" ") else escape(line)


def _entries(expected: Sequence[Json], found: Sequence[Json]) -> list[str]:
    """What is gone and what is new, in their order."""
    gone, new = list(map(_text, expected)), list(map(_text, found))
    for entry in list(gone):
        if entry in new:
            gone.remove(entry)
            new.remove(entry)
    return [*(f"-     {escape(entry)}" for entry in gone), *(f"+     {escape(entry)}" for entry in new)]


def _value_lines(value: Json) -> list[str]:
    return [_marked(line) for line in _text(value).split("\n")] if value != "" else ['""']


def _text(value: Json) -> str:
    """Text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _painted(line: str, *, color: bool) -> str:
    shade = _SHADES.get(line[:1])
    return f"{shade}{line}{_RESET}" if color and shade else line


def _verdict(drift: Drift) -> str:
    if not drift.differences:
        return f"{NO_DRIFT}: {_objects(drift.found.objects)} as expected"
    count = len(drift.differences)
    terms = f"{drift.missing} missing + {drift.unexpected} unexpected + {drift.changed} changed"
    return f"drift: {_objects(count)} = {terms}; make the change a migration, or undo it in the database"


def _objects(count: int) -> str:
    return f"{count} object{'' if count == 1 else 's'}"
