"""Rows at ±infinity, in every column that takes such a time, are data like any other: no alarm, nobody touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from db.verifiers.test_many_rows import contents

from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.run import verify_invariant

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

# {ts}: the time. Every column of a time in a table of ours holds it, forty items of the queue among them, half leased.
FILL = """
WITH payer AS (
    INSERT INTO public.billable_clients (legal_name, client_type, client_key, created_at)
    VALUES ('payer', 'BANK', 'key {ts}', '{ts}') RETURNING billable_client_id),
tenant AS (
    INSERT INTO public.tenants (tenant_key, tenant_name, tenant_type, billable_client_id, created_at)
    SELECT 'tenant {ts}', 'tenant', 'NGO', billable_client_id, '{ts}' FROM payer RETURNING tenant_id)
INSERT INTO public.ingress_attestations (instruction_id, tenant_id, payload_hash, received_at)
SELECT 'instruction {ts}', tenant_id, 'hash', '{ts}' FROM tenant;
INSERT INTO public.participants (participant_id, legal_name, participant_kind, created_at)
VALUES ('participant {ts}', 'participant', 'BANK', '{ts}');
INSERT INTO public.tenant_members (tenant_id, member_ref, created_at)
SELECT tenant_id, 'member', '{ts}' FROM public.tenants WHERE tenant_key = 'tenant {ts}';
INSERT INTO public.tenant_clients (tenant_id, client_key, display_name, created_at)
SELECT tenant_id, 'client', 'client', '{ts}' FROM public.tenants WHERE tenant_key = 'tenant {ts}';
INSERT INTO public.external_proofs (attestation_id, provider, request_hash, response_hash, verified_at, expires_at,
                                    created_at)
SELECT attestation_id, 'provider', 'request', 'response', '{ts}', '{ts}', '{ts}' FROM public.ingress_attestations
 WHERE instruction_id = 'instruction {ts}';
INSERT INTO public.billing_usage_events (occurred_at, created_at, billable_client_id, tenant_id, event_type, units,
                                         quantity)
SELECT '{ts}', '{ts}', billable_client_id, tenant_id, 'CASE_PACK', 'count', 1 FROM public.tenants
 WHERE tenant_key = 'tenant {ts}';
WITH pack AS (
    INSERT INTO public.evidence_packs (pack_type, created_at, signed_at, anchored_at)
    VALUES ('INCIDENT_PACK', '{ts}', '{ts}', '{ts}') RETURNING pack_id),
item AS (
    INSERT INTO public.evidence_pack_items (pack_id, artifact_hash, created_at)
    SELECT pack_id, 'hash', '{ts}' FROM pack)
INSERT INTO public.evidence_pack_signatures (pack_id, root_hash, signer_participant_id, signature_alg, signature,
                                             anchored_at, signed_at)
SELECT pack_id, 'hash', 'participant {ts}', 'ed25519', 'signature', '{ts}', '{ts}' FROM pack;
INSERT INTO public.revoked_tokens (token_jti, revoked_at, expires_at) VALUES ('token {ts}', '{ts}', '{ts}');
INSERT INTO public.revoked_client_certs (cert_fingerprint_sha256, revoked_at, expires_at)
VALUES ('cert {ts}', '{ts}', '{ts}');
INSERT INTO public.payment_outbox_pending (
    instruction_id, participant_id, idempotency_key, rail_type, sequence_id, payload, correlation_id, created_at,
    next_attempt_at, claimed_by, claimed_at, lease_token, lease_expires_at)
SELECT 'item {ts} ' || n, 'participant {ts}', 'key', 'RAIL', n, '{{}}', gen_random_uuid(), '{ts}', '{ts}',
       worker, CASE WHEN worker IS NOT NULL THEN '{ts}'::timestamptz END,
       CASE WHEN worker IS NOT NULL THEN gen_random_uuid() END,
       CASE WHEN worker IS NOT NULL THEN '{ts}'::timestamptz END
  FROM generate_series(1, 40) AS n, LATERAL (SELECT CASE n % 2 WHEN 0 THEN 'worker' END) AS w (worker);
INSERT INTO public.payment_outbox_attempts (
    outbox_id, instruction_id, participant_id, idempotency_key, rail_type, sequence_id, payload, attempt_no, state,
    correlation_id, claimed_at, completed_at, created_at)
SELECT outbox_id, instruction_id, participant_id, idempotency_key, rail_type, sequence_id, payload, 1, 'RETRYABLE',
       correlation_id, '{ts}', '{ts}', '{ts}'
  FROM public.payment_outbox_pending WHERE participant_id = 'participant {ts}';
INSERT INTO public.payment_outbox_idempotency (tenant_id, instruction_id, idempotency_key, request_sha256, outbox_id,
                                               created_at)
SELECT tenant_id, 'instruction {ts}', 'key', sha256('request'), gen_random_uuid(), '{ts}' FROM public.tenants
 WHERE tenant_key = 'tenant {ts}';
INSERT INTO public.policy_versions (version, status, checksum, activated_at, grace_expires_at, created_at)
VALUES ('grace {ts}', 'GRACE', 'checksum', '{ts}', '{ts}', '{ts}');
"""
ACTIVE = """
INSERT INTO public.policy_versions (version, status, checksum, activated_at, created_at)
VALUES ('active', 'ACTIVE', 'checksum', '{ts}', '{ts}')
"""


@pytest.mark.parametrize("times", [("-infinity", "infinity"), ("-infinity",), ("infinity",), ("4000-01-01 BC",)])
def test_they_are_no_alarm_and_nobodys_business(bench: Bench, times: tuple[str, ...]) -> None:
    """Every invariant is green, controls included, and no row was locked or changed."""
    for ts in times:
        bench.owner.execute(FILL.format(ts=ts).encode())
    bench.owner.execute(ACTIVE.format(ts=times[0]).encode())
    before = contents(bench.owner)
    subject = bench.on(bench.owner)
    results = {one.id: verify_invariant(one, subject, controls=True) for one in INVARIANTS}

    assert {name: r.error or r.failures or r.unproven for name, r in results.items() if not r.passed} == {}
    assert contents(bench.owner) == before


def test_a_violation_is_still_noticed_beside_them(bench: Bench) -> None:
    """A claim that takes what is leased, or a repair that counts no attempt, is red on such a queue too."""
    bench.owner.execute(FILL.format(ts="-infinity").encode())
    for name, old, new, gate in (
        ("claim_outbox_batch", "AND p.lease_expires_at IS NULL", "", "outbox-claim-semantics"),
        ("repair_expired_leases", "'ZOMBIE_REQUEUE' END", "'RETRYABLE' END", "idempotency-zombie"),
    ):
        with bench.owner.transaction(force_rollback=True):
            row = bench.owner.execute("SELECT pg_get_functiondef(('public.' || %s)::regproc)", [name]).fetchone()
            assert row is not None
            assert old in row[0]
            bench.owner.execute(row[0].replace(old, new).encode())
            result = bench.settle(gate)[gate]
        assert result.failures, name
        assert not result.error
