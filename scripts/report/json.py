"""Results in, JSON out: the same values as the text report, for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scripts.evidence.record import count_outcomes, run_passed
from scripts.evidence.statement import duration_ms
from scripts.report.text import sentence_of
from scripts.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.evidence.expected import Expected
    from scripts.result import Result


def gate_json(expected: Expected, result: Result, *, evidence: str = "") -> dict[str, Any]:
    """One gate with all its failures; the fields of a failure are there only for one."""
    value: dict[str, Any] = {
        "gate": expected.gate,
        "check_id": expected.check_id,
        "verb": expected.verb,
        "title": expected.title,
        "status": str(result.outcome),
        "duration_ms": duration_ms(result),
        "examined": result.examined,
        "checks": len(result.checks),
        "failures": [
            {
                "id": check.id,
                "where": check.where,
                "expected": check.expected,
                "observed": check.observed,
                "help": check.help,
            }
            for check in result.failures
        ],
        "error": (sentence_of(result) if result.outcome is Outcome.ERROR else result.error) or None,
        "not_run_because": result.not_run_because or None,
        "evidence": f"{evidence}/{expected.file}" if evidence else None,
    }
    if result.outcome in (Outcome.FAIL, Outcome.ERROR):
        value |= {
            "failure_signature": expected.signature,
            "origin_task_id": expected.origin_task_id or None,
            "repro_command": expected.repeat,
        }
    return value


def render_json(
    run_id: str, state: str, gates: Sequence[tuple[Expected, Result]], *, reason: str = "", evidence: str = ""
) -> str:
    """A whole run as one JSON object.

    Args:
        run_id: name of the run.
        state: finished, aborted or running.
        gates: every gate that was selected, with what became of it.
        reason: why the run was aborted.
        evidence: folder of the run as the reader would type it.
    """
    results = [result for _, result in gates]
    value = {
        "run_id": run_id,
        "state": state,
        "reason": reason or None,
        "passed": run_passed(state, results),
        "selected": len(gates),
        "counts": count_outcomes(results),
        "evidence": evidence or None,
        "gates": [gate_json(expected, result, evidence=evidence) for expected, result in gates],
    }
    return json.dumps(value, indent=2, allow_nan=False)
