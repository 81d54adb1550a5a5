"""What opens our tables to somebody whom their grants keep out, in any schema; and what looks like it and does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

GATE = "table-privileges"
SHUT = "CREATE SCHEMA report; "
PLACE = SHUT + "GRANT USAGE ON SCHEMA report TO PUBLIC; "
QUEUE = "public.payment_outbox_pending"
DEFINER = (
    "CREATE FUNCTION report.f() RETURNS {} LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS "
    "'BEGIN DELETE FROM public.revoked_tokens; RETURN NULL; END'; "
)

# Changes, and what opened_by_views then observes.
VIEWS = {
    "a view": (
        PLACE + f"CREATE VIEW report.v AS SELECT payload FROM {QUEUE}; GRANT SELECT ON report.v TO symphony_ingest",
        "symphony_ingest: SELECT on report.v",
    ),
    "in public": (
        f"CREATE VIEW public.v AS SELECT payload FROM {QUEUE}; GRANT SELECT ON public.v TO symphony_executor",
        "symphony_executor: SELECT on public.v",
    ),
    "one of its columns": (
        PLACE
        + f"CREATE VIEW report.v AS SELECT payload FROM {QUEUE}; GRANT SELECT (payload) ON report.v TO boz_auditor, "
        "symphony_ingest",
        "symphony_ingest: SELECT on report.v",
    ),
    "to everybody": (
        PLACE + f"CREATE VIEW report.v AS TABLE {QUEUE}; GRANT SELECT ON report.v TO PUBLIC",
        "PUBLIC: SELECT on report.v",
    ),
    "to a role that nobody knows": (
        PLACE + f"CREATE ROLE newcomer_{{n}}; CREATE VIEW report.v AS TABLE {QUEUE}; "
        "GRANT SELECT ON report.v TO newcomer_{n}",
        "newcomer_{n}: SELECT on report.v",
    ),
    "one column to a role that nobody knows": (
        PLACE + f"CREATE ROLE newcomer_{{n}}; CREATE VIEW report.v AS TABLE {QUEUE}; "
        "GRANT SELECT (payload) ON report.v TO newcomer_{n}",
        "newcomer_{n}: SELECT on report.v",
    ),
    "a copy": (
        PLACE
        + "CREATE MATERIALIZED VIEW report.v AS TABLE public.tenants; GRANT SELECT ON report.v TO symphony_readonly",
        "symphony_readonly: SELECT on report.v",
    ),
    "a view of a view": (
        PLACE + f"CREATE VIEW report.inner AS TABLE {QUEUE}; CREATE VIEW report.v AS SELECT payload FROM report.inner; "
        "GRANT SELECT ON report.v TO symphony_ingest",
        "symphony_ingest: SELECT on report.v",
    ),
    "a view that is written through": (
        PLACE + f"CREATE VIEW report.v AS TABLE {QUEUE}; GRANT SELECT, UPDATE ON report.v TO symphony_control",
        "symphony_control: UPDATE on report.v",
    ),
    "a column that its own grant leaves out": (
        PLACE + "CREATE VIEW report.v AS SELECT member_id, status FROM public.tenant_members; "
        "GRANT SELECT ON report.v TO symphony_ingest",
        "symphony_ingest: SELECT on report.v",
    ),
    "a rule": (
        PLACE + "CREATE TABLE report.t (x int); CREATE RULE r AS ON INSERT TO report.t DO ALSO "
        "DELETE FROM public.revoked_tokens; GRANT INSERT ON report.t TO symphony_executor",
        "symphony_executor: INSERT on report.t",
    ),
    "the runner's history": (
        PLACE
        + "CREATE VIEW report.v AS TABLE public.schema_migrations_history; GRANT SELECT ON report.v TO boz_auditor",
        "boz_auditor: SELECT on report.v",
    ),
    "one that an extension is said to have brought": (
        PLACE + f"CREATE VIEW report.v AS TABLE {QUEUE}; GRANT SELECT ON report.v TO symphony_ingest; "
        "ALTER EXTENSION plpgsql ADD VIEW report.v",
        "symphony_ingest: SELECT on report.v",
    ),
    "in a schema that one role may use": (
        SHUT + "GRANT USAGE ON SCHEMA report TO symphony_ingest; "
        f"CREATE VIEW report.v AS TABLE {QUEUE}; GRANT SELECT ON report.v TO PUBLIC",
        "symphony_ingest: SELECT on report.v",
    ),
}
# Changes, and what opened_by_functions then observes.
FUNCTIONS = {
    "everybody's": (PLACE + DEFINER.format("integer"), "PUBLIC: EXECUTE on report.f()"),
    "one role's": (
        PLACE + DEFINER.format("integer") + "REVOKE EXECUTE ON FUNCTION report.f() FROM PUBLIC; "
        "GRANT EXECUTE ON FUNCTION report.f() TO symphony_ingest",
        "symphony_ingest: EXECUTE on report.f()",
    ),
    "of another role of the schema": (
        PLACE + DEFINER.format("integer") + "ALTER FUNCTION report.f() OWNER TO symphony_control; "
        "REVOKE EXECUTE ON FUNCTION report.f() FROM PUBLIC; GRANT EXECUTE ON FUNCTION report.f() TO symphony_ingest",
        "symphony_ingest: EXECUTE on report.f()",
    ),
    "a login's that may act as a worker": (
        PLACE + DEFINER.format("integer") + "REVOKE EXECUTE ON FUNCTION report.f() FROM PUBLIC; "
        "CREATE ROLE worker_{n} LOGIN; GRANT symphony_executor TO worker_{n}; "
        "GRANT EXECUTE ON FUNCTION report.f() TO worker_{n}",
        "worker_{n}: EXECUTE on report.f()",
    ),
    "behind a trigger": (
        PLACE + DEFINER.format("trigger") + "REVOKE EXECUTE ON FUNCTION report.f() FROM PUBLIC; "
        "CREATE TABLE report.t (x int); GRANT INSERT ON report.t TO symphony_ingest; "
        "CREATE TRIGGER t BEFORE INSERT ON report.t FOR EACH ROW EXECUTE FUNCTION report.f()",
        "symphony_ingest: INSERT on report.t",
    ),
    "behind a cast": (
        SHUT + "CREATE TYPE report.pair AS (a int); CREATE FUNCTION report.f(report.pair) RETURNS int "
        "LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN DELETE FROM public.revoked_tokens; RETURN 1; END'; "
        "CREATE CAST (report.pair AS int) WITH FUNCTION report.f(report.pair)",
        "PUBLIC: EXECUTE on report.f(report.pair)",
    ),
    "behind an aggregate": (
        PLACE
        + "CREATE SCHEMA closed; CREATE FUNCTION closed.f(int, int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER "
        "AS 'BEGIN DELETE FROM public.revoked_tokens; RETURN 1; END'; "
        "REVOKE EXECUTE ON FUNCTION closed.f(int, int) FROM PUBLIC; "
        "CREATE AGGREGATE report.total(int) (SFUNC = closed.f, STYPE = int)",
        "PUBLIC: EXECUTE on report.total(integer)",
    ),
    "one that an extension is said to have brought": (
        PLACE + DEFINER.format("integer") + "CREATE EXTENSION citext SCHEMA report; "
        "ALTER EXTENSION citext ADD FUNCTION report.f()",
        "PUBLIC: EXECUTE on report.f()",
    ),
}
# What opens nothing.
HARMLESS = {
    "a view of what its reader may read": (
        PLACE + f"CREATE VIEW report.v AS SELECT payload FROM {QUEUE}; "
        "GRANT SELECT ON report.v TO symphony_readonly, symphony_auditor, symphony_control"
    ),
    "a view of the columns that its reader may read": (
        PLACE + "CREATE VIEW report.v AS SELECT member_id, tenant_id FROM public.tenant_members; "
        "GRANT SELECT ON report.v TO symphony_ingest"
    ),
    "a view that asks as its reader": (
        PLACE + f"CREATE VIEW report.v WITH (security_invoker) AS TABLE {QUEUE}; GRANT SELECT ON report.v TO PUBLIC"
    ),
    "a view that its owner alone may read": PLACE + f"CREATE VIEW report.v AS TABLE {QUEUE}",
    "a view of an owner who may read nothing": (
        PLACE + f"CREATE ROLE newcomer_{{n}}; CREATE VIEW report.v AS TABLE {QUEUE}; "
        "ALTER VIEW report.v OWNER TO newcomer_{n}; GRANT SELECT ON report.v TO PUBLIC"
    ),
    "a view in a schema that nobody may use": (
        f"CREATE SCHEMA report; CREATE VIEW report.v AS TABLE {QUEUE}; GRANT SELECT ON report.v TO PUBLIC"
    ),
    "a view of another table": (
        PLACE + "CREATE TABLE report.t (x int); CREATE VIEW report.v AS TABLE report.t; GRANT ALL ON report.v TO PUBLIC"
    ),
    "a role that may act as the tables' owner": (
        PLACE + f"CREATE ROLE newcomer_{{n}}; CREATE VIEW report.v AS TABLE {QUEUE}; "
        "GRANT SELECT ON report.v TO newcomer_{n}; "
        "DO $$ BEGIN EXECUTE format('GRANT %I TO newcomer_{n}', (SELECT tableowner FROM pg_tables "
        "WHERE tablename = 'tenants')); END $$"
    ),
    "a function that no role of the schema may run": (
        PLACE + DEFINER.format("integer") + "REVOKE EXECUTE ON FUNCTION report.f() FROM PUBLIC; "
        "CREATE ROLE newcomer_{n}; GRANT EXECUTE ON FUNCTION report.f() TO newcomer_{n}"
    ),
    "a function in a schema that nobody may use": "CREATE SCHEMA report; " + DEFINER.format("integer"),
    "a function with its caller's rights": (
        PLACE + "CREATE FUNCTION report.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
        "GRANT EXECUTE ON FUNCTION report.f() TO PUBLIC"
    ),
    "a function of an owner who may do nothing": (
        PLACE + DEFINER.format("integer") + "CREATE ROLE newcomer_{n}; ALTER FUNCTION report.f() OWNER TO newcomer_{n}"
    ),
    "a function of an event trigger": (
        PLACE + "CREATE FUNCTION report.f() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN END'"
    ),
    "a guard of ours on another table": (
        PLACE + "CREATE TABLE report.t (tenant_id uuid, subject_member_id uuid); GRANT INSERT ON report.t TO PUBLIC; "
        "CREATE TRIGGER t BEFORE INSERT ON report.t FOR EACH ROW EXECUTE FUNCTION public.enforce_usage_event_parties()"
    ),
    "a schema in which another role may make things": (
        "CREATE ROLE newcomer_{n} LOGIN; CREATE SCHEMA report; GRANT ALL ON SCHEMA report TO newcomer_{n}; "
        "CREATE SCHEMA AUTHORIZATION newcomer_{n}"
    ),
    "a rule between other tables": (
        PLACE + "CREATE TABLE report.t (x int); CREATE RULE r AS ON INSERT TO report.t DO INSTEAD NOTHING; "
        "GRANT INSERT ON report.t TO PUBLIC"
    ),
}


def failed(bench: Bench, change: str, n: str) -> dict[str, object]:
    """What the failed checks of the gate observe under a superuser's change."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(change.replace("{n}", n).encode())
        result = bench.settle(GATE, conn=bench.admin)[GATE]
    assert not result.error
    return {check.id: check.observed for check in result.failures}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_or_rule_that_opens_a_table_is_red(bench: Bench, name: str) -> None:
    """Whoever looks through it has the rights of its owner."""
    change, observed = VIEWS[name]
    n = bench.database.name

    assert failed(bench, change, n) == {"opened_by_views": observed.replace("{n}", n)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_lends_its_owners_rights_is_red(bench: Bench, name: str) -> None:
    """What it does with them nobody has reviewed."""
    change, observed = FUNCTIONS[name]
    n = bench.database.name

    assert failed(bench, change, n) == {"opened_by_functions": observed.replace("{n}", n)}


@pytest.mark.parametrize(
    ("change", "observed"),
    [
        ("GRANT CREATE ON SCHEMA pg_catalog TO symphony_ingest", "symphony_ingest: CREATE on schema pg_catalog"),
        ("CREATE SCHEMA report; GRANT CREATE ON SCHEMA report TO PUBLIC", "PUBLIC: CREATE on schema report"),
        ("CREATE SCHEMA report AUTHORIZATION symphony_control", "symphony_control: CREATE on schema report"),
        (
            (
                "CREATE ROLE worker_{n} LOGIN; GRANT symphony_executor TO worker_{n}; "
                "CREATE SCHEMA AUTHORIZATION worker_{n}"
            ),
            "worker_{n}: CREATE on schema worker_{n}",
        ),
    ],
)
def test_a_schema_to_make_things_in_is_red(bench: Bench, change: str, observed: str) -> None:
    """Nothing is made at run time; in pg_catalog, or in a schema of its own name, it would be found before ours."""
    n = bench.database.name

    assert failed(bench, change, n) == {"schemas_create": observed.replace("{n}", n)}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_opens_nothing_is_green(bench: Bench, name: str) -> None:
    """It shows nobody what he could not see without it, lends no right on our tables, or cannot be reached."""
    assert failed(bench, HARMLESS[name], bench.database.name) == {}


def test_the_help_says_how_to_shut_it(bench: Bench) -> None:
    """Who was let in, by what, and what to do."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute((VIEWS["a view"][0] + "; " + DEFINER.format("integer")).encode())
        bench.admin.execute("GRANT CREATE ON SCHEMA report TO symphony_control")
        failures = {check.id: check for check in bench.settle(GATE, conn=bench.admin)[GATE].failures}

    assert failures["opened_by_views"].help == (
        "REVOKE it: whoever looks through a view, or sets off a rule, does so with the rights of its owner"
    )
    assert failures["opened_by_functions"].help == (
        "REVOKE it, or make it SECURITY INVOKER: it does what its owner may do, and nobody has reviewed what"
    )
    assert failures["schemas_create"].help == (
        "REVOKE it: nothing is made at run time, and what is made there may be found before ours"
    )
    assert {check.expected for check in failures.values()} == {"nobody"}
    assert {check.where for check in failures.values()} == {"every schema"}
