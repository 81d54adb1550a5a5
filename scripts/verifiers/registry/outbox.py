"""The queue: one item a request, one lease, an end to retrying, and somebody woken."""

from __future__ import annotations

from scripts.verifiers.guarantees import outbox
from scripts.verifiers.model import Invariant
from scripts.verifiers.registry.tasks import FOUNDATION

OUTBOX = (
    Invariant(
        id="idempotency-zombie",
        check_id="DB-IDEMPOTENCY-ZOMBIE",
        stem="idempotency_zombie",
        invariant_ids=("INV-011", "INV-023"),
        promise="one request of one tenant is one item, whatever is repeated and whoever died",
        held_by=("enqueue_payment_outbox", "payment_outbox_idempotency"),
        verify=outbox.verify_replay,
        answers=("D-13",),
        failure_signature="P0.OUTBOX.REQUEST_QUEUED_TWICE",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="outbox-claim-semantics",
        check_id="DB-OUTBOX-CLAIM-SEMANTICS",
        stem="outbox_claim_semantics",
        invariant_ids=("INV-012",),
        promise="a claim takes due, free items in order and passes over locked ones",
        held_by=("claim_outbox_batch",),
        verify=outbox.verify_claims,
        answers=("D-28", "D-38"),
        failure_signature="P0.OUTBOX.CLAIM_TAKES_WHAT_IT_MAY_NOT",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="outbox-lease-fencing",
        check_id="DB-OUTBOX-LEASE-FENCING",
        stem="outbox_lease_fencing",
        invariant_ids=("INV-013",),
        promise="only the holder of a running lease completes its item",
        held_by=("complete_outbox_attempt",),
        verify=outbox.verify_fencing,
        answers=("D-38",),
        failure_signature="P0.OUTBOX.LEASE_NOT_FENCED",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="outbox-retry-ceiling",
        check_id="DB-OUTBOX-RETRY-CEILING",
        stem="outbox_retry_ceiling",
        invariant_ids=("INV-015",),
        promise="retrying ends: by completion, by repair, and when a worker is taken over",
        held_by=("outbox_retry_ceiling", "repair_expired_leases", "outbox_claim_limit"),
        verify=outbox.verify_ceiling,
        answers=("D-01", "D-07", "D-30", "D-38"),
        failure_signature="P0.OUTBOX.RETRY_WITHOUT_END",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="outbox-terminal-uniqueness",
        check_id="DB-OUTBOX-TERMINAL-UNIQUENESS",
        stem="outbox_terminal_uniqueness",
        invariant_ids=("INV-032",),
        promise="an item ends once",
        held_by=("ux_outbox_attempts_one_terminal_per_outbox",),
        verify=outbox.verify_terminal,
        failure_signature="P0.OUTBOX.ITEM_ENDS_TWICE",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="outbox-notify",
        check_id="DB-OUTBOX-NOTIFY",
        stem="outbox_notify",
        invariant_ids=("INV-034",),
        promise="a fresh, retried or repaired item wakes the workers, a replay does not",
        held_by=("enqueue_payment_outbox", "complete_outbox_attempt", "repair_expired_leases"),
        verify=outbox.verify_notify,
        severity="P1",
        answers=("D-46",),
        failure_signature="P0.OUTBOX.WORKERS_NOT_WOKEN",
        origin_task_id=FOUNDATION,
    ),
)
