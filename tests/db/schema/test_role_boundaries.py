"""Who may do what: every role against every table and function, and nobody gains the owner's rights by a detour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from make_payments import Payments, refused
from psycopg.conninfo import make_conninfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_database import ScratchDatabase

ROLES = (
    "symphony_control",
    "symphony_executor",
    "symphony_ingest",
    "symphony_readonly",
    "symphony_auditor",
    "test_user",
    "boz_auditor",
)
CONTROL, EXECUTOR, INGEST, READONLY, AUDITOR, TESTER, BOZ = ROLES
# Role → table → privileges; what is not here is held by nobody but the owner.
TABLES: dict[str, dict[str, str]] = {
    "payment_outbox_pending": dict.fromkeys((CONTROL, READONLY, AUDITOR, BOZ), "SELECT"),
    "payment_outbox_attempts": dict.fromkeys((CONTROL, READONLY, AUDITOR, BOZ), "SELECT"),
    "participant_outbox_sequences": {CONTROL: "SELECT"},
    "policy_versions": dict.fromkeys((CONTROL, EXECUTOR, INGEST, READONLY, AUDITOR, TESTER), "SELECT"),
    "ingress_attestations": {INGEST: "INSERT,SELECT", READONLY: "SELECT", AUDITOR: "SELECT"},
    "revoked_client_certs": {CONTROL: "INSERT,SELECT"} | dict.fromkeys((INGEST, EXECUTOR, READONLY, AUDITOR), "SELECT"),
    "revoked_tokens": {CONTROL: "INSERT,SELECT"} | dict.fromkeys((INGEST, EXECUTOR, READONLY, AUDITOR), "SELECT"),
    "participants": {BOZ: "SELECT"},
    "billable_clients": {BOZ: "SELECT"},
    "billing_usage_events": {BOZ: "SELECT"},
    "external_proofs": {BOZ: "SELECT"},
    "evidence_packs": {BOZ: "SELECT"},
    "evidence_pack_items": {BOZ: "SELECT"},
}
COLUMNS = {
    ("tenant_members", "member_id", INGEST),
    ("tenant_members", "tenant_id", INGEST),
    ("tenant_clients", "client_id", INGEST),
    ("tenant_clients", "tenant_id", INGEST),
}
SIX = {CONTROL, EXECUTOR, INGEST, READONLY, AUDITOR, TESTER}
FUNCTIONS = {
    "uuid_v7_or_random": SIX,
    "enqueue_payment_outbox": {INGEST, CONTROL, TESTER},
    "claim_outbox_batch": {EXECUTOR, CONTROL, TESTER},
    "complete_outbox_attempt": {EXECUTOR, CONTROL, TESTER},
    "repair_expired_leases": {EXECUTOR, CONTROL, TESTER},
}
# What each call answers to a role that may make it: its own refusal, or none at all.
CALLS = {
    "uuid_v7_or_random": ("SELECT public.uuid_v7_or_random()", None),
    "uuid_strategy": ("SELECT public.uuid_strategy()", None),
    "outbox_retry_ceiling": ("SELECT public.outbox_retry_ceiling()", None),
    "bump_participant_outbox_seq": ("SELECT public.bump_participant_outbox_seq('p')", None),
    "enqueue_payment_outbox": ("SELECT public.enqueue_payment_outbox('i', 'p', 'k', 'r', '{}')", None),
    "claim_outbox_batch": ("SELECT public.claim_outbox_batch(1, 'w', 1)", None),
    "complete_outbox_attempt": (
        f"SELECT public.complete_outbox_attempt('{uuid4()}', '{uuid4()}', 'w', 'FAILED')",
        "P7002",
    ),
    "repair_expired_leases": ("SELECT public.repair_expired_leases(1, 'w')", None),
}


@pytest.fixture
def admin(database: ScratchDatabase) -> Payments:
    """The superuser, who sees every privilege."""
    return Payments(database.connect_admin())


@pytest.fixture
def worker(database: ScratchDatabase, admin: Payments) -> Iterator[psycopg.Connection[Any]]:
    """A login of its own in the role of the executor: no SET ROLE away from a superuser."""
    login, password = f"login_{uuid4().hex[:12]}", uuid4().hex
    admin.run(f"CREATE ROLE {login} LOGIN PASSWORD '{password}' IN ROLE symphony_executor")
    with psycopg.connect(make_conninfo(database.dsn, user=login, password=password), autocommit=True) as conn:
        yield conn
    admin.run(f"DROP OWNED BY {login}")
    admin.run(f"DROP ROLE {login}")


def test_nobody_holds_a_table_privilege_but_these(admin: Payments) -> None:
    """The whole of every table's and view's list, MAINTAIN and PUBLIC included (D-06, D-11, D-39)."""
    rows = admin.rows(
        "SELECT c.relname, coalesce(r.rolname, 'PUBLIC'), string_agg(a.privilege_type, ',' ORDER BY a.privilege_type)"
        " FROM pg_class c CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
        " WHERE c.relnamespace = 'public'::regnamespace AND a.grantee <> c.relowner GROUP BY 1, 2"
    )
    assert sorted(rows) == sorted((t, role, held) for t, roles in TABLES.items() for role, held in roles.items())


def test_nobody_holds_a_column_privilege_but_these(admin: Payments) -> None:
    """Grants on single columns: what the guards of an attestation read, and nothing else (D-29)."""
    rows = admin.rows(
        "SELECT a.attrelid::regclass::text, a.attname, coalesce(r.rolname, 'PUBLIC') || CASE WHEN x.privilege_type"
        " = 'SELECT' THEN '' ELSE ' ' || x.privilege_type END FROM pg_attribute a CROSS JOIN aclexplode(a.attacl) x"
        " LEFT JOIN pg_roles r ON r.oid = x.grantee JOIN pg_class c ON c.oid = a.attrelid"
        " WHERE c.relnamespace = 'public'::regnamespace"
    )
    assert set(rows) == COLUMNS


def test_nobody_may_execute_a_function_but_these(admin: Payments) -> None:
    """Every function of ours, the PUBLIC of default privileges included (D-04)."""
    rows = admin.rows(
        "SELECT p.proname, coalesce(r.rolname, 'PUBLIC') FROM pg_proc p CROSS JOIN"
        " aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
        " WHERE p.pronamespace = 'public'::regnamespace AND a.grantee <> p.proowner"
    )
    assert set(rows) == {(name, role) for name, roles in FUNCTIONS.items() for role in roles}


def test_a_later_function_is_nobodys_either(database: ScratchDatabase) -> None:
    """The default privileges of whoever migrates: a function without REVOKE is still not PUBLIC's (D-04)."""
    database.connect().execute("CREATE FUNCTION public.later() RETURNS int LANGUAGE sql RETURN 1")
    refused(database.connect(BOZ), "42501", "SELECT public.later()")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_call_what_it_is_granted_and_nothing_else(database: ScratchDatabase, role: str) -> None:
    """Each call is made: 42501 where it is not granted, its own answer where it is (D-04)."""
    conn = database.connect(role)
    for name, (call, answer) in CALLS.items():
        if role not in FUNCTIONS.get(name, set()):
            error = refused(conn, "42501", call)
            assert f"permission denied for function {name}" in str(error)
        elif answer is not None:
            refused(conn, answer, call)
        else:
            conn.execute(call.encode())


def test_a_role_without_grants_can_do_nothing(database: ScratchDatabase, admin: Payments) -> None:
    """A brand-new role is PUBLIC and no more: no table, no function (D-04)."""
    role = f"stranger_{uuid4().hex[:12]}"
    admin.run(f"CREATE ROLE {role}")
    try:
        conn = database.connect(role)
        for call, _ in CALLS.values():
            refused(conn, "42501", call)
        for table in TABLES:
            refused(conn, "42501", f"SELECT 1 FROM public.{table}")
        conn.close()
    finally:
        admin.run(f"DROP ROLE {role}")


@pytest.mark.parametrize("role", ROLES)
def test_no_role_writes_queue_or_ledger(database: ScratchDatabase, role: str) -> None:
    """Not even control: an attempt cannot be forged, an item cannot be erased (D-39, D-30)."""
    conn = database.connect(role)
    for table in (
        "payment_outbox_pending",
        "payment_outbox_attempts",
        "payment_outbox_idempotency",
        "participant_outbox_sequences",
    ):
        refused(conn, "42501", f"INSERT INTO public.{table} DEFAULT VALUES")
        refused(conn, "42501", f"DELETE FROM public.{table}")
        refused(conn, "42501", f"TRUNCATE public.{table}")
        refused(conn, "42501", f"BEGIN; LOCK TABLE public.{table} IN EXCLUSIVE MODE")
        conn.execute("ROLLBACK")
    refused(conn, "42501", "UPDATE public.payment_outbox_pending SET lease_expires_at = NULL")
    refused(conn, "42501", "UPDATE public.payment_outbox_attempts SET state = 'FAILED'")
    refused(conn, "42501", "CREATE TABLE public.mine (a int)")


@pytest.mark.parametrize("role", [role for role in ROLES if role != BOZ])
def test_every_runtime_role_reads_the_active_policy(database: ScratchDatabase, role: str) -> None:
    """The boot query runs as each of them; the regulator's seat has no part in it (D-11)."""
    database.connect().execute("INSERT INTO public.policy_versions (version, checksum) VALUES ('v1', 'c')")
    conn = database.connect(role)
    boot = "SELECT version, checksum FROM public.policy_versions WHERE is_active"
    assert conn.execute(boot).fetchall() == [("v1", "c")]
    refused(conn, "42501", "UPDATE public.policy_versions SET status = 'RETIRED'")
    refused(database.connect(BOZ), "42501", boot)


def test_ingest_records_attestations_and_reads_revocations(database: ScratchDatabase) -> None:
    """The narrow grants are enough for the work: member and client guards run with its rights (D-15, AC2)."""
    owner = Payments(database.connect())
    tenant = owner.tenant(owner.payer())
    ingest = Payments(database.connect(INGEST))
    attestation = ingest.attestation(tenant, "i", member_id=owner.member(tenant), client_id=owner.client(tenant))
    query = "SELECT correlation_id IS NOT NULL FROM public.ingress_attestations WHERE attestation_id = %s"
    assert ingest.one(query, attestation) is True
    assert ingest.enqueue("i", tenant=tenant).state == "PENDING"
    assert ingest.rows("SELECT 1 FROM public.revoked_tokens WHERE token_jti = 't'") == []
    refused(ingest.conn, "42501", "SELECT msisdn_hash FROM public.tenant_members")
    refused(ingest.conn, "42501", "INSERT INTO public.revoked_tokens (token_jti) VALUES ('t')")


def test_control_revokes_for_good(database: ScratchDatabase) -> None:
    """A second revocation is 23505, and what is revoked stays so (INV-036)."""
    control = database.connect(CONTROL)
    revoke = "INSERT INTO public.revoked_tokens (token_jti) VALUES ('t')"
    control.execute(revoke)
    refused(control, "23505", revoke)
    refused(control, "42501", "DELETE FROM public.revoked_tokens")


@pytest.mark.parametrize("table", ["payment_outbox_attempts", "payment_outbox_pending", "payment_outbox_idempotency"])
def test_a_temporary_table_shadows_nothing(
    database: ScratchDatabase, worker: psycopg.Connection[Any], table: str
) -> None:
    """A worker's own temporary table of the ledger's name stays empty; the ledger has the attempt (D-05)."""
    owner = Payments(database.connect())
    item = owner.enqueue("i")
    worker.execute(
        f"CREATE TEMPORARY TABLE {table} (outbox_id uuid, attempt_no int, state text, lease_token uuid,"
        " lease_expires_at timestamptz, next_attempt_at timestamptz, created_at timestamptz)".encode()
    )
    mine = Payments(worker)
    (lease,) = mine.claim()
    assert mine.complete(lease, "DISPATCHED") == (1, "DISPATCHED")

    assert owner.attempts(item.outbox_id) == [(1, "DISPATCHED")]
    assert owner.queue(item.outbox_id, "1") is None
    assert mine.one(f"SELECT count(*) FROM pg_temp.{table}") == 0


def test_temporary_functions_and_operators_are_not_called(
    database: ScratchDatabase, worker: psycopg.Connection[Any]
) -> None:
    """Functions of the built-in ones' names in the caller's own schemas are never reached (D-05)."""
    Payments(database.connect()).enqueue("i")
    for name in ("clock_timestamp() RETURNS timestamptz", "make_interval(secs double precision) RETURNS interval"):
        worker.execute(f"CREATE FUNCTION pg_temp.{name} LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$".encode())
    worker.execute("SET search_path = pg_temp, public, pg_catalog")
    (lease,) = Payments(worker).claim()
    assert Payments(worker).complete(lease, "RETRYABLE") == (1, "RETRYABLE")


def test_every_function_of_ours_pins_its_path(admin: Payments) -> None:
    """pg_catalog first, pg_temp last; the one without a setting has its body bound at creation (D-05)."""
    rows = admin.rows(
        "SELECT proname, proconfig, prosqlbody IS NOT NULL FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    )
    loose = [name for name, config, _ in rows if config != ["search_path=pg_catalog, public, pg_temp"]]
    assert loose == ["uuid_v7_or_random"]
    assert [bound for name, _, bound in rows if name in loose] == [True]


@pytest.mark.parametrize("role", ROLES)
def test_no_role_can_plant_code_that_runs_as_the_owner(database: ScratchDatabase, role: str) -> None:
    """No trigger, rule or policy on a table that a DEFINER function writes (D-06)."""
    conn = database.connect(role)
    conn.execute("CREATE FUNCTION pg_temp.escalate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    for table in ("payment_outbox_pending", "payment_outbox_attempts", "participant_outbox_sequences"):
        refused(
            conn,
            "42501",
            f"CREATE TRIGGER t BEFORE INSERT ON public.{table} FOR EACH ROW EXECUTE FUNCTION pg_temp.escalate()",
        )
        refused(conn, "42501", f"CREATE RULE r AS ON INSERT TO public.{table} DO INSTEAD NOTHING")
        refused(conn, "42501", f"CREATE POLICY p ON public.{table}")
        refused(conn, "42501", f"ALTER TABLE public.{table} DISABLE TRIGGER ALL")


def test_the_functions_owner_is_no_superuser(admin: Payments) -> None:
    """Whoever got code into a DEFINER function would not be a superuser yet (D-06)."""
    query = "SELECT DISTINCT r.rolsuper FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner WHERE p.prosecdef"
    assert admin.rows(query) == [(False,)]


def test_a_worker_cannot_move_the_ceiling(database: ScratchDatabase, worker: psycopg.Connection[Any]) -> None:
    """A setting of its session, and a default of its own login, count for nothing (D-38)."""
    login = worker.info.user
    database.connect_admin().execute(f"ALTER ROLE {login} SET symphony.outbox_retry_ceiling = 1".encode())
    Payments(database.connect()).enqueue("i")
    again = psycopg.connect(worker.info.dsn, password=worker.info.password, autocommit=True)
    again.execute("SET symphony.outbox_retry_ceiling = 1")
    (lease,) = Payments(again).claim()
    assert Payments(again).complete(lease, "RETRYABLE") == (1, "RETRYABLE")
    again.close()
