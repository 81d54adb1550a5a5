"""One row in each ledger, to be attacked: a row trigger cannot be seen to refuse anything on an empty table."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from scripts.verifiers.probes import world

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.verifiers.probes.stage import Stage


def plant(stage: Stage, table: str) -> tuple[str, Any]:
    """Insert a row into the ledger; returns its key column and value."""
    return _PLANTS[table](stage)


def _attempt(stage: Stage) -> tuple[str, Any]:
    made = uuid.uuid4()
    stage.plant(
        "INSERT INTO public.payment_outbox_attempts (attempt_id, outbox_id, instruction_id, participant_id, "
        "idempotency_key, rail_type, sequence_id, payload, attempt_no, state) VALUES (%(id)s, "
        "public.uuid_v7_or_random(), %(n)s, %(n)s, %(n)s, 'RAIL', 1, '{}', 1, 'RETRYABLE')",
        {"id": made, "n": world.name()},
    )
    return "attempt_id", made


def _attestation(stage: Stage) -> tuple[str, Any]:
    return "attestation_id", world.attestation(stage, world.tenant(stage))


def _certificate(stage: Stage) -> tuple[str, Any]:
    made = world.name()
    stage.plant("INSERT INTO public.revoked_client_certs (cert_fingerprint_sha256) VALUES (%s)", [made])
    return "cert_fingerprint_sha256", made


def _token(stage: Stage) -> tuple[str, Any]:
    made = world.name()
    stage.plant("INSERT INTO public.revoked_tokens (token_jti) VALUES (%s)", [made])
    return "token_jti", made


def _event(stage: Stage) -> tuple[str, Any]:
    made = uuid.uuid4()
    stage.plant(
        "INSERT INTO public.billing_usage_events (event_id, billable_client_id, event_type, units, quantity) "
        "VALUES (%s, %s, 'CASE_PACK', 'count', 1)",
        [made, world.payer(stage)],
    )
    return "event_id", made


def _proof(stage: Stage) -> tuple[str, Any]:
    made = uuid.uuid4()
    stage.plant(
        "INSERT INTO public.external_proofs (proof_id, attestation_id, provider, request_hash, response_hash) "
        "VALUES (%s, %s, 'probe', 'request', 'response')",
        [made, world.attestation(stage, world.tenant(stage))],
    )
    return "proof_id", made


def _pack(stage: Stage) -> tuple[str, Any]:
    made = uuid.uuid4()
    stage.plant("INSERT INTO public.evidence_packs (pack_id, pack_type) VALUES (%s, 'DISPUTE_PACK')", [made])
    return "pack_id", made


def _pack_item(stage: Stage) -> tuple[str, Any]:
    made = uuid.uuid4()
    stage.plant(
        "INSERT INTO public.evidence_pack_items (item_id, pack_id, artifact_path, artifact_hash) "
        "VALUES (%s, %s, 'probe', %s)",
        [made, _pack(stage)[1], world.name("hash")],
    )
    return "item_id", made


def _pack_signature(stage: Stage) -> tuple[str, Any]:
    made = uuid.uuid4()
    stage.plant(
        "INSERT INTO public.evidence_pack_signatures (signature_id, pack_id, root_hash, signer_participant_id, "
        "signature_alg, signature) VALUES (%s, %s, 'root', 'probe', 'alg', 'signature')",
        [made, _pack(stage)[1]],
    )
    return "signature_id", made


def _key(stage: Stage) -> tuple[str, Any]:
    return "outbox_id", stage.value(world.ENQUEUE, world.request())


_PLANTS: dict[str, Callable[[Stage], tuple[str, Any]]] = {
    "payment_outbox_attempts": _attempt,
    "ingress_attestations": _attestation,
    "revoked_client_certs": _certificate,
    "revoked_tokens": _token,
    "billing_usage_events": _event,
    "external_proofs": _proof,
    "evidence_packs": _pack,
    "evidence_pack_items": _pack_item,
    "evidence_pack_signatures": _pack_signature,
    "payment_outbox_idempotency": _key,
}
