"""The verbs around the ledger itself: check it, accept other comments, give an unfinished file up.

Owns: what each of them says.
Never: changes what is recorded (scripts/migrations/ledger/repair.py appends).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from scripts.errors.base import ExitCode
from scripts.errors.ledger import LedgerChainError, RepairRefusedError
from scripts.errors.settings import UsageError
from scripts.run.history import connected

if TYPE_CHECKING:
    from scripts.migrations.ledger.chain import Record
    from scripts.migrations.ledger.table import Ledger
    from scripts.run.voice import Voice
    from scripts.settings import Settings

_PIN = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


def verify_ledger(settings: Settings, voice: Voice, head: str = "") -> int:
    """Check the whole chain, every stored trace, and, when a head was kept elsewhere, that the chain still holds it."""
    from scripts.migrations.ledger.table import read_ledger, require_plain, require_true_traces

    pinned = _pin(head)
    _require_existing(settings, "ledger.verify")
    with connected(settings, voice) as conn:
        ledger = require_plain(read_ledger(conn))
        if ledger.head is None:
            raise RepairRefusedError.no_history() if ledger.rows else RepairRefusedError.no_ledger()
        traces = require_true_traces(conn)
    if pinned is not None:
        _require_pinned(ledger, *pinned)
    found = ledger.head
    voice.line(
        f"{len(ledger.rows)} rows, {found.seq} records, {traces} traces: one chain, nothing changed\n"
        f"head {found.seq}:{found.hash}"
    )
    document = {"rows": len(ledger.rows), "records": found.seq, "traces": traces, "head": found.hash}
    voice.value(json.dumps(document, indent=2))
    return int(ExitCode.PASSED)


def accept_file(settings: Settings, voice: Voice, file: str, reason: str) -> int:
    """Record that the comments of an applied file were changed, and that this is wanted."""
    from scripts.migrations.folder.files import read_files
    from scripts.migrations.ledger.repair import accept

    _require_existing(settings, "ledger.accept")
    files = read_files(settings.migrations_dir)
    with connected(settings, voice) as conn:
        record = accept(conn, files, file, settings, reason=reason, report=voice.say)
    return _told(record, voice)


def abandon_file(settings: Settings, voice: Voice, file: str, reason: str) -> int:
    """Give up what the journal says of an unfinished file."""
    from scripts.migrations.folder.files import read_files
    from scripts.migrations.ledger.repair import abandon

    _require_existing(settings, "ledger.abandon")
    files = read_files(settings.migrations_dir)
    with connected(settings, voice) as conn:
        record = abandon(conn, files, file, settings, reason=reason, report=voice.say)
    return _told(record, voice)


def _told(record: Record, voice: Voice) -> int:
    voice.line(
        f"record {record.seq}: {record.kind} {record.version}, by {record.recorded_by} at {record.recorded_at}\n"
        f"  before  {record.replaces}\n"
        f"  now     {record.checksum}\n"
        f"  reason  {record.reason}"
    )
    document = {
        "seq": record.seq,
        "kind": record.kind,
        "version": record.version,
        "replaces": record.replaces,
        "checksum": record.checksum,
        "recorded_by": record.recorded_by,
        "recorded_at": record.recorded_at,
        "reason": record.reason,
        "hash": record.hash,
    }
    voice.value(json.dumps(document, indent=2))
    return int(ExitCode.PASSED)


def _require_existing(settings: Settings, verb: str) -> None:
    if settings.fresh_db:
        # A database made for this call has a ledger that nobody can have an interest in.
        raise UsageError.needs_database(verb)


def _pin(head: str) -> tuple[int, str] | None:
    if not head:
        return None
    match = _PIN.fullmatch(head)
    if match is None:
        raise UsageError.bad_head(head)
    return int(match[1]), match[2]


def _require_pinned(ledger: Ledger, seq: int, pinned: str) -> None:
    record = next((record for record in ledger.records if record.seq == seq), None)
    if record is None:
        raise LedgerChainError.unlike_pin(seq, pinned=pinned, found=f"{len(ledger.records)} records")
    if record.hash != pinned:
        raise LedgerChainError.unlike_pin(seq, pinned=pinned, found=f"hash {record.hash}")
