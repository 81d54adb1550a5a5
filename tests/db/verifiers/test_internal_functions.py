"""The server's own code under another name, with the rights of somebody's choice, is no extension's library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from db.verifiers.test_hidden import reds
from db.verifiers.test_openings import PLACE, failed

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

ARGUMENTS = "(text, boolean, boolean, text)"
RUNS = "{} RETURNS xml LANGUAGE internal SECURITY DEFINER AS 'query_to_xml'; "
CITEXT = "CREATE EXTENSION citext SCHEMA report; ALTER EXTENSION citext ADD "
SETTING = "CREATE FUNCTION report.w(text, boolean) RETURNS text LANGUAGE internal IMMUTABLE AS "
# Changes, and what opened_by_functions then observes.
RED = {
    "in an extension's clothes": (
        PLACE + "CREATE FUNCTION report.f" + RUNS.format(ARGUMENTS) + CITEXT + f"FUNCTION report.f{ARGUMENTS}",
        "PUBLIC: EXECUTE on report.f(text, boolean, boolean, text)",
    ),
    "a function of the server's with other rights": (
        PLACE + f"ALTER FUNCTION pg_catalog.query_to_xml{ARGUMENTS} SECURITY DEFINER; "
        f"{CITEXT}FUNCTION pg_catalog.query_to_xml{ARGUMENTS}",
        "PUBLIC: EXECUTE on pg_catalog.query_to_xml(query text, nulls boolean, tableforest boolean, targetns text)",
    ),
    "in an index that its table's owner works out": (
        PLACE + f"{SETTING}'show_config_by_name_missing_ok'; CREATE TABLE report.t (x text); "
        "CREATE INDEX ON report.t (report.w(x, true)); GRANT MAINTAIN ON report.t TO symphony_ingest",
        "symphony_ingest: MAINTAIN on report.t",
    ),
}
# What opens nothing.
GREEN = {
    "another name for something immutable": (
        PLACE + "CREATE FUNCTION report.w(int, int) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'int4pl'; "
        "CREATE TABLE report.t (i int); CREATE INDEX ON report.t (report.w(i, 1)); "
        "GRANT ALL ON report.t TO symphony_ingest"
    ),
    "an extension's own aliases": (
        PLACE + "CREATE EXTENSION isn SCHEMA report; CREATE TABLE report.t (i report.isbn UNIQUE); "
        "GRANT ALL ON report.t TO symphony_ingest"
    ),
    "an aggregate and a range of somebody's": (
        PLACE + "CREATE AGGREGATE report.total(int) (SFUNC = int4pl, STYPE = int); "
        "CREATE TYPE report.span AS RANGE (SUBTYPE = int4); CREATE TABLE report.t (s report.span UNIQUE); "
        "CREATE INDEX ON report.t (report.span(1, 2)); GRANT ALL ON report.t TO symphony_ingest"
    ),
}


@pytest.mark.parametrize("name", RED)
def test_the_servers_code_as_somebody_else_is_red(bench: Bench, name: str) -> None:
    """query_to_xml runs whatever it is told, and with its owner's rights once it is SECURITY DEFINER."""
    change, observed = RED[name]

    assert failed(bench, change, bench.database.name[-8:]) == {"opened_by_functions": observed}


@pytest.mark.parametrize("name", GREEN)
def test_what_only_has_another_name_is_green(bench: Bench, name: str) -> None:
    """What depends on nothing but what it is given can do nothing for anybody."""
    assert failed(bench, GREEN[name], bench.database.name[-8:]) == {}


def test_its_path_is_asked_like_anybodys(bench: Bench) -> None:
    """In public, said to be an extension's: what it runs is looked up on the caller's path."""
    made = "CREATE FUNCTION public.f" + RUNS.format(ARGUMENTS).removesuffix("; ")
    hidden = ("CREATE EXTENSION citext SCHEMA public", made, f"ALTER EXTENSION citext ADD FUNCTION public.f{ARGUMENTS}")
    red = reds(bench, "definer-search-path", *hidden)

    assert red == {"public.f(text,boolean,boolean,text) path": "the caller's path"}


def test_an_opclass_by_the_servers_code_under_another_name(bench: Bench) -> None:
    """A comparison that is another name for one of the server's is one; any other code may refuse a row."""
    index = "CREATE INDEX strange ON public.tenants (tenant_name public.mutant_ops)"
    for compares, red in (
        ("LANGUAGE internal IMMUTABLE AS 'bttextcmp'", False),
        ("LANGUAGE internal IMMUTABLE AS 'show_config_by_name'", True),
        ("LANGUAGE c IMMUTABLE AS '$libdir/plpgsql', 'plpgsql_call_handler'", True),
    ):
        made = (
            "SET LOCAL check_function_bodies = off",
            f"CREATE FUNCTION public.mutant_cmp(text, text) RETURNS integer {compares}",
            (
                "CREATE OPERATOR CLASS public.mutant_ops FOR TYPE text USING btree AS OPERATOR 1 pg_catalog.<, "
                "OPERATOR 3 pg_catalog.=, FUNCTION 1 public.mutant_cmp(text, text)"
            ),
            index,
        )
        found = reds(bench, "table-definitions", *made)
        assert set(found) == ({"tenants_no_index_in_the_way"} if red else set()), compares
