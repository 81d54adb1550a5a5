"""What migrating hands on: which files were applied, how long each took, at which attempt."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.migrations.trace.text import trace_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import psycopg
    from psycopg.pq.abc import PGresult

    from scripts.digest import Json
    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.ledger.chain import Head
    from scripts.migrations.ledger.journal import JournalEntry
    from scripts.migrations.ledger.records import Writer
    from scripts.migrations.session.baseline import Session
    from scripts.migrations.trace.model import FileTrace
    from scripts.migrations.trace.tracer import Tracer
    from scripts.migrations.waiting.observer import Observer
    from scripts.settings import Settings


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is sent behind a file, made while the server is busy with the one before.

    after: the baseline. record: row and record of an untraced file, but for the end of the chain (ledger/records.py);
    of a traced one nothing is known yet. question: for rows that were hidden; empty when there will be none.
    forgets_prepared: whether all count on nothing being prepared any more.
    """

    file: MigrationFile
    after: bytes
    record: bytes
    question: bytes
    forgets_prepared: bool


@dataclass
class Run:
    """What every file of a run is applied with: the connection, its baseline, the budgets, and whom to tell.

    report: told one line of progress a call. recorded_by: who migrates, for the history.
    head: where the history ends; moves on with every record. tracer: None when nothing is to be traced.
    writer: writes rows and records. journal: what earlier runs noted of the pending files, by version.
    following: the file behind the one at hand. ahead: what is sent behind that one, if it was made already.
    names_ledger: whether a file of this run had the ledger's name in it.
    later: what is still to be told of the file before: it is told when the server is busy with the next, or at the end.
    """

    conn: psycopg.Connection[Any]
    session: Session
    settings: Settings
    report: Callable[[str], None]
    observer: Observer
    tracer: Tracer | None
    recorded_by: str
    writer: Writer
    head: Head
    journal: dict[str, dict[int, JournalEntry]]
    following: MigrationFile | None = None
    ahead: Ahead | None = None
    names_ledger: bool = False
    later: Callable[[], None] | None = None
    _baseline: str = ""

    def catch_up(self) -> None:
        """Tell what was put off, once."""
        later, self.later = self.later, None
        if later is not None:
            later()

    def stored(self, trace: FileTrace | None) -> str:
        """A file's trace and the settings it ran with, as text for the history; empty when nothing was traced."""
        if trace is None:
            return ""
        if not self._baseline:
            self._baseline = _as_text(dict(self.session.baseline))
        # First in the order of the names; it is the same for every file of a run.
        return f'{{"baseline":{self._baseline},{trace_text(trace)[1:]}'


def _as_text(document: Mapping[str, Json]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def rows_changed(result: PGresult) -> int | None:
    """How many rows a statement changed, as its command tag has it; None when the tag has no number."""
    return result.command_tuples


@dataclass(frozen=True, slots=True)
class AppliedFile:
    """One file that this run applied and recorded.

    duration_ms: from its first statement to its recorded row, retries included.
    attempts: 1 when no lock had to be waited for anew.
    notes: what was found instead of done, such as an index adopted or rebuilt.
    trace: what each statement did; None when nothing was traced.
    """

    name: str
    checksum: str
    no_tx: bool
    statements: int
    duration_ms: int
    attempts: int = 1
    notes: tuple[str, ...] = ()
    trace: FileTrace | None = None

    def as_json(self) -> dict[str, Json]:
        """For evidence and `--json`."""
        return {
            "name": self.name,
            "checksum": self.checksum,
            "no_tx": self.no_tx,
            "statements": self.statements,
            "duration_ms": self.duration_ms,
            "attempts": self.attempts,
            "notes": list(self.notes),
            "trace": None if self.trace is None else self.trace.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Applied:
    """What one run did.

    files: in order; the engine adds to it while the run goes on. total: files in the folder.
    before: how many files the ledger recorded when it began.
    head: where the ledger's history ends now; None when there is no history.
    """

    files: Sequence[AppliedFile]
    before: int
    total: int
    head: Head | None = None

    @property
    def recorded(self) -> int:
        """How many files the ledger records now."""
        return self.before + len(self.files)

    def as_json(self) -> dict[str, Json]:
        """For evidence and `--json`."""
        return {
            "applied": [file.as_json() for file in self.files],
            "before": self.before,
            "total": self.total,
            "ledger": None if self.head is None else {"records": self.head.seq, "head": self.head.hash},
        }
