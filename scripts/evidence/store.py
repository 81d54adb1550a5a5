"""The evidence of one run on disk: every expected file first, each settled once, the whole closed or aborted.

Owns: `evidence/<run-id>/`, its `run.json`, and `evidence/latest`.
Promises: before anything runs, every expected file says NOT_RUN and `latest` points at this run; a run that is killed
    leaves exactly that, never an older run's pass. A folder belongs to one run only; runs side by side need no lock.
Never: decides an outcome; a Result does.
"""

from __future__ import annotations

import re
import secrets as random
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from scripts.clock import utc_now
from scripts.digest import sha256_hex
from scripts.errors.base import Interrupted
from scripts.errors.evidence import EvidenceError, SecretInEvidenceError
from scripts.evidence.expected import require_inventory
from scripts.evidence.folder import Folder
from scripts.evidence.record import RUN_FILE, Entry, GateState, RunHead, RunState, count_outcomes, render_record
from scripts.evidence.secrets import require_no_secret
from scripts.evidence.statement import RunFacts, ServerFacts, parse_statement, render_document, statement_json
from scripts.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from scripts.evidence.expected import Expected
    from scripts.evidence.source import Source
    from scripts.server.model import Server

    Clock: TypeAlias = Callable[[], datetime]

LATEST: Final = "latest"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def new_run_id(now: datetime) -> str:
    """A name that sorts by time and that no other run will take."""
    return f"{now:%Y-%m-%dT%H%M%S}.{now:%f}Z-{random.token_hex(4)}"


def open_run(  # noqa: PLR0913 - the start of a run is where everything comes together
    evidence_dir: Path,
    run_id: str | None,
    expected: Sequence[Expected],
    *,
    source: Source,
    tools: Mapping[str, str],
    command: str,
    clock: Clock = utc_now,
) -> EvidenceRun:
    """Make the run's folder, point `latest` at it, and write every expected file as NOT_RUN.

    Args:
        evidence_dir: where runs are kept; made when missing.
        run_id: name of the run; made from the time when None.
        expected: the inventory, in the order of the gates.
        source: what is being run.
        tools: name → version of what it is run with.
        command: what was called, to be shown to the reader; no secret in it.
        clock: tells the time.

    Returns:
        The open run, for use in `with`: leaving the block without `close` aborts it.

    Raises:
        EvidenceError: the run id was used before or cannot be one, or the folder cannot be written.
        RuntimeError: the inventory is empty or contradicts itself.
    """
    require_inventory(expected)
    head = RunHead("", command, clock(), source)
    head = replace(head, run_id=new_run_id(head.opened_at) if run_id is None else run_id)
    if head.run_id == LATEST or not _RUN_ID.fullmatch(head.run_id):
        raise EvidenceError.run_id_refused(head.run_id)
    try:
        evidence_dir.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        # FileExistsError here means that the last part of the path is a file.
        told = NotADirectoryError(20, "a file of that name exists") if isinstance(exc, FileExistsError) else exc
        raise EvidenceError.unwritable(str(evidence_dir), told) from exc
    # A link in place of the evidence folder is the user's choice; links below it are not followed.
    top = Folder.open(evidence_dir.resolve())
    try:
        top.require_link(LATEST)
        try:
            folder = top.make(head.run_id)
        except FileExistsError as exc:
            raise EvidenceError.run_exists(f"{evidence_dir}/{head.run_id}") from exc
        run = EvidenceRun((evidence_dir / head.run_id, folder), head, expected, RunFacts(source, tools), clock)
        try:
            # First of all: a run that dies on the next line must not leave `latest` on an older, passed run.
            _point_latest(top, head.run_id)
            run.write_expected()
            top.flush()
        except BaseException as exc:
            if not isinstance(exc, Exception):
                # A signal between two files: what can be written says ABORTED, as it would a moment later.
                with suppress(EvidenceError, KeyError):
                    run.abort(_reason_of(exc))
            run.release()
            raise
    finally:
        top.close()
    return run


def _point_latest(top: Folder, run_id: str) -> None:
    try:
        top.point(LATEST, run_id)
    except EvidenceError:
        top.unlink(LATEST)  # a full disk still allows that, and no link is better than one to an older run
        raise


class EvidenceRun:
    """An open run. Made by `open_run`; to be left by `close` or `abort`."""

    def __init__(
        self, place: tuple[Path, Folder], head: RunHead, expected: Sequence[Expected], facts: RunFacts, clock: Clock
    ) -> None:
        self.path, folder = place
        self.head = head
        self.facts = facts
        self._folder = folder
        self._phases: dict[str, Folder] = {}
        self._entries = {one.gate: Entry(one, Result(one.gate)) for one in expected}
        self._clock = clock
        self._secrets: tuple[str, ...] = ()
        # Re-entrant: an abort may come from a signal in the middle of a settle of the same thread.
        self._lock = threading.RLock()

    @property
    def run_id(self) -> str:
        """Name of the run and of its folder."""
        return self.head.run_id

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every gate with what became of it so far, in the order of the inventory."""
        return tuple(self._entries.values())

    def guard(self, secrets: Sequence[str]) -> None:
        """Name passwords that no file may hold from now on."""
        with self._lock:
            self._secrets = tuple(dict.fromkeys((*self._secrets, *(one for one in secrets if one))))

    def learn(
        self,
        *,
        server: Server | None = None,
        migrations_digest: str | None = None,
        catalog_before: str | None = None,
        catalog_after: str | None = None,
    ) -> None:
        """Add to what is known of the run's world; None leaves a fact as it was."""
        new: dict[str, Any] = {
            "server": None if server is None else ServerFacts.of(server),
            "migrations_digest": migrations_digest,
            "catalog_before": catalog_before,
            "catalog_after": catalog_after,
        }
        with self._lock:
            self.facts = replace(self.facts, **{name: value for name, value in new.items() if value is not None})

    def write_expected(self) -> None:
        """Write every expected file and run.json. Called once, by `open_run`."""
        with self._lock:
            for entry in self.entries:
                if entry.expected.folder not in self._phases:
                    self._phases[entry.expected.folder] = self._folder.make(entry.expected.folder)
                self._put(entry.expected, entry.result, "expected", durable=False)
            for phase in self._phases.values():
                phase.flush()
            self._record(self.head, durable=True)

    def start(self, gate: str) -> None:
        """Note in run.json that the gate is being run.

        Raises:
            RuntimeError: the gate is not expected, was settled before, or the run is over.
            EvidenceError: run.json cannot be written.
        """
        with self._lock:
            entry = self._open_entry(gate)
            self._entries[gate] = replace(
                entry, result=replace(entry.result, started_at=self._clock()), state="started"
            )
            self._record(self.head, durable=False)

    def settle(self, result: Result) -> Result:
        """Put what became of a gate in place of its NOT_RUN, for good.

        A result that cannot be stored as it is (a value with no exact JSON form, a password in it) is stored as an
        ERROR that says so, without its checks: the gate turns red and the run goes on.

        Returns:
            The result as stored.

        Raises:
            RuntimeError: the gate is not expected, was settled before, or the run is over.
            EvidenceError: the file cannot be written.
        """
        with self._lock:
            expected = self._open_entry(result.gate).expected
            try:
                self._put(expected, result, "settled", durable=True)
            except (TypeError, ValueError, SecretInEvidenceError) as exc:
                why = exc.what if isinstance(exc, SecretInEvidenceError) else f"it cannot be stored: {exc}"
                result = Result(
                    result.gate, result.started_at, result.finished_at, error=f"the gate's evidence is withheld: {why}"
                )
                self._put(expected, result, "settled", durable=True)
            self._record(self.head, durable=False)
            return result

    def close(self) -> Mapping[str, int]:
        """End the run: read every file back, count the outcomes from the files, and write run.json for the last time.

        Gates that were never settled stay NOT_RUN and are counted as such.

        Returns:
            Outcome → number of gates.

        Raises:
            EvidenceError: a file is not what was written, the folder was exchanged, or run.json cannot be written.
            RuntimeError: the run is over.
        """
        with self._lock:
            self._require_running()
            self._entries = {entry.expected.gate: entry for entry in self._read_back()}
            self._end("finished")
            return count_outcomes([entry.result for entry in self.entries])

    def abort(self, reason: str) -> None:
        """End the run early: every gate that is not settled becomes ABORTED with the reason.

        Goes on past a file that cannot be written: that file still says NOT_RUN. Does nothing when the run is over.

        Args:
            reason: a sentence, e.g. `interrupted by signal 15`.

        Raises:
            EvidenceError: the first trouble, after everything else was tried.
        """
        with self._lock:
            if self.head.state != "running":
                return
            troubles: list[EvidenceError] = []
            for entry in self.entries:
                if entry.state == "settled":
                    continue
                finished_at = self._clock() if entry.result.started_at else None
                aborted = replace(entry.result, finished_at=finished_at, error=reason, aborted=True)
                try:
                    self._put(entry.expected, aborted, "settled", durable=True)
                except EvidenceError as exc:
                    troubles.append(exc)
            try:
                self._end("aborted", reason)
            except EvidenceError as exc:
                troubles.append(exc)
            if troubles:
                raise troubles[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.abort(_reason_of(exc))
        except EvidenceError as trouble:
            if exc is None:
                raise
            exc.add_note(str(trouble))  # the first trouble is the one to be shown
        finally:
            self.release()

    def release(self) -> None:
        """Let go of the folders; the files stay."""
        for folder in (*self._phases.values(), self._folder):
            folder.close()

    def _open_entry(self, gate: str) -> Entry:
        self._require_running()
        entry = self._entries.get(gate)
        if entry is None or entry.state == "settled":
            msg = f"gate {gate} " + ("is not in the inventory" if entry is None else "was settled before")
            raise RuntimeError(msg)
        return entry

    def _require_running(self) -> None:
        if self.head.state != "running":
            msg = f"run {self.run_id} is over: {self.head.state}"
            raise RuntimeError(msg)

    def _put(self, expected: Expected, result: Result, state: GateState, *, durable: bool) -> None:
        document = statement_json(expected, result, self.facts, run_id=self.run_id, opened_at=self.head.opened_at)
        data = render_document(document)
        parse_statement(data)  # what cannot be read back as the same outcome is not written
        require_no_secret(data, self._secrets, where=f"{self.run_id}/{expected.file}")
        self._phases[expected.folder].write(f"{expected.stem}.json", data, durable=durable)
        self._entries[expected.gate] = Entry(expected, result, state, sha256_hex(data))

    def _read_back(self) -> list[Entry]:
        """Every entry with the result that its file holds now."""
        if not self._folder.stands_at(self.path):
            raise EvidenceError.folder_replaced(str(self.path))
        entries: list[Entry] = []
        problems: list[str] = []
        for entry in self.entries:
            data = self._phases[entry.expected.folder].read(f"{entry.expected.stem}.json")
            if sha256_hex(data) == entry.sha256:
                entries.append(replace(entry, result=parse_statement(data)[1]))
            else:
                problems.append(f"{entry.expected.file}: it was changed after it was written")
        if problems:
            raise EvidenceError.not_intact(str(self.path), problems)
        return entries

    def _end(self, state: RunState, reason: str = "") -> None:
        # The head changes last: an interrupt before that leaves a run that can still be aborted.
        head = replace(self.head, state=state, reason=reason, closed_at=self._clock())
        self._record(head, durable=True)
        self.head = head

    def _record(self, head: RunHead, *, durable: bool) -> None:
        data = render_record(head, self.entries)
        require_no_secret(data, self._secrets, where=f"{self.run_id}/{RUN_FILE}")
        self._folder.write(RUN_FILE, data, durable=durable)


def _reason_of(exc: BaseException | None) -> str:
    if exc is None:
        return "the run ended without being closed"
    if isinstance(exc, Interrupted):
        return f"interrupted by signal {exc.signum}"
    if isinstance(exc, KeyboardInterrupt):
        return "interrupted"
    return f"the run broke: {type(exc).__name__}"
