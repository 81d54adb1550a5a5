"""What the outbox's tables must be: the hot queue, the ledger of attempts, the sequences."""

from __future__ import annotations

from scripts.verifiers.facts.build import (
    V7,
    append_only,
    before,
    holds,
    moment,
    moments,
    primary,
    reference,
    text,
    text_nn,
    unique,
    uuids,
)
from scripts.verifiers.facts.shape import Column, Index, Table

_REFS = ("upstream_ref", "downstream_ref", "nfs_sequence_ref")
_OBJECT = "(jsonb_typeof(payload) = 'object'::text)"
_HAS_CORRELATION = "(correlation_id IS NOT NULL)"


def correlation_indexes(table: str) -> tuple[Index, Index]:
    """The two partial indexes by which a hop of the chain is found."""
    return (
        Index(f"idx_{table}_tenant_correlation", ("tenant_id", "correlation_id"), predicate=_HAS_CORRELATION),
        Index(f"idx_{table}_correlation_id", ("correlation_id",), predicate=_HAS_CORRELATION),
    )


PENDING = Table(
    "payment_outbox_pending",
    columns=(
        Column("outbox_id", "uuid", not_null=True, default=V7),
        *text_nn("instruction_id", "participant_id", "idempotency_key", "rail_type"),
        Column("sequence_id", "bigint", not_null=True),
        Column("payload", "jsonb", not_null=True),
        Column("attempt_count", "integer", not_null=True, default="0"),
        moment("next_attempt_at"),
        moment("created_at"),
        *text("claimed_by"),
        *uuids("lease_token"),
        *moments("claimed_at", "lease_expires_at"),
        *uuids("tenant_id", "correlation_id"),
        *text(*_REFS),
    ),
    constraints=(
        primary("outbox_id"),
        unique("participant_id", "sequence_id", name="ux_pending_participant_sequence"),
        unique("instruction_id", "idempotency_key", "tenant_id", name="ux_pending_idempotency"),
        holds(_OBJECT, name="ck_pending_payload_is_object"),
        holds("(attempt_count >= 0)"),
        # Worker, token and expiry are one lease: all of them or none.
        holds(
            "(num_nulls(claimed_by, lease_token, lease_expires_at) = ANY (ARRAY[0, 3]))",
            name="payment_outbox_pending_lease_whole_check",
        ),
        reference("tenant_id", "tenants", "tenant_id"),
        holds(_HAS_CORRELATION, name="payment_outbox_pending_correlation_required_new_rows_chk", valid=False),
    ),
    indexes=(
        Index(
            "ux_pending_idempotency_without_tenant",
            ("instruction_id", "idempotency_key"),
            unique=True,
            predicate="(tenant_id IS NULL)",
        ),
        Index("idx_payment_outbox_pending_lease_expiry", ("lease_expires_at",), predicate="(lease_token IS NOT NULL)"),
        Index("idx_payment_outbox_pending_due_claim", ("next_attempt_at", "lease_expires_at", "created_at")),
        Index(
            "idx_payment_outbox_pending_tenant_due",
            ("tenant_id", "next_attempt_at"),
            predicate="(tenant_id IS NOT NULL)",
        ),
        *correlation_indexes("payment_outbox_pending"),
    ),
    triggers=(before("trg_set_corr_id_payment_outbox_pending", "set_correlation_id_if_null", "INSERT", "UPDATE"),),
    options=("fillfactor=80",),
)

ATTEMPTS = Table(
    "payment_outbox_attempts",
    columns=(
        Column("attempt_id", "uuid", not_null=True, default=V7),
        Column("outbox_id", "uuid", not_null=True),
        *text_nn("instruction_id", "participant_id", "idempotency_key", "rail_type"),
        Column("sequence_id", "bigint", not_null=True),
        Column("payload", "jsonb", not_null=True),
        Column("attempt_no", "integer", not_null=True),
        Column("state", "public.outbox_attempt_state", not_null=True),
        moment("claimed_at"),
        moment("created_at"),
        *moments("completed_at"),
        *text("rail_reference", "rail_code", "error_code", "error_message", "worker_id"),
        Column("latency_ms", "integer"),
        *uuids("tenant_id", "member_id", "correlation_id"),
        *text(*_REFS),
    ),
    constraints=(
        primary("attempt_id"),
        unique("outbox_id", "attempt_no", name="ux_attempts_outbox_attempt_no"),
        holds(_OBJECT, name="ck_attempts_payload_is_object"),
        holds("(attempt_no >= 1)"),
        holds("((latency_ms IS NULL) OR (latency_ms >= 0))"),
        reference("tenant_id", "tenants", "tenant_id"),
        reference("member_id", "tenant_members", "member_id"),
        holds(_HAS_CORRELATION, name="payment_outbox_attempts_correlation_required_new_rows_chk", valid=False),
    ),
    indexes=(
        Index(
            "ux_outbox_attempts_one_terminal_per_outbox",
            ("outbox_id",),
            unique=True,
            predicate="(state = ANY (ARRAY['DISPATCHED'::public.outbox_attempt_state, "
            "'FAILED'::public.outbox_attempt_state]))",
        ),
        Index("idx_attempts_instruction_idempotency", ("instruction_id", "idempotency_key")),
        Index("idx_attempts_outbox_id", ("outbox_id",)),
        *correlation_indexes("payment_outbox_attempts"),
    ),
    triggers=(
        *append_only("outbox_attempts", "deny_outbox_attempts_mutation"),
        before("trg_set_corr_id_payment_outbox_attempts", "set_correlation_id_if_null", "INSERT"),
        before("trg_attempts_member_tenant_match", "enforce_member_tenant_match", "INSERT"),
    ),
)

SEQUENCES = Table(
    "participant_outbox_sequences",
    columns=(
        Column("participant_id", "text", not_null=True),
        Column("next_sequence_id", "bigint", not_null=True),
    ),
    constraints=(primary("participant_id"), holds("(next_sequence_id >= 1)")),
)

IDEMPOTENCY = Table(
    "payment_outbox_idempotency",
    columns=(
        *uuids("tenant_id"),
        *text_nn("instruction_id", "idempotency_key"),
        Column("request_sha256", "bytea", not_null=True),
        Column("outbox_id", "uuid", not_null=True),
        moment("created_at"),
    ),
    constraints=(
        primary("outbox_id"),
        unique(
            "tenant_id",
            "instruction_id",
            "idempotency_key",
            name="payment_outbox_idempotency_request_key",
            nulls_not_distinct=True,
        ),
        holds("(octet_length(request_sha256) = 32)"),
    ),
    triggers=append_only("outbox_idempotency", "deny_outbox_attempts_mutation"),
)

OUTBOX_TABLES = (PENDING, ATTEMPTS, SEQUENCES, IDEMPOTENCY)
