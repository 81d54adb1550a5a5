"""Which definition each of the predecessor's named checks stands for."""

from __future__ import annotations

_BUSINESS = (
    "participants",
    "billable_clients",
    "billing_usage_events",
    "external_proofs",
    "evidence_packs",
    "evidence_pack_items",
)
_HOPS = {
    "ingress": "ingress_attestations",
    "pending": "payment_outbox_pending",
    "attempts": "payment_outbox_attempts",
}
_PACKS = (
    "signer_participant_id",
    "signature_alg",
    "signature",
    "signed_at",
    "anchor_type",
    "anchor_ref",
    "anchored_at",
)
_SAME = (
    "tenants_billable_client_fk",
    "tenants_parent_tenant_fk",
    "idx_tenants_billable_client_id",
    "idx_tenants_parent_tenant_id",
    "tenants_billable_client_required_new_rows_chk",
    "billable_clients_client_key_required_new_rows_chk",
    "ux_billable_clients_client_key",
    *(f"trg_set_corr_id_{table}" for table in _HOPS.values()),
    *(f"{table}_correlation_required_new_rows_chk" for table in _HOPS.values()),
    *(f"idx_{table}_{what}" for table in _HOPS.values() for what in ("tenant_correlation", "correlation_id")),
    *(f"trg_deny_{table}_mutation" for table in _BUSINESS[2:]),
    "external_proofs_tenant_fk",
    "external_proofs_billable_client_fk",
    "external_proofs_subject_member_fk",
    "trg_set_external_proofs_attribution",
    "external_proofs_tenant_required_new_rows_chk",
    "external_proofs_billable_client_required_new_rows_chk",
    "idx_evidence_packs_anchor_ref",
    "ux_billing_usage_events_idempotency",
)
# Without the six checks of PUBLIC's privileges, which are broken one by one.
BUSINESS_HOOKS = {
    **{f"{table}_table": f"{table}_table" for table in _BUSINESS},
    **{name: name for name in _SAME},
    "tenants_billable_client_col": "tenants.billable_client_id",
    "tenants_parent_tenant_col": "tenants.parent_tenant_id",
    "billable_clients_client_key_col": "billable_clients.client_key",
    "ingress_signatures_default": "ingress_attestations.signatures",
    **{f"{hop}_correlation_col": f"{table}.correlation_id" for hop, table in _HOPS.items()},
    **{
        f"{hop}_{ref}_col": f"{table}.{ref}"
        for hop, table in _HOPS.items()
        for ref in ("upstream_ref", "downstream_ref", "nfs_sequence_ref")
    },
    "billing_subject_zero_or_one_chk": "billing_usage_events_subject_zero_or_one_chk",
    "billing_member_requires_tenant_chk": "billing_usage_events_member_requires_tenant_chk",
    **{
        f"external_proofs_{name}_col": f"external_proofs.{name}"
        for name in ("tenant_id", "billable_client_id", "subject_member_id")
    },
    **{f"evidence_packs_{name}_col": f"evidence_packs.{name}" for name in _PACKS},
    "billing_usage_events_created_at_col": "billing_usage_events.created_at",
    "billing_usage_events_idempotency_key_col": "billing_usage_events.idempotency_key",
}
TENANT_HOOKS = {
    **{f"{table}_table": f"{table}_table" for table in ("tenants", "tenant_clients", "tenant_members")},
    "ingress_client_id_col": "ingress_attestations.client_id",
    "ingress_client_id_hash_col": "ingress_attestations.client_id_hash",
    "ingress_member_id_col": "ingress_attestations.member_id",
    "ingress_participant_id_col": "ingress_attestations.participant_id",
    "ingress_cert_fingerprint_col": "ingress_attestations.cert_fingerprint_sha256",
    "ingress_token_jti_hash_col": "ingress_attestations.token_jti_hash",
    "ingress_tenant_instruction_unique": "ux_ingress_attestations_tenant_instruction",
    "member_tenant_match_trigger": "trg_ingress_member_tenant_match",
    "outbox_pending_tenant_id_col": "payment_outbox_pending.tenant_id",
    "outbox_attempts_tenant_id_col": "payment_outbox_attempts.tenant_id",
    "outbox_attempts_member_id_col": "payment_outbox_attempts.member_id",
}
