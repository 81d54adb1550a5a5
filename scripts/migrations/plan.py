"""What is applied and what is pending: files and ledger compared, nothing else.

Owns: `Plan`, and the order in which troubles are told: tampered, vanished, out of order.
Promises: pure. The same files and rows give the same plan or the same error, whatever order they come in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.clock import iso_utc
from scripts.errors.history import (
    CommentsDifferError,
    HistoryError,
    OutOfOrderError,
    TamperedError,
    VanishedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scripts.digest import Json
    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.ledger.table import LedgerRow


@dataclass(frozen=True, slots=True)
class Plan:
    """Files in the order of their numbers: those the ledger records, then those to run.

    sums_checked: the folder has a list of sums, and every file is in it.
    """

    applied: tuple[MigrationFile, ...]
    pending: tuple[MigrationFile, ...]
    sums_checked: bool

    def as_json(self) -> dict[str, Json]:
        """For `--json`: names, checksums and whether a pending file runs without a transaction."""
        return {
            "applied": [{"name": file.name, "checksum": file.checksum} for file in self.applied],
            "pending": [{"name": file.name, "checksum": file.checksum, "no_tx": file.no_tx} for file in self.pending],
            "sums_checked": self.sums_checked,
        }


def plan_migrations(files: Iterable[MigrationFile], applied: Iterable[LedgerRow]) -> Plan:
    """Compare files and ledger.

    Args:
        files: as `read_files` gives them, in any order.
        applied: the ledger's rows, in any order.

    Raises:
        TamperedError: a recorded file has another checksum now; CommentsDifferError when its statements are the same.
        VanishedError: a recorded file is gone.
        OutOfOrderError: an unrecorded file stands below a recorded one.
    """
    ordered = sorted(files, key=lambda file: (file.number, file.name))
    rows = {row.version: row for row in applied}
    next_number = ordered[-1].number + 1 if ordered else 1
    _require_untampered(ordered, rows, next_number)
    _require_present(ordered, rows)
    highest = max((file for file in ordered if file.name in rows), key=lambda file: file.number, default=None)
    if highest is not None:
        late = [file.name for file in ordered if file.name not in rows and file.number <= highest.number]
        if late:
            raise OutOfOrderError.of(late[0], highest=highest.name, next_number=next_number, others=late[1:])
    return Plan(
        tuple(file for file in ordered if file.name in rows),
        tuple(file for file in ordered if file.name not in rows),
        all(file.listed for file in ordered),
    )


def _require_untampered(files: Sequence[MigrationFile], rows: dict[str, LedgerRow], next_number: int) -> None:
    tampered = [file for file in files if file.name in rows and rows[file.name].checksum != file.checksum]
    # An edit of statements is told before one of comments.
    for file in tampered:
        if not _comments_only(file, rows[file.name]):
            row = rows[file.name]
            raise TamperedError.of(
                file.name,
                ledger=row.checksum,
                applied_at=_time(row),
                found=file.checksum,
                next_number=next_number,
                others=[other.name for other in tampered if other is not file],
            )
    for file in tampered:
        row = rows[file.name]
        raise CommentsDifferError.only(file.name, ledger=row.checksum, applied_at=_time(row), found=file.checksum)


def _comments_only(file: MigrationFile, row: LedgerRow) -> bool:
    if not row.statements_digest:
        return False
    try:
        return file.statements_digest == row.statements_digest
    except HistoryError:
        return False  # not even SQL any more


def _time(row: LedgerRow) -> str:
    return "never" if row.applied_at is None else iso_utc(row.applied_at)


def _require_present(files: Sequence[MigrationFile], rows: dict[str, LedgerRow]) -> None:
    names = {file.name for file in files}
    vanished = sorted(version for version in rows if version not in names)
    if vanished:
        applied_at = _time(rows[vanished[0]])
        raise VanishedError.of(vanished[0], applied_at=applied_at, others=vanished[1:])
