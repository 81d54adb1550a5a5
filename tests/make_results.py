"""Results and inventories for tests: hand-made ones, and every mix that Hypothesis can think of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from scripts.evidence.expected import Expected
from scripts.evidence.source import Source
from scripts.result import Check, Result

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 3, 1, 10, 22, 5, 123456, tzinfo=UTC)
COMMIT = "8c72a5828ca4de2c8176d1a5aeff869b504efb2c"
SOURCE = Source(COMMIT, "f6cf9908a047d9fda66636b2f43e4d71c23912c9", "main", dirty=False)
TOOLS = {"python": "CPython 3.11.7"}


def ticking(start: datetime = NOW) -> Callable[[], datetime]:
    """A clock that moves on by a millisecond at every look."""
    ticks = iter(range(1_000_000))
    return lambda: start + timedelta(milliseconds=next(ticks))


def inventory(*gates: str, folder: str = "phase0") -> tuple[Expected, ...]:
    """One expected gate a name."""
    return tuple(
        Expected(gate, f"DB-{gate.upper()}", folder, gate.replace("-", "_"), origin_task_id="TSK-P0-149")
        for gate in gates
    )


def passing(gate: str, **changes: Any) -> Result:
    """A result whose every check holds."""
    good = Result(
        gate,
        started_at=NOW,
        finished_at=NOW + timedelta(milliseconds=3),
        checks=(Check("a_col", True, True, "public.t"),),
        examined=3,
    )
    return replace(good, **changes)


def failing(gate: str, **changes: Any) -> Result:
    """A result with one check that does not hold."""
    checks = (
        Check("a_col", True, True, "public.t"),
        Check("t_reject", "enabled", "disabled", "public.t", "enable the trigger"),
    )
    return passing(gate, **({"checks": checks, "examined": 12} | changes))


# Values that a catalog or a parser can hand over: any text, whole numbers that JSON can hold, nested.
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=6,
)
words = st.text(st.characters(codec="utf-8"), max_size=12)


@st.composite
def checks(draw: st.DrawFn) -> Check:
    """A check that holds about every second time."""
    expected = draw(values)
    observed = draw(st.one_of(st.just(expected), values))
    return Check(draw(words), expected, observed, draw(words), draw(words))


@st.composite
def results(draw: st.DrawFn, gate: str) -> Result:
    """Whatever can become of a gate."""
    started = draw(st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - Hypothesis adds the zone
    finished = (
        None
        if started is None
        else draw(st.none() | st.just(started + timedelta(milliseconds=draw(st.integers(0, 10**6)))))
    )
    return Result(
        gate,
        started,
        finished,
        tuple(draw(st.lists(checks(), max_size=3))),
        draw(st.integers(0, 100)),
        draw(st.just("") | words),
        aborted=draw(st.booleans()),
        not_run_because=draw(st.just("") | words),
    )


@st.composite
def mixes(draw: st.DrawFn) -> list[Result]:
    """One result for each of one to eight gates."""
    return [draw(results(f"g-{number}")) for number in range(draw(st.integers(1, 8)))]
