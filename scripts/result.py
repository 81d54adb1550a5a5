"""What a gate found: checks, and the outcome computed from them.

Owns: the seven outcomes, and the only place where one is decided.
Promises: nothing checked never reads as passed: no checks, or nothing examined, is an ERROR; so is a check
that stayed green under a violation planted for it.
Never: accepts an outcome from a caller; there is no way to hand one in except "it did not run" and "it broke".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from scripts.digest import Json


class Outcome(StrEnum):
    """Only PASS is a pass."""

    PASS = "PASS"  # noqa: S105 - an outcome, not a password
    FAIL = "FAIL"
    ERROR = "ERROR"
    SKIPPED = "SKIPPED"
    NOT_RUN = "NOT_RUN"
    ABORTED = "ABORTED"
    WAIVED = "WAIVED"


@dataclass(frozen=True, slots=True)
class Check:
    """One question with its expected and its observed answer; it holds when the two are equal.

    `expected` and `observed` are JSON values (no floats), never row data. `where` names the object or file:line:column.
    """

    id: str
    expected: Json
    observed: Json
    where: str = ""
    help: str = ""

    @property
    def holds(self) -> bool:
        """Whether observed equals expected, types included at every depth (True is not 1)."""
        return _same(self.expected, self.observed)


@dataclass(frozen=True, slots=True)
class Planted:
    """A violation that was planted on purpose: which checks had to fail under it, and which of them did not.

    `trouble` is a sentence when it could not be planted, or the question not be asked under it; then nothing counts.
    """

    name: str
    must: tuple[str, ...]
    missed: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def noticed(self) -> frozenset[str]:
        """Ids of the checks that were seen to fail."""
        return frozenset() if self.trouble else frozenset(self.must) - frozenset(self.missed)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one gate.

    `checks` in the order asked. `error` is a sentence when the gate could not finish; `aborted`: interrupted.
    `controls` are the violations planted to see the checks fail; None where none were asked for.
    `details` holds the gate's own evidence fields (contract names), JSON values only.
    `examined` counts the objects or rows looked at; zero is an ERROR.
    `cut_short`: the first check that did not hold was enough; the others were not asked, and this is no evidence.
    """

    gate: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    checks: tuple[Check, ...] = ()
    examined: int = 0
    error: str = ""
    aborted: bool = False
    not_run_because: str = ""
    details: Mapping[str, Json] = field(default_factory=dict)
    controls: tuple[Planted, ...] | None = None
    cut_short: bool = False

    @property
    def unproven(self) -> tuple[str, ...]:
        """The checks that prove nothing: no planted violation was seen to break them, or one was missed.

        Empty where no controls were asked for.
        """
        if self.controls is None:
            return ()
        noticed = frozenset[str]().union(*(control.noticed for control in self.controls))
        missed = {name for one in self.controls for name in (one.must if one.trouble else one.missed)}
        return tuple(check.id for check in self.checks if check.id in missed or check.id not in noticed)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.holds)

    @property
    def outcome(self) -> Outcome:
        """Decide, worst first."""
        if self.aborted:
            return Outcome.ABORTED
        if self.error:
            return Outcome.ERROR
        if self.started_at is None:
            return Outcome.NOT_RUN
        if self.failures:
            return Outcome.FAIL
        if not self.checks or self.examined <= 0 or self.unproven:
            return Outcome.ERROR
        return Outcome.PASS

    @property
    def passed(self) -> bool:
        """Whether the outcome is the one that counts."""
        return self.outcome is Outcome.PASS


def _same(one: Json, other: Json) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other
