"""Negative controls: every check of every probe is seen to fail in every run, and one that cannot is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, LiteralString

import pytest
from db.verifiers.test_busy import LONGEST_STALL_S, Traffic, busy
from db.verifiers.test_run import invariant
from psycopg import sql

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog
from scripts.result import Outcome
from scripts.verifiers.model import Database, Findings
from scripts.verifiers.probes import playing
from scripts.verifiers.probes.claims import CLAIM_PROBES
from scripts.verifiers.probes.playing import Control, Probe, play, play_controls
from scripts.verifiers.probes.stage import Stage
from scripts.verifiers.probes.violations import all_of, altered, before, hollowed, rewritten, said
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.run import verify_invariant
from scripts.verifiers.twin import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.verifiers.conftest import Bench
    from fix_database import MigratedDatabase

    from scripts.result import Planted, Result

CLAIM = "claim_outbox_batch"


def asked(database: Database) -> Iterator[tuple[str, Findings]]:
    """What each invariant finds that is green, by its id."""
    for one in INVARIANTS:
        findings = Findings()
        with database.conn.transaction(force_rollback=True):
            one.verify(database, findings)
        if not findings.failed():
            yield one.id, findings


def planted(database: Database, findings: Findings) -> tuple[Planted, ...]:
    """Every control of the probes that were played."""
    with database.conn.transaction(force_rollback=True):
        return play_controls(database.conn, findings.probes)


def unseen(findings: Findings, controls: tuple[Planted, ...]) -> list[str]:
    """The checks of probes that no control has made fail, and the controls that did not do what they say."""
    noticed = frozenset[str]().union(*(one.noticed for one in controls))
    known = {check.id for check in findings.checks}
    return [
        *(known - set(findings.facts()) - noticed),
        *(f"{one.name}: {one.trouble or one.missed}" for one in controls if one.trouble or one.missed),
        *(f"{one.name} breaks what nobody asks: {set(one.must) - known}" for one in controls if set(one.must) - known),
    ]


def settled(bench: Bench, probe: Probe) -> Result:
    """An invariant of this one probe, with its controls."""
    subject = bench.on(bench.owner)
    return verify_invariant(
        invariant(lambda database, findings: play(database.conn, findings, [probe])), subject, controls=True
    )


def test_every_check_of_a_probe_is_seen_to_fail(bench: Bench) -> None:
    """Each check that a probe makes fails under a violation planted for it; no control misses what it is there for."""
    database = bench.on(bench.owner)
    wrong = {name: unseen(findings, planted(database, findings)) for name, findings in asked(database)}
    database.close()

    assert {name: checks for name, checks in wrong.items() if checks} == {}
    assert len(wrong) == len(INVARIANTS)


def test_every_violation_is_a_body_that_compiles(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server checks none when it is planted in a run: one that is no PL/pgSQL would be noticed by anything."""
    checked = "SET LOCAL check_function_bodies TO on"
    monkeypatch.setattr(playing, "UNCHECKED", checked)
    session = schema._SETTINGS.replace("check_function_bodies TO off", "check_function_bodies TO on")
    monkeypatch.setattr(schema, "_SETTINGS", session)
    broken = rewritten((CLAIM, "FOR UPDATE SKIP LOCKED", "FOR UPDATE SKIPPING"))
    controls = (Control("a body that is no PL/pgSQL", broken, CLAIM_PROBES[0].controls[0].breaks),)
    (found,) = settled(bench, replace(CLAIM_PROBES[0], controls=controls)).controls or ()
    database = bench.on(bench.owner)
    wrong = {name: unseen(findings, planted(database, findings)) for name, findings in asked(database)}
    database.close()

    assert found.trouble == "could not be planted: 42601"
    assert {name: checks for name, checks in wrong.items() if checks} == {}


def test_what_is_green_before_0026_is_seen_to_fail_there(migrated_to: Callable[[int], MigratedDatabase]) -> None:
    """The violations can be planted on the release before too: none is written against 0026 that is asked of 0025."""
    older = migrated_to(25)
    database = Database(older.connect(), older.connect, [file for file in older.files if file.number <= 25])
    wrong = {name: unseen(findings, planted(database, findings)) for name, findings in asked(database)}
    database.close()

    assert {name: checks for name, checks in wrong.items() if checks} == {}
    assert {"tenant-integrity", "outbox-claim-semantics", "usage-billing"} <= wrong.keys()


def test_a_control_that_plants_nothing_is_found_out(bench: Bench) -> None:
    """Each control of each probe, its plant taken away: the invariant is an error, and the checks are named."""
    wrong = []
    database = bench.on(bench.owner)
    for name, findings in asked(database):
        for probe in findings.probes:
            # Two sessions see what is planted in a schema of their own; those have a test of theirs.
            if not isinstance(probe, Probe) or not probe.controls:
                continue
            blank = tuple(replace(control, plant=lambda _stage: None) for control in probe.controls)
            result = settled(bench, replace(probe, controls=blank))
            must = {check for control in probe.controls for check in control.breaks}
            if result.outcome is not Outcome.ERROR or set(result.unproven) != must or result.failures:
                wrong.append(f"{name}, {probe.id}: {result.outcome} {result.unproven}")
    database.close()

    assert not wrong


def test_one_control_of_two_is_not_enough(bench: Bench) -> None:
    """A check that one violation breaks stays unproven when another that names it does not."""
    probe = next(one for one in CLAIM_PROBES if one.id == "leased_item_setup")
    (control,) = probe.controls
    blank = replace(control, name="nothing", plant=lambda _stage: None)
    result = settled(bench, replace(probe, controls=(control, blank)))

    assert result.outcome is Outcome.ERROR
    assert result.unproven == control.breaks
    assert settled(bench, probe).passed


def test_a_check_that_no_control_names_is_found_out(bench: Bench) -> None:
    """A probe whose controls forget one of its checks is an error, by the name of the check."""
    probe = next(one for one in CLAIM_PROBES if one.id == "due_item_setup")
    (control,) = probe.controls
    result = settled(bench, replace(probe, controls=(replace(control, breaks=control.breaks[1:]),)))

    assert result.outcome is Outcome.ERROR
    assert result.unproven == control.breaks[:1]


def test_a_probe_that_cannot_say_no_is_found_out(bench: Bench) -> None:
    """Answers that are constants stay green whatever is planted: that is an error, never a pass."""

    def says_yes(stage: Stage) -> None:
        stage.value("SELECT 1")
        stage.findings.check("always", expected=True, observed=True)

    nothing = Control("a claim of nothing", rewritten((CLAIM, "LIMIT", "LIMIT 0 --")), ("always",))
    result = settled(bench, Probe("constant", says_yes, (nothing,)))

    assert result.outcome is Outcome.ERROR
    assert result.unproven == ("always",)
    assert [one.missed for one in result.controls or ()] == [("always",)]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ((CLAIM, "no such words", ""), CLAIM),
        (("no_such_function", "SELECT", ""), "no_such_function"),
        (("a_twofold_function", "SELECT", ""), "a_twofold_function"),
    ],
    ids=["other words", "no function", "two functions"],
)
def test_a_body_that_reads_otherwise_is_told(bench: Bench, change: tuple[str, str, str], name: str) -> None:
    """A violation that has nothing to take hold of is told with the function's name; what it was for is unproven."""
    for kind in ("text", "integer"):
        bench.owner.execute(f"CREATE FUNCTION public.a_twofold_function({kind}) RETURNS int RETURN 1".encode())
    probe = CLAIM_PROBES[0]
    (control,) = probe.controls
    result = settled(bench, replace(probe, controls=(replace(control, plant=rewritten(change)),)))

    assert result.outcome is Outcome.ERROR
    assert result.unproven == control.breaks
    assert [one.trouble for one in result.controls or ()] == [
        f"could not be planted: the body of public.{name} reads otherwise"
    ]


def test_a_violation_the_server_refuses_is_told(bench: Bench) -> None:
    """What cannot be planted is told by its SQLSTATE, and what it was for is unproven."""
    probe = CLAIM_PROBES[0]
    (control,) = probe.controls
    nothing = replace(control, plant=said("GRANT SELECT ON public.no_such_table TO PUBLIC"))
    result = settled(bench, replace(probe, controls=(nothing,)))

    assert result.outcome is Outcome.ERROR
    assert [one.trouble for one in result.controls or ()] == ["could not be planted: 42P01"]


def test_a_violation_that_needs_a_busy_table_is_not_waited_for(bench: Bench) -> None:
    """While others use the table its controls cannot be asked: an error in a sentence, and nobody is held up."""
    # What is read, and what is asked for with it: what a key refers to is locked as well.
    readers = {
        "tenant-integrity": ("ingress_attestations", ("tenants", "ingress_attestations")),
        "usage-billing": ("billing_usage_events", ("billable_clients", "billing_usage_events")),
        "outbox-terminal-uniqueness": ("payment_outbox_attempts", ("payment_outbox_attempts",)),
    }
    chosen = [one for one in INVARIANTS if one.id in readers]
    traffic = Traffic(bench.database.connect())
    database = bench.on(bench.owner)
    with bench.admin.transaction(force_rollback=True):
        for table, _ in readers.values():
            bench.admin.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier("public", table)))
        with traffic.running():
            results = {one.id: verify_invariant(one, database, controls=True) for one in chosen}
    database.close()

    assert {name: result.error for name, result in results.items()} == {
        name: busy(*tables) for name, (_, tables) in readers.items()
    }
    assert max(traffic.longest.values()) < LONGEST_STALL_S


def test_what_was_planted_is_gone(bench: Bench) -> None:
    """After all controls the catalog reads as before, and the session holds no lock."""
    database = bench.on(bench.owner)
    catalog = fingerprint(read_catalog(bench.owner))
    for _, findings in asked(database):
        planted(database, findings)
    database.close()

    locks: LiteralString = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype <> 'virtualxid'"
    assert fingerprint(read_catalog(bench.owner)) == catalog
    assert bench.owner.execute(locks).fetchall()[0][0] == 1  # pg_locks itself


def test_the_words_of_planting(bench: Bench) -> None:
    """Each does what it says, in the order it is said, and goes with the savepoint."""
    body: LiteralString = "SELECT pg_catalog.pg_get_functiondef('public.outbox_claim_limit'::pg_catalog.regproc)"
    plant = all_of(
        hollowed("deny_tenant_change"),
        rewritten(
            before("outbox_claim_limit", "RETURN p_batch_size;", "RETURN 1;"),
            ("outbox_claim_limit", "RETURN 1;", "RETURN 2;"),
        ),
        altered("tenants", "ALTER TABLE public.tenants DROP COLUMN tenant_name"),
        said("GRANT UPDATE ON public.tenants TO PUBLIC"),
    )

    hollow: LiteralString = "SELECT prosrc FROM pg_catalog.pg_proc WHERE proname = 'deny_tenant_change'"
    columns: LiteralString = (
        "SELECT (SELECT count(*) FROM pg_catalog.pg_attribute WHERE attrelid = 'public.tenants'::pg_catalog.regclass "
        "AND attname = 'tenant_name'), pg_catalog.has_table_privilege('boz_auditor', 'public.tenants', 'UPDATE')"
    )
    with bench.owner.transaction(force_rollback=True):
        stage = Stage(bench.owner, Findings(), str(bench.owner.info.user), keyed=True)
        with stage.undone():
            plant(stage)
            assert "RETURN 2; RETURN p_batch_size;" in stage.value(body)
            assert stage.value(hollow) == "BEGIN RETURN coalesce(NEW, OLD); END"
            assert stage.row(columns) == (0, True)
        assert "RETURN 2;" not in stage.value(body)
        assert stage.row(columns) == (1, False)
