"""What ran, and how: the ledger against the files."""

from __future__ import annotations

from scripts.verifiers.guarantees import ledger
from scripts.verifiers.model import Invariant
from scripts.verifiers.registry.tasks import TIGHTENED, TIGHTENING

HISTORY = (
    Invariant(
        id="migration-history",
        check_id="DB-MIGRATION-HISTORY",
        stem="migration_history",
        invariant_ids=("INV-001", "INV-003"),
        promise="what ran is what is in the files, and no index is left invalid",
        held_by=("schema_migrations", "schema_migrations_history", "schema_migrations_journal"),
        verify=ledger.verify_history,
        criteria=("AC4",),
        answers=("D-10", "D-19"),
        failure_signature=f"{TIGHTENED}.HISTORY_DIFFERS",
        origin_task_id=TIGHTENING,
    ),
    Invariant(
        id="no-tx-migrations",
        check_id="DB-NO-TX-MIGRATIONS",
        stem="no_tx_migrations",
        invariant_ids=("INV-041", "INV-042"),
        promise="files that run outside a transaction are marked, recorded, and left every index usable",
        held_by=ledger.NO_TX_FILES,
        verify=ledger.verify_no_tx,
        criteria=("AC4",),
        answers=("D-10", "D-18", "D-28"),
        failure_signature=f"{TIGHTENED}.NO_TX_MIGRATION_UNFINISHED",
        origin_task_id=TIGHTENING,
    ),
)
