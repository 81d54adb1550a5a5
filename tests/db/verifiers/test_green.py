"""What is sound is green, whoever asks and whatever the database holds; and nothing is left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from db.verifiers.conftest import Bench
from psycopg import sql

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.registry import INVARIANTS, TIGHTENING

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from fix_database import MigratedDatabase

    from scripts.migrations.files import MigrationFile
    from scripts.result import Result


def red(results: dict[str, Result]) -> dict[str, object]:
    """What did not pass, and why."""
    return {
        name: result.error or [(check.id, check.expected, check.observed) for check in result.failures]
        for name, result in results.items()
        if not result.passed
    }


@pytest.mark.parametrize("who", ["owner", "admin"])
def test_the_migrated_database_is_green(bench: Bench, who: str) -> None:
    """AC1, AC2, AC3, AC4, AC5, AC6: every invariant passes on 0027, for the owner and for a superuser."""
    results = bench.settle(conn=getattr(bench, who))

    assert red(results) == {}
    assert len(results) == len(INVARIANTS)
    assert all(result.examined >= len(result.checks) // 2 for result in results.values())


def test_what_0026_and_0027_bring_is_red_before_them(
    migrated_to: Callable[[int], MigratedDatabase], project_files: tuple[MigrationFile, ...]
) -> None:
    """On 0025 exactly the invariants that the last two files bring are red; the task's own name the task."""
    bench = Bench(migrated_to(25), project_files)
    results = bench.settle()
    failed = {name for name, result in results.items() if not result.passed}

    assert not [name for name, result in results.items() if result.error]
    assert failed == {
        "migration-history",
        "no-tx-migrations",
        "definer-search-path",
        "table-definitions",
        "business-foundation-hooks",
        "payer-attribution",
        "correlation-join",
        "legacy-rows",
        "n-minus-one",
    }
    invariants = {invariant.id: invariant for invariant in INVARIANTS}
    owned = {name for name in failed if invariants[name].origin_task_id == TIGHTENING}
    assert owned >= {
        "table-definitions", "business-foundation-hooks", "payer-attribution", "correlation-join", "legacy-rows",
    }  # fmt: skip
    assert invariants["business-foundation-hooks"].failure_signature == (
        "P0.BIZ.HOOKS.DELTA_TIGHTENING.NEW_ROW_ENFORCEMENT_MISSING"
    )
    missing = {check.id for check in results["business-foundation-hooks"].failures}
    assert {
        "tenants_billable_client_required_new_rows_chk",
        "ux_billable_clients_client_key",
        "trg_set_corr_id_payment_outbox_pending",
        "tenant_without_payer",
    } <= missing


def test_rows_of_others_are_neither_touched_nor_in_the_way(bench: Bench) -> None:
    """With ten thousand rows of each kind every invariant is green, and every row is as it was, to the version."""
    fill(bench.owner)
    before = versions(bench.owner)
    assert sum(len(rows) for rows in before.values()) > 50_000

    assert red(bench.settle()) == {}
    assert versions(bench.owner) == before


def test_nothing_is_left_behind(bench: Bench) -> None:
    """After all invariants the catalog, the memberships, the settings and the locks of the session are as before."""

    def traces() -> list[object]:
        return [
            fingerprint(read_catalog(bench.owner)),
            bench.owner.execute("SELECT roleid, member, grantor FROM pg_auth_members ORDER BY 1, 2, 3").fetchall(),
            bench.owner.execute("SELECT name, setting FROM pg_settings WHERE name !~ '^transaction|[.]'").fetchall(),
            bench.owner.execute("SELECT current_user, session_user, pg_my_temp_schema() <> 0").fetchall()[0][:2],
            bench.owner.execute(
                "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype <> 'virtualxid'"
            ).fetchall(),
            bench.owner.info.transaction_status,
        ]

    before = traces()
    bench.settle()

    assert traces() == before


SQUATTERS = (
    "CREATE SCHEMA squatter",
    "CREATE TABLE squatter.tenants (LIKE public.tenants INCLUDING ALL)",
    "CREATE TABLE squatter.payment_outbox_pending (LIKE public.payment_outbox_pending INCLUDING ALL)",
    "CREATE FUNCTION squatter.set_correlation_id_if_null() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    (
        "CREATE TRIGGER trg_set_corr_id_payment_outbox_pending BEFORE INSERT ON squatter.payment_outbox_pending "
        "FOR EACH ROW EXECUTE FUNCTION squatter.set_correlation_id_if_null()"
    ),
    "CREATE UNIQUE INDEX ux_billable_clients_client_key ON squatter.tenants (tenant_key)",
)


def test_squatters_change_nothing_and_stand_in_for_nothing(bench: Bench) -> None:
    """D-32: objects of our names in another schema disturb no invariant, and satisfy none whose own object is gone."""
    gates = ("business-foundation-hooks", "table-definitions", "definer-search-path")
    with bench.owner.transaction(force_rollback=True):
        for statement in SQUATTERS:
            bench.owner.execute(statement.encode())
        assert red(bench.settle(*gates)) == {}

        bench.owner.execute("DROP INDEX public.ux_billable_clients_client_key")
        bench.owner.execute("DROP TRIGGER trg_set_corr_id_payment_outbox_pending ON public.payment_outbox_pending")
        bench.owner.execute("SET LOCAL search_path TO squatter, public")
        results = bench.settle(*gates)
    for name in gates[:2]:
        failed = {check.id for check in results[name].failures}
        assert {"ux_billable_clients_client_key", "trg_set_corr_id_payment_outbox_pending"} <= failed


GUTTED = (
    """DO $$ DECLARE r record; BEGIN
        FOR r IN SELECT p.oid::regprocedure AS f FROM pg_proc p WHERE pronamespace = 'public'::regnamespace
                  AND prorettype = 'trigger'::regtype LOOP
            EXECUTE format('CREATE OR REPLACE FUNCTION %s RETURNS trigger LANGUAGE plpgsql AS %L', r.f,
                           'BEGIN RETURN coalesce(NEW, OLD); END');
        END LOOP;
    END $$""",
    """DO $$ DECLARE r record; BEGIN
        FOR r IN SELECT conrelid::regclass AS t, conname AS c FROM pg_constraint
                  WHERE connamespace = 'public'::regnamespace AND contype = 'c' LOOP
            EXECUTE format('ALTER TABLE %1$s DROP CONSTRAINT %2$I, ADD CONSTRAINT %2$I CHECK (true) NOT VALID',
                           r.t, r.c);
        END LOOP;
    END $$""",
    """DO $$ DECLARE r record; BEGIN
        FOR r IN SELECT c.relname AS i, t.oid::regclass AS t FROM pg_index x
                   JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
                  WHERE t.relnamespace = 'public'::regnamespace
                    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid) LOOP
            EXECUTE format('DROP INDEX public.%I', r.i);
            EXECUTE format('CREATE INDEX %I ON %s ((1)) WHERE false', r.i, r.t);
        END LOOP;
    END $$""",
    """DO $$ DECLARE r record; BEGIN
        FOR r IN SELECT split_part(pg_get_functiondef(p.oid), E'\nAS ', 1) AS head, proretset AS rows FROM pg_proc AS p
                  WHERE pronamespace = 'public'::regnamespace AND prosqlbody IS NULL
                    AND prorettype <> 'trigger'::regtype LOOP
            EXECUTE replace(r.head, 'LANGUAGE sql', 'LANGUAGE plpgsql') || ' AS '
                || quote_literal('BEGIN RETURN' || CASE WHEN r.rows THEN '' ELSE ' NULL' END || '; END');
        END LOOP;
    END $$""",
    "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC",
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC",
)


def test_a_gutted_database_with_every_name_in_place_is_red(bench: Bench) -> None:
    """D-08: what passed every verifier of the predecessor fails all of these but those about roles and history."""
    with bench.owner.transaction(force_rollback=True):
        for statement in GUTTED:
            bench.owner.execute(statement.encode())
        results = bench.settle()
    passed = {name for name, result in results.items() if result.passed}

    assert passed == {"migration-history", "role-login-posture", "outbox-mvcc-posture"}


HARMLESS = {
    "a comment": "COMMENT ON TABLE public.tenants IS 'another'",
    "a comment on a column": "COMMENT ON COLUMN public.tenants.status IS 'another'",
    "a renamed constraint that PostgreSQL could have named": (
        "ALTER TABLE public.tenants RENAME CONSTRAINT tenants_status_check TO tenants_status_list"
    ),
    "a renamed key": "ALTER TABLE public.tenants RENAME CONSTRAINT tenants_pkey TO tenants_key",
    "a renamed reference": (
        "ALTER TABLE public.billing_usage_events RENAME CONSTRAINT billing_usage_events_tenant_id_fkey TO events_fk"
    ),
    "the same index again": (
        "DROP INDEX public.idx_tenants_status; CREATE INDEX idx_tenants_status ON public.tenants USING btree (status)"
    ),
    "the same trigger again": (
        "DROP TRIGGER trg_settle_tenant_payer ON public.tenants; CREATE TRIGGER trg_settle_tenant_payer BEFORE UPDATE "
        "OR INSERT ON public.tenants FOR EACH ROW EXECUTE FUNCTION public.settle_tenant_payer(); "
        "ALTER TABLE public.tenants ENABLE ALWAYS TRIGGER trg_settle_tenant_payer"
    ),
    "an unrelated table": "CREATE TABLE public.unrelated (id bigint PRIMARY KEY)",
    "an unrelated schema": "CREATE SCHEMA unrelated; CREATE TABLE unrelated.tenants (id int)",
    "a further index": "CREATE INDEX further ON public.tenants (tenant_name)",
    "a new role with a grant on a new table": (
        "CREATE ROLE newcomer; CREATE TABLE public.unrelated (id int); GRANT SELECT ON public.unrelated TO newcomer"
    ),
    "a further NOT NULL": "ALTER TABLE public.tenant_members ALTER COLUMN msisdn_hash SET NOT NULL",
    "a further column": "ALTER TABLE public.tenants ADD COLUMN note text",
    "statistics": "ALTER TABLE public.tenants ALTER COLUMN status SET STATISTICS 500; ANALYZE public.tenants",
    "a login that may act as a worker": "CREATE ROLE worker LOGIN; GRANT symphony_executor TO worker",
    "a deadline of a role's own": "ALTER ROLE symphony_ingest SET statement_timeout = '5s'",
    "an extension whose functions everybody may run": "CREATE EXTENSION citext SCHEMA public",
    "what the regulator cannot reach": (
        "CREATE SCHEMA unrelated; CREATE TABLE unrelated.t (id int); GRANT ALL ON unrelated.t TO PUBLIC; "
        "CREATE SCHEMA empty; GRANT USAGE ON SCHEMA empty TO PUBLIC; CREATE FUNCTION unrelated.f() RETURNS int "
        "LANGUAGE sql RETURN 1"
    ),
    "temporary tables for everybody": (
        "DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database()); END $$"
    ),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS.keys())
def test_a_harmless_change_raises_no_alarm(bench: Bench, change: str) -> None:
    """What takes no guarantee away leaves every invariant green."""
    # msisdn_hash: members made by the probes have none, so nothing else of theirs may be asked for.
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(change.encode())
        results = bench.settle("table-definitions", "table-privileges", "definer-search-path", "role-login-posture")
        results |= bench.settle("function-privileges", "table-conventions", "ci-invariant-gate", "no-tx-migrations")
        if "NOT NULL" not in change:
            results |= bench.settle()

    assert red(results) == {}


def test_what_the_owner_may_do_is_no_way_around(bench: Bench) -> None:
    """D-08: the ceiling of a database, the right to set it, and an owner who may act as a worker raise no alarm."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute("CREATE ROLE dba LOGIN")
        for statement in (
            "ALTER DATABASE {database} SET symphony.outbox_retry_ceiling = 7",
            "GRANT SET ON PARAMETER symphony.outbox_retry_ceiling TO {owner}, symphony_control",
            "GRANT symphony_ingest TO {owner} WITH INHERIT TRUE, SET TRUE",
            "GRANT {owner}, symphony_ingest TO dba",
            "ALTER ROLE dba SET search_path = public",
        ):
            names = {"database": bench.database.name, "owner": bench.owner.info.user}
            bench.admin.execute(sql.SQL(statement).format(**{k: sql.Identifier(v) for k, v in names.items()}))
        results = bench.settle("role-login-posture", "table-privileges", conn=bench.admin)

    assert red(results) == {}


def fill(conn: psycopg.Connection[Any], count: int = 10_000) -> None:
    """Rows as production would hold them: due, leased and expired items, a ledger, attestations, payers."""
    with conn.transaction():
        conn.execute(
            "INSERT INTO public.billable_clients (legal_name, client_type, client_key)"
            " SELECT 'payer', 'BANK', 'key-' || n FROM generate_series(1, 100) AS n"
        )
        conn.execute(
            "INSERT INTO public.tenants (tenant_key, tenant_name, tenant_type, billable_client_id)"
            " SELECT client_key, 'tenant', 'NGO', billable_client_id FROM public.billable_clients"
        )
        conn.execute(
            "INSERT INTO public.tenant_members (tenant_id, member_ref)"
            " SELECT tenant_id, 'member-' || n FROM public.tenants, generate_series(1, %s) AS n",
            [count // 100],
        )
        conn.execute(
            "INSERT INTO public.ingress_attestations (instruction_id, tenant_id, payload_hash)"
            " SELECT 'instruction-' || n, tenant_id, 'hash' FROM public.tenants, generate_series(1, %s) AS n",
            [count // 100],
        )
        conn.execute(
            "INSERT INTO public.external_proofs (attestation_id, provider, request_hash, response_hash)"
            " SELECT attestation_id, 'provider', 'request', 'response' FROM public.ingress_attestations"
        )
        conn.execute(
            "SELECT count(e.*) FROM public.ingress_attestations AS i, LATERAL public.enqueue_payment_outbox("
            "i.instruction_id, i.instruction_id, i.attestation_id::text, 'RAIL', '{}', i.tenant_id) AS e"
        )
        conn.execute(
            "INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key,"
            " rail_type, sequence_id, payload, attempt_no, state, tenant_id)"
            " SELECT outbox_id, instruction_id, participant_id, idempotency_key, rail_type, sequence_id, payload, 1,"
            " 'RETRYABLE', tenant_id FROM public.payment_outbox_pending"
        )
        # A third is due, a third is leased, a third was left by workers that died long ago.
        conn.execute(
            "UPDATE public.payment_outbox_pending SET claimed_by = 'worker', lease_token = gen_random_uuid(),"
            " claimed_at = now(), lease_expires_at = now() + CASE WHEN hashtext(instruction_id) % 3 = 1"
            " THEN interval '1 hour' ELSE interval '-9 years' END WHERE hashtext(instruction_id) % 3 <> 0"
        )
        conn.execute(
            "INSERT INTO public.billing_usage_events (billable_client_id, tenant_id, event_type, units, quantity)"
            " SELECT billable_client_id, tenant_id, 'CASE_PACK', 'count', 1"
            " FROM public.tenants, generate_series(1, %s)",
            [count // 100],
        )
        conn.execute("INSERT INTO public.policy_versions (version, checksum) VALUES ('active', 'checksum')")
    conn.execute("ANALYZE")


def versions(conn: psycopg.Connection[Any]) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table with its row version: a row that was touched, even undone, is told by its xmax."""
    return {
        name: conn.execute(
            sql.SQL("SELECT t.ctid::text, t.xmin::text, t.xmax::text FROM {} AS t ORDER BY t.ctid").format(
                sql.Identifier("public", name)
            )
        ).fetchall()
        for name in TABLES
    }
