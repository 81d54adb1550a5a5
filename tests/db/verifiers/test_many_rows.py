"""On a database at work: a hundred thousand rows of each kind, all invariants and controls, and every row as it was."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from psycopg import sql

from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.run import verify_invariant

if TYPE_CHECKING:
    import psycopg
    from db.verifiers.conftest import Bench

ROWS = 100_000
# The table that cannot hold that many: one row a migration.
FEW = ("schema_migrations",)
# The queue's own function takes twenty times as long as an insert, so not every item goes through it.
ENQUEUED = 10_000
# In the order of what refers to what, triggers on. A third of the queue is due, a third is leased, a third was left by
# workers that died long ago.
FILL = """
INSERT INTO public.billable_clients (legal_name, client_type, client_key)
SELECT 'payer', 'BANK', 'key-' || n FROM generate_series(1, {rows}) AS n;
INSERT INTO public.participants (participant_id, legal_name, participant_kind)
SELECT 'participant-' || n, 'bank', 'BANK' FROM generate_series(1, {rows}) AS n;
INSERT INTO public.tenants (tenant_key, tenant_name, tenant_type, billable_client_id)
SELECT client_key, 'tenant', 'NGO', billable_client_id FROM public.billable_clients;
INSERT INTO public.tenant_members (tenant_id, member_ref) SELECT tenant_id, 'member' FROM public.tenants;
INSERT INTO public.tenant_clients (tenant_id, client_key, display_name)
SELECT tenant_id, 'client', 'client' FROM public.tenants;
INSERT INTO public.ingress_attestations (instruction_id, tenant_id, payload_hash)
SELECT 'instruction-' || tenant_key, tenant_id, 'hash' FROM public.tenants;
INSERT INTO public.external_proofs (attestation_id, provider, request_hash, response_hash)
SELECT attestation_id, 'provider', 'request', 'response' FROM public.ingress_attestations;
SELECT count(e.*) FROM (SELECT * FROM public.ingress_attestations LIMIT {enqueued}) AS i,
       LATERAL public.enqueue_payment_outbox(
           i.instruction_id, i.instruction_id, i.attestation_id::text, 'RAIL', '{{}}', i.tenant_id) AS e;
INSERT INTO public.participant_outbox_sequences (participant_id, next_sequence_id)
SELECT instruction_id, 2 FROM public.ingress_attestations ON CONFLICT DO NOTHING;
INSERT INTO public.payment_outbox_pending (instruction_id, participant_id, idempotency_key, rail_type, sequence_id,
                                           payload, tenant_id, correlation_id)
SELECT i.instruction_id, i.instruction_id, i.attestation_id::text, 'RAIL', 1, '{{}}', i.tenant_id, i.correlation_id
  FROM public.ingress_attestations AS i
 WHERE NOT EXISTS (SELECT FROM public.payment_outbox_pending AS p WHERE p.instruction_id = i.instruction_id);
INSERT INTO public.payment_outbox_idempotency (tenant_id, instruction_id, idempotency_key, request_sha256, outbox_id)
SELECT tenant_id, instruction_id, idempotency_key,
       public.payment_request_sha256(participant_id, rail_type, payload), outbox_id
  FROM public.payment_outbox_pending AS p
 WHERE NOT EXISTS (SELECT FROM public.payment_outbox_idempotency AS k WHERE k.outbox_id = p.outbox_id);
INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, rail_type,
                                            sequence_id, payload, attempt_no, state, tenant_id, correlation_id)
SELECT outbox_id, instruction_id, participant_id, idempotency_key, rail_type, sequence_id, payload, 1, 'RETRYABLE',
       tenant_id, correlation_id FROM public.payment_outbox_pending;
UPDATE public.payment_outbox_pending
   SET claimed_by = 'worker', lease_token = gen_random_uuid(), claimed_at = now(),
       lease_expires_at = now() + CASE hashtext(instruction_id) % 3
                                      WHEN 1 THEN interval '1 hour' ELSE interval '-9 years' END
 WHERE hashtext(instruction_id) % 3 <> 0;
INSERT INTO public.billing_usage_events (billable_client_id, tenant_id, event_type, units, quantity)
SELECT billable_client_id, tenant_id, 'CASE_PACK', 'count', 1 FROM public.tenants;
INSERT INTO public.evidence_packs (pack_type) SELECT 'INCIDENT_PACK' FROM generate_series(1, {rows});
INSERT INTO public.evidence_pack_items (pack_id, artifact_hash) SELECT pack_id, 'hash' FROM public.evidence_packs;
INSERT INTO public.evidence_pack_signatures (pack_id, root_hash, signer_participant_id, signature_alg, signature)
SELECT pack_id, 'hash', 'participant-1', 'ed25519', 'signature' FROM public.evidence_packs;
INSERT INTO public.revoked_client_certs (cert_fingerprint_sha256)
SELECT 'cert-' || n FROM generate_series(1, {rows}) AS n;
INSERT INTO public.revoked_tokens (token_jti) SELECT 'token-' || n FROM generate_series(1, {rows}) AS n;
INSERT INTO public.policy_versions (version, checksum, status)
SELECT 'policy-' || n, 'checksum', CASE n WHEN 1 THEN 'ACTIVE' ELSE 'RETIRED' END::public.policy_version_status
  FROM generate_series(1, {rows}) AS n
"""


def fill(conn: psycopg.Connection[Any]) -> None:
    """Rows as production would hold them: payers, tenants, attestations, a queue in every state, ledgers."""
    conn.execute(FILL.format(rows=ROWS, enqueued=ENQUEUED).encode())
    # Frozen now, so that no vacuum in the midst of it takes a lock's mark off a row.
    conn.execute(
        f"VACUUM (FREEZE, ANALYZE) {', '.join(f'public.{name}' for name in TABLES if name not in FEW)}".encode()
    )


def contents(conn: psycopg.Connection[Any]) -> dict[str, tuple[int, str]]:
    """Of each table the number of its rows, and a sum over every row with its place and version.

    A row that was touched, even undone, is told by its xmax; one that was changed by its text as well.
    """
    query = (
        "SELECT count(*), coalesce(md5(string_agg(md5(t.ctid::text || t.xmin::text || t.xmax::text || t::text), ''"
        " ORDER BY t.ctid)), '') FROM {} AS t"
    )
    return {name: conn.execute(sql.SQL(query).format(sql.Identifier("public", name))).fetchall()[0] for name in TABLES}


def test_rows_of_others_are_neither_touched_nor_in_the_way(bench: Bench) -> None:
    """D-28: with 100,000 rows of each kind every invariant is green, controls included, and every row is as it was."""
    fill(bench.owner)
    before = contents(bench.owner)
    assert [name for name, (count, _) in before.items() if count < ROWS] == [*FEW]

    started = time.monotonic()
    subject = bench.on(bench.owner)
    results = {one.id: verify_invariant(one, subject, controls=True) for one in INVARIANTS}
    took = time.monotonic() - started
    print(f"all invariants with their controls beside {sum(count for count, _ in before.values())} rows: {took:.2f} s")  # noqa: T201

    assert {name: result.error or result.failures for name, result in results.items() if not result.passed} == {}
    assert contents(bench.owner) == before
