"""Every new row can be billed: a tenant has its payer, a payer its key, a proof and a usage event who pays for them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from make_payments import Payments, fresh, refused

if TYPE_CHECKING:
    from fix_database import ScratchDatabase

SET_PAYER = "UPDATE public.tenants SET billable_client_id = %s WHERE tenant_id = %s"
PROOF = (
    "INSERT INTO public.external_proofs (attestation_id, provider, request_hash, response_hash)"
    " VALUES (%s, 'p', 'q', 'r')"
)


@pytest.fixture
def payments(database: ScratchDatabase) -> Payments:
    """The business as its owner sees it."""
    return Payments(database.connect())


def code(caught: pytest.ExceptionInfo[psycopg.Error]) -> str | None:
    """The SQLSTATE of what was raised."""
    return caught.value.sqlstate


@pytest.mark.parametrize("claim", [{}, {"predates_payer": True}, {"predates_payer": False}], ids=str)
def test_a_new_tenant_needs_its_payer(payments: Payments, claim: dict[str, object]) -> None:
    """Without one it is 23514 of the named check, whatever the row claims about its age (AC1)."""
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        payments.tenant(None, **claim)
    assert caught.value.diag.constraint_name == "tenants_billable_client_required_new_rows_chk"


def test_no_way_of_writing_makes_a_tenant_old(database: ScratchDatabase, payments: Payments) -> None:
    """Neither an upsert, COPY, an UPDATE of the marker, nor replica mode (AC1)."""
    payer = payments.payer()
    tenant = payments.tenant(payer, predates_payer=True)
    marker = "SELECT predates_payer FROM public.tenants WHERE tenant_id = %s"
    assert payments.one(marker, tenant) is False
    payments.run("UPDATE public.tenants SET predates_payer = true WHERE tenant_id = %s", tenant)
    assert payments.one(marker, tenant) is False
    refused(payments.conn, "23514", SET_PAYER.replace("= %s W", "= %s, predates_payer = true W"), None, tenant)
    with (
        pytest.raises(psycopg.errors.CheckViolation),
        payments.conn.cursor().copy(
            "COPY public.tenants (tenant_key, tenant_name, tenant_type, predates_payer) FROM STDIN"
        ) as copy,
    ):
        copy.write("k\tn\tNGO\tt\n")
    admin = database.connect_admin()
    admin.execute("SET session_replication_role = replica")
    insert = (
        "INSERT INTO public.tenants (tenant_key, tenant_name, tenant_type, predates_payer)"
        " VALUES (%s, 'n', 'NGO', true)"
    )
    refused(admin, "23514", insert, fresh("replica"))
    refused(admin, "23514", insert + " ON CONFLICT (tenant_key) DO UPDATE SET tenant_name = 'x'", fresh("upsert"))


def test_a_tenants_payer_exists(payments: Payments) -> None:
    """A made-up one is 23503 (INV-094)."""
    with pytest.raises(psycopg.errors.ForeignKeyViolation) as caught:
        payments.tenant(uuid4())
    assert caught.value.diag.constraint_name == "tenants_billable_client_fk"


# What nobody sees, each of a range or alone: no-break and other spaces, zero-width, marks, fillers, controls.
UNSEEN = (
    *"\x01\x1f\x7f\x85\x9f\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b\u180f\u2000\u200b\u200f\u2028\u202e\u202f",
    *"\u205f\u2060\u206f\u2800\u3000\u3164\ufe00\ufe0f\ufeff\uffa0",
)


@pytest.mark.parametrize("key", [None, "", " ", "\t", "\n \t", " \r\n", "\u00a0", " \u200b\ufeff "], ids=ascii)
@pytest.mark.parametrize("claim", [{}, {"predates_client_key": True}], ids=str)
def test_a_new_payer_needs_its_key(payments: Payments, key: str | None, claim: dict[str, object]) -> None:
    """Missing, empty or without anything to see is 23514 of the named check (AC5, D-37)."""
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        payments.payer(None, client_key=key, **claim)
    assert caught.value.diag.constraint_name == "billable_clients_client_key_required_new_rows_chk"


@pytest.mark.parametrize("spelling", ["a", " a ", "A", "\tA\n", "a\r\n", "\u00a0a\u00a0", "\ufeffA\u200b"], ids=ascii)
def test_spellings_of_a_key_are_one_key(payments: Payments, spelling: str) -> None:
    """Case and white space around do not make another payer: 23505 on insertion and on update (AC5, D-37)."""
    payments.payer("a")
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        payments.payer(spelling)
    assert caught.value.diag.constraint_name == "ux_billable_clients_client_key"
    other = payments.payer("b")
    refused(
        payments.conn,
        "23505",
        "UPDATE public.billable_clients SET client_key = %s WHERE billable_client_id = %s",
        spelling,
        other,
    )
    assert payments.one("SELECT array_agg(client_key ORDER BY 1) FROM public.billable_clients") == ["a", "b"]


def test_what_nobody_sees_is_no_key_and_no_part_of_its_ends(payments: Payments) -> None:
    """Each such character alone is 23514, around a key it is trimmed; inside a key all stays as it is (D-37)."""
    payer = payments.payer("a")
    change = "UPDATE public.billable_clients SET client_key = %s WHERE billable_client_id = %s"
    for character in UNSEEN:
        refused(payments.conn, "23514", change, character * 2, payer)
        payments.run(change, f"{character}k {character}Y{character}", payer)
        assert payments.one("SELECT client_key FROM public.billable_clients") == f"k {character}y"
    for seen in ("\u00a1", "\u00e9", "\u20ac", "\u4e2d", "-", "0"):
        payments.run(change, seen, payer)
        assert payments.one("SELECT client_key FROM public.billable_clients") == seen


def test_a_key_cannot_be_taken_away(payments: Payments) -> None:
    """Setting it to nothing is 23514, and the marker cannot be claimed back (AC5)."""
    payments.payer("a")
    for assignment in ("client_key = NULL", "client_key = ' '", "client_key = NULL, predates_client_key = true"):
        refused(payments.conn, "23514", f"UPDATE public.billable_clients SET {assignment}")


def test_a_proof_gets_its_tenant_payer_and_id_from_the_attestation(payments: Payments) -> None:
    """Left out they are filled in, given and equal they are accepted (AC3, D-03)."""
    payer = payments.payer()
    tenant = payments.tenant(payer)
    attestation = payments.attestation(tenant)
    correlation = payments.one("SELECT correlation_id FROM public.ingress_attestations")
    read = (
        "SELECT (tenant_id, billable_client_id, correlation_id)::text FROM public.external_proofs WHERE proof_id = %s"
    )
    plain = payments.one(read, payments.proof(attestation))
    given = payments.proof(attestation, tenant_id=tenant, billable_client_id=payer, correlation_id=correlation)

    assert plain == payments.one(read, given) == f"({tenant},{payer},{correlation})"


def test_a_proof_is_refused_when_who_pays_cannot_be_told(payments: Payments) -> None:
    """Each case has a code of its own, none is P0001, and nothing is written (AC3, D-42)."""
    payer, other_payer = payments.payer(), payments.payer()
    tenant, other = payments.tenant(payer), payments.tenant(other_payer)
    attestation = payments.attestation(tenant)
    cases: list[tuple[str, str, object, dict[str, object]]] = [
        ("P7211", "attestation does not exist or has no tenant", uuid4(), {}),
        ("P7211", "attestation does not exist or has no tenant", None, {}),
        ("P7213", "another tenant than its attestation", attestation, {"tenant_id": other}),
        ("P7214", "another payer than its tenant has", attestation, {"billable_client_id": other_payer}),
        ("P7215", "another correlation id than its attestation", attestation, {"correlation_id": uuid4()}),
        ("P7202", "subject belongs to another tenant", attestation, {"subject_member_id": payments.member(other)}),
        ("23503", "subject does not exist", attestation, {"subject_member_id": uuid4()}),
    ]
    for sqlstate, text, about, columns in cases:
        with pytest.raises(psycopg.Error, match=text) as caught:
            payments.proof(about, **columns)  # type: ignore[arg-type]
        assert code(caught) == sqlstate
    assert payments.one("SELECT count(*) FROM public.external_proofs") == 0
    assert payments.proof(attestation, subject_member_id=payments.member(tenant))


def test_a_proof_of_a_tenant_without_payer_is_refused(payments: Payments) -> None:
    """P7212; the test takes the tenant's payer away as only a superuser without checks could (AC3)."""
    tenant = payments.tenant(payments.payer())
    attestation = payments.attestation(tenant)
    payments.run("ALTER TABLE public.tenants DISABLE TRIGGER trg_settle_tenant_payer")
    payments.run("UPDATE public.tenants SET predates_payer = true, billable_client_id = NULL")

    with pytest.raises(psycopg.Error, match="does not exist or has no payer") as caught:
        payments.proof(attestation)
    assert code(caught) == "P7212"


def test_a_proof_needs_no_right_to_read_tenants(database: ScratchDatabase, payments: Payments) -> None:
    """A role with INSERT on proofs alone records one: the derivation runs with the owner's rights (D-16)."""
    attestation = payments.attestation(payments.tenant(payments.payer()))
    role = fresh("prover").replace("-", "_")
    database.connect_admin().execute(f"CREATE ROLE {role}".encode())
    payments.run(f"GRANT USAGE ON SCHEMA public TO {role}")
    payments.run(f"GRANT INSERT ON public.external_proofs TO {role}")
    payments.run(f"GRANT EXECUTE ON FUNCTION public.uuid_v7_or_random() TO {role}")
    prover = database.connect(role)
    prover.execute(PROOF.encode(), (attestation,))
    assert payments.one("SELECT billable_client_id IS NOT NULL FROM public.external_proofs")
    refused(prover, "42501", "SELECT * FROM public.tenants")


def test_a_payer_change_waits_for_the_proof(database: ScratchDatabase, payments: Payments) -> None:
    """While a proof is being recorded its tenant's payer cannot change; afterwards it can (D-16)."""
    old, new = payments.payer(), payments.payer()
    tenant = payments.tenant(old)
    attestation = payments.attestation(tenant)
    proving = database.connect(autocommit=False)
    proving.execute(PROOF.encode(), (attestation,))
    changer = database.connect()
    changer.execute("SET lock_timeout = '200ms'")
    refused(changer, "55P03", SET_PAYER, new, tenant)
    proving.commit()
    assert changer.execute(SET_PAYER.encode(), (new, tenant)).rowcount == 1

    payments.proof(attestation)
    assert payments.rows("SELECT billable_client_id FROM public.external_proofs ORDER BY created_at") == [
        (old,),
        (new,),
    ]


def test_a_proof_waits_for_the_payer_change(database: ScratchDatabase, payments: Payments) -> None:
    """The other way round: the proof names the payer that was committed while it waited (D-16)."""
    old, new = payments.payer(), payments.payer()
    tenant = payments.tenant(old)
    attestation = payments.attestation(tenant)
    changing = database.connect(autocommit=False)
    changing.execute(SET_PAYER.encode(), (new, tenant))
    proof = threading.Thread(target=payments.proof, args=(attestation,))
    proof.start()
    proof.join(0.3)
    assert proof.is_alive(), "the proof did not wait"
    changing.commit()
    proof.join(10)

    assert payments.one("SELECT billable_client_id FROM public.external_proofs") == new


def test_a_proof_from_an_old_snapshot_does_not_name_the_old_payer(
    database: ScratchDatabase, payments: Payments
) -> None:
    """Under REPEATABLE READ a payer changed after the snapshot ends in 40001 (D-16)."""
    old, new = payments.payer(), payments.payer()
    tenant = payments.tenant(old)
    attestation = payments.attestation(tenant)
    late = database.connect(autocommit=False)
    late.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    late.execute("SELECT 1 FROM public.tenants")
    payments.run(SET_PAYER, new, tenant)
    refused(late, "40001", PROOF, attestation)


def test_the_parties_of_a_usage_event_agree(payments: Payments) -> None:
    """Payer, tenant, client and subject belong together, and the payer is not closed (D-36)."""
    payer, other_payer, closed = payments.payer(), payments.payer(), payments.payer(status="CLOSED")
    tenant, other = payments.tenant(payer), payments.tenant(other_payer)
    client, member = payments.client(tenant), payments.member(tenant)
    assert payments.usage(payer, tenant_id=tenant, client_id=client, subject_member_id=member)
    assert payments.usage(payer, tenant_id=tenant, subject_client_id=client)
    assert payments.usage(payer)
    cases: list[tuple[str, object, dict[str, object]]] = [
        ("P7221", other_payer, {"tenant_id": tenant}),
        ("P7222", closed, {}),
        ("P7203", payer, {"tenant_id": tenant, "client_id": payments.client(other)}),
        ("P7203", payer, {"client_id": client}),
        ("P7203", payer, {"tenant_id": tenant, "subject_client_id": payments.client(other)}),
        ("P7202", payer, {"tenant_id": tenant, "subject_member_id": payments.member(other)}),
        ("23514", payer, {"subject_member_id": member}),
        ("23514", payer, {"tenant_id": tenant, "subject_member_id": member, "subject_client_id": client}),
        ("23514", payer, {"quantity": 0}),
        ("23514", payer, {"created_at": None}),
        ("23503", uuid4(), {}),
        ("23503", payer, {"client_id": uuid4()}),
    ]
    for sqlstate, who, columns in cases:
        with pytest.raises(psycopg.Error) as caught:
            payments.usage(who, **columns)  # type: ignore[arg-type]
        assert code(caught) == sqlstate, columns


def test_a_payer_is_not_closed_under_a_usage_event(database: ScratchDatabase, payments: Payments) -> None:
    """Closing waits for the event that is being recorded, and the next one is refused (D-36)."""
    payer = payments.payer()
    recording = database.connect(autocommit=False)
    Payments(recording).usage(payer)
    close = "UPDATE public.billable_clients SET status = 'CLOSED' WHERE billable_client_id = %s"
    closer = database.connect()
    closer.execute("SET lock_timeout = '200ms'")
    refused(closer, "55P03", close, payer)
    recording.commit()
    closer.execute(close.encode(), (payer,))
    with pytest.raises(psycopg.Error, match="the payer is closed") as caught:
        payments.usage(payer)
    assert code(caught) == "P7222"


def test_a_usage_event_is_billed_once_per_key(payments: Payments) -> None:
    """The key is unique per payer: 23505 of the named index; another payer may use it (INV-090)."""
    payer = payments.payer()
    payments.usage(payer, idempotency_key="k")
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        payments.usage(payer, idempotency_key="k")
    assert caught.value.diag.constraint_name == "ux_billing_usage_events_idempotency"
    payments.usage(payments.payer(), idempotency_key="k")


def test_tenants_form_a_tree(payments: Payments) -> None:
    """No tenant is its own parent, nor its own ancestor over two or three steps: P7205 (D-37)."""
    payer = payments.payer()
    top = payments.tenant(payer)
    middle = payments.tenant(payer, parent_tenant_id=top)
    leaf = payments.tenant(payer, parent_tenant_id=middle)
    adopt = "UPDATE public.tenants SET parent_tenant_id = %s WHERE tenant_id = %s"
    for parent in (top, middle, leaf):
        error = refused(payments.conn, "P7205", adopt, parent, top)
        assert "cannot be its own ancestor" in str(error)
    own = uuid4()
    with pytest.raises(psycopg.Error) as caught:
        payments.tenant(payer, tenant_id=own, parent_tenant_id=own)
    assert code(caught) == "P7205"
    payments.run(adopt, None, leaf)
    payments.run(adopt, leaf, top)


@pytest.mark.parametrize("level", [psycopg.IsolationLevel.READ_COMMITTED, psycopg.IsolationLevel.REPEATABLE_READ])
def test_two_sessions_cannot_close_a_circle_together(
    database: ScratchDatabase, payments: Payments, level: psycopg.IsolationLevel
) -> None:
    """A under B and B under A at once: one of them is refused, whatever its snapshot shows (D-37)."""
    payer = payments.payer()
    a, b = payments.tenant(payer), payments.tenant(payer)
    adopt = "UPDATE public.tenants SET parent_tenant_id = %s WHERE tenant_id = %s"
    one, two = (database.connect(autocommit=False) for _ in range(2))
    for conn in (one, two):
        conn.isolation_level = level
        conn.execute("SELECT count(*) FROM public.tenants")
    one.execute(adopt.encode(), (b, a))
    codes: list[str | None] = []

    def second() -> None:
        try:
            two.execute(adopt.encode(), (a, b))
            two.commit()
        except psycopg.Error as exc:
            two.rollback()
            codes.append(exc.sqlstate)

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(0.3)
    one.commit()
    thread.join(10)

    assert codes == ["P7205" if level is psycopg.IsolationLevel.READ_COMMITTED else "40001"]
