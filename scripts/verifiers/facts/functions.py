"""What every function must be, its body apart: that is written in the migrations; and which are for review at all.

Promises: what an extension that was installed here brings is its own, unless it is called what one of ours is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.shape import Function

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scripts.verifiers.facts.reading import Routine

_PATH = ("search_path=pg_catalog, public, pg_temp",)
_STATE = "public.outbox_attempt_state"


def _trigger(name: str, *, definer: bool = False) -> Function:
    return Function(name, "", "trigger", "plpgsql", definer=definer, settings=_PATH)


_ALL = (
    # Bound when it was made: no path is searched when it runs, so none is pinned.
    Function("uuid_v7_or_random", "", "uuid", "sql", parallel="s", tree="RETURN uuidv7()"),
    Function(
        "uuid_strategy",
        "",
        "text",
        "sql",
        "STABLE",
        settings=_PATH,
        tree="RETURN CASE uuid_extract_version(public.uuid_v7_or_random()) WHEN 7 THEN 'uuidv7'::text "
        "ELSE 'gen_random_uuid'::text END",
    ),
    Function("outbox_retry_ceiling", "", "integer", "sql", "STABLE", settings=_PATH),
    Function(
        "bump_participant_outbox_seq",
        "p_participant_id text",
        "bigint",
        "plpgsql",
        definer=True,
        required=1,
        settings=_PATH,
    ),
    Function(
        "enqueue_payment_outbox",
        "p_instruction_id text, p_participant_id text, p_idempotency_key text, p_rail_type text, p_payload jsonb, "
        "p_tenant_id uuid, p_correlation_id uuid, p_upstream_ref text, p_downstream_ref text, p_nfs_sequence_ref text",
        "TABLE(outbox_id uuid, sequence_id bigint, created_at timestamp with time zone, state text)",
        "plpgsql",
        definer=True,
        required=5,
        defaults="NULL::uuid, NULL::uuid, NULL::text, NULL::text, NULL::text",
        settings=_PATH,
    ),
    Function(
        "claim_outbox_batch",
        "p_batch_size integer, p_worker_id text, p_lease_seconds integer",
        "TABLE(outbox_id uuid, instruction_id text, participant_id text, sequence_id bigint, idempotency_key text, "
        "rail_type text, payload jsonb, attempt_count integer, lease_token uuid, "
        "lease_expires_at timestamp with time zone)",
        "sql",
        definer=True,
        required=3,
        settings=_PATH,
    ),
    Function(
        "complete_outbox_attempt",
        f"p_outbox_id uuid, p_lease_token uuid, p_worker_id text, p_state {_STATE}, p_rail_reference text, "
        "p_rail_code text, p_error_code text, p_error_message text, p_latency_ms integer, "
        "p_retry_delay_seconds integer",
        f"TABLE(attempt_no integer, state {_STATE})",
        "plpgsql",
        definer=True,
        required=4,
        defaults="NULL::text, NULL::text, NULL::text, NULL::text, NULL::integer, 1",
        settings=_PATH,
    ),
    Function(
        "repair_expired_leases",
        "p_batch_size integer, p_worker_id text",
        "TABLE(outbox_id uuid, attempt_no integer)",
        "plpgsql",
        definer=True,
        required=2,
        settings=_PATH,
    ),
    Function(
        "outbox_claim_limit",
        "p_batch_size integer, p_worker_id text, p_lease_seconds integer",
        "integer",
        "plpgsql",
        required=3,
        settings=_PATH,
    ),
    Function(
        "payment_request_sha256",
        "p_participant_id text, p_rail_type text, p_payload jsonb",
        "bytea",
        "sql",
        "STABLE",
        required=3,
        settings=_PATH,
    ),
    Function(
        "outbox_item_of_key",
        "p_tenant_id uuid, p_instruction_id text, p_idempotency_key text",
        "TABLE(outbox_id uuid, request_sha256 bytea)",
        "sql",
        "STABLE",
        required=3,
        settings=_PATH,
    ),
    Function(
        "outbox_correlation",
        "p_outbox_id uuid, p_tenant_id uuid, p_instruction_id text",
        "uuid",
        "sql",
        required=3,
        settings=_PATH,
    ),
    _trigger("deny_outbox_attempts_mutation"),
    _trigger("deny_ingress_attestations_mutation"),
    _trigger("deny_revocation_mutation"),
    _trigger("deny_append_only_mutation"),
    _trigger("enforce_member_tenant_match"),
    _trigger("set_correlation_id_if_null", definer=True),
    _trigger("set_external_proofs_attribution", definer=True),
    _trigger("enforce_client_tenant_match"),
    _trigger("enforce_usage_event_parties", definer=True),
    _trigger("deny_tenant_change"),
    _trigger("deny_tenant_cycle"),
    _trigger("deny_policy_version_rewrite"),
    _trigger("settle_billable_client_key"),
    _trigger("settle_tenant_payer"),
)
FUNCTIONS = {function.name: function for function in _ALL}


def for_review(routines: Iterable[Routine]) -> tuple[Routine, ...]:
    """Those that a migration must have made; what could be meant instead of ours is asked apart (standins.py)."""
    return tuple(one for one in routines if not one.installed or one.function.name in FUNCTIONS)
