"""Rows older than the tightening go on as before: nothing is backfilled, and all that worked on them still works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from make_payments import Lease, Payments, Queued, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigratedDatabase

TABLES = (
    "tenants",
    "billable_clients",
    "ingress_attestations",
    "external_proofs",
    "payment_outbox_pending",
    "payment_outbox_attempts",
)


@dataclass
class Before:
    """A business as release 0025 left it: every kind of old row, none with a correlation id."""

    payments: Payments
    payer: UUID
    tenant: UUID  # with its payer
    unpaid: UUID  # a tenant without payer
    attestation: UUID  # of instruction "free", without an id
    unpaid_attestation: UUID
    leased: Queued  # held by a live worker
    lease: Lease
    expired: Queued  # its worker is gone
    free: Queued
    imported: UUID  # in the queue, by no function
    retried: Queued  # has an attempt without an id


@pytest.fixture
def database(migrated_to: Callable[[int], MigratedDatabase]) -> MigratedDatabase:
    """The database of the release before."""
    return migrated_to(25)


@pytest.fixture
def before(database: MigratedDatabase) -> Before:
    """Old rows of every kind."""
    payments = Payments(database.connect())
    payer = payments.payer(None)
    tenant, unpaid = payments.tenant(payer), payments.tenant(None)
    attestation = payments.attestation(tenant, "free")
    unpaid_attestation = payments.attestation(unpaid, "unpaid")
    payments.proof(attestation)
    retried = payments.enqueue("retried", tenant=tenant)
    payments.complete(payments.claim()[0], "RETRYABLE", retry_delay_seconds=3600)
    leased = payments.enqueue("leased")
    (lease,) = payments.claim(1, seconds=600)
    expired = payments.enqueue("expired", tenant=tenant)
    payments.claim(1, "lost", seconds=600)
    payments.run("UPDATE public.payment_outbox_pending SET lease_expires_at = now() WHERE claimed_by = 'lost'")
    free = payments.enqueue("free", tenant=tenant)
    imported = payments.pending("imported")
    assert payments.one("SELECT count(correlation_id) FROM public.payment_outbox_pending") == 0
    assert payments.one("SELECT count(correlation_id) FROM public.payment_outbox_attempts") == 0
    made = (payer, tenant, unpaid, attestation, unpaid_attestation, leased, lease, expired, free, imported, retried)
    return Before(payments, *made)


@pytest.fixture
def after(database: MigratedDatabase, before: Before) -> Before:
    """The same business, tightened."""
    database.migrate()
    return before


def chain(payments: Payments, outbox: UUID) -> set[object]:
    """The ids of an item's rows in queue and ledger."""
    query = (
        "SELECT correlation_id FROM public.payment_outbox_pending WHERE outbox_id = %s"
        " UNION ALL SELECT correlation_id FROM public.payment_outbox_attempts WHERE outbox_id = %s"
    )
    return {value for (value,) in payments.rows(query, outbox, outbox)}


def test_nothing_is_backfilled_or_rewritten(database: MigratedDatabase, before: Before) -> None:
    """The old rows are byte for byte where they were: same place, same version, no id, no key, no payer (AC6)."""
    places = {table: before.payments.rows(f"SELECT ctid::text, xmin::text FROM public.{table}") for table in TABLES}
    files = {table: before.payments.one(f"SELECT pg_relation_filenode('public.{table}')") for table in TABLES}
    database.migrate()
    for table in TABLES:
        assert before.payments.rows(f"SELECT ctid::text, xmin::text FROM public.{table}") == places[table]
        assert before.payments.one(f"SELECT pg_relation_filenode('public.{table}')") == files[table]
    for column, table in (
        ("correlation_id", "payment_outbox_pending"),
        ("correlation_id", "ingress_attestations"),
        ("tenant_id", "external_proofs"),
        ("client_key", "billable_clients"),
    ):
        assert before.payments.one(f"SELECT count({column}) FROM public.{table}") == 0 or column == "tenant_id"
    assert before.payments.rows("SELECT DISTINCT tenant_id, correlation_id FROM public.external_proofs") == [
        (None, None)
    ]


def test_the_old_queue_is_claimed_and_dispatched(after: Before) -> None:
    """All old items that are due are leased and completed, and each one's rows carry one id (D-02, AC6)."""
    payments = after.payments
    payments.make_due()
    claimed = payments.claim(10)
    assert {lease.outbox_id for lease in claimed} == {after.free.outbox_id, after.imported, after.retried.outbox_id}
    for lease in claimed:
        in_queue = payments.queue(lease.outbox_id, "correlation_id")
        payments.complete(lease, "DISPATCHED")
        assert in_queue is not None
        assert payments.attempts(lease.outbox_id, "correlation_id")[-1] == in_queue != (None,)


def test_a_new_item_behind_the_old_ones_moves(after: Before) -> None:
    """The old rows do not block the queue (D-02)."""
    new = after.payments.enqueue("new")
    assert new.outbox_id in {lease.outbox_id for lease in after.payments.claim(10)}


@pytest.mark.parametrize("state", ["RETRYABLE", "DISPATCHED", "FAILED"])
def test_an_old_lease_is_completed(after: Before, state: str) -> None:
    """The worker that held it across the migration reports whatever happened (D-02)."""
    assert after.payments.complete(after.lease, state) == (1, state)
    (one,) = chain(after.payments, after.leased.outbox_id)
    assert one is not None


def test_an_old_expired_lease_is_repaired(after: Before) -> None:
    """One zombie attempt, one id for queue and ledger (D-02)."""
    assert after.payments.repair() == [(after.expired.outbox_id, 1)]
    (one,) = chain(after.payments, after.expired.outbox_id)
    assert one is not None


def test_an_old_expired_lease_is_counted_by_the_next_claim(after: Before) -> None:
    """Without a repairer, too (D-02, D-07)."""
    after.payments.claim(10, "next")
    assert [state for _, state in after.payments.attempts(after.expired.outbox_id)] == ["ZOMBIE_REQUEUE"]
    after.payments.make_due()
    assert after.expired.outbox_id in {lease.outbox_id for lease in after.payments.claim(10, "next")}


def test_an_old_item_meets_the_ceiling(after: Before) -> None:
    """Both ways, with the old attempts counted (D-01, D-02)."""
    payments = after.payments
    for outbox in (after.retried.outbox_id, after.expired.outbox_id):
        payments.attempt(outbox, 19, "RETRYABLE")
    assert payments.repair() == [(after.expired.outbox_id, 20)]
    payments.make_due()
    (lease,) = [each for each in payments.claim(10) if each.outbox_id == after.retried.outbox_id]
    assert payments.complete(lease, "RETRYABLE") == (20, "FAILED")


def test_an_id_found_once_stays(after: Before) -> None:
    """Claimed, retried, lost, repaired and dispatched: the first id is that of every later row (D-03)."""
    payments = after.payments
    outbox = after.free.outbox_id
    for _ in range(2):
        payments.make_due()
        (lease,) = [each for each in payments.claim(10) if each.outbox_id == outbox]
        payments.complete(lease, "RETRYABLE")
    payments.make_due()
    payments.claim(10)
    payments.expire()
    payments.repair()
    (one,) = chain(payments, outbox)
    assert one is not None


def test_an_old_attestation_without_id_lends_its_own(after: Before) -> None:
    """Queue, attempts and every proof of the instruction carry one id, in any order of events (AC6, D-03)."""
    payments = after.payments
    payments.proof(after.attestation)
    payments.make_due()
    (lease,) = [each for each in payments.claim(10) if each.outbox_id == after.free.outbox_id]
    payments.proof(after.attestation)
    payments.complete(lease, "DISPATCHED")
    payments.proof(after.attestation)
    proofs = payments.rows(
        "SELECT DISTINCT correlation_id FROM public.external_proofs WHERE correlation_id IS NOT NULL"
    )

    assert {value for (value,) in proofs} == chain(payments, after.free.outbox_id) == {after.attestation}


def test_a_proof_follows_the_id_that_its_old_instructions_item_was_given(database: MigratedDatabase) -> None:
    """An item that already had its caller's id hands it to the proofs of its old attestation (D-03)."""
    payments = Payments(database.connect())
    tenant = payments.tenant(payments.payer(None))
    attestation = payments.attestation(tenant, "i")
    mine = uuid4()
    payments.enqueue("i", tenant=tenant, correlation_id=mine)
    database.migrate()
    payments.proof(attestation)
    payments.complete(payments.claim()[0], "DISPATCHED")
    payments.proof(attestation)
    assert payments.rows("SELECT DISTINCT correlation_id FROM public.external_proofs") == [(mine,)]


def test_an_old_replay_is_still_a_replay(after: Before) -> None:
    """Keys used before are known after, with their content (D-13, AC6)."""
    payments = after.payments
    assert payments.enqueue("free", tenant=after.tenant).outbox_id == after.free.outbox_id
    assert payments.enqueue("leased").outbox_id == after.leased.outbox_id


def test_an_old_tenant_without_payer_lives_on(after: Before) -> None:
    """Suspended, renamed, given a parent, closed, all without a payer (D-02, AC6)."""
    payments = after.payments
    for change in (
        "status = 'SUSPENDED'",
        "tenant_name = 'New'",
        f"parent_tenant_id = '{after.tenant}'",
        "status = 'CLOSED'",
    ):
        assert payments.run(f"UPDATE public.tenants SET {change} WHERE tenant_id = %s", after.unpaid) == 1
    payments.member(after.unpaid)
    payments.client(after.unpaid)
    payments.attestation(after.unpaid)
    payments.enqueue(tenant=after.unpaid)
    payments.usage(after.payer, tenant_id=after.unpaid)
    with pytest.raises(Exception, match="does not exist or has no payer"):
        payments.proof(after.unpaid_attestation)


def test_an_old_payer_without_key_lives_on(after: Before) -> None:
    """Suspended, renamed, billed and closed, all without a key; new tenants may still choose it (D-02, AC6)."""
    payments = after.payments
    payments.usage(after.payer)
    payments.tenant(after.payer)
    for change in ("status = 'SUSPENDED'", "legal_name = 'New'", "status = 'CLOSED'"):
        assert payments.run(f"UPDATE public.billable_clients SET {change}") == 1


def test_an_old_tenant_gets_its_payer_for_good(after: Before) -> None:
    """Once assigned it cannot be taken away, and the marker cannot be claimed back (AC1)."""
    payments = after.payments
    change = "UPDATE public.tenants SET billable_client_id = %s WHERE tenant_id = %s"
    payments.run(change, after.payer, after.unpaid)
    assert payments.one("SELECT predates_payer FROM public.tenants WHERE tenant_id = %s", after.unpaid) is False
    refused(payments.conn, "23514", change, None, after.unpaid)
    refused(
        payments.conn,
        "23514",
        "UPDATE public.tenants SET billable_client_id = NULL, predates_payer = true WHERE tenant_id = %s",
        after.unpaid,
    )
    payments.proof(after.unpaid_attestation)


def test_an_old_tenant_that_has_its_payer_keeps_it(after: Before) -> None:
    """It is no older than the rule in the one way that matters: its first change may not lose the payer (AC1)."""
    change = "UPDATE public.tenants SET billable_client_id = NULL WHERE tenant_id = %s"
    refused(after.payments.conn, "23514", change, after.tenant)


def test_an_old_payer_gets_its_key_for_good(after: Before) -> None:
    """Once given it cannot be taken away, nor given to another (AC5)."""
    payments = after.payments
    payments.run("UPDATE public.billable_clients SET client_key = ' Old ' WHERE billable_client_id = %s", after.payer)
    assert payments.one("SELECT client_key FROM public.billable_clients") == "old"
    refused(payments.conn, "23514", "UPDATE public.billable_clients SET client_key = NULL")
    with pytest.raises(Exception, match="ux_billable_clients_client_key"):
        payments.payer("OLD")


def test_a_row_inserted_after_cannot_pass_for_an_old_one(after: Before) -> None:
    """Copying an old row, marker and all, is a new row (AC1, AC5)."""
    copy = (
        "INSERT INTO public.{0} SELECT (r).* FROM"
        " (SELECT jsonb_populate_record(t, %s::jsonb) AS r FROM public.{0} t WHERE {1}) s"
    )
    refused(
        after.payments.conn,
        "23514",
        copy.format("tenants", "t.predates_payer AND t.billable_client_id IS NULL"),
        f'{{"tenant_id": "{uuid4()}", "tenant_key": "copy"}}',
    )
    refused(
        after.payments.conn,
        "23514",
        copy.format("billable_clients", "t.predates_client_key"),
        f'{{"billable_client_id": "{uuid4()}"}}',
    )


def test_old_ledgers_are_read_and_still_closed(after: Before) -> None:
    """Old attempts, attestations and proofs stay as they are, and refuse changes as before (D-12)."""
    for table in ("payment_outbox_attempts", "ingress_attestations", "external_proofs"):
        refused(after.payments.conn, "P0001", f"UPDATE public.{table} SET correlation_id = gen_random_uuid()")
        assert after.payments.one(f"SELECT count(*) FROM public.{table} WHERE correlation_id IS NULL") >= 1
