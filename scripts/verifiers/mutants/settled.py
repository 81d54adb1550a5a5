"""A score as a gate's result: one question an invariant, which is whether it saw all that was its to see.

Owns: the checks, and the fields that evidence of the mutants has.
Promises: what became of every mutant is counted, and every one that was not seen is named; what differs between two
runs of one commit (seconds, processes, who was stalled) is kept apart.
Never: keeps a statement: one that somebody else wrote may hold what is nobody's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.result import Check, Result
from scripts.verifiers.mutants.model import Fate

if TYPE_CHECKING:
    from datetime import datetime

    from scripts.digest import Json
    from scripts.verifiers.mutants.model import Score, Verdict

GATE = "mutants"
# Of mutants that somebody else wrote, all invariants are asked.
ANY = "any"
_HELP = "teach the invariant to see it, or waive it by name with a reason in mutant_waivers.yml"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which mutants were judged: of `derived` the part `shard` (k, n) of those of `only`; `given`: another's file."""

    derived: int
    shard: tuple[int, int] = (1, 1)
    only: tuple[str, ...] = ()
    given: bool = False


def result_of(score: Score, selection: Selection, started_at: datetime, finished_at: datetime) -> Result:
    """The result of one run."""
    by_owner: dict[str, list[Verdict]] = {}
    for verdict in score.verdicts:
        by_owner.setdefault(verdict.mutant.owners[0] if verdict.mutant.owners else ANY, []).append(verdict)
    unseen = {one.mutant.name for one in score.of(Fate.SURVIVED, Fate.FAILED)}
    counts: dict[str, Json] = {owner: len(verdicts) for owner, verdicts in sorted(by_owner.items())}
    details: dict[str, Json] = {
        "total": len(score.verdicts),
        "killed": score.killed,
        "waived": [*sorted(score.waived)],
        "survivors": [one.mutant.name for one in score.of(Fate.SURVIVED)],
        "unjudged": [f"{one.mutant.name}: {one.reason}" for one in score.of(Fate.FAILED)],
        "mutants_of": counts,
        "derived": selection.derived,
        "shard": [*selection.shard],
        "only": [*selection.only],
        "given": selection.given,
        "volatile": {
            "seconds": f"{score.seconds:.3f}",
            "processes": score.workers,
            "stalled": [one.mutant.name for one in score.of(Fate.STALLED)],
        },
    }
    return Result(
        gate=GATE,
        started_at=started_at,
        finished_at=finished_at,
        checks=tuple(
            Check(
                id=f"all_seen_by_{owner}",
                expected=[],
                observed=[one.mutant.name for one in verdicts if one.mutant.name in unseen],
                where="the verifiers" if owner == ANY else f"the verifiers, {owner}",
                help=_HELP,
            )
            for owner, verdicts in sorted(by_owner.items())
        ),
        examined=len(score.verdicts),
        details=details,
    )
