"""D-03, INV-092: one correlation id joins attestation, queue, every attempt and the proofs."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.attempts import complete
from scripts.verifiers.probes.own_queue import by_order
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.violations import rewritten

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage

_JOIN: LiteralString = """
    SELECT i.correlation_id,
           (SELECT pg_catalog.count(*) FROM public.payment_outbox_attempts AS a
             WHERE a.correlation_id = i.correlation_id AND a.tenant_id = i.tenant_id AND a.outbox_id = %(item)s),
           (SELECT pg_catalog.count(*) FROM public.external_proofs AS e
             WHERE e.correlation_id = i.correlation_id AND e.attestation_id = i.attestation_id)
      FROM public.ingress_attestations AS i WHERE i.attestation_id = %(attestation)s
"""
_QUEUED: LiteralString = (
    "SELECT p.correlation_id, p.tenant_id FROM public.payment_outbox_pending AS p WHERE p.outbox_id = %s"
)
_ATTESTED: LiteralString = (
    "INSERT INTO public.ingress_attestations (instruction_id, tenant_id, payload_hash, correlation_id) "
    "VALUES (%s, %s, 'hash', %s) RETURNING correlation_id"
)
_WITH_REFS: LiteralString = (
    "SELECT q.outbox_id FROM public.enqueue_payment_outbox(%(instruction)s, %(participant)s, %(key)s, %(rail)s, "
    "%(payload)s::jsonb, p_tenant_id => %(tenant)s::uuid, p_correlation_id => %(correlation)s::uuid, "
    "p_upstream_ref => 'up', p_downstream_ref => 'down', p_nfs_sequence_ref => 'nfs') AS q"
)
_REFS: LiteralString = (
    "SELECT a.correlation_id, a.tenant_id, a.upstream_ref, a.downstream_ref, a.nfs_sequence_ref "
    "FROM public.payment_outbox_attempts AS a WHERE a.outbox_id = %s ORDER BY a.attempt_no"
)


@by_order
def joins(stage: Stage) -> None:
    """Attestation, enqueue, two retries, a lost lease, a dispatch, a proof: one id from end to end."""
    tenant, instruction, correlation = world.tenant(stage), world.name("instruction"), uuid.uuid4()
    attestation = world.attestation(stage, tenant, instruction=instruction, correlation=correlation)
    item = world.queued(stage, tenant, instruction=instruction)
    queued = stage.row(_QUEUED, [item.outbox_id])
    stage.findings.check(
        "queue_takes_the_attestations_id",
        expected=True,
        observed=queued == (correlation, tenant),
        where="public.enqueue_payment_outbox",
    )
    for _ in range(2):
        complete(stage, item, "RETRYABLE")
    world.leased(stage, item, expired=True)
    stage.run(
        "UPDATE public.payment_outbox_pending SET next_attempt_at = '-infinity' WHERE outbox_id = %s", [item.outbox_id]
    )
    stage.rows("SELECT public.repair_expired_leases(1, 'probe-repairer')", role="symphony_executor")
    complete(stage, item, "DISPATCHED")
    stage.run(
        "INSERT INTO public.external_proofs (attestation_id, provider, request_hash, response_hash) "
        "VALUES (%s, 'probe', 'request', 'response')",
        [attestation],
    )
    found = stage.row(_JOIN, {"item": item.outbox_id, "attestation": attestation}) or (None, 0, 0)
    stage.findings.check(
        "the_id_joins_the_chain",
        expected=[True, ["RETRYABLE", "RETRYABLE", "ZOMBIE_REQUEUE", "DISPATCHED"], 4, 1],
        observed=[found[0] == correlation, [*world.attempts(stage, item)], found[1], found[2]],
        where="public.ingress_attestations → public.external_proofs",
    )


def late_joins(stage: Stage) -> None:
    """Queued first and attested afterwards, by who reads neither queue nor ledger: the item's id is taken on."""
    tenant = world.tenant(stage)
    for progress in ("queued", "attempted"):
        item = world.queued(stage, tenant)
        carried = (stage.row(_QUEUED, [item.outbox_id]) or (None,))[0]
        if progress == "attempted":
            complete(stage, item, "DISPATCHED")
        taken = stage.value(_ATTESTED, [item.asked["instruction"], tenant, None], role="symphony_ingest")
        stage.findings.check(
            f"late_attestation_takes_the_{progress}_id",
            expected=True,
            observed=carried is not None and taken == carried,
            where="public.set_correlation_id_if_null",
        )
    item, given = world.queued(stage, tenant), uuid.uuid4()
    kept = stage.value(_ATTESTED, [item.asked["instruction"], tenant, given], role="symphony_ingest")
    stage.findings.check(
        "late_attestation_keeps_a_given_id",
        expected=True,
        observed=kept == given,
        where="public.set_correlation_id_if_null",
    )


def given_is_carried(stage: Stage) -> None:
    """What the caller gives with the request is in the queue and in each attempt."""
    tenant, correlation = world.tenant(stage), uuid.uuid4()
    asked = world.request(tenant, correlation=correlation)
    item = world.Item(stage.value(_WITH_REFS, asked, role="symphony_ingest"), asked)
    complete(stage, item, "RETRYABLE")
    complete(stage, item, "FAILED")
    stage.findings.check(
        "references_are_carried",
        expected=True,
        observed=stage.rows(_REFS, [item.outbox_id]) == [(correlation, tenant, "up", "down", "nfs")] * 2,
        where="public.complete_outbox_attempt",
    )


_FILL = "set_correlation_id_if_null"

PROBES = (
    Probe(
        "chain_setup",
        joins,
        (
            Control(
                "an item takes an id of its own",
                rewritten(
                    (
                        "enqueue_payment_outbox",
                        "IF v_correlation_id IS NULL AND p_tenant_id IS NOT NULL THEN",
                        "v_correlation_id := coalesce(v_correlation_id, pg_catalog.uuidv7()); IF false THEN",
                    )
                ),
                breaks=("queue_takes_the_attestations_id", "the_id_joins_the_chain"),
            ),
        ),
    ),
    Probe(
        "late_chain_setup",
        late_joins,
        (
            Control(
                "an attestation takes an id of its own, whatever is queued, attempted or given",
                rewritten(
                    (_FILL, "IF NEW.correlation_id IS NULL THEN", "IF true THEN"),
                    (_FILL, "WHERE p.tenant_id = NEW.tenant_id AND", "WHERE false AND"),
                    (_FILL, "WHERE a.tenant_id = NEW.tenant_id AND", "WHERE false AND"),
                ),
                breaks=(
                    "late_attestation_takes_the_queued_id",
                    "late_attestation_takes_the_attempted_id",
                    "late_attestation_keeps_a_given_id",
                ),
            ),
        ),
    ),
    Probe(
        "references_setup",
        given_is_carried,
        (
            Control(
                "an attempt forgets what its item refers to",
                rewritten(
                    (
                        "complete_outbox_attempt",
                        "v_item.upstream_ref, v_item.downstream_ref, v_item.nfs_sequence_ref",
                        "NULL, NULL, NULL",
                    )
                ),
                breaks=("references_are_carried",),
            ),
        ),
    ),
)
