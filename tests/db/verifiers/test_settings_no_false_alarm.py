"""Settings that somebody stored for a good reason raise no alarm, and are seen through by every control."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog
from scripts.verifiers.run import select_invariants, verify_invariant

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

STORED = (
    *(("symphony.outbox_retry_ceiling", value) for value in ("1", "3", "50", "999")),
    ("quote_all_identifiers", "on"),
    ("IntervalStyle", "sql_standard"),
    ("DateStyle", "German, DMY"),
    ("idle_in_transaction_session_timeout", "1min"),
)


def stored(bench: Bench, name: str, value: str) -> None:
    """Store it for the test's database; who connects afterwards has it."""
    change = sql.SQL("ALTER DATABASE {} SET {} = {}").format(
        sql.Identifier(bench.database.name), sql.SQL(name), sql.Literal(value)
    )
    bench.admin.execute(change)


@pytest.mark.parametrize(("name", "value"), STORED)
def test_a_setting_of_the_database_is_no_alarm(bench: Bench, name: str, value: str) -> None:
    """Every invariant is green with all its controls, over connections that begin with the setting."""
    stored(bench, name, value)
    bench.owner = bench.database.connect()
    assert bench.owner.execute("SELECT pg_catalog.current_setting(%s)", [name]).fetchone() == (value,)
    results = bench.settle(controls=True)

    assert {one: (r.error, r.failures, r.unproven) for one, r in results.items() if not r.passed} == {}


@pytest.mark.parametrize("ceiling", ["1", "999"])
def test_a_broken_ceiling_is_red_where_one_is_stored(bench: Bench, ceiling: str) -> None:
    """What is overlooked is the stored value alone: without its bounds, or set by a worker, the function is red."""
    stored(bench, "symphony.outbox_retry_ceiling", ceiling)
    broken = {
        "CASE WHEN chosen.value ~ '^[1-9][0-9]{0,2}$' THEN chosen.value::integer ELSE 20 END": "2000000",
        "'USAGE')),": "'USAGE') OR true),",
        "s.setrole = 0": "s.setrole <> 0",
    }
    (invariant,) = select_invariants(["outbox-retry-ceiling"])
    definition = bench.database.value("SELECT pg_get_functiondef('public.outbox_retry_ceiling()'::regprocedure)")
    wanted = ("ceiling_in_bounds", "ceiling_not_set_by_a_worker", "ceiling_set_for_the_database")
    for check, (old, new) in zip(wanted, broken.items(), strict=True):
        assert old in definition
        with bench.owner.transaction(force_rollback=True):
            bench.owner.execute(definition.replace(old, new).encode())
            result = verify_invariant(invariant, bench.on(bench.owner))
        assert check in {failure.id for failure in result.failures}


def test_quoting_of_the_database_is_no_drift(bench: Bench) -> None:
    """The catalog reads the same, stored for the database or set in the session."""
    wanted = fingerprint(read_catalog(bench.owner))
    stored(bench, "quote_all_identifiers", "on")
    again = bench.database.connect()
    assert again.execute("SHOW quote_all_identifiers").fetchone() == ("on",)

    assert fingerprint(read_catalog(again)) == wanted


@pytest.mark.parametrize(
    ("name", "value"), [("standard_conforming_strings", "off"), ("transform_null_equals", "on"), ("array_nulls", "off")]
)
def test_a_setting_of_the_verifying_login_is_no_alarm(bench: Bench, name: str, value: str) -> None:
    """How statements are read and constants written is the owner's own affair, and never the catalog's."""
    wanted = fingerprint(read_catalog(bench.owner))
    for_the_owner(bench, name, value)
    bench.owner = bench.database.connect()
    assert bench.owner.execute("SELECT pg_catalog.current_setting(%s)", [name]).fetchone() == (value,)
    results = bench.settle(controls=True)

    assert {one: (r.error, r.failures, r.unproven) for one, r in results.items() if not r.passed} == {}
    assert fingerprint(read_catalog(bench.owner)) == wanted


SCANS = ("enable_seqscan", "enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")
JOINS = ("enable_nestloop", "enable_mergejoin", "enable_hashjoin", "enable_material", "enable_memoize")


@pytest.mark.parametrize(
    "off",
    [("enable_seqscan",), ("enable_seqscan", "enable_indexscan"), ("enable_sort", *SCANS), JOINS[1:], JOINS[:2], ()],
)
def test_whatever_plan_is_chosen_every_control_is_seen(bench: Bench, off: tuple[str, ...]) -> None:
    """No check and no violation hangs on the order in which a plan finds rows; without a name, every switch is off."""
    rows = bench.owner.execute(
        "SELECT s.name FROM pg_catalog.pg_settings AS s "
        "WHERE s.name LIKE 'enable\\_%' AND s.vartype = 'bool' AND s.context = 'user' AND s.setting = 'on'"
    ).fetchall()
    for name in off or sorted(name for (name,) in rows):
        for_the_owner(bench, name, "off")
    bench.owner = bench.database.connect()
    results = bench.settle(controls=True)

    assert {one: (r.error, r.failures, r.unproven) for one, r in results.items() if not r.passed} == {}


def for_the_owner(bench: Bench, name: str, value: str) -> None:
    """Store a setting for the owner's login in this database alone."""
    row = bench.admin.execute(
        "SELECT pg_catalog.pg_get_userbyid(d.datdba) FROM pg_catalog.pg_database AS d WHERE d.datname = %s",
        [bench.database.name],
    ).fetchone()
    assert row is not None
    change = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}")
    names = (sql.Identifier(row[0]), sql.Identifier(bench.database.name), sql.SQL(name))
    bench.admin.execute(change.format(*names, sql.Literal(value)))
