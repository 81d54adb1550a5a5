"""What is sound is green, whoever asks and whatever the database holds; and nothing is left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog
from scripts.verifiers.registry import INVARIANTS

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

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
    """D-08: what passed every verifier of the predecessor fails all of these but those about roles and storage."""
    with bench.owner.transaction(force_rollback=True):
        for statement in GUTTED:
            bench.owner.execute(statement.encode())
        results = bench.settle()
    passed = {name for name, result in results.items() if result.passed}

    assert passed == {"role-login-posture", "outbox-mvcc-posture"}


def test_what_the_owner_may_do_is_no_way_around(bench: Bench) -> None:
    """D-08: the ceiling of a database, the right to set it, and an owner who may act as a worker raise no alarm.

    Nor does whoever may act as the owner, as long as nobody made a worker of that login.
    """
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute("CREATE ROLE dba LOGIN")
        for statement in (
            "ALTER DATABASE {database} SET symphony.outbox_retry_ceiling = 7",
            "GRANT SET ON PARAMETER symphony.outbox_retry_ceiling TO {owner}, symphony_control",
            "GRANT symphony_ingest TO {owner} WITH INHERIT TRUE, SET TRUE",
            "GRANT {owner} TO dba",
            "ALTER ROLE dba SET session_replication_role = replica",
        ):
            names = {"database": bench.database.name, "owner": bench.owner.info.user}
            bench.admin.execute(sql.SQL(statement).format(**{k: sql.Identifier(v) for k, v in names.items()}))
        results = bench.settle("role-login-posture", "table-privileges", conn=bench.admin)

    assert red(results) == {}
