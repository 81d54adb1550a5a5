"""The score of the mutant suite as text and JSON.

Owns: the words of `invoke mutants`.
Promises: every survivor and every mutant that could not be judged is told, with what was done; the last line counts.
Never: prints, or decides whether a score passes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scripts.report.escape import escape
from scripts.verifiers.mutants.model import Fate

if TYPE_CHECKING:
    from scripts.verifiers.mutants.model import Mutant, Score, Verdict

ANY = "any"
_LINES_MAX = 6


def render_score(score: Score, *, evidence: str) -> str:
    """What is wrong, and a last line that counts and says where the evidence is."""
    blocks = [_block("SURVIVED", one, f"not seen by {_owner(one.mutant)}") for one in score.of(Fate.SURVIVED)]
    blocks += [_block("ERROR", one, one.reason) for one in score.of(Fate.FAILED)]
    return "\n\n".join([*blocks, f"{_verdict(score)}   {escape(evidence)}"])


def score_json(score: Score, *, evidence: str) -> str:
    """The same for programs."""
    value: dict[str, Any] = {
        "total": len(score.verdicts),
        "killed": score.killed,
        "waived": len(score.waived),
        "survivors": [_survivor(one.mutant) for one in score.of(Fate.SURVIVED)],
        "seconds": round(score.seconds, 3),
        "errors": [_survivor(one.mutant) | {"reason": one.reason} for one in score.of(Fate.FAILED)],
        "stalled": [one.mutant.name for one in score.of(Fate.STALLED)],
        "processes": score.workers,
        "per_second_and_process": round(score.per_second, 1),
        "evidence": evidence,
    }
    if any(one.mutant.given for one in score.verdicts):
        # Of ours the names of all would fill pages; whoever wrote these wants to know of each what became of it.
        value["mutants"] = [
            {"name": one.mutant.name, "fate": one.fate.value, "by": one.by, "reason": one.reason}
            for one in score.verdicts
        ]
    return json.dumps(value, indent=2, ensure_ascii=False)


def _survivor(mutant: Mutant) -> dict[str, Any]:
    return {
        "name": mutant.name,
        "object": mutant.places[0] if mutant.given and mutant.places else mutant.object,
        "change": mutant.change or mutant.object,
        "owner": _owner(mutant),
        "sql": ";\n".join(mutant.sql),
    }


def _owner(mutant: Mutant) -> str:
    return ", ".join(mutant.owners) or ANY


def _block(word: str, verdict: Verdict, why: str) -> str:
    lines = ";\n".join(verdict.mutant.sql).split("\n")
    # A whole function for one changed word is no help to read; the name says where the word stands.
    shown = lines[:_LINES_MAX] + ([f"… {len(lines) - _LINES_MAX} more lines"] if len(lines) > _LINES_MAX else [])
    head = [f"{word} {escape(verdict.mutant.name)}", f"  {escape(why)}"]
    return "\n".join([*head, *(f"  | {escape(line)}" for line in shown)])


def _verdict(score: Score) -> str:
    word = "PASSED" if score.passed else "FAILED"
    stalled = len(score.of(Fate.STALLED))
    slow = f" ({stalled} of them ran into the deadline)" if stalled else ""
    return (
        f"{word}   {len(score.verdicts)} mutants = {score.killed} killed{slow} + {len(score.waived)} waived + "
        f"{len(score.of(Fate.SURVIVED))} survived + {len(score.of(Fate.FAILED))} errors   {score.seconds:.1f} s, "
        f"{score.per_second:.0f} a second in each of {score.workers} processes"
    )
