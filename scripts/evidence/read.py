"""Evidence read back from disk, every byte of it checked.

Owns: the check of a whole folder: nothing changed, nothing missing, nothing added, counts computed again.
Promises: raises on any difference from what the run left behind, naming every one; an unfinished run reads so.
Never: knows who wrote the files. Somebody who rewrites all of them and all digests is found by a signature, not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.digest import sha256_hex
from scripts.errors.evidence import EvidenceError
from scripts.evidence.expected import Expected
from scripts.evidence.folder import Folder
from scripts.evidence.record import RUN_FILE, count_outcomes, parse_record, run_passed
from scripts.evidence.statement import parse_statement
from scripts.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class GateRecord:
    """One gate as its file tells it. `state` is expected, started or settled."""

    expected: Expected
    result: Result
    state: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A whole run as its files tell it. `state` is running (or died), finished or aborted."""

    run_id: str
    state: str
    reason: str
    commit: str
    dirty: bool
    gates: tuple[GateRecord, ...]

    @property
    def passed(self) -> bool:
        """Whether the run came to its end and every gate passed."""
        return run_passed(self.state, [gate.result for gate in self.gates])

    @property
    def counts(self) -> dict[str, int]:
        """Outcome → number of gates, from the files."""
        return count_outcomes([gate.result for gate in self.gates])


def read_run(path: Path) -> RunRecord:
    """Read the folder of one run.

    Args:
        path: the folder, or a link to it such as `evidence/latest`.

    Raises:
        EvidenceError: there is no run, or one or more files are not what the run left behind.
    """
    try:
        folder = Folder.open(path.resolve())
    except EvidenceError as exc:
        raise EvidenceError.no_such_run(str(path)) from exc
    try:
        reader = _Reader(folder)
        if RUN_FILE not in folder.names():
            raise EvidenceError.no_such_run(str(path))
        record = reader.read()
        if record is None or reader.problems:
            raise EvidenceError.not_intact(str(path), reader.problems)
        return record
    finally:
        folder.close()


class _Reader:
    """One pass over a folder, collecting every problem."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.problems: list[str] = []

    def read(self) -> RunRecord | None:
        try:
            document = parse_record(self._folder.read(RUN_FILE))
        except (ValueError, EvidenceError) as exc:
            self.problems.append(f"{RUN_FILE}: {_said(exc)}")
            return None
        lines = document["gates"]
        over = document["state"] != "running"
        self._closed_world({line["file"] for line in lines}, over=over)
        gates = [gate for line in lines if (gate := self._gate(line, document["run_id"], over=over)) is not None]
        record = RunRecord(
            document["run_id"],
            document["state"],
            document["reason"] or "",
            document["git_sha"],
            document["dirty"],
            tuple(gates),
        )
        if over and not self.problems and (document["counts"], document["passed"]) != (record.counts, record.passed):
            self.problems.append(f"{RUN_FILE}: its counts are not what the files add up to")
        return record

    def _closed_world(self, files: set[str], *, over: bool) -> None:
        folders = {file.partition("/")[0] for file in files}
        found = set(self._folder.names()) - {RUN_FILE} - folders
        for name in folders & set(self._folder.names()):
            try:
                inside = self._folder.inside(name)
            except EvidenceError as exc:
                self.problems.append(f"{name}: {_said(exc)}")
                continue
            found |= {f"{name}/{file}" for file in inside.names()} - files
            inside.close()
        # A process that was killed in the middle of a write leaves its temporary file.
        extra = sorted(name for name in found if over or not name.rpartition("/")[2].endswith(".tmp"))
        self.problems += [f"{name}: it does not belong to this run" for name in extra]

    def _gate(self, line: Mapping[str, Any], run_id: str, *, over: bool) -> GateRecord | None:
        name = line["file"]
        try:
            data = self._read_file(name)
            document, result = parse_statement(data)
            if document["volatile"]["run_id"] != run_id or document["gate"] != line["gate"] or document["file"] != name:
                self.problems.append(f"{name}: it belongs to another run or gate")
                return None
            expected = _expected_of(document)
        except (ValueError, KeyError, TypeError, EvidenceError) as exc:
            self.problems.append(f"{name}: {_said(exc)}")
            return None
        if sha256_hex(data) != line["sha256"]:
            if over:
                self.problems.append(f"{name}: it is not the file that {RUN_FILE} names")
                return None
            # Killed between writing this file and noting it: whole, but never counted.
            result = Result(expected.gate, not_run_because="the run died before it noted this gate")
        elif str(result.outcome) != line["status"]:
            self.problems.append(f"{name}: its status is not the one that {RUN_FILE} names")
        return GateRecord(expected, result, line["state"], document)

    def _read_file(self, name: str) -> bytes:
        phase, _, file = name.partition("/")
        folder = self._folder.inside(phase)
        try:
            return folder.read(file)
        finally:
            folder.close()


def _expected_of(document: Mapping[str, Any]) -> Expected:
    folder, _, file = document["file"].partition("/")
    return Expected(
        gate=document["gate"],
        check_id=document["check_id"],
        folder=folder,
        stem=file.removesuffix(".json"),
        verb=document["verb"],
        title=document["title"],
        failure_signature=document.get("failure_signature") or "",
        origin_task_id=document.get("origin_task_id") or "",
        repro_command=document.get("repro_command") or "",
        invariants=tuple(document["invariants"]),
        criteria=tuple(document["criteria"]),
        answers=tuple(document["answers"]),
    )


def _said(exc: Exception) -> str:
    if isinstance(exc, EvidenceError):
        return exc.what
    return str(exc) if type(exc) is ValueError else "a field is missing or of another type"
