"""Every fact is seen to fail on a database that is hollow behind its names; what would not notice is found out."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from db.verifiers.conftest import Bench
from db.verifiers.harmless import BY_ADMIN, BY_OWNER
from psycopg import sql

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog
from scripts.result import Outcome, Result
from scripts.verifiers import bounds, run
from scripts.verifiers.facts.compare import Facts
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.hollow import reading, script
from scripts.verifiers.model import Database, Findings, Invariant
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.run import select_invariants, verify_invariant

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigratedDatabase

    from scripts.migrations.folder.files import MigrationFile

# Invariants that ask facts alone: with controls they are settled here from end to end.
FACTS_ALONE = (
    "table-definitions",
    "table-conventions",
    "outbox-pending-indexes",
    "outbox-mvcc-posture",
    "ingress-hotpath-indexes",
    "migration-history",
    "no-tx-migrations",
    "role-login-posture",
    "tenant-member-hooks",
)


def facts_of(invariant: Invariant, database: Database) -> Result:
    """The invariant with its facts and their controls, its probes left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "Findings", partial(Findings, asks="facts"))
        return verify_invariant(invariant, database, controls=True)


def controlled(bench: Bench, *names: str, conn: psycopg.Connection[Any] | None = None) -> dict[str, Result]:
    """The results of these invariants with controls, on one database, probes left out."""
    database = bench.on(conn or bench.owner)
    return {one.id: facts_of(one, database) for one in select_invariants(names or [i.id for i in INVARIANTS])}


def unproven(results: dict[str, Result]) -> dict[str, tuple[str, ...]]:
    """The checks nobody saw fail, by invariant."""
    return {name: result.unproven for name, result in results.items() if result.unproven}


@pytest.mark.parametrize("who", ["owner", "admin"])
def test_every_fact_of_every_invariant_is_seen_to_fail(bench: Bench, who: str) -> None:
    """Whoever verifies, no check of a fact stays green on the hollow database, and none is left out of the control."""
    database = bench.on(getattr(bench, who))
    asked = 0
    for invariant in INVARIANTS:
        findings = Findings(asks="facts")
        with bounds.bounded(database.conn):
            invariant.verify(database, findings)
            facts = findings.facts()
            (planted,) = reading.hollow_facts(invariant, database, facts)
        assert findings.failed() == (), invariant.id
        assert (planted.must, planted.missed, planted.trouble) == (facts, (), ""), invariant.id
        asked += len(facts)

    assert asked > 700


@pytest.mark.parametrize("who", ["owner", "admin"])
def test_what_only_a_superuser_can_plant_is_told_apart(bench: Bench, who: str) -> None:
    """The privilege on a parameter is real for a superuser; for the owner it is in the answer alone, and so called."""
    (posture,) = controlled(bench, "role-login-posture", conn=getattr(bench, who)).values()
    (definitions,) = controlled(bench, "table-definitions", conn=getattr(bench, who)).values()

    assert posture.passed
    assert posture.controls is not None
    assert definitions.controls is not None
    forged = "every fact made false; the privilege on a parameter only as if it had been read"
    assert posture.controls[0].name == (forged if who == "owner" else reading.NAME)
    assert definitions.controls[0].name == reading.NAME


def test_who_does_not_administer_the_roles_can_still_see_their_facts_fail(bench: Bench) -> None:
    """Whoever may act as the roles and not hand them on can make no login of theirs: that is told, and all is seen."""
    owner = sql.Identifier(bench.owner.info.user)
    names = sql.SQL(", ").join(map(sql.Identifier, ROLES))
    with bench.admin.transaction(force_rollback=True):
        for change in ("GRANT {} TO {} WITH INHERIT FALSE, SET TRUE", "REVOKE ADMIN OPTION FOR {} FROM {}"):
            bench.admin.execute(sql.SQL(change).format(names, owner))
        bench.admin.execute(sql.SQL("SET LOCAL SESSION AUTHORIZATION {}").format(owner))
        results = controlled(bench, "role-login-posture", "boz-observability-role", conn=bench.admin)

    assert {name: (r.error, r.failures, r.unproven) for name, r in results.items() if not r.passed} == {}
    posture, seat = (result.controls for result in results.values())
    assert posture is not None
    assert seat is not None
    login = "; the login only as if it had been read"
    assert posture[0].name == f"{reading.NAME}; the privilege on a parameter only as if it had been read{login}"
    assert seat[0].name == reading.NAME + login


def test_invariants_of_facts_alone_pass_with_controls(bench: Bench) -> None:
    """From end to end: green, and seen to fail."""
    database = bench.on(bench.owner)
    results = [verify_invariant(one, database, controls=True) for one in select_invariants(FACTS_ALONE)]

    assert [(r.gate, r.outcome, r.error) for r in results] == [(r.gate, Outcome.PASS, "") for r in results]


def test_before_the_last_migrations_what_is_green_is_proven(
    migrated_to: Callable[[int], MigratedDatabase], project_files: tuple[MigrationFile, ...]
) -> None:
    """On 0025, where columns, functions and indexes are missing, each invariant that is green was seen to fail."""
    results = controlled(Bench(migrated_to(25), project_files))
    red = {name for name, result in results.items() if result.failures}

    assert not [(name, result.error) for name, result in results.items() if result.error]
    assert unproven(results) == {}
    assert "table-definitions" in red
    assert {name for name, result in results.items() if result.controls is not None} == set(results) - red


# --- a check that would not notice


def left_alone(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    """Let the script put back what it hollowed out; `{aside}` is where the schema is."""
    honest = script.hollowing_script

    def forgetful(*args: Any, **kwargs: Any) -> script.Script:
        made = honest(*args, **kwargs)
        back = ";\n".join(statements).format(aside=f"hollow_aside_{kwargs['mark']}")
        return replace(made, base=replace(made.base, sql=f"{made.base.sql};\n{back}"))

    monkeypatch.setattr(reading, "hollowing_script", forgetful)


def test_an_object_that_is_not_hollowed_out_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """One table is left as it is: whoever looks at it is in ERROR, with each check that nobody saw fail."""
    left_alone(monkeypatch, "DROP TABLE public.participants", "ALTER TABLE {aside}.participants SET SCHEMA public")
    results = controlled(bench, "table-definitions", "outbox-pending-indexes")

    assert results["outbox-pending-indexes"].passed
    assert results["table-definitions"].outcome is Outcome.ERROR
    kept = results["table-definitions"].unproven
    assert {"participants_table", "participants.status", "participants_no_other_trigger"} <= set(kept)
    assert all("participant" in name.lower() for name in kept)


def test_a_check_that_looks_a_name_up_is_found_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """D-08: an index that counts by its name alone is green on the hollow database too, and so proves nothing."""

    def by_name(facts: Facts, table: Any, name: str, *, id: str = "") -> None:  # noqa: A002 - as it is called
        found = facts.reading.tables.get(table.name)
        there = found is not None and any(index.name == name for index in found.indexes)
        facts.findings.check(id or name, expected=True, observed=there)

    monkeypatch.setattr(Facts, "index", by_name)
    results = controlled(bench, "outbox-pending-indexes", "ingress-hotpath-indexes", "outbox-mvcc-posture")

    assert [result.outcome for result in results.values()] == [Outcome.ERROR, Outcome.PASS, Outcome.ERROR]
    assert results["outbox-pending-indexes"].unproven == ("idx_payment_outbox_pending_due_claim",)


@pytest.mark.parametrize(
    ("kind", "there"),
    [
        ("trigger", lambda table, name: any(one.name == name for one in table.triggers)),
        ("column", lambda table, name: any(one.name == name for one in table.columns)),
        ("constraint", lambda table, one: not one.name or any(c.name == one.name for c in table.constraints)),
    ],
)
def test_every_name_is_still_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str, there: Callable[[Any, Any], bool]
) -> None:
    """A look-up by name of any kind of object finds it on the hollow database: absence is not what is noticed."""

    def by_name(facts: Facts, table: Any, what: Any, *, id: str = "") -> None:  # noqa: A002 - as it is called
        found = facts.reading.tables.get(table.name)
        name = id or f"{kind} {table.name} {what}"
        facts.findings.check(name, expected=True, observed=found is not None and there(found, what))

    monkeypatch.setattr(Facts, kind, by_name)
    (result,) = controlled(bench, "table-definitions").values()
    looked_up = {check.id for check in result.checks if check.id.startswith(f"{kind} ")}

    assert len(looked_up) > 20
    assert set(result.unproven) == looked_up


def test_a_check_that_is_always_true_is_found_out(bench: Bench) -> None:
    """A constant is no question, nor is one that the hollow database is not asked."""

    def verify(database: Database, findings: Findings) -> None:
        findings.check("constant", expected=1, observed=1)
        if "public.payment_outbox_pending" not in findings.details and "hollow" not in str(database.facts.tables):
            findings.check("asked once", expected=1, observed=1)
        Facts(database.facts, database.sources, findings).table(TABLES["tenants"])

    invariant = replace(INVARIANTS[0], id="invented", verify=verify)
    result = verify_invariant(invariant, bench.on(bench.owner), controls=True)

    assert result.outcome is Outcome.ERROR
    assert result.unproven == ("constant", "asked once")


# --- what stands in the way


def test_trouble_of_one_invariant_hides_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in one invariant's question about the hollow database is that invariant's ERROR, and nobody else's."""
    from scripts.verifiers.guarantees import conventions

    honest = conventions._column

    def faulty(findings: Findings, name: str, table: Any, wanted: Any) -> Any:
        if table is not None and any(column.name == "hollow" for column in table.columns):
            raise KeyError(name)
        return honest(findings, name, table, wanted)

    monkeypatch.setattr(conventions, "_column", faulty)
    results = controlled(bench, "table-conventions", "table-definitions", "no-tx-migrations")

    assert results["table-conventions"].error.startswith("the verifier itself failed (fault KeyError at ")
    assert results["table-definitions"].passed
    assert results["no-tx-migrations"].passed


def test_no_table_is_waited_for(bench: Bench) -> None:
    """While somebody else has every table for itself alone, the facts are seen to fail all the same, and at once."""
    database = bench.on(bench.owner)
    assert database.facts.tables
    with bench.admin.transaction(force_rollback=True):
        for name in TABLES:
            bench.admin.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(name)))
        started = time.monotonic()
        results = [
            facts_of(one, database)
            for one in select_invariants([name for name in FACTS_ALONE if "migration" not in name])
        ]
        took = time.monotonic() - started

    assert [result.outcome for result in results] == [Outcome.PASS] * len(results)
    assert took < bounds.LOCK_TIMEOUT_MS / 1000


def test_no_lock_on_a_table_of_ours_is_taken(bench: Bench) -> None:
    """Nobody can be made to wait: what was moved aside is locked by nothing."""
    held: list[tuple[Any, ...]] = []

    def verify(database: Database, findings: Findings) -> None:
        held.extend(
            database.conn.execute(
                "SELECT c.relname, l.mode FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation"
                " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
                " WHERE l.pid = pg_backend_pid() AND n.nspname LIKE 'hollow_aside%'"
            ).fetchall()
        )
        aside = database.conn.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'hollow_aside%'").fetchone()
        findings.check("aside", expected=0, observed=aside[0] if aside else -1)

    result = verify_invariant(replace(INVARIANTS[0], verify=verify), bench.on(bench.owner), controls=True)

    assert result.passed
    assert held == []


def test_a_schema_that_somebody_is_changing_is_an_error_told_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for once, not by each invariant; each says why."""
    monkeypatch.setattr(bounds, "LOCK_TIMEOUT_MS", 300)
    database = bench.on(bench.owner)
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute("GRANT USAGE ON SCHEMA public TO symphony_control")
        started = time.monotonic()
        results = [facts_of(one, database) for one in select_invariants(FACTS_ALONE)]
        took = time.monotonic() - started

    told = (
        "the facts could not be seen to fail (schema public could not be moved aside SQLSTATE 55P03): repeat it "
        "alone; 55P03: somebody else's open transaction changes the schema, its rights or its owner's default ones"
    )
    assert {result.error for result in results} == {told}
    assert {result.outcome for result in results} == {Outcome.ERROR}
    assert took < 3


def test_two_at_once_wait_for_each_other_and_pass(bench: Bench) -> None:
    """Two verifiers of one database get in each other's way for a moment, not for good."""
    outcomes: list[Outcome] = []

    def verify(conn: psycopg.Connection[Any]) -> None:
        for _ in range(4):
            database = bench.on(conn)
            gates = select_invariants(FACTS_ALONE[:3])
            outcomes.extend(verify_invariant(one, database, controls=True).outcome for one in gates)

    threads = [threading.Thread(target=verify, args=[bench.database.connect()]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == [Outcome.PASS] * 24


OWNERLESS = "ownership of schema public, which {whose} has"
NO_CREATE = "GRANT CREATE ON DATABASE … TO {me}, or verify as a superuser"


@pytest.mark.parametrize(
    ("change", "missing", "help_"),
    [
        # A database that was made by PostgreSQL 14 or before, and upgraded: the login owns the database all the same.
        (
            "ALTER SCHEMA public OWNER TO postgres; GRANT CREATE ON SCHEMA public TO {app}; SET LOCAL ROLE {app}",
            OWNERLESS.format(whose="postgres"),
            "ALTER SCHEMA public OWNER TO pg_database_owner or {me}; or verify as postgres, or as a superuser",
        ),
        (
            "ALTER SCHEMA public OWNER TO {app}; ALTER DATABASE {db} OWNER TO postgres; SET LOCAL ROLE {app}",
            "CREATE on the database",
            NO_CREATE,
        ),
        (
            "CREATE ROLE hollow_visitor; SET LOCAL ROLE hollow_visitor",
            f"{OWNERLESS.format(whose='pg_database_owner')} and CREATE on the database",
            f"verify as the owner of the database, or as a superuser; {NO_CREATE}",
        ),
    ],
)
def test_whoever_cannot_move_the_schema_is_told_what_is_missing(
    bench: Bench, change: str, missing: str, help_: str
) -> None:
    """Facts that could not be seen to fail are no pass; which right they take is said, and who has it."""
    names = {"db": f'"{bench.database.name}"', "app": f'"{bench.owner.info.user}"'}
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(change.format(**names).encode())
        row = bench.admin.execute("SELECT current_user").fetchone()
        database = bench.on(bench.admin)
        results = [
            facts_of(one, database) for one in select_invariants(["table-definitions", "ingress-hotpath-indexes"])
        ]

    assert row
    told = (
        "the facts could not be seen to fail (schema public could not be moved aside SQLSTATE 42501; "
        f"missing {missing}, for {row[0]}): {help_.format(me=row[0])}"
    )
    assert {result.error for result in results} == {told}


def test_an_owner_that_makes_no_roles_proves_what_it_can(bench: Bench) -> None:
    """Without CREATEROLE nothing about roles and owners is proven, and it is said why; the rest is."""
    owner = sql.Identifier(bench.owner.info.user)
    bench.admin.execute(sql.SQL("ALTER ROLE {} NOCREATEROLE").format(owner))
    try:
        results = controlled(bench)
    finally:
        bench.admin.execute(sql.SQL("ALTER ROLE {} CREATEROLE").format(owner))
    errors = {name for name, result in results.items() if result.outcome is Outcome.ERROR and result.checks}

    assert errors == {
        "role-login-posture", "boz-observability-role", "table-privileges", "function-privileges",
    }  # fmt: skip
    assert results["function-privileges"].unproven == ("functions_have_one_owner",)
    controls = results["function-privileges"].controls
    assert controls is not None
    assert [(one.must, one.trouble) for one in controls[1:]] == [
        (("functions_have_one_owner",), "could not be planted: the roles (SQLSTATE 42501)")
    ]
    assert len(controls[0].noticed) > 20


# --- what else is in the database, and what is left in it

OTHERS = {
    **{
        name: BY_OWNER[name].replace("{n}", "1")
        for name in (
            "an unrelated table",
            "a further column",
            "another name for whatever PostgreSQL could have named",
            "a further NOT NULL",
        )
    },
    "an extension": BY_ADMIN["an extension whose functions everybody may run"],
    "a partition": (
        "CREATE TABLE public.parted (id int) PARTITION BY LIST (id); "
        "CREATE TABLE public.part PARTITION OF public.parted DEFAULT; CREATE INDEX parted_id ON public.parted (id)"
    ),
    "a view of ours": "CREATE VIEW public.seen AS SELECT tenant_id FROM public.tenants",
    "odd names": """CREATE TABLE public."a ""b"" \\ 'c'" (id int); """
    """ALTER TABLE public.tenants ADD CONSTRAINT "x ""y"" \\ 'z'" """
    """CHECK (status IN ('ACTIVE', 'SUSPENDED', 'CLOSED'))""",
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS.keys())
def test_what_else_is_there_is_not_in_the_way(bench: Bench, change: str) -> None:
    """What takes no guarantee away leaves every fact seen to fail, too."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(change.encode())
        results = controlled(bench)

    assert {name: (r.error, r.failures, r.unproven) for name, r in results.items() if not r.passed} == {
        "n-minus-one": ("", (), ())
    }


def test_the_session_s_path_does_not_matter(bench: Bench) -> None:
    """Types of the script's words that lie before the server's on the path are not the ones that are meant."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute("CREATE SCHEMA before; CREATE DOMAIN before.text AS pg_catalog.int4 CHECK (false)")
        bench.owner.execute("SET LOCAL search_path TO before, pg_catalog")
        results = controlled(bench, "table-definitions", "definer-search-path", "migration-history")

    assert {result.outcome for result in results.values()} == {Outcome.PASS}


def test_a_function_that_is_not_ours_is_seen_to_be_open(bench: Bench) -> None:
    """Nobody knows what it must be, but that nobody may run it is asked of it, and seen to fail."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute("CREATE FUNCTION public.theirs(int) RETURNS int LANGUAGE sql RETURN 1")
        bench.owner.execute("CREATE PROCEDURE public.also_theirs() LANGUAGE sql AS 'SELECT 1'")
        (result,) = controlled(bench, "function-privileges").values()

    assert result.passed
    assert {"public.theirs(integer)", "public.also_theirs()"} <= {check.id for check in result.checks}


def test_nothing_is_left_behind(bench: Bench) -> None:
    """Catalog, roles, memberships, settings, privileges and locks are as before, and the connection works as before."""

    def traces() -> list[Any]:
        shared = [
            bench.admin.execute(sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(sql.SQL(name))).fetchall()
            for name in (
                "pg_authid", "pg_auth_members", "pg_db_role_setting", "pg_parameter_acl", "pg_default_acl",
                "pg_namespace", "pg_enum", "pg_inherits", "(SELECT datname, datacl, datdba FROM pg_database)",
                "public.schema_migrations", "public.schema_migrations_history",
            )
        ]  # fmt: skip
        return [
            fingerprint(read_catalog(bench.owner)),
            *shared,
            bench.owner.execute("SELECT name, setting FROM pg_settings WHERE name !~ '^transaction|[.]'").fetchall(),
            bench.owner.execute(
                "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype <> 'virtualxid'"
            ).fetchall(),
            bench.owner.prepare_threshold,
            bench.owner.info.transaction_status,
        ]

    before = traces()
    results = controlled(bench)

    assert unproven(results) == {}
    assert traces() == before


def test_what_is_prepared_for_the_real_tables_is_not_used_on_their_twins(bench: Bench) -> None:
    """A server-side prepared statement would refuse columns of another type; the facts are asked without."""
    database = bench.on(bench.owner)
    for _ in range(3):
        for invariant in select_invariants(["migration-history", "no-tx-migrations", "ci-invariant-gate"]):
            result = facts_of(invariant, database)
            assert (result.error, result.unproven) == ("", ())
            reading._known.pop(database)


def test_evidence_of_the_controls_is_small(bench: Bench) -> None:
    """One entry an invariant, with the names of its checks: no more than the checks themselves take."""
    from scripts.evidence.statement import _control_json

    results = controlled(bench)
    controls = sum(len(json.dumps([_control_json(c) for c in r.controls or ()])) for r in results.values())
    checks = sum(len(json.dumps([[c.id, c.expected, c.observed, c.where] for c in r.checks])) for r in results.values())

    assert controls < checks
