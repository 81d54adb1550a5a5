"""Expected beside observed, so that the difference is seen and nothing is left out.

Owns: how a check's two values become lines.
"""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any, Final

from scripts.report.escape import escape, escape_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.digest import Json

_MISSING: Final = object()


def render_values(expected: Json, observed: Json) -> list[str]:
    """The two values as labelled lines; for lists and objects also where they differ, for long texts a whole diff.

    Where nothing was expected, what was found is told item by item.
    """
    if isinstance(expected, str) and isinstance(observed, str) and "\n" in expected + observed:
        return ["differs   - expected  + observed", *(f"  {line}" for line in _diff(expected, observed))]
    if expected == [] and isinstance(observed, list) and observed and all(isinstance(item, str) for item in observed):
        # A list of violations: each on a line of its own, said once.
        return ["expected  []", *(f"observed  {render_value(item)}" for item in observed)]
    lines = [f"expected  {render_value(expected)}", f"observed  {render_value(observed)}"]
    if isinstance(expected, (dict, list)) and type(expected) is type(observed):
        lines += [
            f"differs   {escape(path)}: expected {_side(here)}, observed {_side(there)}"
            for path, here, there in _differences("", expected, observed)
        ]
    return lines


def render_value(value: Json) -> str:
    """One value as JSON on one line, characters of other scripts readable, control characters escaped."""
    return escape(json.dumps(value, ensure_ascii=False))


def _side(value: Any) -> str:
    return "nothing" if value is _MISSING else render_value(value)


def _differences(path: str, expected: Any, observed: Any) -> Iterator[tuple[str, Any, Any]]:
    """(path, expected, observed) of every place where the two differ; `nothing` where one has no such place."""
    if isinstance(expected, dict) and isinstance(observed, dict):
        for key in [*expected, *(key for key in observed if key not in expected)]:
            yield from _differences(f"{path}.{key}", expected.get(key, _MISSING), observed.get(key, _MISSING))
    elif isinstance(expected, list) and isinstance(observed, list):
        for index in range(max(len(expected), len(observed))):
            here = expected[index] if index < len(expected) else _MISSING
            there = observed[index] if index < len(observed) else _MISSING
            yield from _differences(f"{path}[{index}]", here, there)
    elif type(expected) is not type(observed) or expected != observed:
        yield path, expected, observed


def _diff(expected: str, observed: str) -> list[str]:
    here, there = escape_lines(expected), escape_lines(observed)
    lines = [line for line in difflib.ndiff(here, there) if not line.startswith("?")]
    if here == there:
        lines.append("(the same lines; only the line feed at the end differs)")
    return [line.rstrip() for line in lines]
