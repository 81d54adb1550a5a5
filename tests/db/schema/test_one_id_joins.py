"""One correlation id joins an instruction's rows: ingress, queue, every attempt, proofs; nobody has to supply it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from make_payments import Payments, refused

if TYPE_CHECKING:
    from fix_database import ScratchDatabase

REFS = {"upstream_ref": "up", "downstream_ref": "down", "nfs_sequence_ref": "nfs"}


@pytest.fixture
def payments(database: ScratchDatabase) -> Payments:
    """The business as its owner sees it."""
    return Payments(database.connect())


@pytest.fixture
def tenant(payments: Payments) -> UUID:
    """A tenant with its payer."""
    return payments.tenant(payments.payer())


def ids(payments: Payments) -> set[Any]:
    """Every correlation id in the database."""
    return {
        value
        for table in ("ingress_attestations", "payment_outbox_pending", "payment_outbox_attempts", "external_proofs")
        for (value,) in payments.rows(f"SELECT correlation_id FROM public.{table}")
    }


@pytest.mark.parametrize("given", [True, False], ids=["given", "filled"])
def test_the_whole_chain_joins(payments: Payments, tenant: UUID, *, given: bool) -> None:
    """Attestation, enqueue, retry, lost lease, dispatch, proofs: one id; tenant and references too (D-03, AC2)."""
    mine = {"correlation_id": uuid4()} if given else {}
    attestation = payments.attestation(tenant, "i", **mine)
    item = payments.enqueue("i", tenant=tenant, **REFS)
    payments.proof(attestation)
    payments.complete(payments.claim()[0], "RETRYABLE")
    payments.make_due()
    payments.claim()
    payments.expire()
    payments.repair()
    payments.make_due()
    payments.complete(payments.claim()[0], "DISPATCHED")
    payments.proof(attestation)

    (one,) = ids(payments)
    assert one is not None
    assert not given or one == mine["correlation_id"]
    assert payments.attempts(
        item.outbox_id, "state::text, tenant_id, upstream_ref, downstream_ref, nfs_sequence_ref"
    ) == [(state, tenant, "up", "down", "nfs") for state in ("RETRYABLE", "ZOMBIE_REQUEUE", "DISPATCHED")]
    joined = payments.one(
        "SELECT count(DISTINCT a.attempt_id) FROM public.ingress_attestations i"
        " JOIN public.payment_outbox_attempts a USING (tenant_id, correlation_id)"
        " JOIN public.external_proofs p USING (tenant_id, correlation_id)"
    )
    assert joined == 3


@pytest.mark.parametrize("given", [True, False], ids=["given", "filled"])
@pytest.mark.parametrize("progress", ["queued", "retried", "done"])
def test_an_attestation_after_the_enqueue_joins(
    database: ScratchDatabase, payments: Payments, tenant: UUID, progress: str, *, given: bool
) -> None:
    """Queued first, attested later by who may read neither queue nor ledger: still one id, proofs too (D-03, AC2)."""
    mine = {"correlation_id": uuid4()} if given else {}
    item = payments.enqueue("i", tenant=tenant, **mine)
    if progress != "queued":
        payments.complete(payments.claim()[0], "RETRYABLE" if progress == "retried" else "DISPATCHED")
    ingress = Payments(database.connect("symphony_ingest"))
    for table in ("payment_outbox_pending", "payment_outbox_attempts"):
        refused(ingress.conn, "42501", f"SELECT FROM public.{table}")
    payments.proof(ingress.attestation(tenant, "i"))

    (one,) = ids(payments)
    assert not given or one == mine["correlation_id"]
    assert [row for (row,) in payments.rows("SELECT correlation_id FROM public.ingress_attestations")] == [one]
    assert payments.attempts(item.outbox_id, "correlation_id") == ([] if progress == "queued" else [(one,)])


def test_a_late_attestation_takes_the_id_of_its_own_item_alone(payments: Payments, tenant: UUID) -> None:
    """Another instruction, another tenant's or no tenant's item lends its id to nobody (D-03)."""
    other = payments.tenant(payments.payer())
    payments.enqueue("j", tenant=tenant)
    payments.enqueue("i", tenant=other)
    payments.enqueue("i")
    payments.complete(payments.claim()[0], "DISPATCHED")
    payments.attestation(tenant, "i")
    assert len(ids(payments)) == 4


def test_a_late_attestation_takes_the_queues_id_before_the_ledgers(payments: Payments, tenant: UUID) -> None:
    """Of two items of one instruction the queued one counts, then the one that was there first (D-03)."""
    payments.enqueue("i", tenant=tenant, idempotency_key="done")
    payments.complete(payments.claim()[0], "DISPATCHED")
    first = payments.enqueue("i", tenant=tenant, idempotency_key="first")
    payments.enqueue("i", tenant=tenant, idempotency_key="second")
    payments.attestation(tenant, "i")
    assert payments.rows("SELECT correlation_id FROM public.ingress_attestations") == [
        payments.queue(first.outbox_id, "correlation_id")
    ]


def test_an_id_given_with_a_late_attestation_is_kept(payments: Payments, tenant: UUID) -> None:
    """The caller's id goes before the item's, in this order too (AC2)."""
    payments.enqueue("i", tenant=tenant)
    mine = uuid4()
    payments.attestation(tenant, "i", correlation_id=mine)
    assert payments.rows("SELECT correlation_id FROM public.ingress_attestations") == [(mine,)]


def test_nobody_can_hang_the_filling_trigger_on_a_table_of_their_own(database: ScratchDatabase) -> None:
    """It runs with the owner's rights and reads queue and ledger, so no role may execute it (D-03, D-05)."""
    others = (
        "SELECT count(*) FROM pg_proc f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) g"
        " WHERE f.oid = 'public.set_correlation_id_if_null()'::regprocedure AND g.grantee <> f.proowner"
    )
    assert database.value(others) == 0
    for role in ("symphony_ingest", "symphony_control", "symphony_executor"):
        conn = database.connect(role)
        conn.execute("CREATE TEMPORARY TABLE mine (correlation_id uuid)")
        refused(
            conn,
            "42501",
            "CREATE TRIGGER mine BEFORE INSERT ON mine"
            " FOR EACH ROW EXECUTE FUNCTION public.set_correlation_id_if_null()",
        )


def test_the_callers_id_is_kept_everywhere(payments: Payments, tenant: UUID) -> None:
    """A given id is never replaced, on any of the tables (AC2)."""
    mine = uuid4()
    item = payments.enqueue("i", tenant=tenant, correlation_id=mine)
    assert payments.queue(item.outbox_id, "correlation_id") == (mine,)
    payments.complete(payments.claim()[0], "DISPATCHED")
    assert payments.attempts(item.outbox_id, "correlation_id") == [(mine,)]
    payments.attestation(tenant, "direct", correlation_id=mine)
    payments.pending("direct", correlation_id=mine)
    payments.attempt(uuid4(), 1, "FAILED", correlation_id=mine)
    assert ids(payments) == {mine}


def test_the_callers_id_goes_before_the_attestations(payments: Payments, tenant: UUID) -> None:
    """An enqueue that names another id than the attestation keeps it in queue and ledger (AC2)."""
    payments.attestation(tenant, "i", correlation_id=uuid4())
    mine = uuid4()
    item = payments.enqueue("i", tenant=tenant, correlation_id=mine)
    payments.complete(payments.claim()[0], "RETRYABLE")
    payments.attempt(item.outbox_id, 2, "RETRYABLE", tenant_id=tenant, instruction_id="i")
    payments.make_due()
    payments.complete(payments.claim()[0], "DISPATCHED")

    assert payments.attempts(item.outbox_id, "correlation_id") == [(mine,)] * 3


def test_without_an_id_each_new_row_gets_one(payments: Payments, tenant: UUID) -> None:
    """Rows written directly are filled too; explicit NULL is no way around (AC2)."""
    payments.attestation(tenant, correlation_id=None)
    payments.pending(correlation_id=None)
    payments.attempt(uuid4(), 1, "FAILED", correlation_id=None)
    found = ids(payments)
    assert None not in found
    assert len(found) == 3


def test_an_item_of_another_tenant_takes_no_ones_id(payments: Payments, tenant: UUID) -> None:
    """The same instruction of another tenant, or of none, is another chain (D-03)."""
    payments.attestation(tenant, "i")
    other = payments.tenant(payments.payer())
    payments.enqueue("i", tenant=other)
    payments.enqueue("i")
    assert len(ids(payments)) == 3


def test_an_id_once_there_is_not_lost(payments: Payments) -> None:
    """Setting it to NULL in the queue brings the item's own id back (AC2)."""
    item = payments.enqueue()
    before = payments.queue(item.outbox_id, "correlation_id")
    payments.run("UPDATE public.payment_outbox_pending SET correlation_id = NULL")
    assert payments.queue(item.outbox_id, "correlation_id") == before


@pytest.mark.parametrize(
    "table", ["ingress_attestations", "payment_outbox_pending", "payment_outbox_attempts", "external_proofs"]
)
def test_the_check_stands_behind_the_trigger(payments: Payments, tenant: UUID, table: str) -> None:
    """With the trigger out of the way the named check refuses a row without id (AC2)."""
    trigger = {"external_proofs": "trg_set_external_proofs_attribution"}.get(table, f"trg_set_corr_id_{table}")
    attestation = payments.attestation(tenant)
    payments.run(f"ALTER TABLE public.{table} DISABLE TRIGGER {trigger}")
    insert = {
        "ingress_attestations": f"(tenant_id, instruction_id, payload_hash) VALUES ('{tenant}', 'x', 'h')",
        "payment_outbox_pending": "(instruction_id, participant_id, sequence_id, idempotency_key, rail_type, payload)"
        " VALUES ('x', 'p', 1, 'k', 'r', '{}')",
        "payment_outbox_attempts": "(outbox_id, instruction_id, participant_id, sequence_id, idempotency_key,"
        " rail_type, payload, attempt_no, state) VALUES (gen_random_uuid(), 'x', 'p', 1, 'k', 'r', '{}', 1, 'FAILED')",
        "external_proofs": "(attestation_id, provider, request_hash, response_hash, tenant_id, billable_client_id)"
        f" SELECT '{attestation}', 'p', 'q', 'r', tenant_id, billable_client_id FROM public.tenants",
    }[table]
    error = refused(payments.conn, "23514", f"INSERT INTO public.{table} {insert}")
    assert error.diag.constraint_name == f"{table}_correlation_required_new_rows_chk"


def test_the_ids_are_time_ordered(payments: Payments) -> None:
    """PostgreSQL 18's own uuidv7() is what is bound, and the strategy says so (D-41)."""
    assert payments.one("SELECT public.uuid_strategy()") == "uuidv7"
    assert payments.one("SELECT uuid_extract_version(public.uuid_v7_or_random())") == 7
    assert payments.enqueue().outbox_id.version == 7


def test_a_function_of_that_name_changes_no_id(payments: Payments) -> None:
    """A public.uuidv7() made later is not what is called, and the strategy does not waver (D-41)."""
    payments.run("CREATE FUNCTION public.uuidv7() RETURNS uuid LANGUAGE sql RETURN gen_random_uuid()")
    payments.run("SET search_path = public, pg_catalog")
    assert payments.one("SELECT uuid_extract_version(public.uuid_v7_or_random())") == 7
    assert payments.one("SELECT public.uuid_strategy()") == "uuidv7"
