"""What the objects are: definitions, conventions, the queue's indexes and storage, and the core gate."""

from __future__ import annotations

from scripts.verifiers.guarantees import ci_gate, conventions, definitions, outbox_mvcc_posture, outbox_pending_indexes
from scripts.verifiers.model import Invariant
from scripts.verifiers.registry.tasks import FOUNDATION, TIGHTENED, TIGHTENING

SHAPE = (
    Invariant(
        id="table-definitions",
        check_id="DB-TABLE-DEFINITIONS",
        stem="table_definitions",
        invariant_ids=("INV-096",),
        promise="every column, key, reference, check, index and trigger is exactly what was reviewed",
        held_by=("schema public",),
        verify=definitions.verify,
        answers=("D-08", "D-34"),
        failure_signature=f"{TIGHTENED}.DEFINITION_DIFFERS",
        origin_task_id=TIGHTENING,
    ),
    Invariant(
        id="table-conventions",
        check_id="DB-TABLE-CONVENTIONS",
        stem="table_conventions",
        invariant_ids=("INV-099",),
        promise="each table keeps its written conventions",
        held_by=("schema/table_conventions.yml",),
        verify=conventions.verify,
        severity="P1",
        answers=("D-08",),
        failure_signature="P0.SCHEMA.TABLE_CONVENTION_BROKEN",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="outbox-pending-indexes",
        check_id="DB-OUTBOX-PENDING-INDEXES",
        stem="outbox_pending_indexes",
        invariant_ids=("INV-031",),
        promise="due items are found by an index in the order of the claim",
        held_by=("idx_payment_outbox_pending_due_claim",),
        verify=outbox_pending_indexes.verify,
        answers=("D-08",),
        failure_signature="P0.OUTBOX.CLAIM_INDEX_DIFFERS",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="outbox-mvcc-posture",
        check_id="DB-OUTBOX-MVCC",
        stem="outbox_mvcc_posture",
        invariant_ids=("INV-033",),
        promise="pages of the queue keep room for leases, and vacuum comes to it",
        held_by=("fillfactor", "autovacuum"),
        verify=outbox_mvcc_posture.verify,
        severity="P1",
        answers=("D-08",),
        failure_signature="P0.OUTBOX.MVCC_POSTURE_DIFFERS",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="ci-invariant-gate",
        check_id="DB-CI-INVARIANT-GATE",
        stem="ci_invariant_gate",
        invariant_ids=("INV-005", "INV-006", "INV-010", "INV-014", "INV-016", "INV-017", "INV-018"),
        promise="core tables are closed to PUBLIC, attempts guarded, no two policies active, the seeded one readable",
        held_by=("policy_versions", "payment_outbox_attempts", "schema public"),
        verify=ci_gate.verify,
        pairs=ci_gate.pairs,
        answers=("D-11", "D-30", "D-40"),
        failure_signature="P0.CORE.TABLE_OR_POLICY_UNGUARDED",
        origin_task_id=FOUNDATION,
    ),
)
