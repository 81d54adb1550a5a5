"""`run.json`: the inventory of a run, where each gate stands, and the digest of each file.

Owns: the document's shape, and when a run as a whole has passed.
Never: touches a disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from scripts.clock import iso_utc
from scripts.digest import digest_of
from scripts.evidence.statement import parse_document, render_document
from scripts.result import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from scripts.evidence.expected import Expected
    from scripts.evidence.source import Source

RUN_FORMAT: Final = "parity-run/1"
RUN_FILE: Final = "run.json"
DIGEST_KEY: Final = "record_sha256"
GateState = Literal["expected", "started", "settled"]
RunState = Literal["running", "finished", "aborted"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One gate of a run: what was expected, what became of it so far, and the sha256 of its file."""

    expected: Expected
    result: Result
    state: GateState = "expected"
    sha256: str = ""

    @property
    def stored(self) -> Outcome:
        """What the file says, which for a gate that is being run is still NOT_RUN."""
        return self.result.outcome if self.state == "settled" else Outcome.NOT_RUN


@dataclass(frozen=True, slots=True)
class RunHead:
    """What run.json says of the run as a whole. `reason`: a sentence when aborted; `command`: what was called."""

    run_id: str
    command: str
    opened_at: datetime
    source: Source
    state: RunState = "running"
    reason: str = ""
    closed_at: datetime | None = None


def render_record(head: RunHead, entries: Sequence[Entry]) -> bytes:
    """The bytes of run.json."""
    over = head.state != "running"
    document: dict[str, Any] = {
        "format": RUN_FORMAT,
        "run_id": head.run_id,
        "state": head.state,
        "reason": head.reason or None,
        "command": head.command,
        "opened_at": iso_utc(head.opened_at),
        "closed_at": None if head.closed_at is None else iso_utc(head.closed_at),
        "git_sha": head.source.commit,
        "dirty": head.source.dirty,
        "source_reason": head.source.reason or None,
        "selected": len(entries),
        "counts": count_outcomes([entry.result for entry in entries]) if over else None,
        "passed": run_passed(head.state, [entry.result for entry in entries]) if over else None,
        "gates": [_entry_json(entry) for entry in entries],
    }
    document[DIGEST_KEY] = digest_of(document)
    return render_document(document)


def parse_record(data: bytes) -> dict[str, Any]:
    """Read run.json back.

    Raises:
        ValueError: the bytes changed, or they are not a run's.
    """
    document = parse_document(data, digest_key=DIGEST_KEY)
    if document.get("format") != RUN_FORMAT:
        msg = f"its format is not {RUN_FORMAT}"
        raise ValueError(msg)
    return document


def count_outcomes(results: Sequence[Result]) -> dict[str, int]:
    """How many of each of the seven outcomes; every name is there, so the sum is the number of gates."""
    return {str(outcome): sum(result.outcome is outcome for result in results) for outcome in Outcome}


def run_passed(state: str, results: Sequence[Result]) -> bool:
    """Whether a run proves anything: it came to its end, something was selected, and every gate passed."""
    return state == "finished" and bool(results) and all(result.passed for result in results)


def _entry_json(entry: Entry) -> dict[str, Any]:
    started = entry.result.started_at
    return {
        "gate": entry.expected.gate,
        "check_id": entry.expected.check_id,
        "file": entry.expected.file,
        "state": entry.state,
        "started_at": None if started is None else iso_utc(started),
        "status": str(entry.stored),
        "sha256": entry.sha256,
    }
