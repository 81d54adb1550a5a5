"""Results in, JUnit XML out: an export for dashboards, never a source of truth.

Owns: how seven outcomes fit into JUnit's four. Whatever is neither a pass nor a failure becomes an error, because
    readers colour `skipped` green, and a run without tests too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from scripts.evidence.statement import duration_ms
from scripts.report.escape import escape
from scripts.report.text import label_of, render_failure
from scripts.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.evidence.expected import Expected
    from scripts.result import Result


def render_junit(run_id: str, gates: Sequence[tuple[Expected, Result]], *, evidence: str = "") -> str:
    """One test case a gate, its failure whole.

    Args:
        run_id: name of the run.
        gates: every gate that was selected, with what became of it.
        evidence: folder of the run as the reader would type it.

    Raises:
        RuntimeError: no gate; a report of nothing reads as green.
    """
    if not gates:
        msg = "a report without gates would read as green"
        raise RuntimeError(msg)
    failed = sum(result.outcome is Outcome.FAIL for _, result in gates)
    passed = sum(result.passed for _, result in gates)
    suite = ET.Element(
        "testsuite",
        {
            "name": escape(run_id),
            "tests": str(len(gates)),
            "failures": str(failed),
            "errors": str(len(gates) - failed - passed),
            "skipped": "0",
            "time": _seconds(sum(duration_ms(result) or 0 for _, result in gates)),
        },
    )
    for expected, result in gates:
        case = ET.SubElement(
            suite,
            "testcase",
            {
                "classname": escape(f"{expected.verb}.{expected.folder}"),
                "name": escape(expected.gate),
                "time": _seconds(duration_ms(result) or 0),
            },
        )
        if result.passed:
            continue
        kind = "failure" if result.outcome is Outcome.FAIL else "error"
        told = ET.SubElement(
            case, kind, {"type": str(result.outcome), "message": f"{label_of(expected)}: {result.outcome}"}
        )
        told.text = render_failure(expected, result, evidence=evidence)
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03}"
