"""The ledger's history as a hash chain: what a record holds, how it is hashed, and whether rows and records agree.

Owns: `Record`, its hash, and the audit. Pure: the same rows and records give the same answer, on any machine.
Promises: a ledger row or a record that was changed, removed or put in by hand is found, save that a chain that was cut
    at its end, ledger row and all, or rewritten from some record on, is a chain: only a head kept elsewhere tells. The
    evidence of every run keeps it.
How it is hashed: sha256 over netstrings (length, colon, bytes, comma) of the fields in order, so that no field can run
    into the next; D. J. Bernstein, "Netstrings", 1997.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from scripts.digest import sha256_hex
from scripts.errors.ledger import LedgerChainError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

Kind = Literal["applied", "adopted", "accepted", "abandoned"]
# What the first record follows.
GENESIS = "0" * 64
# Kinds after which the ledger has a row.
_ROW_KINDS = ("applied", "adopted")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be recorded; the database adds the time, the chain the number and the hashes.

    kind: applied (a file ran), adopted (a row of a ledger without history), accepted (other bytes for an applied
        file), abandoned (the journal of an unfinished file is given up).
    replaces: the checksum that held before, for accepted; a digest of the journal, for abandoned.
    trace_digest: sha256 of `trace`; empty without one.
    """

    kind: Kind
    version: str
    checksum: str
    recorded_by: str
    statements_digest: str = ""
    replaces: str = ""
    reason: str = ""
    trace: str = ""

    @property
    def trace_digest(self) -> str:
        """Empty when nothing was traced."""
        return sha256_hex(self.trace.encode()) if self.trace else ""


class Record(NamedTuple):
    """One record as it is stored. `recorded_at`: UTC, microseconds, as `2026-03-01T10:22:05.000000Z`.

    fits_row: whether the ledger's row of this version was applied at that very time. (A named tuple: ten thousand of
    them are read before every run.)
    """

    seq: int
    kind: str
    version: str
    checksum: str
    replaces: str
    statements_digest: str
    recorded_at: str
    recorded_by: str
    reason: str
    trace_digest: str
    previous_hash: str
    hash: str
    fits_row: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One row of `schema_migrations`. `applied_at` is None for a time that is none (infinity)."""

    version: str
    checksum: str
    applied_at: datetime | None


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends: the number of records and the last one's hash."""

    seq: int = 0
    hash: str = GENESIS


def hash_prefix(seq: int, previous_hash: str, entry: Entry | Record) -> bytes:
    """Everything of a record that is hashed, but for its time, which comes last."""
    return link(seq, previous_hash) + hashed_fields(entry)


def link(seq: int, previous_hash: str) -> bytes:
    """Where a record hangs on to the chain: the first part of what is hashed of it."""
    return _netstrings((previous_hash, str(seq)))


def hashed_fields(entry: Entry | Record) -> bytes:
    """What a record says: the second part of what is hashed of it. It is known before the chain's end is."""
    fields = (
        entry.kind,
        entry.version,
        entry.checksum,
        entry.replaces,
        entry.statements_digest,
        entry.recorded_by,
        entry.reason,
        entry.trace_digest,
    )
    return _netstrings(fields)


def record_hash(record: Record) -> str:
    """The hash that a record must have."""
    return sha256_hex(hash_prefix(record.seq, record.previous_hash, record) + _netstrings((record.recorded_at,)))


def audit(rows: Sequence[Row], records: Sequence[Record]) -> Head:
    """Check that the records are a chain and that the ledger is what they say.

    Args:
        rows: the ledger, in any order.
        records: the history, in any order.

    Returns:
        Where the chain ends.

    Raises:
        LedgerChainError: the first thing that does not fit, in the order of the records.
    """
    head = Head()
    expected: dict[str, Record] = {}
    for record in sorted(records, key=lambda item: item.seq):
        if record.seq != head.seq + 1:
            raise LedgerChainError.missing_record(head.seq + 1, found=record.seq)
        if record.previous_hash != head.hash:
            raise LedgerChainError.broken_link(record.seq, record.version)
        if record_hash(record) != record.hash:
            raise LedgerChainError.changed_record(record.seq, record.version, recorded_at=record.recorded_at)
        if record.kind in _ROW_KINDS:
            if record.version in expected:
                raise LedgerChainError.recorded_twice(record.version, expected[record.version].seq, record.seq)
            expected[record.version] = record
        head = Head(record.seq, record.hash)
    _compare(rows, expected)
    return head


def _compare(rows: Sequence[Row], expected: dict[str, Record]) -> None:
    present = {row.version: row for row in rows}
    for version, record in expected.items():
        row = present.get(version)
        if row is None:
            raise LedgerChainError.removed_row(version, record.seq, recorded_at=record.recorded_at)
        if row.checksum != record.checksum:
            raise LedgerChainError.changed_checksum(version, record.seq, expected=record.checksum, found=row.checksum)
        if not record.fits_row:
            raise LedgerChainError.changed_time(version, record.seq, recorded_at=record.recorded_at)
    for version in sorted(present.keys() - expected.keys()):
        raise LedgerChainError.strange_row(version)


def _netstrings(texts: Sequence[str]) -> bytes:
    told = "".join([f"{len(text)}:{text}," for text in texts])
    if told.isascii():
        return told.encode()
    # The length is in bytes.
    return b"".join(b"%d:%s," % (len(data), data) for data in (text.encode() for text in texts))
