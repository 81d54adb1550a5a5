"""Who may do what: deny by default, functions instead of tables, and no way from a worker's role to the owner's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from make_payments import Payments, fresh, refused

if TYPE_CHECKING:
    import psycopg
    from fix_database import ScratchDatabase

RUNTIME = ("symphony_control", "symphony_executor", "symphony_ingest", "symphony_readonly", "symphony_auditor")
ROLES = (*RUNTIME, "test_user", "boz_auditor")
ENQUEUE = "SELECT * FROM public.enqueue_payment_outbox('i', 'p', 'k', 'r', '{}')"
CLAIM = "SELECT * FROM public.claim_outbox_batch(1, 'w', 5)"
COMPLETE = "SELECT * FROM public.complete_outbox_attempt(gen_random_uuid(), gen_random_uuid(), 'w', 'FAILED')"
REPAIR = "SELECT * FROM public.repair_expired_leases(1, 'w')"
EXECUTES = {
    ENQUEUE: {"symphony_ingest", "symphony_control", "test_user"},
    CLAIM: {"symphony_executor", "symphony_control", "test_user"},
    COMPLETE: {"symphony_executor", "symphony_control", "test_user"},
    REPAIR: {"symphony_executor", "symphony_control", "test_user"},
    "SELECT public.uuid_v7_or_random()": {*RUNTIME, "test_user"},
    "SELECT public.bump_participant_outbox_seq('p')": set(),
    "SELECT public.outbox_retry_ceiling()": set(),
    "SELECT public.uuid_strategy()": set(),
}
BOZ_READS = {
    "payment_outbox_pending",
    "payment_outbox_attempts",
    "participants",
    "billable_clients",
    "billing_usage_events",
    "external_proofs",
    "evidence_packs",
    "evidence_pack_items",
}
POLICY = {"policy_versions"}
OUTBOX = {"payment_outbox_pending", "payment_outbox_attempts"}
REVOKED = {"revoked_client_certs", "revoked_tokens"}
# Every table privilege that any role but the owner has. What is not here is not granted.
GRANTS = {
    "symphony_control": {(t, "SELECT") for t in OUTBOX | POLICY | REVOKED | {"participant_outbox_sequences"}}
    | {(t, "INSERT") for t in REVOKED},
    "symphony_executor": {(t, "SELECT") for t in POLICY | REVOKED},
    "symphony_ingest": {(t, "SELECT") for t in POLICY | REVOKED | {"ingress_attestations"}}
    | {("ingress_attestations", "INSERT")},
    "symphony_readonly": {(t, "SELECT") for t in OUTBOX | POLICY | REVOKED | {"ingress_attestations"}},
    "symphony_auditor": {(t, "SELECT") for t in OUTBOX | POLICY | REVOKED | {"ingress_attestations"}},
    "test_user": {(t, "SELECT") for t in POLICY},
    "boz_auditor": {(t, "SELECT") for t in BOZ_READS},
}
HOLDERS = (
    "SELECT c.relname, e.privilege_type FROM pg_class c, aclexplode(c.relacl) e"
    " LEFT JOIN pg_roles r ON r.oid = e.grantee"
    " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')"
)


@pytest.fixture
def payments(database: ScratchDatabase) -> Payments:
    """The business as its owner sees it."""
    return Payments(database.connect())


@pytest.mark.parametrize("role", ROLES)
def test_a_role_holds_its_table_rights_and_no_other(payments: Payments, role: str) -> None:
    """To the letter: no DML on the outbox, no TRIGGER, TRUNCATE, REFERENCES or MAINTAIN (D-06, D-39)."""
    assert set(payments.rows(HOLDERS + " AND r.rolname = %s", role)) == GRANTS[role]


def test_public_holds_nothing(payments: Payments) -> None:
    """No right on a table, column or function, none but USAGE on the schema, and none on later functions (D-04)."""
    assert payments.rows(HOLDERS + " AND e.grantee = 0") == []
    assert (
        payments.rows(
            "SELECT a.attrelid::regclass::text, e.privilege_type FROM pg_attribute a, aclexplode(a.attacl) e"
            " WHERE e.grantee = 0 AND a.attrelid::regclass::text LIKE 'public.%%'"
        )
        == []
    )
    assert (
        payments.rows(
            "SELECT p.oid::regprocedure::text"
            " FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) e"
            " WHERE p.pronamespace = 'public'::regnamespace AND e.grantee = 0"
        )
        == []
    )
    assert payments.rows(
        "SELECT e.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) e"
        " WHERE n.nspname = 'public' AND e.grantee = 0"
    ) == [("USAGE",)]
    payments.run("CREATE FUNCTION public.later() RETURNS integer LANGUAGE sql RETURN 1")
    assert payments.one("SELECT has_function_privilege('boz_auditor', 'public.later()', 'EXECUTE')") is False


def test_column_rights_are_the_guards_reads_and_no_more(payments: Payments) -> None:
    """Ingest may see which tenant a member and a client belong to; nobody else holds a column (D-15)."""
    held = payments.rows(
        "SELECT r.rolname, c.relname, a.attname, e.privilege_type"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid,"
        " aclexplode(a.attacl) e LEFT JOIN pg_roles r ON r.oid = e.grantee"
        " WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, 2, 3, 4"
    )
    assert held == [
        ("symphony_ingest", "tenant_clients", "client_id", "SELECT"),
        ("symphony_ingest", "tenant_clients", "tenant_id", "SELECT"),
        ("symphony_ingest", "tenant_members", "member_id", "SELECT"),
        ("symphony_ingest", "tenant_members", "tenant_id", "SELECT"),
    ]


@pytest.mark.parametrize("role", [*ROLES, "a stranger"])
def test_a_function_runs_for_its_roles_alone(database: ScratchDatabase, payments: Payments, role: str) -> None:
    """Everybody else, the regulator's seat and a role made a minute ago included, gets 42501 (D-04)."""
    if role == "a stranger":
        role = fresh("stranger").replace("-", "_")
        database.connect_admin().execute(f"CREATE ROLE {role}".encode())
    caller = database.connect(role)
    for call, allowed in EXECUTES.items():
        if role not in allowed:
            refused(caller, "42501", call)
        elif call == COMPLETE:
            refused(caller, "P7002", call)
        else:
            caller.execute(call.encode())
    assert payments.one("SELECT count(*) FROM public.payment_outbox_attempts") == 0


def test_no_other_function_is_granted(payments: Payments) -> None:
    """Helpers and trigger functions are the owner's; every function is on one of the two lists (D-04)."""
    granted = payments.rows(
        "SELECT DISTINCT p.proname FROM pg_proc p, aclexplode(p.proacl) e WHERE p.pronamespace = 'public'::regnamespace"
        " AND e.grantee <> p.proowner ORDER BY 1"
    )
    assert [name for (name,) in granted] == [
        "claim_outbox_batch",
        "complete_outbox_attempt",
        "enqueue_payment_outbox",
        "repair_expired_leases",
        "uuid_v7_or_random",
    ]


@pytest.mark.parametrize("role", ROLES)
def test_no_role_writes_the_outbox_directly(database: ScratchDatabase, payments: Payments, role: str) -> None:
    """Neither forging an attempt nor erasing an item, nor emptying, locking or extending a table (D-06, D-39)."""
    payments.enqueue()
    caller = database.connect(role)
    for table in ("payment_outbox_pending", "payment_outbox_attempts", "participant_outbox_sequences"):
        for statement in (
            f"INSERT INTO public.{table} DEFAULT VALUES",
            f"DELETE FROM public.{table}",
            f"TRUNCATE public.{table}",
            f"DO $$ BEGIN LOCK TABLE public.{table} IN ACCESS EXCLUSIVE MODE; END $$",
            f"ALTER TABLE public.{table} ADD COLUMN x int",
        ):
            refused(caller, "42501", statement)
    refused(caller, "42501", "UPDATE public.payment_outbox_pending SET attempt_count = 0")
    refused(caller, "42501", "SELECT * FROM public.payment_outbox_idempotency")
    assert payments.one("SELECT count(*) FROM public.payment_outbox_pending") == 1


@pytest.mark.parametrize("role", ROLES)
def test_no_role_changes_the_schema(database: ScratchDatabase, role: str) -> None:
    """CREATE on the schema is nobody's; no runtime DDL (INV-006)."""
    caller = database.connect(role)
    for statement in (
        "CREATE TABLE public.x ()",
        "CREATE FUNCTION public.x() RETURNS int LANGUAGE sql RETURN 1",
        "DROP TABLE public.payment_outbox_pending",
        "DROP FUNCTION public.uuid_strategy()",
        "CREATE SCHEMA mine",
    ):
        refused(caller, "42501", statement)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_reaches_the_owner_by_a_trigger(database: ScratchDatabase, payments: Payments, role: str) -> None:
    """A trigger in the temporary schema on a table that DEFINER functions write: 42501 for every role (D-06)."""
    caller = database.connect(role)
    caller.execute("CREATE FUNCTION pg_temp.spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    tables = [name for (name,) in payments.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    assert len(tables) >= 19
    for table in tables:
        refused(
            caller,
            "42501",
            f"CREATE TRIGGER spy BEFORE INSERT ON public.{table} FOR EACH ROW EXECUTE FUNCTION pg_temp.spy()",
        )


def _shadow(caller: psycopg.Connection[Any], *tables: str) -> None:
    """Temporary tables of the same names and columns, searched first by a careless function."""
    for table in tables:
        caller.execute(f"CREATE TEMP TABLE {table} (LIKE public.{table} INCLUDING ALL)".encode())


def test_a_temporary_table_shadows_nothing(database: ScratchDatabase, payments: Payments) -> None:
    """Enqueue, claim, retry, repair and dispatch write the real tables, however the caller's session looks (D-05)."""
    names = ("payment_outbox_pending", "payment_outbox_attempts", "participant_outbox_sequences")
    for name in names:
        payments.run(f"GRANT SELECT ON public.{name} TO test_user")
    caller = database.connect("test_user")
    _shadow(caller, *names)
    caller.execute("SET search_path = pg_temp, public")
    mine = Payments(caller)
    item = mine.enqueue()
    mine.complete(mine.claim()[0], "RETRYABLE")
    payments.make_due()
    mine.claim()
    payments.expire()
    mine.repair()
    payments.make_due()
    mine.complete(mine.claim()[0], "DISPATCHED")

    assert [state for _, state in payments.attempts(item.outbox_id)] == ["RETRYABLE", "ZOMBIE_REQUEUE", "DISPATCHED"]
    for name in names:
        assert mine.one(f"SELECT count(*) FROM pg_temp.{name}") == 0


def test_a_temporary_function_or_operator_shadows_nothing(database: ScratchDatabase, payments: Payments) -> None:
    """A caller's own now(), coalesce-like operator or ceiling is never called with the owner's rights (D-05)."""
    caller = database.connect("test_user")
    caller.execute("CREATE FUNCTION pg_temp.outbox_retry_ceiling() RETURNS integer LANGUAGE sql RETURN 1")
    caller.execute(
        "CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql RETURN timestamptz 'infinity'"
    )
    caller.execute(
        "CREATE FUNCTION pg_temp.loud(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''shadowed''; END'"
    )
    caller.execute("CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.loud)")
    caller.execute("SET search_path = pg_temp, pg_catalog, public")
    mine = Payments(caller)
    mine.enqueue()
    assert mine.complete(mine.claim()[0], "RETRYABLE") == (1, "RETRYABLE")
    assert payments.one("SELECT count(*) FROM public.payment_outbox_pending WHERE next_attempt_at < 'infinity'") == 1


def test_every_function_pins_its_path(payments: Payments) -> None:
    """pg_temp is named, and last; the one function without a path has a body bound at creation (D-05, INV-008)."""
    loose = payments.rows(
        "SELECT proname, prosqlbody IS NOT NULL FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, public, pg_temp']"
    )
    assert loose == [("uuid_v7_or_random", True)]


@pytest.mark.parametrize("role", [*RUNTIME, "test_user"])
def test_every_runtime_role_reads_the_active_policy(database: ScratchDatabase, payments: Payments, role: str) -> None:
    """The boot query works for each of them (D-11, INV-016)."""
    payments.run("INSERT INTO public.policy_versions (version, checksum) VALUES ('v1', 'c')")
    assert Payments(database.connect(role)).rows(
        "SELECT version FROM public.policy_versions WHERE is_active = true"
    ) == [("v1",)]
    refused(database.connect(role), "42501", "UPDATE public.policy_versions SET status = 'RETIRED'")


def test_ingest_records_an_attestation(database: ScratchDatabase, payments: Payments) -> None:
    """With member and client, through all guards, and it reads it and the revocations; it changes nothing (D-15)."""
    tenant = payments.tenant(payments.payer())
    ingest = Payments(database.connect("symphony_ingest"))
    made = ingest.attestation(tenant, "i", member_id=payments.member(tenant), client_id=payments.client(tenant))
    assert ingest.one("SELECT attestation_id FROM public.ingress_attestations") == made
    assert ingest.enqueue("i", tenant=tenant).state == "PENDING"
    assert ingest.rows("SELECT * FROM public.revoked_tokens") == []
    refused(ingest.conn, "42501", "DELETE FROM public.ingress_attestations")
    refused(ingest.conn, "42501", "INSERT INTO public.revoked_tokens (token_jti) VALUES ('x')")
    refused(ingest.conn, "42501", "SELECT msisdn_hash FROM public.tenant_members")


def test_control_revokes_and_cannot_take_it_back(database: ScratchDatabase) -> None:
    """It adds a revocation; changing or removing one is not granted (INV-036)."""
    control = Payments(database.connect("symphony_control"))
    control.run("INSERT INTO public.revoked_tokens (token_jti) VALUES ('x')")
    refused(control.conn, "42501", "DELETE FROM public.revoked_tokens")


def test_the_regulators_seat_reads_and_does_nothing_else(database: ScratchDatabase, payments: Payments) -> None:
    """Eight tables are read, no other; nothing is written, nothing is called (D-04, INV-111)."""
    payments.enqueue()
    seat = database.connect("boz_auditor")
    tables = [name for (name,) in payments.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    for table in tables:
        if table in BOZ_READS:
            seat.execute(f"SELECT * FROM public.{table}".encode())
        else:
            refused(seat, "42501", f"SELECT * FROM public.{table}")
        refused(seat, "42501", f"DELETE FROM public.{table}")


def test_definer_functions_belong_to_no_superuser(payments: Payments) -> None:
    """Whatever is reached through them, it is not the server (D-06)."""
    owners = payments.rows(
        "SELECT r.rolsuper, count(*) >= 6 FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner"
        " WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace GROUP BY 1"
    )
    assert owners == [(False, True)]


def test_an_unknown_item_is_told_like_a_lost_lease(database: ScratchDatabase) -> None:
    """A worker learns nothing about items that are not its own."""
    worker = database.connect("symphony_executor")
    error = refused(worker, "P7002", COMPLETE.replace("gen_random_uuid()", f"'{uuid4()}'", 1))
    assert error.diag.message_detail is None
