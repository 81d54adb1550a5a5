"""The policy ledger: one version is active, and what a version is never changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from make_payments import Payments, refused

if TYPE_CHECKING:
    from fix_database import ScratchDatabase

INSERT = "INSERT INTO public.policy_versions (version, checksum, status, grace_expires_at) VALUES (%s, %s, %s, %s)"
BOOT = "SELECT version FROM public.policy_versions WHERE is_active = true"


@pytest.fixture
def payments(database: ScratchDatabase) -> Payments:
    """The ledger as its owner sees it, with one active version."""
    made = Payments(database.connect())
    made.run("INSERT INTO public.policy_versions (version, checksum) VALUES ('v1', 'c1')")
    return made


def test_one_version_is_active(payments: Payments) -> None:
    """A second one is 23505 of the named index; the boot query gives one row (INV-016, INV-018)."""
    error = refused(payments.conn, "23505", INSERT, "v2", "c2", "ACTIVE", None)
    assert error.diag.constraint_name == "ux_policy_versions_single_active"
    assert payments.rows(BOOT) == [("v1",)]


def test_a_version_moves_on(payments: Payments) -> None:
    """ACTIVE to GRACE to RETIRED, and the next one takes over; a retired version is not active (D-40)."""
    payments.run("UPDATE public.policy_versions SET status = 'GRACE', grace_expires_at = now() + interval '1 day'")
    payments.run(INSERT, "v2", "c2", "ACTIVE", None)
    payments.run("UPDATE public.policy_versions SET status = 'RETIRED' WHERE version = 'v1'")
    assert payments.rows(BOOT) == [("v2",)]


@pytest.mark.parametrize("change", ["version = 'v9'", "checksum = 'other'", "created_at = now() - interval '1 day'"])
def test_what_a_version_is_never_changes(database: ScratchDatabase, payments: Payments, change: str) -> None:
    """Its name, checksum and creation are fixed: P7301, in replica mode too (D-40, INV-017)."""
    error = refused(payments.conn, "P7301", f"UPDATE public.policy_versions SET {change}")
    assert "name, checksum and creation time never change" in str(error)
    admin = database.connect_admin()
    admin.execute("SET session_replication_role = replica")
    refused(admin, "P7301", f"UPDATE public.policy_versions SET {change}")


def test_the_ledger_is_not_emptied(payments: Payments) -> None:
    """TRUNCATE is P0001; the owner may remove a row, as a seed that is taken back needs (D-40)."""
    refused(payments.conn, "P0001", "TRUNCATE public.policy_versions")
    assert payments.run("DELETE FROM public.policy_versions") == 1


@pytest.mark.parametrize(
    ("constraint", "checksum", "status", "grace"),
    [
        ("ck_policy_checksum_nonempty", "", "RETIRED", None),
        ("ck_policy_checksum_nonempty", "  ", "RETIRED", None),
        ("ck_policy_grace_requires_expiry", "c", "GRACE", None),
    ],
)
def test_a_version_is_well_formed(
    payments: Payments, constraint: str, checksum: str, status: str, grace: str | None
) -> None:
    """A checksum, and an expiry where grace needs one: 23514 of the named check (INV-017)."""
    error = refused(payments.conn, "23514", INSERT, "v2", checksum, status, grace)
    assert error.diag.constraint_name == constraint
    refused(payments.conn, "23502", INSERT, "v2", None, "RETIRED", None)


def test_an_active_version_has_no_expiry(payments: Payments) -> None:
    """A retired one may keep it (INV-018)."""
    error = refused(payments.conn, "23514", "UPDATE public.policy_versions SET grace_expires_at = now()")
    assert error.diag.constraint_name == "ck_policy_active_has_no_grace_expiry"
    payments.run(INSERT, "v0", "c0", "RETIRED", "2026-01-01")
