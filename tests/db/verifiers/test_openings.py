"""What opens our tables to somebody whom their grants keep out, in any schema; and what looks like it and does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from scripts.verifiers.facts.reach import read_reach
from scripts.verifiers.twin.names import COMMENT

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

GATE = "table-privileges"
SHUT = "CREATE SCHEMA report; "
PLACE = SHUT + "GRANT USAGE ON SCHEMA report TO PUBLIC; "
QUEUE = "public.payment_outbox_pending"
SECRET = "public.tenant_members"
DEFINER = (
    "CREATE FUNCTION report.f() RETURNS {} LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS "
    "'BEGIN DELETE FROM public.revoked_tokens; RETURN NULL; END'; "
)

# What the owner of the tables makes, and gives away again.
MAKE_OURS = (
    "DO $$ BEGIN EXECUTE format('ALTER %s OWNER TO %I', '{}', "
    "(SELECT tableowner FROM pg_tables WHERE tablename = 'tenants')); END $$; "
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
_VIEWS_TOO = {
    "a view in a schema that is called as if a verifier had made it": (
        "SELECT pg_advisory_xact_lock(x'deadbeefdeadbeef'::bigint); CREATE SCHEMA parity_twin_deadbeefdeadbeef; "
        "GRANT USAGE ON SCHEMA parity_twin_deadbeefdeadbeef TO PUBLIC; "
        f"COMMENT ON SCHEMA parity_twin_deadbeefdeadbeef IS '{COMMENT}'; "
        + MAKE_OURS.format("SCHEMA parity_twin_deadbeefdeadbeef")
        + f"CREATE VIEW parity_twin_deadbeefdeadbeef.v AS TABLE {QUEUE}; "
        "GRANT SELECT ON parity_twin_deadbeefdeadbeef.v TO symphony_executor",
        "symphony_executor: SELECT on parity_twin_deadbeefdeadbeef.v",
    ),
    "a table that ours inherits from": (
        PLACE + "CREATE TABLE report.t (payload jsonb NOT NULL); GRANT SELECT ON report.t TO symphony_ingest; "
        f"ALTER TABLE {QUEUE} INHERIT report.t",
        "symphony_ingest: SELECT on report.t",
    ),
}
VIEWS |= _VIEWS_TOO
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
CODE = (
    "CREATE FUNCTION report.w(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
    "'BEGIN DELETE FROM public.revoked_tokens; RETURN $1; END'; "
)
PLAIN_TRIGGER = (
    "CREATE FUNCTION report.f() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN DELETE FROM public.revoked_tokens; RETURN OLD; END'; "
    "CREATE TRIGGER t BEFORE DELETE ON report.c FOR EACH ROW EXECUTE FUNCTION report.f(); "
)
PAIR = "CREATE TABLE report.p (i int PRIMARY KEY); CREATE TABLE report.c (i int REFERENCES report.p {}); "
ONE = "REVOKE EXECUTE ON FUNCTION report.f() FROM PUBLIC; GRANT EXECUTE ON FUNCTION report.f() TO symphony_ingest; "
POWERLESS = (
    PLACE
    + "CREATE ROLE newcomer_{n}; "
    + DEFINER.format("integer")
    + ("ALTER FUNCTION report.f() OWNER TO newcomer_{n}; " + ONE)
)
FUNCTIONS |= {
    f"of an owner who {who}": (POWERLESS + power, "symphony_ingest: EXECUTE on report.f()")
    for who, power in {
        "may run programs": "GRANT pg_execute_server_program TO newcomer_{n}",
        "may become one who may run programs": (
            "CREATE ROLE group_{n}; GRANT pg_execute_server_program TO group_{n}; GRANT group_{n} TO newcomer_{n} "
            "WITH INHERIT FALSE, SET FALSE"
        ),
        "administers a role of the schema": (
            "GRANT symphony_control TO newcomer_{n} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"
        ),
        "makes roles": "ALTER ROLE newcomer_{n} CREATEROLE",
        "sees every row": "ALTER ROLE newcomer_{n} BYPASSRLS",
        "may put foreign keys to sleep": "GRANT SET ON PARAMETER session_replication_role TO newcomer_{n}",
        "reads the server's files": "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO newcomer_{n}",
        "makes schemas": "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO newcomer_{n}', "
        "current_database()); END $$",
        "may run one of ours": "GRANT EXECUTE ON FUNCTION public.bump_participant_outbox_seq TO newcomer_{n}",
        "uses a server": "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; "
        "GRANT USAGE ON FOREIGN SERVER s TO newcomer_{n}",
        "may run another such": (
            "CREATE FUNCTION report.inner() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; "
            "REVOKE EXECUTE ON FUNCTION report.inner() FROM PUBLIC; "
            "GRANT EXECUTE ON FUNCTION report.inner() TO newcomer_{n}"
        ),
        "may run one of one who may run another": (
            "CREATE ROLE middle_{n}; CREATE FUNCTION report.inner() RETURNS int LANGUAGE sql SECURITY DEFINER "
            "AS 'SELECT 1'; CREATE FUNCTION report.middle() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; "
            "ALTER FUNCTION report.middle() OWNER TO middle_{n}; "
            "REVOKE EXECUTE ON FUNCTION report.inner(), report.middle() FROM PUBLIC; "
            "GRANT EXECUTE ON FUNCTION report.inner() TO middle_{n}; "
            "GRANT EXECUTE ON FUNCTION report.middle() TO newcomer_{n}"
        ),
        "sets off a trigger that is one": (
            "CREATE FUNCTION report.inner() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN END'; "
            "REVOKE EXECUTE ON FUNCTION report.inner() FROM PUBLIC; "
            "CREATE TABLE report.t (i int); "
            "CREATE TRIGGER t AFTER INSERT ON report.t FOR EACH ROW EXECUTE FUNCTION report.inner(); "
            "GRANT INSERT ON report.t TO newcomer_{n}"
        ),
    }.items()
}
FUNCTIONS |= {
    "behind a trigger on the table of who may do nothing": (
        PLACE + DEFINER.format("trigger") + "CREATE ROLE newcomer_{n}; CREATE TABLE report.t (x int); "
        "CREATE TRIGGER t BEFORE INSERT ON report.t FOR EACH ROW EXECUTE FUNCTION report.f(); "
        "ALTER TABLE report.t OWNER TO newcomer_{n}; GRANT INSERT ON report.t TO symphony_ingest; "
        "REVOKE EXECUTE ON FUNCTION report.f() FROM PUBLIC",
        "symphony_ingest: INSERT on report.t",
    ),
    "behind a trigger on a table that a view writes to": (
        PLACE + DEFINER.format("trigger") + "REVOKE EXECUTE ON FUNCTION report.f() FROM PUBLIC; "
        "CREATE TABLE report.t (x int); CREATE VIEW report.v AS TABLE report.t; "
        "CREATE TRIGGER t BEFORE INSERT ON report.t FOR EACH ROW EXECUTE FUNCTION report.f(); "
        "GRANT INSERT ON report.v TO symphony_ingest",
        "symphony_ingest: INSERT on report.v",
    ),
    "behind a trigger on a part of a table": (
        PLACE + DEFINER.format("trigger") + "REVOKE EXECUTE ON FUNCTION report.f() FROM PUBLIC; "
        "CREATE TABLE report.t (x int) PARTITION BY LIST (x); CREATE TABLE report.one PARTITION OF report.t DEFAULT; "
        "CREATE TRIGGER t BEFORE INSERT ON report.one FOR EACH ROW EXECUTE FUNCTION report.f(); "
        "GRANT INSERT ON report.t TO symphony_ingest",
        "symphony_ingest: INSERT on report.t",
    ),
    "a trigger behind a referential action": (
        PLACE + PAIR.format("ON DELETE CASCADE") + PLAIN_TRIGGER + "GRANT SELECT, DELETE ON report.p "
        "TO symphony_ingest",
        "symphony_ingest: DELETE on report.p",
    ),
    "a trigger behind two referential actions": (
        PLACE + "CREATE TABLE report.p (i int PRIMARY KEY); "
        "CREATE TABLE report.m (i int PRIMARY KEY REFERENCES report.p ON UPDATE CASCADE); "
        "CREATE TABLE report.c (i int REFERENCES report.m ON UPDATE CASCADE ON DELETE SET NULL); "
        + PLAIN_TRIGGER
        + "GRANT UPDATE (i) ON report.p TO symphony_ingest",
        "symphony_ingest: UPDATE on report.p",
    ),
    "a check behind a referential action": (
        PLACE
        + CODE
        + PAIR.format("ON DELETE SET NULL CHECK (report.w(i) IS NULL)")
        + "GRANT DELETE ON report.p TO symphony_ingest",
        "symphony_ingest: DELETE on report.p",
    ),
    "a copy that may be refreshed": (
        PLACE + "CREATE MATERIALIZED VIEW report.v AS SELECT 1 AS x; GRANT MAINTAIN ON report.v TO symphony_ingest",
        "symphony_ingest: MAINTAIN on report.v",
    ),
    "an index of an expression that may be made anew": (
        PLACE + CODE + "CREATE TABLE report.t (i int); CREATE INDEX ON report.t (report.w(i)); "
        "GRANT MAINTAIN ON report.t TO symphony_ingest",
        "symphony_ingest: MAINTAIN on report.t",
    ),
    "an index that is analysed after writes": (
        PLACE + CODE + "CREATE TABLE report.t (i int); CREATE INDEX ON report.t (i) WHERE report.w(i) = 1; "
        "GRANT INSERT ON report.t TO symphony_ingest",
        "symphony_ingest: INSERT on report.t",
    ),
    "statistics of an expression": (
        PLACE + CODE + "CREATE TABLE report.t (i int); CREATE STATISTICS report.s ON (report.w(i)) FROM report.t; "
        "GRANT MAINTAIN ON report.t TO symphony_ingest",
        "symphony_ingest: MAINTAIN on report.t",
    ),
    "an order of its own": (
        PLACE + "CREATE FUNCTION report.cmp(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 0; END'; "
        "CREATE OPERATOR CLASS report.o FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, "
        "OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 report.cmp(int, int); "
        "CREATE TABLE report.t (i int); CREATE INDEX ON report.t (i report.o); "
        "GRANT MAINTAIN ON report.t TO symphony_ingest",
        "symphony_ingest: MAINTAIN on report.t",
    ),
    "an order that runs with other rights": (
        PLACE + "CREATE FUNCTION report.cmp(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER "
        "AS 'BEGIN RETURN 0; END'; REVOKE EXECUTE ON FUNCTION report.cmp FROM PUBLIC; "
        "CREATE OPERATOR CLASS report.o FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, "
        "OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 report.cmp(int, int)",
        "PUBLIC: EXECUTE on report.cmp(integer, integer)",
    ),
    "behind a body that names it": (
        PLACE + "CREATE SCHEMA closed; CREATE FUNCTION closed.f() RETURNS int LANGUAGE sql SECURITY DEFINER "
        "AS 'SELECT 1'; CREATE FUNCTION report.g() RETURNS int LANGUAGE sql RETURN closed.f()",
        "PUBLIC: EXECUTE on closed.f()",
    ),
    "in the schema of long values": (
        DEFINER.format("integer").replace("report.f", "pg_toast.f")
        + "GRANT USAGE ON SCHEMA pg_toast TO symphony_ingest",
        "symphony_ingest: EXECUTE on pg_toast.f()",
    ),
    "of the server's own, with other rights": (
        "ALTER FUNCTION pg_catalog.query_to_xml(text, boolean, boolean, text) SECURITY DEFINER",
        "PUBLIC: EXECUTE on pg_catalog.query_to_xml(query text, nulls boolean, tableforest boolean, targetns text)",
    ),
    "in a schema that is called as if a verifier had made it": (
        "SELECT pg_advisory_xact_lock(x'deadbeefdeadbeef'::bigint); CREATE SCHEMA parity_twin_deadbeefdeadbeef; "
        "GRANT USAGE ON SCHEMA parity_twin_deadbeefdeadbeef TO symphony_ingest; "
        f"COMMENT ON SCHEMA parity_twin_deadbeefdeadbeef IS '{COMMENT}'; "
        + MAKE_OURS.format("SCHEMA parity_twin_deadbeefdeadbeef")
        + "CREATE FUNCTION parity_twin_deadbeefdeadbeef.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "symphony_ingest: EXECUTE on parity_twin_deadbeefdeadbeef.f()",
    ),
}
# What opens nothing.
HARMLESS = {
    "a trigger function of who may do nothing, on a table of ours": (
        PLACE + DEFINER.format("trigger") + "CREATE ROLE newcomer_{n}; CREATE TABLE report.t (x int); "
        "CREATE TRIGGER t BEFORE INSERT ON report.t FOR EACH ROW EXECUTE FUNCTION report.f(); "
        + MAKE_OURS.format("TABLE report.t")
        + "ALTER FUNCTION report.f() OWNER TO newcomer_{n}; "
        "GRANT INSERT ON report.t TO symphony_ingest"
    ),
    "a trigger on other events than who writes may cause": (
        PLACE + DEFINER.format("trigger") + "REVOKE EXECUTE ON FUNCTION report.f() FROM PUBLIC; "
        "CREATE TABLE report.t (x int); GRANT INSERT ON report.t TO symphony_ingest; "
        "CREATE TRIGGER t BEFORE DELETE ON report.t FOR EACH ROW EXECUTE FUNCTION report.f()"
    ),
    "functions of two who may do nothing": (
        POWERLESS + "CREATE ROLE middle_{n}; GRANT middle_{n} TO newcomer_{n}; "
        "CREATE FUNCTION report.middle() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; "
        "ALTER FUNCTION report.middle() OWNER TO middle_{n}; "
        "GRANT CONNECT, TEMPORARY ON DATABASE {db} TO newcomer_{n}; "
        "CREATE TABLE report.t (i int); GRANT ALL ON report.t TO newcomer_{n}"
    ),
    "a referential action without a trigger": (
        PLACE
        + PAIR.format("ON DELETE CASCADE ON UPDATE CASCADE CHECK (i > 0)")
        + "CREATE INDEX ON report.c (abs(i)); GRANT ALL ON report.p, report.c TO symphony_ingest"
    ),
    "a trigger on a table that nothing is passed on to": (
        PLACE + PAIR.format("") + PLAIN_TRIGGER + "GRANT ALL ON report.p, report.c TO symphony_ingest"
    ),
    "a table that may be maintained": (
        PLACE + "CREATE EXTENSION citext SCHEMA report; CREATE EXTENSION pg_trgm SCHEMA report; "
        'CREATE TABLE report.t (a int, b text, c report.citext UNIQUE, d text COLLATE "C"); '
        "CREATE INDEX ON report.t (lower(b)) WHERE a > 0; CREATE INDEX ON report.t USING gin (b report.gin_trgm_ops); "
        "CREATE STATISTICS report.s ON (a + 1), b FROM report.t; GRANT ALL ON report.t TO symphony_ingest"
    ),
    "a copy of who may do nothing": (
        PLACE + "CREATE ROLE newcomer_{n}; CREATE MATERIALIZED VIEW report.v AS SELECT 1 AS x; "
        "ALTER MATERIALIZED VIEW report.v OWNER TO newcomer_{n}; GRANT ALL ON report.v TO symphony_ingest"
    ),
    "long values of another table": (
        PLACE + "CREATE TABLE report.t (x text); GRANT USAGE ON SCHEMA pg_toast TO symphony_ingest; "
        "DO $$ BEGIN EXECUTE format('GRANT SELECT ON %s TO symphony_ingest', (SELECT reltoastrelid::regclass "
        "FROM pg_class WHERE oid = 'report.t'::regclass)); END $$"
    ),
    "long values of a table for who reads all of it": (
        "GRANT USAGE ON SCHEMA pg_toast TO symphony_readonly; "
        "DO $$ BEGIN EXECUTE format('GRANT SELECT ON %s TO symphony_readonly', (SELECT reltoastrelid::regclass "
        f"FROM pg_class WHERE oid = '{QUEUE}'::regclass)); END $$"
    ),
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


_OTHERS = re.compile(r", worker_[0-9]+: [^:]*?(?=, [^ ,]+: |$)")


def failed(bench: Bench, change: str, n: str) -> dict[str, object]:
    """What the failed checks of the gate observe under a superuser's change."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(change.replace("{n}", n).replace("{db}", f'"{n}"').encode())
        result = bench.settle(GATE, conn=bench.admin)[GATE]
    assert not result.error
    # Roles are the whole server's: a test beside this one may have made a worker's login of its own.
    return {check.id: _OTHERS.sub("", str(check.observed)) for check in result.failures}


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


@pytest.mark.parametrize("role", ["symphony_ingest", "boz_auditor", "PUBLIC"])
def test_where_long_values_lie_is_a_part_of_the_table(bench: Bench, role: str) -> None:
    """Whoever reads it has what the table keeps there; the regulator's reach shows it too."""
    with bench.admin.transaction(force_rollback=True):
        row = bench.admin.execute(
            "SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = %s::regclass", [SECRET]
        )
        (lain,) = row.fetchone() or ("",)
        bench.admin.execute(f"GRANT USAGE ON SCHEMA pg_toast TO PUBLIC; GRANT SELECT ON {lain} TO {role}".encode())
        failures = {check.id: check.observed for check in bench.settle(GATE, conn=bench.admin)[GATE].failures}
        reach = read_reach(bench.admin, "boz_auditor")

    assert failures == {"opened_by_views": f"{role}: SELECT on {lain}"}
    assert (reach.get(lain) == ("SELECT",)) is (role != "symphony_ingest")


def test_a_view_of_where_long_values_lie_is_red_for_who_reads_some_columns(bench: Bench) -> None:
    """What lies there is not told apart by columns."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(
            f"{PLACE} SET LOCAL allow_system_table_mods TO on; DO $$ BEGIN EXECUTE (SELECT "
            "format('CREATE VIEW report.v AS TABLE %s', c.reltoastrelid::regclass) FROM pg_class AS c "
            f"WHERE c.oid = '{SECRET}'::regclass); END $$; GRANT SELECT ON report.v TO symphony_ingest".encode()
        )
        failures = {check.id: check.observed for check in bench.settle(GATE, conn=bench.admin)[GATE].failures}

    assert failures == {"opened_by_views": "symphony_ingest: SELECT on report.v"}


@pytest.mark.parametrize("action", ["NO ACTION", "RESTRICT", "CASCADE"])
def test_a_reference_to_rows_that_are_deleted_is_red(bench: Bench, action: str) -> None:
    """Completion would be refused for it, or delete somebody else's rows; onto other tables anybody may refer."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(
            f"{SHUT}CREATE TABLE report.t (tenant_id uuid REFERENCES public.tenants ON DELETE {action}, "
            f"outbox_id uuid REFERENCES {QUEUE} ON DELETE {action})".encode()
        )
        failures = bench.settle("table-definitions", conn=bench.admin)["table-definitions"].failures

    assert [(check.id, check.expected, check.observed, check.where, check.help) for check in failures] == [
        (
            "payment_outbox_pending_referred_to",
            "nothing",
            "report.t (t_outbox_id_fkey)",
            f"foreign keys of others onto {QUEUE}",
            "DROP CONSTRAINT: completion and repair delete rows of this table; such a key refuses it or follows",
        )
    ]


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
        "REVOKE it, or let somebody without rights own it: it does what its owner may do, and nobody has reviewed what"
    )
    assert failures["schemas_create"].help == (
        "REVOKE it: nothing is made at run time, and what is made there may be found before ours"
    )
    assert {check.expected for check in failures.values()} == {"nobody"}
    assert {check.where for check in failures.values()} == {"every schema"}
