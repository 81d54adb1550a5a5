"""What could be meant where ours is: names found earlier, operators and casts that our types exactly match."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

DATABASE = 'ALTER DATABASE {db} SET search_path = "$user", public, other; '
GATE = "definer-search-path"
ENUM = "public.outbox_attempt_state"
SAME = "CREATE FUNCTION other.same({0}, {1}) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false'; "
EQUAL = "CREATE OPERATOR {0}.= (FUNCTION = other.same, LEFTARG = {1}, RIGHTARG = {2})"
# Changes by a superuser in a database with an empty schema `other`; the check, and what it observes.
MEANT = {
    "equality of an enum type of ours": (
        SAME.format(ENUM, ENUM) + EQUAL.format("public", ENUM, ENUM),
        "operators",
        [f"operator public.=({ENUM},{ENUM})"],
    ),
    "equality of types of the server's": (
        SAME.format("uuid", "text") + EQUAL.format("public", "uuid", "text"),
        "operators",
        ["operator public.=(pg_catalog.uuid,pg_catalog.text)"],
    ),
    "in the server's schema": (
        SAME.format(ENUM, ENUM) + EQUAL.format("pg_catalog", ENUM, ENUM),
        "operators",
        [f"operator pg_catalog.=({ENUM},{ENUM})"],
    ),
    "in a schema of a role's own name": (
        "CREATE SCHEMA symphony_ingest; " + SAME.format(ENUM, ENUM) + EQUAL.format("symphony_ingest", ENUM, ENUM),
        "operators",
        [f"operator symphony_ingest.=({ENUM},{ENUM})"],
    ),
    "said to be an extension's": (
        SAME.format(ENUM, ENUM)
        + EQUAL.format("public", ENUM, ENUM)
        + f"; ALTER EXTENSION plpgsql ADD OPERATOR public.= ({ENUM}, {ENUM})",
        "operators",
        [f"operator public.=({ENUM},{ENUM})"],
    ),
    "said to be an installed extension's": (
        "CREATE EXTENSION citext SCHEMA other; "
        + SAME.format(ENUM, ENUM)
        + EQUAL.format("public", ENUM, ENUM)
        + f"; ALTER EXTENSION citext ADD OPERATOR public.= ({ENUM}, {ENUM})",
        "operators",
        [f"operator public.=({ENUM},{ENUM})"],
    ),
    "the order of a type of ours": (
        (
            f"CREATE FUNCTION other.three({ENUM}, {ENUM}) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 0'; "
            f"CREATE OPERATOR CLASS other.ops DEFAULT FOR TYPE {ENUM} USING btree AS FUNCTION 1 "
            f"other.three({ENUM}, {ENUM})"
        ),
        "operators",
        ["operator class other.ops USING btree"],
    ),
    "an entry of a family of the server's": (
        (
            f"CREATE FUNCTION other.three({ENUM}, {ENUM}) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 0'; "
            f"ALTER OPERATOR FAMILY pg_catalog.enum_ops USING btree ADD "
            f"FUNCTION 1 ({ENUM}, {ENUM}) other.three({ENUM}, {ENUM})"
        ),
        "operators",
        [
            f"function of access method function 1 ({ENUM}, {ENUM}) of pg_catalog.enum_ops USING btree",
        ],
    ),
    "a cast of an enum type of ours": (
        f"CREATE CAST ({ENUM} AS text) WITH INOUT AS IMPLICIT",
        "casts",
        [f"cast ({ENUM} AS pg_catalog.text)"],
    ),
    "a cast to an enum type of ours": (
        (
            f"CREATE FUNCTION other.f(text) RETURNS {ENUM} LANGUAGE sql AS $$SELECT 'DISPATCHED'::{ENUM}$$; "
            f"CREATE CAST (text AS {ENUM}) WITH FUNCTION other.f(text) AS ASSIGNMENT"
        ),
        "casts",
        [f"cast (pg_catalog.text AS {ENUM})"],
    ),
    "a cast said to be an installed extension's": (
        (
            f"CREATE EXTENSION citext SCHEMA public; CREATE CAST ({ENUM} AS text) WITH INOUT AS IMPLICIT; "
            f"ALTER EXTENSION citext ADD CAST ({ENUM} AS text)"
        ),
        "casts",
        [f"cast ({ENUM} AS pg_catalog.text)"],
    ),
    "a cast of a row of ours": (
        (
            "CREATE FUNCTION other.f(public.tenants) RETURNS text LANGUAGE sql AS $$SELECT ''$$; "
            "CREATE CAST (public.tenants AS text) WITH FUNCTION other.f(public.tenants) AS IMPLICIT"
        ),
        "casts",
        ["cast (public.tenants AS pg_catalog.text)"],
    ),
    "a type before ours": (
        "CREATE TYPE pg_catalog.outbox_attempt_state AS ENUM ('DISPATCHED')",
        "names",
        ["type pg_catalog.outbox_attempt_state"],
    ),
    "a table before ours": (
        "CREATE SCHEMA symphony_control; CREATE TABLE symphony_control.tenants (id integer)",
        "names",
        ["table symphony_control.tenants"],
    ),
    "a table before ours, for a login": (
        (
            "CREATE ROLE {n} LOGIN; GRANT symphony_executor TO {n}; CREATE SCHEMA {n}; "
            "CREATE VIEW {n}.tenants AS SELECT 1 AS x"
        ),
        "names",
        ["view {n}.tenants"],
    ),
    "a function before ours": (
        (
            "CREATE SCHEMA symphony_ingest; "
            "CREATE FUNCTION symphony_ingest.enqueue_payment_outbox() RETURNS integer LANGUAGE sql AS 'SELECT 1'"
        ),
        "functions",
        ["function symphony_ingest.enqueue_payment_outbox()"],
    ),
    "a function in the server's schema": (
        "CREATE FUNCTION pg_catalog.stranger() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "functions",
        ["function pg_catalog.stranger()"],
    ),
    "a better match for a function of the server's": (
        (
            "CREATE EXTENSION citext SCHEMA other; "
            "CREATE FUNCTION public.make_interval(secs integer) RETURNS interval LANGUAGE sql "
            "AS $$SELECT interval '0'$$; "
            "ALTER EXTENSION citext ADD FUNCTION public.make_interval(integer)"
        ),
        "functions",
        ["function public.make_interval(integer)"],
    ),
    "behind public, for the enum types of ours": (
        DATABASE + SAME.format(ENUM, ENUM) + EQUAL.format("other", ENUM, ENUM),
        "operators",
        [f"operator other.=({ENUM},{ENUM})"],
    ),
    "behind public, another that takes what ours takes": (
        (
            'CREATE SCHEMA "Be, ""hind"; '
            'ALTER ROLE symphony_ingest IN DATABASE {db} SET search_path = public, "Be, ""hind", pg_temp; '
            'CREATE FUNCTION "Be, ""hind".enqueue_payment_outbox(text, text, text, text, json) RETURNS integer '
            "LANGUAGE sql AS 'SELECT 1'"
        ),
        "functions",
        [
            (
                'function "Be, ""hind".enqueue_payment_outbox(pg_catalog.text,pg_catalog.text,pg_catalog.text,'
                "pg_catalog.text,json)"
            ),
        ],
    ),
    "behind public, a better match for one of the server's": (
        DATABASE + "CREATE FUNCTION other.lower(varchar) RETURNS text LANGUAGE sql AS $$SELECT ''$$",
        "functions",
        ["function other.lower(character varying)"],
    ),
    "behind public, where everybody creates": (
        DATABASE + "GRANT CREATE ON SCHEMA other TO PUBLIC",
        "functions",
        ["whatever PUBLIC makes in schema other"],
    ),
    "behind public, where a stranger creates": (
        (
            "CREATE ROLE {n} LOGIN; GRANT symphony_executor TO {n}; CREATE ROLE {n}_other; "
            "ALTER SCHEMA other OWNER TO {n}_other; ALTER ROLE {n} SET search_path = public, other"
        ),
        "functions",
        ["whatever {n}_other makes in schema other"],
    ),
}
# What nothing of ours could come to.
HARMLESS = {
    "an operator in another schema": SAME.format(ENUM, ENUM) + EQUAL.format("other", ENUM, ENUM),
    "an operator of another type": (
        "CREATE TYPE other.pair AS (a integer); " + SAME.format("other.pair", "text")
        + EQUAL.format("public", "other.pair", "text")
    ),
    "a cast of another type": (
        "CREATE TYPE other.pair AS (a integer); CREATE FUNCTION other.f(other.pair) RETURNS text LANGUAGE sql AS "
        "$$SELECT ''$$; CREATE CAST (other.pair AS text) WITH FUNCTION other.f(other.pair) AS IMPLICIT"
    ),
    "a class that nobody has to name": (
        "CREATE OPERATOR CLASS other.ops FOR TYPE integer USING btree AS OPERATOR 1 <, OPERATOR 3 =, "
        "FUNCTION 1 btint4cmp(integer, integer)"
    ),
    "names of ours where nobody looks": (
        "CREATE TABLE other.tenants (id integer); CREATE TYPE other.outbox_attempt_state AS ENUM ('X'); "
        "CREATE FUNCTION other.enqueue_payment_outbox() RETURNS integer LANGUAGE sql AS 'SELECT 1'"
    ),
    "extensions behind public": (
        DATABASE + "CREATE EXTENSION pg_trgm SCHEMA other; CREATE EXTENSION citext SCHEMA other; "
        "ALTER SCHEMA other OWNER TO {app}; GRANT USAGE ON SCHEMA other TO PUBLIC"
    ),
    "names of ours behind ours": (
        DATABASE + "CREATE TABLE other.tenants (id integer); CREATE TYPE other.outbox_attempt_state AS ENUM ('X'); "
        "CREATE FUNCTION other.uuid_v7_or_random() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()'"
    ),
    "a stranger's schema on the path of somebody who is no worker": (
        "CREATE ROLE {n}; ALTER SCHEMA other OWNER TO {n}; ALTER ROLE {n} SET search_path = public, other; "
        "CREATE FUNCTION other.lower(varchar) RETURNS text LANGUAGE sql AS $$SELECT ''$$"
    ),
    "a schema of a role's own with a table of its own": (
        "CREATE SCHEMA symphony_ingest; CREATE TABLE symphony_ingest.notes (id integer)"
    ),
    "a collation and a text search of its own": (
        "CREATE COLLATION public.other (provider = builtin, locale = 'C'); "
        "CREATE TEXT SEARCH CONFIGURATION public.other (COPY = pg_catalog.simple)"
    ),
}  # fmt: skip
# Extensions of the server's own distribution. In public, these are asked for what they could be meant for.
BROUGHT = (
    *("btree_gin", "btree_gist", "citext", "cube", "earthdistance", "fuzzystrmatch", "hstore", "intagg", "isn"),
    *("lo", "ltree", "pg_trgm", "seg", "tablefunc", "unaccent", "dict_int", "pgrowlocks", "pageinspect", "amcheck"),
    *("pg_stat_statements", "postgres_fdw", "dblink", "file_fdw", "pgstattuple", "pg_prewarm", "tcn", "refint"),
)


def failed(bench: Bench, change: str, *gates: str) -> dict[str, object]:
    """What the failed checks of the gates observe under a superuser's change."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute("CREATE SCHEMA other")
        names = {"{n}": bench.database.name, "{db}": bench.database.name, "{app}": bench.owner.info.user}
        for name, means in names.items():
            change = change.replace(name, means)
        bench.admin.execute(change.encode())
        results = bench.settle(*(gates or (GATE,)), conn=bench.admin)
    assert not [result.error for result in results.values() if result.error]
    # Some of these keep a statement of a probe from being understood at all: that is not what is asked here.
    return {
        check.id: check.observed
        for result in results.values()
        for check in result.failures
        if check.id != "shadow_setup"
    }


@pytest.mark.parametrize("name", MEANT)
def test_what_could_be_meant_instead_is_red(bench: Bench, name: str) -> None:
    """No object of ours has changed, and what they say means something else."""
    change, kind, observed = MEANT[name]

    assert failed(bench, change) == {
        f"{kind}_not_reviewed": [one.replace("{n}", bench.database.name) for one in observed]
    }


@pytest.mark.parametrize("name", HARMLESS)
def test_what_nothing_of_ours_comes_to_is_green(bench: Bench, name: str) -> None:
    """It lies where nobody looks, or takes types that nothing of ours has."""
    change = HARMLESS[name]

    assert failed(bench, change) == {}


def test_what_an_operator_of_ours_type_does_is_real(bench: Bench) -> None:
    """An equality of the enum type that is planted in public answers for the server's, which the text means."""
    change, _, _ = MEANT["equality of an enum type of ours"]
    asked = f"SELECT 'FAILED'::{ENUM} = 'FAILED'"
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute("CREATE SCHEMA other; SET LOCAL search_path TO pg_catalog, public, pg_temp")
        before = bench.admin.execute(asked.encode()).fetchone()
        bench.admin.execute(change.encode())
        after = bench.admin.execute(asked.encode()).fetchone()

    assert (before, after) == ((True,), (False,))


def test_a_better_match_behind_ours_is_real(bench: Bench) -> None:
    """What is found for its types alone is found behind public too; of the same types it never is."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute("CREATE SCHEMA other; SET LOCAL search_path TO public, other")
        for types, answer in (("text", "text"), ("varchar", "theirs")):
            bench.admin.execute(
                f"CREATE FUNCTION other.lower({types}) RETURNS text LANGUAGE sql AS $$SELECT 'theirs'$$".encode()
            )
            assert bench.admin.execute("SELECT lower('text'::varchar)").fetchone() == (answer,)


@pytest.mark.parametrize(("schema", "path"), [("public", ""), ("other", ""), ("other", DATABASE)])
def test_real_extensions_raise_no_alarm(bench: Bench, schema: str, path: str) -> None:
    """Every one that is at hand, all at once, wherever it was installed: they work on types of their own."""
    there = {row[0] for row in bench.admin.execute("SELECT name FROM pg_available_extensions").fetchall()}
    chosen = [name for name in BROUGHT if name in there]
    change = path + "; ".join(f"CREATE EXTENSION {name} SCHEMA {schema}" for name in chosen)
    gates = (
        "definer-search-path",
        "function-privileges",
        "table-definitions",
        "table-privileges",
        "role-login-posture",
    )

    assert {"citext", "hstore", "pg_trgm"} <= {*chosen}
    assert failed(bench, change, *gates, "boz-observability-role") == {}


def test_an_extension_that_takes_over_an_operator_is_told(bench: Bench) -> None:
    """A containment of integer arrays, which intarray brings, answers for the server's own in public or behind it."""
    assert failed(bench, "CREATE EXTENSION intarray SCHEMA other") == {}
    for schema, change in (("public", ""), ("other", DATABASE)):
        red = failed(bench, f"{change}CREATE EXTENSION intarray SCHEMA {schema}")

        assert set(red) == {"operators_not_reviewed"}
        assert f"operator {schema}.@>(integer[],integer[])" in str(red["operators_not_reviewed"])


def test_the_help_says_what_to_do(bench: Bench) -> None:
    """What is in the way, where it was looked for, and how to be rid of it."""
    changes = "; ".join(MEANT[name][0] for name in (
        "equality of an enum type of ours", "a cast of an enum type of ours", "a table before ours",
    ))  # fmt: skip
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute("CREATE SCHEMA other")
        bench.admin.execute(changes.encode())
        failures = {
            check.id: (check.where, check.help) for check in bench.settle(GATE, conn=bench.admin)[GATE].failures
        }

    failures.pop("shadow_setup")
    assert failures == {
        "operators_not_reviewed": (
            "pg_catalog, public, and schemas named after a role or on a stored path",
            "drop it: it decides what a comparison in our functions and checks means",
        ),
        "casts_not_reviewed": (
            "the database",
            "drop it: it decides what a value of ours is where another type is wanted",
        ),
        "names_not_reviewed": (
            "pg_catalog, and schemas named after a role",
            "drop it, or move it to another schema: it is found before ours",
        ),
    }
