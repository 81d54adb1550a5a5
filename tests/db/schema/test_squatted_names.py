"""A name that is taken never stands in for the thing itself: not a trigger elsewhere, not a constraint on the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from make_payments import Payments, refused

from scripts.errors.migration import MigrationFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigratedDatabase

TRIGGERS = {
    "trg_set_corr_id_ingress_attestations": "ingress_attestations",
    "trg_set_corr_id_payment_outbox_pending": "payment_outbox_pending",
    "trg_set_corr_id_payment_outbox_attempts": "payment_outbox_attempts",
    "trg_set_external_proofs_attribution": "external_proofs",
    "trg_settle_billable_client_key": "billable_clients",
    "trg_settle_tenant_payer": "tenants",
}
HARMLESS = "CREATE FUNCTION squat.harmless() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"


def test_triggers_of_the_same_name_elsewhere_suppress_none(migrated_to: Callable[[int], MigratedDatabase]) -> None:
    """All six names are taken on tables of another schema before 0026: ours are made, and work (D-32, AC2, AC3)."""
    database = migrated_to(25)
    owner = database.connect()
    owner.execute("CREATE SCHEMA squat")
    owner.execute(HARMLESS)
    for trigger, table in TRIGGERS.items():
        owner.execute(f"CREATE TABLE squat.{table} (correlation_id uuid)".encode())
        owner.execute(
            f"CREATE TRIGGER {trigger} BEFORE INSERT ON squat.{table} FOR EACH ROW"
            " EXECUTE FUNCTION squat.harmless()".encode()
        )

    database.migrate()

    payments = Payments(owner)
    made = payments.rows(
        "SELECT t.tgname, t.tgenabled, p.pronamespace::regnamespace::text FROM pg_trigger t"
        " JOIN pg_proc p ON p.oid = t.tgfoid"
        " JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = 'public'::regnamespace AND t.tgname = ANY(%s)",
        list(TRIGGERS),
    )
    assert {name: (enabled, where) for name, enabled, where in made} == dict.fromkeys(TRIGGERS, ("A", "public"))
    attestation = payments.attestation(payments.tenant(payments.payer()), "i")
    proof = payments.proof(attestation)
    assert payments.one("SELECT correlation_id FROM public.external_proofs WHERE proof_id = %s", proof) == payments.one(
        "SELECT correlation_id FROM public.ingress_attestations"
    )
    assert payments.queue(payments.enqueue().outbox_id, "correlation_id IS NOT NULL") == (True,)


@pytest.mark.parametrize(("trigger", "table"), TRIGGERS.items())
def test_a_trigger_of_that_name_on_the_table_stops_the_migration(
    migrated_to: Callable[[int], MigratedDatabase], trigger: str, table: str
) -> None:
    """A harmless trigger of the name on our own table is an error, never taken for ours (D-32)."""
    database = migrated_to(25)
    owner = database.connect()
    owner.execute("CREATE SCHEMA squat")
    owner.execute(HARMLESS)
    owner.execute(
        f"CREATE TRIGGER {trigger} BEFORE INSERT ON public.{table} FOR EACH ROW"
        " EXECUTE FUNCTION squat.harmless()".encode()
    )

    with pytest.raises(MigrationFailedError, match=rf'trigger "{trigger}" for relation "{table}" already exists'):
        database.migrate()

    assert len(database.recorded()) == 25


@pytest.mark.parametrize(
    ("table", "constraint"),
    [
        ("tenants", "tenants_billable_client_required_new_rows_chk"),
        ("external_proofs", "external_proofs_tenant_required_new_rows_chk"),
        ("payment_outbox_pending", "payment_outbox_pending_correlation_required_new_rows_chk"),
    ],
)
def test_a_check_of_that_name_stops_the_migration(
    migrated_to: Callable[[int], MigratedDatabase], table: str, constraint: str
) -> None:
    """A check of the name that holds nothing is an error, never taken for ours (D-32)."""
    database = migrated_to(25)
    database.connect().execute(f"ALTER TABLE public.{table} ADD CONSTRAINT {constraint} CHECK (true)".encode())

    with pytest.raises(MigrationFailedError, match=constraint):
        database.migrate()

    assert len(database.recorded()) == 25


def test_a_constraint_of_the_same_name_elsewhere_suppresses_none(
    migrated_to: Callable[[int], MigratedDatabase],
) -> None:
    """Names of constraints are a table's own: one on another table changes nothing (D-32, AC1)."""
    database = migrated_to(25)
    owner = database.connect()
    owner.execute(
        "CREATE TABLE public.elsewhere (a int, CONSTRAINT tenants_billable_client_required_new_rows_chk CHECK (true))"
    )

    database.migrate()

    error = refused(
        owner,
        "23514",
        "INSERT INTO public.tenants (tenant_key, tenant_name, tenant_type) VALUES ('k', 'n', 'NGO')",
    )
    assert error.diag.constraint_name == "tenants_billable_client_required_new_rows_chk"


def test_an_index_of_that_name_with_another_definition_is_no_index_of_ours(
    migrated_to: Callable[[int], MigratedDatabase],
) -> None:
    """The key's unique index, squatted by one that is not unique, stops 0027 instead of being adopted (D-32, AC5)."""
    database = migrated_to(26)
    database.connect().execute("CREATE INDEX ux_billable_clients_client_key ON public.billable_clients (legal_name)")

    with pytest.raises(Exception, match="ux_billable_clients_client_key") as caught:
        database.migrate()

    assert getattr(caught.value, "exit_code", None) == 5
    assert len(database.recorded()) == 26


def test_the_same_index_built_before_is_adopted(migrated_to: Callable[[int], MigratedDatabase]) -> None:
    """0013 builds what 0007 built: found whole and of that definition it is kept, and the file is recorded (D-34)."""
    database = migrated_to(12)
    oid = "SELECT 'public.idx_payment_outbox_pending_due_claim'::regclass::oid"
    before = database.value(oid)

    (applied,) = database.migrate(13).files

    assert (applied.no_tx, database.value(oid)) == (True, before)
    assert any("idx_payment_outbox_pending_due_claim" in note for note in applied.notes)


def test_history_changes_no_type_and_repeats_no_name(
    migrated_to: Callable[[int], MigratedDatabase],
) -> None:
    """A tenant is a uuid, and mandatory, from the first attestation on; 0017 neither converts nor restates (D-34)."""
    database = migrated_to(16)
    column = (
        "SELECT format_type(atttypid, atttypmod) || ' ' || attnotnull FROM pg_attribute"
        " WHERE attrelid = 'public.ingress_attestations'::regclass AND attname = 'tenant_id'"
    )
    shape = "SELECT pg_get_indexdef('public.idx_ingress_attestations_tenant_received'::regclass)"
    before = (database.value(column), database.value(shape))

    database.migrate(17)

    assert before == (database.value(column), database.value(shape))
    assert before[0] == "uuid true"
    assert "WHERE (tenant_id IS NOT NULL)" in before[1]
