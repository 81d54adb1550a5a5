"""Which invariant owns which object: the one that must turn red when the object is broken.

Owns: the map. An object that is in no line of it is an error, so that a new one cannot be left without an owner.
Promises: a definition has one owner; what a function does may be promised by several invariants.
Never: derives a mutant.
"""

from __future__ import annotations

from scripts.verifiers.facts.ledger import RUNNER_TABLES
from scripts.verifiers.facts.tables import TABLES

DEFINITIONS, HOOKS, GATE = "table-definitions", "business-foundation-hooks", "ci-invariant-gate"
LEDGERS, INTEGRITY, USAGE = "append-only-ledgers", "tenant-integrity", "usage-billing"
TABLE_RIGHTS, FUNCTION_RIGHTS = "table-privileges", "function-privileges"
POSTURE, REGULATOR, PATHS = "role-login-posture", "boz-observability-role", "definer-search-path"
HISTORY, STORAGE = "migration-history", "outbox-mvcc-posture"
_ATTRIBUTION, _CORRELATION, _LEGACY = "payer-attribution", "correlation-join", "legacy-rows"
_REPLAY, _CLAIMS, _FENCING = "idempotency-zombie", "outbox-claim-semantics", "outbox-lease-fencing"
_CEILING, _NOTIFY, _TERMINAL = "outbox-retry-ceiling", "outbox-notify", "outbox-terminal-uniqueness"
_HOT, _INGRESS, _REVOKED = "ingress-hotpath-indexes", "ingress-attestation", "revocation-tables"

# Table → who owns what no closer line below names. The tables that no migration makes, for the runner keeps its own
# history in them, belong with their rows, their definition and their grants to whoever compares that history.
TABLE_OWNERS = dict.fromkeys(TABLES, DEFINITIONS) | dict.fromkeys(RUNNER_TABLES, HISTORY)

# (table, column) → owner; TABLE_OWNERS else.
COLUMN_OWNERS = {
    **dict.fromkeys(
        [
            ("tenants", "billable_client_id"),
            ("tenants", "parent_tenant_id"),
            ("billable_clients", "client_key"),
            ("external_proofs", "tenant_id"),
            ("external_proofs", "billable_client_id"),
            ("external_proofs", "subject_member_id"),
            ("billing_usage_events", "created_at"),
            ("billing_usage_events", "idempotency_key"),
            *(
                (table, column)
                for table in ("ingress_attestations", "payment_outbox_pending", "payment_outbox_attempts")
                for column in ("correlation_id", "upstream_ref", "downstream_ref", "nfs_sequence_ref")
            ),
            *(
                ("evidence_packs", column)
                for column in (
                    "signer_participant_id",
                    "signature_alg",
                    "signature",
                    "signed_at",
                    "anchor_type",
                    "anchor_ref",
                    "anchored_at",
                )
            ),
        ],
        HOOKS,
    ),
    **dict.fromkeys([("policy_versions", name) for name in ("is_active", "status", "checksum")], GATE),
}

# Name of a constraint → owner; then (table, kind); then TABLE_OWNERS.
CONSTRAINT_OWNERS = {
    "ux_pending_idempotency": _REPLAY,
    "external_proofs_correlation_required_new_rows_chk": _CORRELATION,
    **dict.fromkeys(
        [
            "tenants_billable_client_required_new_rows_chk",
            "tenants_billable_client_fk",
            "tenants_parent_tenant_fk",
            "billable_clients_client_key_required_new_rows_chk",
            "payment_outbox_pending_correlation_required_new_rows_chk",
            "payment_outbox_attempts_correlation_required_new_rows_chk",
            "ingress_attestations_correlation_required_new_rows_chk",
            "external_proofs_tenant_required_new_rows_chk",
            "external_proofs_billable_client_required_new_rows_chk",
            "external_proofs_tenant_fk",
            "external_proofs_billable_client_fk",
            "external_proofs_subject_member_fk",
        ],
        HOOKS,
    ),
}
CONSTRAINT_KIND_OWNERS = {
    **{("billing_usage_events", kind): USAGE for kind in "cfup"},
    **{("policy_versions", kind): GATE for kind in "cfup"},
    ("ingress_attestations", "f"): INTEGRITY,
    ("payment_outbox_attempts", "f"): INTEGRITY,
    ("payment_outbox_pending", "f"): INTEGRITY,
}

# Name of an index → owner; TABLE_OWNERS else.
INDEX_OWNERS = {
    "idx_payment_outbox_pending_due_claim": "outbox-pending-indexes",
    "ux_outbox_attempts_one_terminal_per_outbox": _TERMINAL,
    "ux_policy_versions_single_active": GATE,
    "ux_billing_usage_events_idempotency": USAGE,
    "ux_ingress_attestations_tenant_instruction": _HOT,
    "idx_ingress_attestations_tenant_received": _HOT,
    "idx_ingress_attestations_tenant_correlation": _HOT,
    "idx_ingress_attestations_correlation_id": _HOT,
    "idx_ingress_attestations_instruction": _INGRESS,
    "idx_ingress_attestations_received_at": _INGRESS,
    "ux_billable_clients_client_key": HOOKS,
    "idx_tenants_billable_client_id": HOOKS,
    "idx_tenants_parent_tenant_id": HOOKS,
    "idx_evidence_packs_anchor_ref": HOOKS,
    **{
        f"idx_{table}_{what}": HOOKS
        for table in ("payment_outbox_pending", "payment_outbox_attempts")
        for what in ("tenant_correlation", "correlation_id")
    },
}

# Name of a trigger → owner; one that is not here has none.
TRIGGER_OWNERS = {
    "trg_set_external_proofs_attribution": _ATTRIBUTION,
    "trg_billing_usage_events_parties": USAGE,
    "trg_deny_policy_version_rewrite": GATE,
    "trg_deny_policy_versions_truncate": GATE,
    **dict.fromkeys(
        [
            "trg_settle_tenant_payer",
            "trg_settle_billable_client_key",
            "trg_set_corr_id_ingress_attestations",
            "trg_set_corr_id_payment_outbox_attempts",
            "trg_set_corr_id_payment_outbox_pending",
        ],
        HOOKS,
    ),
    **dict.fromkeys(
        [
            "trg_attempts_member_tenant_match",
            "trg_ingress_client_tenant_match",
            "trg_ingress_member_tenant_match",
            "trg_deny_tenant_clients_tenant_change",
            "trg_deny_tenant_members_tenant_change",
            "trg_deny_tenant_cycle",
        ],
        INTEGRITY,
    ),
    **{
        f"trg_deny_{stem}_{what}": owner
        for owner, stems in (
            (_INGRESS, ("ingress_attestations",)),
            (_REVOKED, ("revoked_client_certs", "revoked_tokens")),
            (
                LEDGERS,
                (
                    "billing_usage_events",
                    "evidence_pack_items",
                    "evidence_pack_signatures",
                    "evidence_packs",
                    "external_proofs",
                    "outbox_attempts",
                    "outbox_idempotency",
                ),
            ),
        )
        for stem in stems
        for what in ("mutation", "truncate")
    },
}

# Function → the invariants that promise what it does. What it is (definition, settings, security) is PATHS's.
BEHAVIOUR_OWNERS: dict[str, tuple[str, ...]] = {
    "bump_participant_outbox_seq": (_REPLAY,),
    "claim_outbox_batch": (_CLAIMS, _FENCING),
    "complete_outbox_attempt": (_FENCING, _CEILING, _TERMINAL, _NOTIFY, _CORRELATION, _LEGACY),
    "deny_append_only_mutation": (LEDGERS,),
    "deny_ingress_attestations_mutation": (_INGRESS,),
    "deny_outbox_attempts_mutation": (LEDGERS,),
    "deny_policy_version_rewrite": (GATE,),
    "deny_revocation_mutation": (_REVOKED,),
    "deny_tenant_change": (INTEGRITY,),
    "deny_tenant_cycle": (INTEGRITY,),
    "enforce_client_tenant_match": (INTEGRITY,),
    "enforce_member_tenant_match": (INTEGRITY,),
    "enforce_usage_event_parties": (USAGE,),
    "enqueue_payment_outbox": (_REPLAY, _CORRELATION, _NOTIFY, _LEGACY),
    "outbox_claim_limit": (_CLAIMS, _CEILING),
    "outbox_correlation": (_CORRELATION, _LEGACY),
    "outbox_item_of_key": (_REPLAY, _LEGACY),
    "outbox_retry_ceiling": (_CEILING,),
    "payment_request_sha256": (_REPLAY,),
    "repair_expired_leases": (_CEILING, _CLAIMS, _REPLAY, _NOTIFY, _CORRELATION, _LEGACY),
    "set_correlation_id_if_null": (HOOKS, _CORRELATION, _LEGACY),
    "set_external_proofs_attribution": (_ATTRIBUTION, _CORRELATION, _LEGACY),
    "settle_billable_client_key": (HOOKS, _LEGACY),
    "settle_tenant_payer": (HOOKS, _LEGACY),
    "uuid_strategy": (PATHS,),
    "uuid_v7_or_random": (PATHS,),
}


def constraint_owner(table: str, kind: str, name: str) -> str:
    """Who owns a constraint of a table that has an owner."""
    return CONSTRAINT_OWNERS.get(name) or CONSTRAINT_KIND_OWNERS.get((table, kind)) or TABLE_OWNERS[table]


def table_rights_owner(grantee: str, table: str = "") -> str:
    """Who owns what a role may do with a table, or with all: the regulator's seat has an invariant of its own."""
    if table in RUNNER_TABLES:
        return TABLE_OWNERS[table]
    return REGULATOR if grantee == "boz_auditor" else TABLE_RIGHTS


def posture_owner(role: str) -> str:
    """Who owns a role's attributes and memberships."""
    return REGULATOR if role == "boz_auditor" else POSTURE
