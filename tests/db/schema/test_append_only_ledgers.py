"""What was written stays: no ledger is changed, thinned or emptied, by anybody, in any mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from make_payments import Payments, refused

if TYPE_CHECKING:
    from fix_database import ScratchDatabase

# Table, and a column that an attack may set to itself.
LEDGERS = {
    "payment_outbox_attempts": "worker_id",
    "payment_outbox_idempotency": "created_at",
    "ingress_attestations": "payload_hash",
    "revoked_client_certs": "reason_code",
    "revoked_tokens": "reason_code",
    "billing_usage_events": "metadata",
    "external_proofs": "metadata",
    "evidence_packs": "root_hash",
    "evidence_pack_items": "artifact_path",
    "evidence_pack_signatures": "anchor_ref",
}


def fill(payments: Payments) -> None:
    """One row in every ledger."""
    payer = payments.payer()
    tenant = payments.tenant(payer)
    payments.enqueue()
    payments.attempt(uuid4(), 1, "DISPATCHED")
    payments.proof(payments.attestation(tenant))
    payments.usage(payer)
    payments.run("INSERT INTO public.revoked_client_certs (cert_fingerprint_sha256) VALUES ('f')")
    payments.run("INSERT INTO public.revoked_tokens (token_jti) VALUES ('j')")
    pack = payments.one("INSERT INTO public.evidence_packs (pack_type) VALUES ('INCIDENT_PACK') RETURNING pack_id")
    payments.run("INSERT INTO public.evidence_pack_items (pack_id, artifact_hash) VALUES (%s, 'h')", pack)
    payments.run(
        "INSERT INTO public.evidence_pack_signatures (pack_id, root_hash, signer_participant_id, signature_alg,"
        " signature) VALUES (%s, 'r', 's', 'ed25519', 'x')",
        pack,
    )


@pytest.fixture
def payments(database: ScratchDatabase) -> Payments:
    """The business as its owner sees it, with a row in every ledger."""
    made = Payments(database.connect())
    fill(made)
    return made


def attack(conn: Any, table: str) -> None:
    """UPDATE, DELETE and a MERGE that deletes: each is P0001 and names the table, and the row is still there."""
    column = LEDGERS[table]
    for statement in (
        f"UPDATE public.{table} SET {column} = {column}",
        f"DELETE FROM public.{table}",
        f"MERGE INTO public.{table} AS t USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
    ):
        error = refused(conn, "P0001", statement)
        assert table in str(error)
        assert "rows are only ever added" in str(error)
    assert Payments(conn).one(f"SELECT count(*) FROM public.{table}") >= 1


@pytest.mark.parametrize("table", LEDGERS)
def test_a_row_is_neither_changed_nor_removed(payments: Payments, table: str) -> None:
    """Not even by the owner (D-12, INV-014, INV-035, INV-036)."""
    attack(payments.conn, table)


@pytest.mark.parametrize("table", LEDGERS)
def test_a_ledger_is_not_emptied(payments: Payments, table: str) -> None:
    """TRUNCATE is P0001, with rows and without, alone and by CASCADE from another table (D-12)."""
    referenced = payments.one(
        "SELECT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = %s::regclass)", f"public.{table}"
    )
    # Where a foreign key points at the table, the server itself refuses a plain TRUNCATE before any trigger.
    refused(payments.conn, "0A000" if referenced else "P0001", f"TRUNCATE public.{table}")
    for tail in ("CASCADE", "RESTART IDENTITY CASCADE"):
        error = refused(payments.conn, "P0001", f"TRUNCATE public.{table} {tail}")
        assert "TRUNCATE on public." in str(error)


@pytest.mark.parametrize("table", LEDGERS)
def test_an_empty_ledger_is_not_emptied_either(database: ScratchDatabase, table: str) -> None:
    """A statement trigger does not wait for a row (D-12)."""
    refused(database.connect(), "P0001", f"TRUNCATE public.{table} CASCADE")


@pytest.mark.parametrize("table", LEDGERS)
def test_replica_mode_opens_nothing(database: ScratchDatabase, payments: Payments, table: str) -> None:
    """A superuser in replica mode, where ordinary triggers sleep, is refused as well (D-12)."""
    admin = database.connect_admin()
    admin.execute("SET session_replication_role = replica")
    attack(admin, table)
    refused(admin, "P0001", f"TRUNCATE public.{table} CASCADE")


def test_emptying_the_parents_reaches_no_ledger(payments: Payments) -> None:
    """TRUNCATE … CASCADE of tenants or payers would take the ledgers along: refused (D-12)."""
    for table in ("tenants", "billable_clients", "tenant_members", "tenant_clients"):
        refused(payments.conn, "P0001", f"TRUNCATE public.{table} CASCADE")


def test_the_list_of_ledgers_is_whole(payments: Payments) -> None:
    """Every table with a row-level deny trigger is attacked here, and no other one is a ledger in name only."""
    found = payments.rows(
        "SELECT DISTINCT t.tgrelid::regclass::text FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
        " WHERE p.proname LIKE 'deny%%mutation' AND NOT t.tgisinternal AND (t.tgtype & 1) = 1"
    )
    assert {name for (name,) in found} == set(LEDGERS)


def test_a_revocation_is_recorded_once(payments: Payments) -> None:
    """A second one of the same certificate or token is 23505 (INV-036)."""
    refused(payments.conn, "23505", "INSERT INTO public.revoked_client_certs (cert_fingerprint_sha256) VALUES ('f')")
    refused(payments.conn, "23505", "INSERT INTO public.revoked_tokens (token_jti) VALUES ('j')")


def test_a_pack_is_signed_and_anchored_after_its_items(payments: Payments) -> None:
    """Root hash, signature and anchor are further rows, since the pack's own never changes (D-35, INV-103)."""
    pack = payments.one("INSERT INTO public.evidence_packs (pack_type) VALUES ('DISPUTE_PACK') RETURNING pack_id")
    payments.run(
        "INSERT INTO public.evidence_pack_items (pack_id, artifact_hash) VALUES (%s, 'a'), (%s, 'b')", pack, pack
    )
    sign = (
        "INSERT INTO public.evidence_pack_signatures (pack_id, root_hash, signer_participant_id, signature_alg,"
        " signature, anchor_type, anchor_ref) VALUES (%s, %s, 'bank', 'ed25519', 'sig', %s, %s)"
    )
    payments.run(sign, pack, "root", None, None)
    payments.run(sign, pack, "root", "RFC3161", "ref")
    assert payments.one("SELECT count(*) FROM public.evidence_pack_signatures WHERE pack_id = %s", pack) == 2
    refused(payments.conn, "23514", sign, pack, "", None, None)
    refused(payments.conn, "23514", sign, pack, "root", "RFC3161", None)


@pytest.mark.parametrize(("path", "digest"), [(None, ""), ("", "h2"), ("", "")])
def test_a_pack_item_says_what_it_is(payments: Payments, path: str | None, digest: str) -> None:
    """An empty hash or path is 23514 of the named check; a missing hash 23502 (D-35)."""
    pack = payments.one("SELECT pack_id FROM public.evidence_packs")
    insert = "INSERT INTO public.evidence_pack_items (pack_id, artifact_path, artifact_hash) VALUES (%s, %s, %s)"
    error = refused(payments.conn, "23514", insert, pack, path, digest)
    assert error.diag.constraint_name == "evidence_pack_items_path_or_hash_chk"
    refused(payments.conn, "23502", insert, pack, "path", None)
    refused(payments.conn, "23505", insert, pack, "path", "h")
