"""What tenants, clients, members, attestations and revocations must be."""

from __future__ import annotations

from scripts.verifiers.facts.build import (
    V4,
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
from scripts.verifiers.facts.outbox import correlation_indexes
from scripts.verifiers.facts.shape import Column, Index, Table, Trigger

TENANTS = Table(
    "tenants",
    columns=(
        Column("tenant_id", "uuid", not_null=True, default=V4),
        *text_nn("tenant_key", "tenant_name", "tenant_type"),
        Column("status", "text", not_null=True, default="'ACTIVE'::text"),
        moment("created_at"),
        *uuids("billable_client_id", "parent_tenant_id"),
        Column("predates_payer", "boolean", not_null=True, default="false"),
    ),
    constraints=(
        primary("tenant_id"),
        unique("tenant_key"),
        one_of("tenant_type", "NGO", "COOPERATIVE", "GOVERNMENT", "COMMERCIAL"),
        one_of("status", "ACTIVE", "SUSPENDED", "CLOSED"),
        reference(
            "billable_client_id",
            "billable_clients",
            "billable_client_id",
            name="tenants_billable_client_fk",
            valid=False,
        ),
        reference("parent_tenant_id", "tenants", "tenant_id", name="tenants_parent_tenant_fk", valid=False),
        holds(
            "(predates_payer OR (billable_client_id IS NOT NULL))",
            name="tenants_billable_client_required_new_rows_chk",
            valid=False,
        ),
    ),
    indexes=(
        Index("idx_tenants_status", ("status",)),
        Index("idx_tenants_billable_client_id", ("billable_client_id",)),
        Index("idx_tenants_parent_tenant_id", ("parent_tenant_id",)),
    ),
    triggers=(
        before(
            "trg_deny_tenant_cycle", "deny_tenant_cycle", "INSERT", "UPDATE", when="(new.parent_tenant_id IS NOT NULL)"
        ),
        before("trg_settle_tenant_payer", "settle_tenant_payer", "INSERT", "UPDATE"),
    ),
)


def _stays(table: str, key: str) -> Trigger:
    """A row of the table keeps its tenant, and its own key."""
    return before(
        f"trg_deny_{table}_tenant_change",
        "deny_tenant_change",
        "UPDATE",
        when=f"((old.tenant_id IS DISTINCT FROM new.tenant_id) OR (old.{key} IS DISTINCT FROM new.{key}))",
    )


CLIENTS = Table(
    "tenant_clients",
    columns=(
        Column("client_id", "uuid", not_null=True, default=V4),
        Column("tenant_id", "uuid", not_null=True),
        *text_nn("client_key", "display_name"),
        Column("status", "text", not_null=True, default="'ACTIVE'::text"),
        moment("created_at"),
    ),
    constraints=(
        primary("client_id"),
        unique("tenant_id", "client_key"),
        reference("tenant_id", "tenants", "tenant_id"),
        one_of("status", "ACTIVE", "SUSPENDED", "REVOKED"),
    ),
    indexes=(Index("idx_tenant_clients_tenant", ("tenant_id",)),),
    triggers=(_stays("tenant_clients", "client_id"),),
)

MEMBERS = Table(
    "tenant_members",
    columns=(
        Column("member_id", "uuid", not_null=True, default=V4),
        Column("tenant_id", "uuid", not_null=True),
        *text_nn("member_ref"),
        Column("status", "text", not_null=True, default="'ACTIVE'::text"),
        Column("tpin_hash", "bytea"),
        Column("msisdn_hash", "bytea"),
        moment("created_at"),
    ),
    constraints=(
        primary("member_id"),
        unique("tenant_id", "member_ref"),
        reference("tenant_id", "tenants", "tenant_id"),
        one_of("status", "ACTIVE", "SUSPENDED", "EXITED"),
    ),
    indexes=(Index("idx_tenant_members_tenant", ("tenant_id",)), Index("idx_tenant_members_status", ("status",))),
    triggers=(_stays("tenant_members", "member_id"),),
)

INGRESS = Table(
    "ingress_attestations",
    columns=(
        Column("attestation_id", "uuid", not_null=True, default=V7),
        *text_nn("instruction_id"),
        Column("tenant_id", "uuid", not_null=True),
        *text_nn("payload_hash"),
        *text("signature_hash"),
        moment("received_at"),
        *uuids("client_id"),
        *text("client_id_hash"),
        *uuids("member_id"),
        *text("participant_id", "cert_fingerprint_sha256", "token_jti_hash"),
        *uuids("correlation_id"),
        Column("signatures", "jsonb", not_null=True, default="'[]'::jsonb"),
        *text("upstream_ref", "downstream_ref", "nfs_sequence_ref"),
    ),
    constraints=(
        primary("attestation_id"),
        reference("tenant_id", "tenants", "tenant_id"),
        reference("client_id", "tenant_clients", "client_id"),
        reference("member_id", "tenant_members", "member_id"),
        holds(r"(instruction_id ~ '[^ \t\n\r\f\v]'::text)"),
        holds(r"(payload_hash ~ '[^ \t\n\r\f\v]'::text)"),
        holds("(jsonb_typeof(signatures) = 'array'::text)"),
        holds(
            "(correlation_id IS NOT NULL)",
            name="ingress_attestations_correlation_required_new_rows_chk",
            valid=False,
        ),
    ),
    indexes=(
        Index("idx_ingress_attestations_instruction", ("instruction_id",)),
        Index("idx_ingress_attestations_received_at", ("received_at",)),
        Index(
            "idx_ingress_attestations_tenant_received",
            ("tenant_id", "received_at"),
            predicate="(tenant_id IS NOT NULL)",
        ),
        Index("ux_ingress_attestations_tenant_instruction", ("tenant_id", "instruction_id"), unique=True),
        Index(
            "idx_ingress_attestations_member_received",
            ("member_id", "received_at"),
            predicate="(member_id IS NOT NULL)",
        ),
        Index(
            "idx_ingress_attestations_cert_fpr",
            ("cert_fingerprint_sha256",),
            predicate="(cert_fingerprint_sha256 IS NOT NULL)",
        ),
        *correlation_indexes("ingress_attestations"),
    ),
    triggers=(
        *append_only("ingress_attestations", "deny_ingress_attestations_mutation"),
        before("trg_ingress_member_tenant_match", "enforce_member_tenant_match", "INSERT"),
        before("trg_ingress_client_tenant_match", "enforce_client_tenant_match", "INSERT"),
        before("trg_set_corr_id_ingress_attestations", "set_correlation_id_if_null", "INSERT"),
    ),
)


def _revocation(table: str, key: str) -> Table:
    return Table(
        table,
        columns=(
            *text_nn(key),
            moment("revoked_at"),
            *moments("expires_at"),
            *text("reason_code", "revoked_by"),
        ),
        constraints=(primary(key),),
        triggers=append_only(table, "deny_revocation_mutation"),
    )


REVOKED_CERTS = _revocation("revoked_client_certs", "cert_fingerprint_sha256")
REVOKED_TOKENS = _revocation("revoked_tokens", "token_jti")
TENANCY_TABLES = (TENANTS, CLIENTS, MEMBERS, INGRESS, REVOKED_CERTS, REVOKED_TOKENS)
