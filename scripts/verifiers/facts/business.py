"""What payers, participants, usage, proofs, evidence packs and policy must be."""

from __future__ import annotations

from scripts.verifiers.facts.build import (
    NOW,
    V7,
    append_only,
    before,
    holds,
    moment,
    moments,
    one_of,
    primary,
    reference,
    text,
    text_nn,
    unique,
    uuids,
)
from scripts.verifiers.facts.shape import Column, Index, Table

_PAYER_TYPES = ("BANK", "MMO", "NGO", "GOV_PROGRAM", "COOP_FEDERATION", "ENTERPRISE")
_STATUS = ("ACTIVE", "SUSPENDED", "CLOSED")
_JSON = (Column("metadata", "jsonb"),)

PAYERS = Table(
    "billable_clients",
    columns=(
        Column("billable_client_id", "uuid", not_null=True, default=V7),
        *text_nn("legal_name", "client_type"),
        *text("regulator_ref"),
        Column("status", "text", not_null=True, default="'ACTIVE'::text"),
        moment("created_at"),
        *text("client_key"),
        Column("predates_client_key", "boolean", not_null=True, default="false"),
    ),
    constraints=(
        primary("billable_client_id"),
        one_of("client_type", *_PAYER_TYPES),
        one_of("status", *_STATUS),
        holds(
            "(predates_client_key OR ((client_key IS NOT NULL) AND (btrim(client_key) <> ''::text)))",
            name="billable_clients_client_key_required_new_rows_chk",
            valid=False,
        ),
    ),
    indexes=(
        Index("ux_billable_clients_client_key", ("client_key",), unique=True, predicate="(client_key IS NOT NULL)"),
    ),
    triggers=(before("trg_settle_billable_client_key", "settle_billable_client_key", "INSERT", "UPDATE"),),
)

PARTICIPANTS = Table(
    "participants",
    columns=(
        *text_nn("participant_id", "legal_name", "participant_kind"),
        Column("status", "text", not_null=True, default="'ACTIVE'::text"),
        moment("created_at"),
    ),
    constraints=(
        primary("participant_id"),
        one_of("participant_kind", *_PAYER_TYPES, "INTERNAL"),
        one_of("status", *_STATUS),
    ),
)

EVENTS = Table(
    "billing_usage_events",
    columns=(
        Column("event_id", "uuid", not_null=True, default=V7),
        moment("occurred_at"),
        Column("billable_client_id", "uuid", not_null=True),
        *uuids("tenant_id", "client_id", "subject_member_id", "subject_client_id", "correlation_id"),
        *text_nn("event_type", "units"),
        Column("quantity", "bigint", not_null=True),
        *_JSON,
        Column("created_at", "timestamp with time zone", default=NOW),
        *text("idempotency_key"),
    ),
    constraints=(
        primary("event_id"),
        reference("billable_client_id", "billable_clients", "billable_client_id"),
        reference("tenant_id", "tenants", "tenant_id"),
        reference("client_id", "tenant_clients", "client_id"),
        reference("subject_member_id", "tenant_members", "member_id"),
        reference("subject_client_id", "tenant_clients", "client_id"),
        one_of(
            "event_type",
            "EVIDENCE_BUNDLE", "CASE_PACK", "EXCEPTION_TRIAGE", "RETENTION_ANCHOR", "ESCROW_RELEASE", "DISPUTE_PACK",
        ),
        one_of("units", "count", "bytes", "seconds", "events"),
        holds("(quantity > 0)"),
        holds(
            "((subject_member_id IS NULL) OR (subject_client_id IS NULL))",
            name="billing_usage_events_subject_zero_or_one_chk",
        ),
        holds(
            "((subject_member_id IS NULL) OR (tenant_id IS NOT NULL))",
            name="billing_usage_events_member_requires_tenant_chk",
        ),
        holds(
            "(created_at IS NOT NULL)", name="billing_usage_events_created_at_required_new_rows_chk", valid=False
        ),
    ),
    indexes=(
        Index("idx_billing_usage_events_correlation_id", ("correlation_id",)),
        Index(
            "ux_billing_usage_events_idempotency",
            ("billable_client_id", "idempotency_key"),
            unique=True,
            predicate="(idempotency_key IS NOT NULL)",
        ),
    ),
    triggers=(
        *append_only("billing_usage_events"),
        before("trg_billing_usage_events_parties", "enforce_usage_event_parties", "INSERT"),
    ),
)  # fmt: skip

PROOFS = Table(
    "external_proofs",
    columns=(
        Column("proof_id", "uuid", not_null=True, default=V7),
        Column("attestation_id", "uuid", not_null=True),
        *text_nn("provider", "request_hash", "response_hash"),
        *text("provider_ref"),
        *moments("verified_at", "expires_at"),
        *_JSON,
        moment("created_at"),
        *uuids("tenant_id", "billable_client_id", "subject_member_id", "correlation_id"),
    ),
    constraints=(
        primary("proof_id"),
        reference("attestation_id", "ingress_attestations", "attestation_id"),
        reference("tenant_id", "tenants", "tenant_id", name="external_proofs_tenant_fk", valid=False),
        reference(
            "billable_client_id",
            "billable_clients",
            "billable_client_id",
            name="external_proofs_billable_client_fk",
            valid=False,
        ),
        reference(
            "subject_member_id", "tenant_members", "member_id", name="external_proofs_subject_member_fk", valid=False
        ),
        holds("(tenant_id IS NOT NULL)", name="external_proofs_tenant_required_new_rows_chk", valid=False),
        holds(
            "(billable_client_id IS NOT NULL)",
            name="external_proofs_billable_client_required_new_rows_chk",
            valid=False,
        ),
        holds("(correlation_id IS NOT NULL)", name="external_proofs_correlation_required_new_rows_chk", valid=False),
    ),
    indexes=(
        Index("idx_external_proofs_attestation_id", ("attestation_id",)),
        Index("idx_external_proofs_correlation_id", ("correlation_id",), predicate="(correlation_id IS NOT NULL)"),
    ),
    triggers=(
        *append_only("external_proofs"),
        before("trg_set_external_proofs_attribution", "set_external_proofs_attribution", "INSERT"),
    ),
)

PACKS = Table(
    "evidence_packs",
    columns=(
        Column("pack_id", "uuid", not_null=True, default=V7),
        *text_nn("pack_type"),
        *uuids("correlation_id"),
        *text("root_hash"),
        moment("created_at"),
        *text("signer_participant_id", "signature_alg", "signature"),
        *moments("signed_at"),
        *text("anchor_type", "anchor_ref"),
        *moments("anchored_at"),
    ),
    constraints=(primary("pack_id"), one_of("pack_type", "INSTRUCTION_BUNDLE", "INCIDENT_PACK", "DISPUTE_PACK")),
    indexes=(
        Index("idx_evidence_packs_correlation_id", ("correlation_id",)),
        Index("idx_evidence_packs_anchor_ref", ("anchor_ref",), predicate="(anchor_ref IS NOT NULL)"),
    ),
    triggers=append_only("evidence_packs"),
)

PACK_ITEMS = Table(
    "evidence_pack_items",
    columns=(
        Column("item_id", "uuid", not_null=True, default=V7),
        Column("pack_id", "uuid", not_null=True),
        *text("artifact_path"),
        *text_nn("artifact_hash"),
        moment("created_at"),
    ),
    constraints=(
        primary("item_id"),
        reference("pack_id", "evidence_packs", "pack_id"),
        unique("pack_id", "artifact_hash", name="ux_evidence_pack_items_pack_hash"),
        holds(
            "((artifact_hash <> ''::text) AND (artifact_path IS DISTINCT FROM ''::text))",
            name="evidence_pack_items_path_or_hash_chk",
        ),
    ),
    triggers=append_only("evidence_pack_items"),
)

PACK_SIGNATURES = Table(
    "evidence_pack_signatures",
    columns=(
        Column("signature_id", "uuid", not_null=True, default=V7),
        Column("pack_id", "uuid", not_null=True),
        *text_nn("root_hash", "signer_participant_id", "signature_alg", "signature"),
        *text("anchor_type", "anchor_ref"),
        *moments("anchored_at"),
        moment("signed_at"),
    ),
    constraints=(
        primary("signature_id"),
        reference("pack_id", "evidence_packs", "pack_id"),
        holds("(root_hash <> ''::text)"),
        holds("((anchor_type IS NULL) = (anchor_ref IS NULL))"),
    ),
    indexes=(Index("idx_evidence_pack_signatures_pack_id", ("pack_id",)),),
    triggers=append_only("evidence_pack_signatures"),
)

POLICY = Table(
    "policy_versions",
    columns=(
        *text_nn("version"),
        Column(
            "status", "public.policy_version_status", not_null=True, default="'ACTIVE'::public.policy_version_status"
        ),
        moment("activated_at"),
        moment("created_at"),
        *moments("grace_expires_at"),
        *text_nn("checksum"),
        Column("is_active", "boolean", generated="(status = 'ACTIVE'::public.policy_version_status)"),
    ),
    constraints=(
        primary("version"),
        holds("(length(btrim(checksum)) > 0)", name="ck_policy_checksum_nonempty"),
        holds(
            "((status <> 'GRACE'::public.policy_version_status) OR (grace_expires_at IS NOT NULL))",
            name="ck_policy_grace_requires_expiry",
        ),
        holds(
            "((status <> 'ACTIVE'::public.policy_version_status) OR (grace_expires_at IS NULL))",
            name="ck_policy_active_has_no_grace_expiry",
        ),
    ),
    indexes=(
        Index(
            "ux_policy_versions_single_active",
            ("(1)",),
            unique=True,
            predicate="(status = 'ACTIVE'::public.policy_version_status)",
        ),
        Index("idx_policy_versions_is_active", ("is_active",), predicate="is_active"),
    ),
    triggers=(
        before(
            "trg_deny_policy_version_rewrite",
            "deny_policy_version_rewrite",
            "UPDATE",
            when="((old.version IS DISTINCT FROM new.version) OR (old.checksum IS DISTINCT FROM new.checksum) "
            "OR (old.created_at IS DISTINCT FROM new.created_at))",
        ),
        before("trg_deny_policy_versions_truncate", "deny_outbox_attempts_mutation", "TRUNCATE", level="STATEMENT"),
    ),
)

LEDGER = Table(
    "schema_migrations",
    columns=(*text_nn("version", "checksum"), moment("applied_at")),
    constraints=(primary("version"),),
)

BUSINESS_TABLES = (PAYERS, PARTICIPANTS, EVENTS, PROOFS, PACKS, PACK_ITEMS, PACK_SIGNATURES, POLICY, LEDGER)
