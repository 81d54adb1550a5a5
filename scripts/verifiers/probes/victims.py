"""One row in each ledger, to be attacked: a row trigger cannot be seen to refuse anything on an empty table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.verifiers.probes import world

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.verifiers.probes.stage import Stage


def plant(stage: Stage, table: str) -> tuple[str, Any]:
    """Insert a row into the ledger; returns its key column and value."""
    return _PLANTS[table](stage)


def _attempt(stage: Stage) -> tuple[str, Any]:
    return "attempt_id", stage.value(
        "INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, "
        "rail_type, sequence_id, payload, attempt_no, state) VALUES (public.uuid_v7_or_random(), %(n)s, %(n)s, %(n)s, "
        "'RAIL', 1, '{}', 1, 'RETRYABLE') RETURNING attempt_id",
        {"n": world.name()},
    )


def _attestation(stage: Stage) -> tuple[str, Any]:
    return "attestation_id", world.attestation(stage, world.tenant(stage))


def _certificate(stage: Stage) -> tuple[str, Any]:
    return "cert_fingerprint_sha256", stage.value(
        "INSERT INTO public.revoked_client_certs (cert_fingerprint_sha256) VALUES (%s) "
        "RETURNING cert_fingerprint_sha256",
        [world.name()],
    )


def _token(stage: Stage) -> tuple[str, Any]:
    return "token_jti", stage.value(
        "INSERT INTO public.revoked_tokens (token_jti) VALUES (%s) RETURNING token_jti", [world.name()]
    )


def _event(stage: Stage) -> tuple[str, Any]:
    return "event_id", stage.value(
        "INSERT INTO public.billing_usage_events (billable_client_id, event_type, units, quantity) "
        "VALUES (%s, 'CASE_PACK', 'count', 1) RETURNING event_id",
        [world.payer(stage)],
    )


def _proof(stage: Stage) -> tuple[str, Any]:
    return "proof_id", stage.value(
        "INSERT INTO public.external_proofs (attestation_id, provider, request_hash, response_hash) "
        "VALUES (%s, 'probe', 'request', 'response') RETURNING proof_id",
        [world.attestation(stage, world.tenant(stage))],
    )


def _pack(stage: Stage) -> tuple[str, Any]:
    return "pack_id", stage.value(
        "INSERT INTO public.evidence_packs (pack_type) VALUES ('DISPUTE_PACK') RETURNING pack_id"
    )


def _pack_item(stage: Stage) -> tuple[str, Any]:
    return "item_id", stage.value(
        "INSERT INTO public.evidence_pack_items (pack_id, artifact_path, artifact_hash) "
        "VALUES (%s, 'probe', %s) RETURNING item_id",
        [_pack(stage)[1], world.name("hash")],
    )


def _pack_signature(stage: Stage) -> tuple[str, Any]:
    return "signature_id", stage.value(
        "INSERT INTO public.evidence_pack_signatures (pack_id, root_hash, signer_participant_id, signature_alg, "
        "signature) VALUES (%s, 'root', 'probe', 'alg', 'signature') RETURNING signature_id",
        [_pack(stage)[1]],
    )


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
