"""A row names its own tenant's members and clients, an existing tenant, and stays with it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from make_payments import Payments, fresh, refused

if TYPE_CHECKING:
    from fix_database import ScratchDatabase


@pytest.fixture
def payments(database: ScratchDatabase) -> Payments:
    """The business as its owner sees it."""
    return Payments(database.connect())


@pytest.fixture
def tenants(payments: Payments) -> tuple[UUID, UUID]:
    """Two tenants of one payer."""
    payer = payments.payer()
    return payments.tenant(payer), payments.tenant(payer)


def test_an_attestation_keeps_within_its_tenant(payments: Payments, tenants: tuple[UUID, UUID]) -> None:
    """Members and clients of the tenant are accepted; others, unknown ones and missing tenants are refused (D-15)."""
    mine, other = tenants
    assert payments.attestation(mine, member_id=payments.member(mine), client_id=payments.client(mine))
    cases: list[tuple[str, str, object, dict[str, object]]] = [
        ("P7202", "the member belongs to another tenant", mine, {"member_id": payments.member(other)}),
        ("P7203", "the client belongs to another tenant", mine, {"client_id": payments.client(other)}),
        ("23503", "the member does not exist", mine, {"member_id": uuid4()}),
        ("23503", "the client does not exist", mine, {"client_id": uuid4()}),
        ("P7201", "a member needs its tenant beside it", None, {"member_id": payments.member(mine)}),
        ("23502", "tenant_id", None, {}),
        ("23503", "ingress_attestations_tenant_id_fkey", uuid4(), {}),
        ("23514", "instruction_id_nonempty", mine, {"instruction_id": ""}),
        ("23514", "instruction_id_nonempty", mine, {"instruction_id": " \t\r\n\f\v"}),
        ("23514", "payload_hash_nonempty", mine, {"payload_hash": ""}),
        ("23514", "payload_hash_nonempty", mine, {"payload_hash": " \t\r\n\f\v"}),
        ("23514", "signatures_is_array", mine, {"signatures": "{}"}),
        ("23502", "signatures", mine, {"signatures": None}),
    ]
    for sqlstate, text, tenant, columns in cases:
        with pytest.raises(psycopg.Error, match=text) as caught:
            payments.attestation(tenant, **({"instruction": fresh("i")} | columns))  # type: ignore[arg-type]
        assert caught.value.sqlstate == sqlstate, columns


def test_an_instruction_is_attested_once_per_tenant(payments: Payments, tenants: tuple[UUID, UUID]) -> None:
    """A second acceptance is 23505 of the named index; another tenant's is another instruction (INV-066)."""
    payments.attestation(tenants[0], "i")
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        payments.attestation(tenants[0], "i")
    assert caught.value.diag.constraint_name == "ux_ingress_attestations_tenant_instruction"
    payments.attestation(tenants[1], "i")


def test_an_attempt_keeps_within_its_tenant(payments: Payments, tenants: tuple[UUID, UUID]) -> None:
    """The guard stands on the ledger of attempts too (D-15)."""
    mine, other = tenants
    payments.attempt(uuid4(), 1, "FAILED", tenant_id=mine, member_id=payments.member(mine))
    for sqlstate, columns in (
        ("P7202", {"tenant_id": mine, "member_id": payments.member(other)}),
        ("P7201", {"member_id": payments.member(mine)}),
        ("23503", {"tenant_id": mine, "member_id": uuid4()}),
        ("23503", {"tenant_id": uuid4()}),
    ):
        with pytest.raises(psycopg.Error) as caught:
            payments.attempt(uuid4(), 1, "FAILED", **columns)
        assert caught.value.sqlstate == sqlstate


@pytest.mark.parametrize(("table", "key"), [("tenant_members", "member_id"), ("tenant_clients", "client_id")])
def test_members_and_clients_stay_with_their_tenant(
    database: ScratchDatabase, payments: Payments, tenants: tuple[UUID, UUID], table: str, key: str
) -> None:
    """Moving one would move the history that names it: P7204, in replica mode too; all else may change (D-15)."""
    mine, other = tenants
    one = payments.member(mine) if table == "tenant_members" else payments.client(mine)
    admin = database.connect_admin()
    admin.execute("SET session_replication_role = replica")
    for conn in (payments.conn, admin):
        error = refused(conn, "P7204", f"UPDATE public.{table} SET tenant_id = %s WHERE {key} = %s", other, one)
        assert f"a row of public.{table} stays with its tenant" in str(error)
        refused(conn, "P7204", f"UPDATE public.{table} SET {key} = gen_random_uuid() WHERE {key} = %s", one)
    assert payments.run(f"UPDATE public.{table} SET status = 'SUSPENDED', tenant_id = tenant_id") == 1


def test_guards_hold_in_replica_mode(database: ScratchDatabase, payments: Payments, tenants: tuple[UUID, UUID]) -> None:
    """A superuser's replica session skips foreign keys, not the guards (D-12, D-15)."""
    mine, other = tenants
    member = payments.member(other)
    admin = database.connect_admin()
    admin.execute("SET session_replication_role = replica")
    with pytest.raises(psycopg.Error) as caught:
        Payments(admin).attestation(mine, member_id=member)
    assert caught.value.sqlstate == "P7202"
