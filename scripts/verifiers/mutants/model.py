"""What the rooms of the mutant suite hand each other: a mutant, what became of it, the score.

Owns: `Mutant`, `Verdict`, `Score`.
Promises: only a red check of an owner, or a deadline that its questions ran into, is a kill; what could not be applied
or asked is neither a kill nor a survivor, and never a pass.
Never: touches a database.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    STALLED = "stalled"  # the owner's question ran into its deadline: the gate would end as ERROR, never as PASS
    SURVIVED = "survived"
    FAILED = "failed"  # it could not be applied, or nobody could be asked


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of a schema.

    name: object and change; the same in every run, and unique.
    object: what is changed, as people would look for it.
    change: what is done to it, a few words.
    owners: ids of the invariants one of which must turn red.
    sql: statements, run one after the other as the schema's owner; as superuser when `admin`.
    cluster: it touches what all databases of the server share, so two of its kind never run at once.
    behaviour: only what the database does may give it away: the facts are those from before the change.
    given: somebody else wrote it (blocks.py): every invariant is asked, and `places` says where each statement stands.
    refused: why nothing of it is run; then it has no statement.
    """

    object: str
    change: str
    owners: tuple[str, ...]
    sql: tuple[str, ...]
    admin: bool = False
    cluster: bool = False
    behaviour: bool = False
    given: bool = False
    places: tuple[str, ...] = ()
    refused: str = ""

    @property
    def name(self) -> str:
        """The mutant's name, as a waiver has it."""
        return f"{self.object}: {self.change}" if self.change else self.object


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant.

    by: `invariant/check` that saw it; reason: why it could not be judged (SQLSTATE and place, never a row).
    """

    mutant: Mutant
    fate: Fate
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """The verdicts of one run, in the order of the mutants.

    waived: survivors that a waiver names. workers: processes.
    seconds: of mutating; servers, clones and the look whether all is green are not counted.
    """

    verdicts: tuple[Verdict, ...]
    waived: frozenset[str]
    seconds: float
    workers: int = 1

    def of(self, *fates: Fate) -> Sequence[Verdict]:
        """The verdicts of these fates, waived survivors left out."""
        return [one for one in self.verdicts if one.fate in fates and one.mutant.name not in self.waived]

    @property
    def killed(self) -> int:
        """How many were seen."""
        return sum(one.fate in (Fate.KILLED, Fate.STALLED) for one in self.verdicts)

    @property
    def per_second(self) -> float:
        """Mutants a second and worker."""
        return len(self.verdicts) / self.seconds / self.workers if self.seconds else 0.0

    @property
    def passed(self) -> bool:
        """Whether there were mutants, and each of them is killed or waived."""
        return bool(self.verdicts) and self.killed + len(self.waived) == len(self.verdicts)
