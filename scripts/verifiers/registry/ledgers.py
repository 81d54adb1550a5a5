"""What is only ever added to: ledgers, attestations, revocations."""

from __future__ import annotations

from scripts.verifiers.guarantees import append_only, ingress, revocation
from scripts.verifiers.model import Invariant
from scripts.verifiers.registry.tasks import FOUNDATION

LEDGERS = (
    Invariant(
        id="append-only-ledgers",
        check_id="DB-APPEND-ONLY-LEDGERS",
        stem="append_only_ledgers",
        invariant_ids=("INV-014", "INV-035", "INV-036", "INV-090", "INV-091", "INV-093"),
        promise="no row of a ledger is changed, removed or truncated away, in any replication role",
        held_by=tuple(table.name for table in append_only.LEDGERS),
        verify=append_only.verify_all,
        answers=("D-12",),
        failure_signature="P0.LEDGER.ROW_CAN_CHANGE",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="ingress-attestation",
        check_id="DB-INGRESS-ATTESTATION",
        stem="ingress_attestation",
        invariant_ids=("INV-035",),
        promise="an attestation is found by index and never changed",
        held_by=("ingress_attestations",),
        verify=ingress.verify_attestation,
        severity="P1",
        answers=("D-08", "D-12"),
        failure_signature="P0.INGRESS.ATTESTATION_CAN_CHANGE",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="ingress-hotpath-indexes",
        check_id="DB-INGRESS-HOTPATH-INDEXES",
        stem="ingress_hotpath_indexes",
        invariant_ids=("INV-118",),
        promise="the four hot paths into attestations have exactly their indexes",
        held_by=ingress.HOT_PATHS,
        verify=ingress.verify_hot_paths,
        folder="phase1",
        answers=("D-08", "D-34"),
        failure_signature="P0.INGRESS.HOT_PATH_INDEX_DIFFERS",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="revocation-tables",
        check_id="DB-REVOCATION-TABLES",
        stem="revocation_tables",
        invariant_ids=("INV-036",),
        promise="a revocation is recorded once and never taken back",
        held_by=("revoked_client_certs", "revoked_tokens"),
        verify=revocation.verify,
        answers=("D-08", "D-12"),
        failure_signature="P0.REVOCATION.CAN_BE_TAKEN_BACK",
        origin_task_id=FOUNDATION,
    ),
)
