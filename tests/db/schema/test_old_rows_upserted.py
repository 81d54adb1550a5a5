"""An upsert that names neither payer nor key goes on working on rows that are there, and never inserts one without."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest
from make_payments import Payments, refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from fix_database import MigratedDatabase

TENANT = (
    "INSERT INTO public.tenants (tenant_key, tenant_name, tenant_type) VALUES (%s, 'New', 'NGO')"
    " ON CONFLICT (tenant_key) DO UPDATE SET tenant_name = excluded.tenant_name"
)
PAYER = (
    "INSERT INTO public.billable_clients (billable_client_id, legal_name, client_type) VALUES (%s, 'New', 'BANK')"
    " ON CONFLICT (billable_client_id) DO UPDATE SET legal_name = excluded.legal_name"
)
MARKED = "SELECT tenant_name, predates_payer FROM public.tenants WHERE tenant_key = %s"


@pytest.fixture
def database(migrated_to: Callable[[int], MigratedDatabase]) -> MigratedDatabase:
    """The release before, with an old payer, an old tenant of it, and one without payer; then tightened."""
    made = migrated_to(25)
    payments = Payments(made.connect())
    payments.tenant(payments.payer(None), tenant_key="paid")
    payments.tenant(None, tenant_key="unpaid")
    made.migrate()
    return made


@pytest.fixture
def payments(database: MigratedDatabase) -> Payments:
    """The business as its owner sees it."""
    return Payments(database.connect())


@pytest.mark.parametrize("key", ["paid", "unpaid"])
def test_an_old_tenant_is_upserted_without_its_payer(payments: Payments, key: str) -> None:
    """By key or by id, as a job of the release before does it: the row is updated and stays what it is (AC6, D-02)."""
    payer = payments.one("SELECT billable_client_id FROM public.tenants WHERE tenant_key = %s", key)
    assert payments.run(TENANT, key) == 1
    assert payments.rows(MARKED, key) == [("New", key == "unpaid")]
    by_id = TENANT.replace("(tenant_key,", "(tenant_id, tenant_key,").replace("(%s,", "(%s, %s,")
    tenant = payments.one("SELECT tenant_id FROM public.tenants WHERE tenant_key = %s", key)
    assert payments.run(by_id.replace("(tenant_key) DO", "(tenant_id) DO"), tenant, key) == 1
    assert payments.run(TENANT.split(" DO UPDATE", maxsplit=1)[0] + " DO NOTHING", key) == 0

    assert payments.one("SELECT count(*) FROM public.tenants") == 2
    assert payments.one("SELECT billable_client_id FROM public.tenants WHERE tenant_key = %s", key) == payer


def test_an_old_payer_is_upserted_without_its_key(payments: Payments) -> None:
    """By its id: the row is updated and is still without key (AC6, D-02)."""
    payer = payments.one("SELECT billable_client_id FROM public.billable_clients")
    assert payments.run(PAYER, payer) == 1
    assert payments.rows("SELECT legal_name, client_key, predates_client_key FROM public.billable_clients") == [
        ("New", None, True)
    ]


def test_a_plain_insertion_under_a_taken_key_ends_at_the_key(payments: Payments) -> None:
    """Nothing is inserted: 23505 of the key (AC1)."""
    error = refused(payments.conn, "23505", TENANT.split(" ON CONFLICT", maxsplit=1)[0], "unpaid")
    assert error.diag.constraint_name == "tenants_tenant_key_key"
    payer = payments.one("SELECT billable_client_id FROM public.billable_clients")
    refused(payments.conn, "23505", PAYER.split(" ON CONFLICT", maxsplit=1)[0], payer)


def test_an_upsert_of_a_key_that_is_free_needs_the_payer(payments: Payments) -> None:
    """There is nothing to update, so it would be a new row: 23514 (AC1, AC5)."""
    refused(payments.conn, "23514", TENANT, "free")
    refused(payments.conn, "23514", PAYER, payments.one("SELECT gen_random_uuid()"))


def test_an_upsert_cannot_take_the_payer_away(payments: Payments) -> None:
    """Not even with all columns of the proposal, marker and all (AC1)."""
    take = (
        "INSERT INTO public.tenants (tenant_key, tenant_name, tenant_type, predates_payer) VALUES ('paid', 'n', 'NGO',"
        " true) ON CONFLICT (tenant_key) DO UPDATE SET billable_client_id = excluded.billable_client_id,"
        " predates_payer = excluded.predates_payer"
    )
    error = refused(payments.conn, "23514", take)
    assert error.diag.constraint_name == "tenants_billable_client_required_new_rows_chk"


def test_a_row_that_is_deleted_in_the_same_breath_lends_its_key_to_no_one(payments: Payments) -> None:
    """DELETE and INSERT in one statement is a new row: 23514, and the old one is still there (AC1)."""
    payments.run("DELETE FROM public.tenants WHERE tenant_key = 'paid'")
    replace = (
        "WITH gone AS (DELETE FROM public.tenants WHERE tenant_key = 'unpaid' RETURNING tenant_id, tenant_key)"
        " INSERT INTO public.tenants (tenant_id, tenant_key, tenant_name, tenant_type, predates_payer)"
        " SELECT tenant_id, tenant_key, 'n', 'NGO', true FROM gone"
    )
    refused(payments.conn, "23514", replace)
    assert payments.rows(MARKED, "unpaid") == [("Tenant", True)]


@pytest.mark.parametrize("table", ["tenants", "billable_clients"])
def test_an_upsert_waits_for_a_removal(database: MigratedDatabase, payments: Payments, table: str) -> None:
    """The row vanishes while the upsert waits for it: what is left is a new row, 23514 (AC1, AC5)."""
    payments.run("DELETE FROM public.tenants WHERE tenant_key = 'paid'")
    payer: UUID = payments.one("SELECT billable_client_id FROM public.billable_clients")
    remover = database.connect(autocommit=False)
    remover.execute(f"DELETE FROM public.{table}".encode())
    codes: list[str | None] = []

    def upsert() -> None:
        try:
            payments.run(TENANT if table == "tenants" else PAYER, "unpaid" if table == "tenants" else payer)
        except psycopg.Error as exc:
            codes.append(exc.sqlstate)

    waiting = threading.Thread(target=upsert)
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive(), "the upsert did not wait"
    remover.commit()
    waiting.join(10)

    assert codes == ["23514"]
    assert payments.one(f"SELECT count(*) FROM public.{table}") == 0


def test_a_removal_waits_for_an_upsert(database: MigratedDatabase, payments: Payments) -> None:
    """While a proposal is being turned into an update, its row cannot vanish from under it (AC1)."""
    upserter = database.connect(autocommit=False)
    assert Payments(upserter).run(TENANT.split(" DO UPDATE", maxsplit=1)[0] + " DO NOTHING", "unpaid") == 0
    remover = database.connect()
    remover.execute("SET lock_timeout = '200ms'")
    refused(remover, "55P03", "DELETE FROM public.tenants WHERE tenant_key = 'unpaid'")
    upserter.commit()
