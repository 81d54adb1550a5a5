"""The reading of the catalog: read again after a change, it costs what has changed and says what is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

from scripts.verifiers.facts import reading
from scripts.verifiers.facts.reading import read_facts
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.facts.tables import REVIEWED, TABLES

if TYPE_CHECKING:
    import psycopg
    from db.verifiers.conftest import Bench

    from scripts.verifiers.facts.reading import Reading

# Changes that show in a table, in those that refer to it, in a function, in a role, and in what belongs to none.
CHANGES = (
    "ALTER TABLE public.tenants ALTER COLUMN tenant_name DROP NOT NULL",
    "ALTER TABLE public.tenants DISABLE TRIGGER ALL",
    "ALTER TABLE public.billable_clients RENAME TO renamed",
    "DROP TABLE public.participants CASCADE",
    "CREATE TABLE public.another (id int PRIMARY KEY); CREATE INDEX ON public.another (id) WHERE id > 0",
    "ALTER FUNCTION public.uuid_v7_or_random() SET work_mem = '1MB'",
    "CREATE FUNCTION public.uuid_v7_or_random(int) RETURNS int LANGUAGE sql RETURN 1",
    "GRANT SELECT ON public.tenants TO PUBLIC; GRANT SELECT (payload_hash) ON public.ingress_attestations TO PUBLIC",
    "ALTER ROLE symphony_ingest CREATEDB",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    "ALTER TYPE public.outbox_attempt_state RENAME VALUE 'FAILED' TO 'LOST'",
    "GRANT CREATE ON SCHEMA public TO symphony_ingest",
)


def read(conn: psycopg.Connection[Any]) -> Reading:
    """What the verifiers read."""
    return read_facts(conn, ROLES, TABLES)


def read_from_nothing(conn: psycopg.Connection[Any]) -> Reading:
    """The same by a session that has no plan and a process that remembers nothing."""
    reading._relation.cache_clear()
    reading._routine.cache_clear()
    conn.execute("DEALLOCATE ALL")
    return read(conn)


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_read_again_is_what_is_there(bench: Bench, change: str) -> None:
    """After a change, and after it was undone, a reading that remembers equals one that does not."""
    before = read(bench.admin)
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(change.encode())
        after = read(bench.admin)
        assert after == read_from_nothing(bench.admin)
        assert after != before

    assert read(bench.admin) == before == read_from_nothing(bench.admin)


def test_what_is_unchanged_is_the_same_object(bench: Bench) -> None:
    """A table and a function that are told in the same words are not built again; those that changed are."""
    before = read(bench.owner)
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute("ALTER TABLE public.tenants ADD COLUMN note text")
        after = read(bench.owner)

    changed = {name for name, table in after.tables.items() if table is not before.tables[name]}
    assert changed == {"tenants"}
    assert all(one is other for one, other in zip(before.routines, after.routines, strict=True))


def test_the_query_is_planned_once_and_leaves_the_session_as_it_was(bench: Bench) -> None:
    """One prepared statement a session, named after its text; no setting of the caller's is changed."""
    conn = bench.owner
    settings = ("search_path", "quote_all_identifiers", "jit", "plan_cache_mode")
    asked = "SELECT " + ", ".join(f"current_setting('{name}')" for name in settings)
    conn.execute("SET search_path TO pg_temp; SET quote_all_identifiers TO on; SET plan_cache_mode TO auto")
    before = conn.execute(asked.encode()).fetchone()
    with conn.transaction():
        read(conn)
        read(conn)
        assert conn.execute(asked.encode()).fetchone() == before
    read(conn)

    assert conn.execute(asked.encode()).fetchone() == before
    prepared = conn.execute(
        "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE name LIKE 'verifiers_%'"
    ).fetchall()
    assert prepared == [(3,)]


_LOGINS = 40
_LOOPS = re.compile(r"loops=(\d+)")


def test_many_logins_are_looked_at_once_each(bench: Bench) -> None:
    """Whatever plan the statistics lead to: what a login holds is not worked out for each thing that is owned."""
    question = reading.reading_question()
    types, names = ", ".join(["name[]"] * question.parameters), reading.reading_names(ROLES, TABLES, REVIEWED)
    lists = sql.SQL(", ").join(sql.Literal(list(one)) for one in names)
    with bench.admin.transaction(force_rollback=True), bench.admin.cursor() as cursor:
        for number in range(_LOGINS):
            cursor.execute(f"CREATE ROLE many_{number} LOGIN; GRANT symphony_ingest TO many_{number}".encode())
        cursor.execute(
            "SET LOCAL search_path TO pg_catalog; SET LOCAL plan_cache_mode TO force_generic_plan; "
            "SET LOCAL enable_hashjoin TO off; SET LOCAL enable_mergejoin TO off; SET LOCAL enable_material TO off"
        )
        cursor.execute(f"PREPARE many ({types}) AS {question.query}".encode())
        cursor.execute(sql.SQL("EXPLAIN (ANALYZE, TIMING OFF) EXECUTE many ({})").format(lists))
        plan = [str(line[0]) for line in cursor.fetchall()]
    looks = [int(found[1]) for line in plan if "CTE Scan on becomes" in line and (found := _LOOPS.search(line))]
    assert len(looks) > 5
    assert max(looks) <= 10 * _LOGINS
