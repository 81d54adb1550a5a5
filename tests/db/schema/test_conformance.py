"""The schema has every object that its users look up by name, shape or number; more is allowed, less is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from make_payments import Payments

if TYPE_CHECKING:
    from fix_database import ScratchDatabase

    from scripts.migrations.folder.files import MigrationFile

CONVENTIONS = Path(__file__).resolve().parents[3] / "schema" / "table_conventions.yml"
TABLES = {
    "participant_outbox_sequences",
    "payment_outbox_pending",
    "payment_outbox_attempts",
    "policy_versions",
    "ingress_attestations",
    "revoked_client_certs",
    "revoked_tokens",
    "tenants",
    "tenant_clients",
    "tenant_members",
    "billable_clients",
    "billing_usage_events",
    "external_proofs",
    "evidence_packs",
    "evidence_pack_items",
    "participants",
}
# Function → result, language, volatility, definer.
FUNCTIONS = {
    "uuid_v7_or_random": ("uuid", "sql", "v", False),
    "uuid_strategy": ("text", "sql", "s", False),
    "outbox_retry_ceiling": ("integer", "sql", "s", False),
    "bump_participant_outbox_seq": ("bigint", "plpgsql", "v", True),
    "enqueue_payment_outbox": ("record", "plpgsql", "v", True),
    "claim_outbox_batch": ("record", "sql", "v", True),
    "complete_outbox_attempt": ("record", "plpgsql", "v", True),
    "repair_expired_leases": ("record", "plpgsql", "v", True),
    "deny_outbox_attempts_mutation": ("trigger", "plpgsql", "v", False),
    "deny_ingress_attestations_mutation": ("trigger", "plpgsql", "v", False),
    "deny_revocation_mutation": ("trigger", "plpgsql", "v", False),
    "deny_append_only_mutation": ("trigger", "plpgsql", "v", False),
    "enforce_member_tenant_match": ("trigger", "plpgsql", "v", False),
    # With the owner's rights, so that who records an attestation need not read queue and ledger (D-03).
    "set_correlation_id_if_null": ("trigger", "plpgsql", "v", True),
    # With the owner's rights, so that who records a proof need not read tenants (D-16).
    "set_external_proofs_attribution": ("trigger", "plpgsql", "v", True),
}
DENY, INSERT = "BEFORE DELETE OR UPDATE", "BEFORE INSERT"
TRIGGERS = {
    "trg_deny_outbox_attempts_mutation": ("payment_outbox_attempts", DENY, "deny_outbox_attempts_mutation"),
    "trg_deny_ingress_attestations_mutation": ("ingress_attestations", DENY, "deny_ingress_attestations_mutation"),
    "trg_deny_revoked_client_certs_mutation": ("revoked_client_certs", DENY, "deny_revocation_mutation"),
    "trg_deny_revoked_tokens_mutation": ("revoked_tokens", DENY, "deny_revocation_mutation"),
    "trg_deny_billing_usage_events_mutation": ("billing_usage_events", DENY, "deny_append_only_mutation"),
    "trg_deny_external_proofs_mutation": ("external_proofs", DENY, "deny_append_only_mutation"),
    "trg_deny_evidence_packs_mutation": ("evidence_packs", DENY, "deny_append_only_mutation"),
    "trg_deny_evidence_pack_items_mutation": ("evidence_pack_items", DENY, "deny_append_only_mutation"),
    "trg_ingress_member_tenant_match": ("ingress_attestations", INSERT, "enforce_member_tenant_match"),
    "trg_set_corr_id_ingress_attestations": ("ingress_attestations", INSERT, "set_correlation_id_if_null"),
    "trg_set_corr_id_payment_outbox_pending": (
        "payment_outbox_pending",
        "BEFORE INSERT OR UPDATE",
        "set_correlation_id_if_null",
    ),
    "trg_set_corr_id_payment_outbox_attempts": ("payment_outbox_attempts", INSERT, "set_correlation_id_if_null"),
    "trg_set_external_proofs_attribution": ("external_proofs", INSERT, "set_external_proofs_attribution"),
}
NOT_VALID = {
    ("tenants", "tenants_billable_client_required_new_rows_chk"),
    ("billable_clients", "billable_clients_client_key_required_new_rows_chk"),
    ("ingress_attestations", "ingress_attestations_correlation_required_new_rows_chk"),
    ("payment_outbox_pending", "payment_outbox_pending_correlation_required_new_rows_chk"),
    ("payment_outbox_attempts", "payment_outbox_attempts_correlation_required_new_rows_chk"),
    ("external_proofs", "external_proofs_tenant_required_new_rows_chk"),
    ("external_proofs", "external_proofs_billable_client_required_new_rows_chk"),
    ("tenants", "tenants_billable_client_fk"),
    ("tenants", "tenants_parent_tenant_fk"),
    ("external_proofs", "external_proofs_tenant_fk"),
    ("external_proofs", "external_proofs_billable_client_fk"),
    ("external_proofs", "external_proofs_subject_member_fk"),
}
MORE_NOT_VALID = {
    ("external_proofs", "external_proofs_correlation_required_new_rows_chk"),
    ("billing_usage_events", "billing_usage_events_created_at_required_new_rows_chk"),
}
CORRELATED = "(correlation_id IS NOT NULL)"
# Index → unique, columns, predicate.
INDEXES = {
    "idx_payment_outbox_pending_due_claim": (False, "next_attempt_at,lease_expires_at,created_at", None),
    "ux_outbox_attempts_one_terminal_per_outbox": (
        True,
        "outbox_id",
        "(state = ANY (ARRAY['DISPATCHED'::outbox_attempt_state, 'FAILED'::outbox_attempt_state]))",
    ),
    "ux_policy_versions_single_active": (True, "(1)", "(status = 'ACTIVE'::policy_version_status)"),
    "idx_ingress_attestations_instruction": (False, "instruction_id", None),
    "idx_ingress_attestations_received_at": (False, "received_at", None),
    "ux_ingress_attestations_tenant_instruction": (True, "tenant_id,instruction_id", None),
    "idx_ingress_attestations_tenant_received": (False, "tenant_id,received_at", "(tenant_id IS NOT NULL)"),
    "idx_ingress_attestations_tenant_correlation": (False, "tenant_id,correlation_id", CORRELATED),
    "idx_ingress_attestations_correlation_id": (False, "correlation_id", CORRELATED),
    "idx_payment_outbox_pending_tenant_correlation": (False, "tenant_id,correlation_id", CORRELATED),
    "idx_payment_outbox_pending_correlation_id": (False, "correlation_id", CORRELATED),
    "idx_payment_outbox_attempts_tenant_correlation": (False, "tenant_id,correlation_id", CORRELATED),
    "idx_payment_outbox_attempts_correlation_id": (False, "correlation_id", CORRELATED),
    "idx_payment_outbox_pending_tenant_due": (False, "tenant_id,next_attempt_at", "(tenant_id IS NOT NULL)"),
    "idx_attempts_instruction_idempotency": (False, "instruction_id,idempotency_key", None),
    "idx_attempts_outbox_id": (False, "outbox_id", None),
    "idx_tenants_billable_client_id": (False, "billable_client_id", None),
    "idx_tenants_parent_tenant_id": (False, "parent_tenant_id", None),
    "idx_billing_usage_events_correlation_id": (False, "correlation_id", None),
    "idx_external_proofs_attestation_id": (False, "attestation_id", None),
    "idx_external_proofs_correlation_id": (False, "correlation_id", CORRELATED),
    "idx_evidence_packs_anchor_ref": (False, "anchor_ref", "(anchor_ref IS NOT NULL)"),
    "ux_billing_usage_events_idempotency": (
        True,
        "billable_client_id,idempotency_key",
        "(idempotency_key IS NOT NULL)",
    ),
    "ux_evidence_pack_items_pack_hash": (True, "pack_id,artifact_hash", None),
    "ux_billable_clients_client_key": (True, "client_key", "(client_key IS NOT NULL)"),
}
# Kind of object → how many there are at least.
COUNTS = {
    "SELECT count(*) FROM pg_class WHERE relkind = 'r'": 17,
    "SELECT count(*) FROM pg_proc WHERE true": 15,
    "SELECT count(*) FROM pg_type WHERE typtype = 'e'": 2,
    "SELECT count(*) FROM pg_class WHERE relkind = 'i'": 55,
}
CONSTRAINTS = {"p": 17, "u": 7, "c": 31, "f": 19}


@pytest.fixture
def payments(database: ScratchDatabase) -> Payments:
    """The migrated database, as its owner."""
    return Payments(database.connect())


def test_every_table_is_there(payments: Payments, project_files: tuple[MigrationFile, ...]) -> None:
    """Sixteen tables and the ledger, which holds every file once under its own name (AC4)."""
    found = {row[0] for row in payments.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    assert found >= TABLES | {"schema_migrations"}
    recorded = payments.rows("SELECT version, checksum FROM public.schema_migrations ORDER BY version")
    assert recorded == [(file.name, file.checksum) for file in project_files]
    assert len(recorded) == 27
    assert "0013_outbox_pending_indexes_concurrently.sql" in dict(recorded)


def test_nothing_counted_is_missing(payments: Payments) -> None:
    """At least as many objects of each kind as the schema is known for."""
    for query, least in COUNTS.items():
        kind = {"pg_class": "relnamespace", "pg_proc": "pronamespace", "pg_type": "typnamespace"}
        column = next(column for table, column in kind.items() if table in query)
        assert payments.one(f"{query} AND {column} = 'public'::regnamespace") >= least, query
    for letter, least in CONSTRAINTS.items():
        query = "SELECT count(*) FROM pg_constraint WHERE contype = %s AND connamespace = 'public'::regnamespace"
        assert payments.one(query, letter) >= least, letter
    assert payments.one("SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready AND indislive)") == 0


def test_every_function_is_what_it_was(payments: Payments) -> None:
    """Result, language, volatility and whose rights it runs with."""
    rows = payments.rows(
        "SELECT p.proname, p.prorettype::regtype::text, l.lanname, p.provolatile, p.prosecdef FROM pg_proc p"
        " JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace = 'public'::regnamespace"
    )
    found = {name: tuple(rest) for name, *rest in rows}
    assert {name: found.get(name) for name in FUNCTIONS} == FUNCTIONS
    assert len(found) == len(rows), "a function has two signatures"


def test_every_trigger_is_on_its_table_and_always_on(payments: Payments) -> None:
    """Row triggers with their table, events and function, enabled in every replication role."""
    rows = payments.rows(
        "SELECT t.tgname, c.relname, CASE WHEN t.tgtype & 2 > 0 THEN 'BEFORE ' END || concat_ws(' OR ',"
        " CASE WHEN t.tgtype & 4 > 0 THEN 'INSERT' END, CASE WHEN t.tgtype & 8 > 0 THEN 'DELETE' END,"
        " CASE WHEN t.tgtype & 16 > 0 THEN 'UPDATE' END), p.proname, t.tgenabled, t.tgtype & 1 FROM pg_trigger t"
        " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal"
    )
    found = {name: tuple(rest) for name, *rest in rows}
    assert {name: found.get(name) for name in TRIGGERS} == {name: (*it, "A", 1) for name, it in TRIGGERS.items()}
    assert {enabled for *_, enabled, _ in rows} == {"A"}


def test_every_index_has_its_shape(payments: Payments) -> None:
    """Uniqueness, columns in order, predicate; btree and valid, all of them."""
    rows = payments.rows(
        "SELECT c.relname, i.indisunique, (SELECT string_agg(pg_get_indexdef(i.indexrelid, k, true), ',' ORDER BY k)"
        " FROM generate_series(1, i.indnkeyatts) k), pg_get_expr(i.indpred, i.indrelid), m.amname, i.indisvalid"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam"
        " WHERE c.relnamespace = 'public'::regnamespace"
    )
    found = {name: tuple(rest) for name, *rest in rows}
    assert {name: found.get(name) for name in INDEXES} == {name: (*it, "btree", True) for name, it in INDEXES.items()}


def test_exactly_these_constraints_bind_new_rows_only(payments: Payments) -> None:
    """The twelve known ones and two of ours are NOT VALID; every other one is validated (AC6, D-02)."""
    rows = payments.rows(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE NOT convalidated"
        " AND connamespace = 'public'::regnamespace"
    )
    assert set(rows) == NOT_VALID | MORE_NOT_VALID
    assert payments.one("SELECT count(*) FROM pg_constraint WHERE NOT conenforced") == 0


def test_the_columns_that_others_read(payments: Payments) -> None:
    """Types, nullability and defaults of the columns that verifiers look up (AC2, AC3)."""
    rows = payments.rows(
        "SELECT table_name || '.' || column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = 'public'"
    )
    found = {name: tuple(rest) for name, *rest in rows}
    refs = ("upstream_ref", "downstream_ref", "nfs_sequence_ref")
    for table in ("ingress_attestations", "payment_outbox_pending", "payment_outbox_attempts"):
        assert found[f"{table}.correlation_id"] == ("uuid", "YES", None)
        assert all(found[f"{table}.{ref}"] == ("text", "YES", None) for ref in refs)
    for table, key in (("tenants", "tenant_id"), ("tenant_clients", "client_id"), ("tenant_members", "member_id")):
        assert found[f"{table}.{key}"] == ("uuid", "NO", "gen_random_uuid()")
    for column in ("tenant_id", "billable_client_id", "subject_member_id", "correlation_id"):
        assert found[f"external_proofs.{column}"] == ("uuid", "YES", None)
    assert found["ingress_attestations.signatures"] == ("jsonb", "NO", "'[]'::jsonb")
    assert found["ingress_attestations.tenant_id"] == ("uuid", "NO", None)
    assert found["billable_clients.client_key"] == ("text", "YES", None)
    assert found["billing_usage_events.created_at"] == ("timestamp with time zone", "YES", "now()")
    assert found["policy_versions.checksum"][:2] == ("text", "NO")
    assert found["payment_outbox_attempts.member_id"] == ("uuid", "YES", None)
    generated = "SELECT attgenerated FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'is_active'"
    assert payments.one(generated, "public.policy_versions") == "s"
    assert payments.one("SELECT reloptions FROM pg_class WHERE relname = 'payment_outbox_pending'") == ["fillfactor=80"]


def test_calls_by_position_resolve(payments: Payments) -> None:
    """Four arguments complete, five enqueue, and the signatures that are looked up exist."""
    item = payments.one("SELECT (public.enqueue_payment_outbox('i', 'p', 'k', 'r', '{}'::jsonb)).outbox_id")
    (lease,) = payments.claim()
    assert lease.outbox_id == item
    done = payments.rows("SELECT * FROM public.complete_outbox_attempt(%s, %s, 'worker', 'DISPATCHED')", *lease)
    assert done == [(1, "DISPATCHED")]
    for signature in (
        "claim_outbox_batch(int,text,int)",
        "repair_expired_leases(int,text)",
        "bump_participant_outbox_seq(text)",
        "uuid_v7_or_random()",
    ):
        assert payments.one("SELECT to_regprocedure(%s) IS NOT NULL", f"public.{signature}"), signature
    definition = payments.one("SELECT pg_get_functiondef('public.claim_outbox_batch(int,text,int)'::regprocedure)")
    assert "SKIP LOCKED" in definition


def test_a_second_terminal_attempt_names_its_index(payments: Payments) -> None:
    """Written directly, for an item that was never queued: 23505 of the one-terminal index (INV-032)."""
    item = payments.one("SELECT gen_random_uuid()")
    payments.attempt(item, 1, "DISPATCHED", rail_reference="r")
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        payments.attempt(item, 2, "FAILED", sequence_id=2)
    assert caught.value.diag.constraint_name == "ux_outbox_attempts_one_terminal_per_outbox"


def test_an_older_server_is_refused(payments: Payments, project_files: tuple[MigrationFile, ...]) -> None:
    """The guard of 0001, asked for a version that nobody has: P7001, and what to do."""
    guard = project_files[0].statements[0]
    assert (guard.kind, guard.text.count("180000")) == ("DoStmt", 1)
    payments.run(guard.text)
    with pytest.raises(psycopg.Error, match="PostgreSQL 18 or later is needed, this is 18") as caught:
        payments.run(guard.text.replace("180000", "990000"))
    assert caught.value.sqlstate == "P7001"
    assert caught.value.diag.message_hint == "Upgrade the server before you migrate."


def test_the_tables_keep_their_conventions(payments: Payments) -> None:
    """schema/table_conventions.yml, table by table: columns with type and nullability, uniques, indexes."""
    conventions: dict[str, Any] = json.loads(CONVENTIONS.read_text(encoding="utf-8"))
    assert conventions["version"] == 1
    assert len(conventions["tables"]) == 9
    for table, wanted in conventions["tables"].items():
        columns = payments.rows(
            "SELECT column_name, data_type, is_nullable = 'NO' FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = %s",
            table,
        )
        assert {(c["name"], c["type"], c["not_null"]) for c in wanted["required_columns"]} <= set(columns), table
        indexes = payments.rows(
            "SELECT i.indisunique, (SELECT array_agg(pg_get_indexdef(i.indexrelid, k, true) ORDER BY k)"
            " FROM generate_series(1, i.indnkeyatts) k) FROM pg_index i WHERE i.indrelid = %s::regclass",
            f"public.{table}",
        )
        assert all((True, unique) in indexes for unique in wanted["required_uniques"]), table
        assert all(index in [found for _, found in indexes] for index in wanted["required_indexes"]), table
