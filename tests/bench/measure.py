"""How something is measured, and how it is told: rounds in turn, medians, a target, met or not met.

Owns: `Line`, the rounds, and the table.
Why in turn: a machine that is busy for a second slows every candidate of that round alike, so ratios within one run
hold where times of two runs could not be compared.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scripts.digest import Json


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table.

    values: what the rounds gave, in `unit` (ms, times, bytes); the median is what is judged.
    most: the largest median that is still good; None when there is no target.
    unmeasured: why there are no values, where there are none: nothing measured never reads as met.
    """

    what: str
    values: tuple[float, ...]
    unit: str
    most: float | None = None
    unmeasured: str = ""

    @property
    def median(self) -> float:
        """What is judged."""
        return statistics.median(self.values)

    @property
    def verdict(self) -> str:
        """`met`, `NOT met`, `not measured: …`, or nothing."""
        if self.unmeasured:
            return f"not measured: {self.unmeasured}"
        if self.most is None:
            return ""
        return "met" if self.median <= self.most else "NOT met"

    def as_json(self) -> dict[str, Json]:
        """Numbers as text, as canonical JSON knows no floats."""
        return {
            "what": self.what,
            "unit": self.unit,
            "median": f"{self.median:.3f}" if self.values else None,
            "values": [f"{value:.3f}" for value in self.values],
            "target": None if self.most is None else f"{self.most:.3f}",
            "verdict": self.verdict,
        }


def beyond(lines: Sequence[Line], times: float) -> list[str]:
    """What is wrong with the ratios, a sentence each: more than so many times, or not measured at all.

    Times of a busy machine say little, ratios within one run hold; but at their very target noise would decide.
    """
    told = [f"{line.what}: {line.verdict}" for line in lines if line.unmeasured]
    judged = [line for line in lines if line.values and line.unit == "times" and line.most is not None]
    told += [f"{line.what}: {line.median:.2f} times, at most {times:g}" for line in judged if line.median > times]
    return told


def in_turn(rounds: int, candidates: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Every candidate once a round, each round beginning with another one; what each gave, round by round.

    Args:
        rounds: how many are counted; one more comes first and is not, for caches to fill.
        candidates: each does its work and returns its own time, in seconds.
    """
    names = list(candidates)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            seconds = candidates[name]()
            if number:
                found[name].append(seconds)
    return found


def ratios(values: Sequence[float], base: Sequence[float]) -> tuple[float, ...]:
    """Each round's value over the same round's base."""
    return tuple(value / over for value, over in zip(values, base, strict=True))


def ms(seconds: Sequence[float]) -> tuple[float, ...]:
    """Seconds as milliseconds."""
    return tuple(value * 1000 for value in seconds)


def render_table(lines: Sequence[Line]) -> str:
    """The lines under each other: what, median, least and most, target, verdict."""
    rows = [("", "median", "least … most", "target", "")]
    for line in lines:
        places = 2 if line.unit == "times" else 1 if line.unit == "ms" else 0
        target = "" if line.most is None else f"≤ {line.most:g}"
        median, spread = "", ""
        if line.values:
            median = f"{line.median:.{places}f} {line.unit}"
            spread = f"{min(line.values):.{places}f} … {max(line.values):.{places}f}"
        rows.append((line.what, median, spread, target, line.verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, 4) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
