"""Results in, text for people out: a line a gate, every failure whole, and one last line whose sum adds up.

Owns: the words and columns of the console report.
Promises: red output is complete; nothing from a database or a file can steer the terminal.
Never: prints. Colours only when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scripts.evidence.record import count_outcomes, run_passed
from scripts.evidence.statement import duration_ms
from scripts.report.escape import escape, escape_lines
from scripts.report.values import render_values
from scripts.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.evidence.expected import Expected
    from scripts.evidence.read import RunRecord
    from scripts.result import Check, Result

_GAP: Final = "   "
_OUTCOME_WIDTH: Final = max(len(outcome) for outcome in Outcome)
_VERB_WIDTH: Final = len("migrate")
_GREEN, _RED, _YELLOW, _RESET = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
# Outcome → its word in the sum. These four are always shown, the others when there are any.
_ALWAYS: Final = (("passed", 0), ("failed", 1), ("errors", 2), ("skipped", 3))
_SOMETIMES: Final = (("not run", 4), ("aborted", 5), ("waived", 6))


def label_of(expected: Expected) -> str:
    """What a gate is called on its line: the name that `--only` takes, so that it can be copied from there."""
    return escape(expected.gate)


def render_progress(expected: Expected, result: Result, *, label_width: int = 0, color: bool = False) -> str:
    """One line for a gate that has ended.

    Args:
        expected: the gate.
        result: what became of it.
        label_width: columns kept for the label, so that a column of lines is straight.
        color: whether the outcome is coloured.
    """
    took = duration_ms(result)
    parts = [
        f"{escape(expected.verb):<{_VERB_WIDTH}}",
        f"{label_of(expected):<{label_width}}",
        _painted(result, color=color),
        "-" if took is None else f"{took} ms",
        _tail(result),
    ]
    return _GAP.join(parts).rstrip()


def render_failure(expected: Expected, result: Result, *, evidence: str = "", color: bool = False) -> str:
    """Everything about a gate that did not pass; empty for one that did.

    Args:
        expected: the gate.
        result: what became of it.
        evidence: folder of the run as the reader would type it; empty when there is none.
        color: whether the outcome is coloured.
    """
    if result.passed:
        return ""
    lines = [_GAP.join([_painted(result, color=color), label_of(expected), _tail(result)]).rstrip()]
    promise = escape(" ".join([*expected.invariants, expected.title]).strip())
    if promise:
        lines.append(f"  promise  {promise}")
    word = "error" if result.outcome is Outcome.ERROR else "why"
    sentences = escape_lines(sentence_of(result)) if sentence_of(result) else []
    for number, sentence in enumerate(sentences):
        lines.append(f"  {word if number == 0 else '':<5}  {sentence}".rstrip())
    for check in result.failures:
        lines += [f"  {line}" for line in _check_lines(check)]
    if result.outcome in (Outcome.FAIL, Outcome.ERROR):
        lines.append(f"  failure_signature  {escape(expected.signature)}")
        if expected.origin_task_id:
            lines.append(f"  origin_task_id     {escape(expected.origin_task_id)}")
    lines.append(f"  repro_command      {escape(expected.repeat)}")
    if evidence:
        lines.append(f"  evidence           {escape(evidence)}/{expected.file}")
    return "\n".join(lines)


def sentence_of(result: Result) -> str:
    """Why there is no verdict, as every report tells it; empty when there is one."""
    if result.passed or result.outcome is Outcome.FAIL:
        return ""
    if result.error or result.not_run_because:
        return result.error or result.not_run_because
    if result.outcome is not Outcome.ERROR:
        return ""
    if result.unproven:
        return _unproven(result)
    return "nothing was checked" if not result.checks else "nothing was examined"


def render_summary(state: str, results: Sequence[Result], *, evidence: str = "", color: bool = False) -> str:
    """The last line: the verdict, and a sum that adds up to the number of gates selected.

    Args:
        state: finished, aborted or running; only a finished run can have passed.
        results: one for every gate that was selected.
        evidence: folder of the run as the reader would type it; empty when there is none.
        color: whether the verdict is coloured.
    """
    if state == "finished":
        passed = run_passed(state, results)
        word, shade = ("PASSED", _GREEN) if passed else ("FAILED", _RED)
    else:
        word, shade = ("ABORTED" if state == "aborted" else "UNFINISHED"), _RED
    counts = list(count_outcomes(results).values())
    terms = [f"{counts[place]} {name}" for name, place in _ALWAYS]
    terms += [f"{counts[place]} {name}" for name, place in _SOMETIMES if counts[place]]
    parts = [f"{shade}{word}{_RESET}" if color else word, f"{len(results)} selected = {' + '.join(terms)}"]
    return _GAP.join([*parts, escape(evidence)]).rstrip()


def render_run(record: RunRecord, *, evidence: str, color: bool = False) -> str:
    """A whole run read back from its evidence: every gate, every failure, the sum.

    Args:
        record: the run.
        evidence: folder of the run as the reader would type it.
        color: whether outcomes are coloured.
    """
    width = max((len(label_of(gate.expected)) for gate in record.gates), default=0)
    lines = [
        render_progress(gate.expected, gate.result, label_width=width, color=color)
        + ("   was running when the run died" if gate.state == "started" else "")
        for gate in record.gates
    ]
    blocks = [
        render_failure(gate.expected, gate.result, evidence=evidence, color=color)
        for gate in record.gates
        if gate.result.outcome in (Outcome.FAIL, Outcome.ERROR)
    ]
    results = [gate.result for gate in record.gates]
    head = f"run {record.run_id}   commit {record.commit}{'   dirty' if record.dirty else ''}"
    end = [f"aborted: {escape(record.reason)}"] if record.reason else []
    last = render_summary(record.state, results, evidence=evidence, color=color)
    body = "\n".join([escape(head), *lines])
    return "\n\n".join([body, *blocks, "\n".join([*end, last])])


def _check_lines(check: Check) -> list[str]:
    lines = [_GAP.join(part for part in (escape(check.id), escape(check.where)) if part)]
    lines += [f"  {line}" for line in render_values(check.expected, check.observed)]
    for number, line in enumerate(escape_lines(check.help) if check.help else []):
        lines.append(f"  help: {line}" if number == 0 else f"        {line}")
    return lines


def _painted(result: Result, *, color: bool) -> str:
    word = f"{result.outcome:<{_OUTCOME_WIDTH}}"
    if not color:
        return word
    if result.passed:
        return f"{_GREEN}{word}{_RESET}"
    return f"{_RED if result.outcome in (Outcome.FAIL, Outcome.ERROR) else _YELLOW}{word}{_RESET}"


def _tail(result: Result) -> str:
    """What is worth saying on the gate's own line."""
    if result.passed:
        return f"examined {result.examined}"
    if result.outcome is Outcome.FAIL:
        count = len(result.failures)
        return f"{count} finding{'' if count == 1 else 's'} of {result.examined} examined"
    return escape_lines(sentence_of(result))[0]


def _unproven(result: Result) -> str:
    """Which checks were not seen to fail, and under what; the rest is in the evidence."""
    trouble = next((f": {c.name}: {c.trouble}" for c in result.controls or () if c.trouble), "")
    if not trouble:
        trouble = next((f": {c.name}" for c in result.controls or () if c.missed), "")
    shown = ", ".join(result.unproven[:3]) + (", …" if len(result.unproven) > 3 else "")
    count = f"{len(result.unproven)} of {len(result.checks)} checks"
    return f"{count} were not seen to fail when they had to ({shown}){trouble}"
