"""D-08: a schema hollowed out behind its names turns the right check red, and every check can turn red."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from db.verifiers.hand_mutants import by_hand
from db.verifiers.hooks import BUSINESS_HOOKS, TENANT_HOOKS
from db.verifiers.mutants import DEFINITIONS, Mutant, of_definitions

from scripts.verifiers.facts.ledger import RUNNER_TABLES
from scripts.verifiers.facts.referred import EMPTIED
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.facts.tables import ENUMS, TABLES
from scripts.verifiers.hollow.reading import NAME as HOLLOW_NAME
from scripts.verifiers.mutants.derive import derive_mutants
from scripts.verifiers.mutants.subject import read_subject

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

HISTORY = "migration-history"
# Settled by statements of their own, and broken by tests of their own.
ELSEWHERE = {"n-minus-one"}


def derived(bench: Bench) -> list[Mutant]:
    """The suite's changes of definitions, each with the check that must see it."""
    subject = read_subject(bench.owner, ROLES, list(TABLES))
    return [*of_definitions(derive_mutants(subject), subject.reading)]


def test_each_definition_is_held_by_exactly_one_check(bench: Bench) -> None:
    """D-08, D-32, D-34: a changed column, constraint, index or trigger is seen by its own check and by no other."""
    wrong = []
    seen: set[str] = set()
    mutants = derived(bench)
    for mutant in mutants:
        red = bench.reds(mutant)[DEFINITIONS]
        must = mutant.must[DEFINITIONS]
        seen |= must
        if not must <= red or (mutant.only and red != must):
            wrong.append(f"{mutant.name}: {sorted(red)}, not {sorted(must)}")
    asked = {check.id for check in bench.settle(DEFINITIONS)[DEFINITIONS].checks}

    assert not wrong
    # Types and keys onto the queue are other objects, with tests of their own.
    assert asked - seen == {f"{name}_type" for name in ENUMS} | {f"{name}_referred_to" for name in EMPTIED}
    assert len(mutants) > 800


def test_the_tables_of_the_runner_are_held_by_who_compares_the_history(bench: Bench) -> None:
    """They are of no migration: what they are, and who gets at them, is migration-history's, each by its own check."""
    subject = read_subject(bench.owner, ROLES, list(TABLES))
    wrong = []
    mutants = [*of_definitions(derive_mutants(subject), subject.reading, RUNNER_TABLES, HISTORY)]
    for mutant in mutants:
        red = bench.reds(mutant)[HISTORY] - {"ledger_chain"}
        if red != mutant.must[HISTORY]:
            wrong.append(f"{mutant.name}: {sorted(red)}, not {sorted(mutant.must[HISTORY])}")

    assert not wrong
    assert len(mutants) > 40


@pytest.mark.parametrize(
    ("change", "table", "observed"),
    [
        ("GRANT SELECT ON public.schema_migrations_history TO PUBLIC", "history", "PUBLIC: SELECT"),
        (
            "GRANT UPDATE (state) ON public.schema_migrations_journal TO boz_auditor",
            "journal",
            "boz_auditor: UPDATE (state)",
        ),
        (
            "ALTER TABLE public.schema_migrations_history OWNER TO symphony_control",
            "history",
            "none OWNED BY symphony_control",
        ),
    ],
)
def test_nobody_else_gets_at_the_tables_of_the_runner(bench: Bench, change: str, table: str, observed: str) -> None:
    """Whoever could write there could write a history of his own."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(change.encode())
        result = bench.settle(HISTORY, conn=bench.admin)[HISTORY]

    assert not result.error
    assert {check.id: check.observed for check in result.failures} == {
        f"schema_migrations_{table}_privileges": observed
    }


def test_a_history_that_cannot_be_read_is_no_fault_of_the_reader(bench: Bench) -> None:
    """A column that holds nothing where it never does is told as that."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute("ALTER TABLE public.schema_migrations_history ALTER COLUMN reason DROP NOT NULL")
        bench.owner.execute("UPDATE public.schema_migrations_history SET reason = NULL")
        result = bench.settle(HISTORY)[HISTORY]

    assert not result.error
    assert {check.id: check.observed for check in result.failures} == {
        "schema_migrations_history.reason": "text DEFAULT ''::text",
        "ledger_chain": "public.schema_migrations_history: not of the ledger's shape",
    }


def test_all_triggers_off_and_only_the_named_ones_on_again_is_red(bench: Bench) -> None:
    """D-08: what enforces the foreign keys stays off, and every trigger that has a name of ours reads as it should."""
    (table,) = (one for one in TABLES.values() if one.name == "external_proofs")
    name = f"public.{table.name}"
    on = [f"ALTER TABLE {name} ENABLE ALWAYS TRIGGER {trigger.name}" for trigger in table.triggers]
    mutant = Mutant("all off", {DEFINITIONS: frozenset()}, (f"ALTER TABLE {name} DISABLE TRIGGER ALL", *on), admin=True)
    keys = {one.name or f"{table.name}: {one.text}" for one in table.constraints if one.kind == "f"}

    assert bench.reds(mutant)[DEFINITIONS] == keys
    assert len(keys) == 4


def test_hooks_are_definitions(bench: Bench) -> None:
    """D-08: each of the predecessor's 75 and 18 hooks is red when its object is hollow."""
    by_check: dict[str, list[Mutant]] = {}
    for mutant in derived(bench):
        (check,) = mutant.must[DEFINITIONS]
        by_check.setdefault(check, []).append(mutant)
    wrong = []
    for gate, hooks in (
        ("business-foundation-hooks", BUSINESS_HOOKS),
        ("tenant-member-hooks", TENANT_HOOKS),
    ):
        for hook, check in hooks.items():
            if not any(hook in bench.reds(mutant, [gate])[gate] for mutant in by_check[check]):
                wrong.append(f"{gate} {hook}")

    assert not wrong


def test_each_behaviour_is_seen_to_break(bench: Bench) -> None:
    """Each behaviour is taken away with every name left in place, and the check that answers for it turns red.

    Together the mutants, and the violations that every run plants for its probes, turn every check of every invariant
    red at least once. They are of AC1, AC2, AC3, AC5, AC6 and
    D-01, D-02, D-03, D-04, D-05, D-06, D-07, D-11, D-12, D-13, D-15, D-28, D-29, D-30, D-39.
    """
    results = bench.settle(controls=True)
    green = {name: {check.id for check in result.checks} for name, result in results.items()}
    # What the hollowed schema shows of facts is left out: here each fact is broken by something of its own.
    seen: dict[str, set[str]] = {
        name: {id_ for one in result.controls or () if not one.name.startswith(HOLLOW_NAME) for id_ in one.noticed}
        for name, result in results.items()
    }
    wrong = []
    for mutant in by_hand(bench.on(bench.owner).facts, bench.files):
        for name, red in bench.reds(mutant).items():
            seen[name] |= red
            missed = mutant.must[name] - red
            if missed:
                wrong.append(f"{name}, {mutant.name}: {sorted(missed)} stayed green")
    seen["business-foundation-hooks"] |= BUSINESS_HOOKS.keys()
    seen["tenant-member-hooks"] |= TENANT_HOOKS.keys()
    # Of these, each has a mutant of its own above.
    seen[HISTORY] |= {id_ for id_ in green[HISTORY] if id_.startswith(tuple(RUNNER_TABLES))}
    # What depends on the files alone is broken in test_files.py.
    seen["table-conventions"] |= {"conventions_version"}
    seen["no-tx-migrations"] |= {"marked_files", "indexes_declared"}
    never = {
        name: sorted(green[name] - seen[name])
        for name in green
        if name not in (DEFINITIONS, *ELSEWHERE) and green[name] - seen[name]
    }

    assert not wrong
    assert not never
