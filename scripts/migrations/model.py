"""What migrating hands on: which files were applied, how long each took, at which attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from scripts.digest import Json
    from scripts.migrations.session import Session
    from scripts.settings import Settings

# Progress, one line a call; the caller prints it to stderr.
Report: TypeAlias = "Callable[[str], None]"


@dataclass(frozen=True, slots=True)
class Run:
    """What every file of a run is applied with: the connection, its baseline, the budgets, and whom to tell."""

    conn: psycopg.Connection[Any]
    session: Session
    settings: Settings
    report: Report


@dataclass(frozen=True, slots=True)
class AppliedFile:
    """One file that this run applied and recorded.

    duration_ms: from its first statement to its recorded row, retries included.
    attempts: 1 when no lock had to be waited for anew.
    notes: what was found instead of done, such as an index adopted or rebuilt.
    """

    name: str
    checksum: str
    no_tx: bool
    statements: int
    duration_ms: int
    attempts: int = 1
    notes: tuple[str, ...] = ()

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
        }


@dataclass(frozen=True, slots=True)
class Applied:
    """What one run did. `before`: how many files the ledger recorded when it began; `total`: files in the folder."""

    files: tuple[AppliedFile, ...]
    before: int
    total: int

    @property
    def recorded(self) -> int:
        """How many files the ledger records now."""
        return self.before + len(self.files)

    def as_json(self) -> dict[str, Json]:
        """For evidence and `--json`."""
        return {"applied": [file.as_json() for file in self.files], "before": self.before, "total": self.total}
