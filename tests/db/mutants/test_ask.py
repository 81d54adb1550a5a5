"""One mutant at a time: who must see it, what does not count as seeing, and that nothing of it stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog
from scripts.verifiers.facts.compare import Facts
from scripts.verifiers.mutants import ask
from scripts.verifiers.mutants.blocks import parse_blocks
from scripts.verifiers.mutants.model import Fate, Mutant
from scripts.verifiers.registry import INVARIANTS

if TYPE_CHECKING:
    import pytest
    from fix_database import ScratchDatabase

    from scripts.verifiers.mutants.ask import Bench

GUARD = "trigger trg_deny_external_proofs_mutation on public.external_proofs"


def test_the_owner_sees_what_it_owns(breaker: Bench, mutants: dict[str, Mutant]) -> None:
    """Killed by the invariant that owns the guarantee, and by which check."""
    verdict = breaker.judge(mutants[f"{GUARD}: dropped"])

    assert (verdict.fate, verdict.by) == (Fate.KILLED, "append-only-ledgers/trg_deny_external_proofs_mutation")


def test_what_another_invariant_sees_is_no_kill(breaker: Bench) -> None:
    """The definitions would notice; the owner that is named does not look there."""
    change = "ALTER TABLE public.external_proofs DISABLE TRIGGER trg_deny_external_proofs_mutation"

    assert breaker.judge(Mutant("guard", "off", ("usage-billing",), (change,))).fate is Fate.SURVIVED
    assert breaker.judge(Mutant("guard", "off", ("table-definitions",), (change,))).fate is Fate.KILLED


def test_a_sample_of_all_is_killed(breaker: Bench, mutants: dict[str, Mutant]) -> None:
    """Every fiftieth definition: each can be applied, and each is killed. `nox -s mutants` judges all of them."""
    sample = [mutant for mutant in mutants.values() if not mutant.behaviour][::50]
    wrong = [
        (one.mutant.name, one.fate, one.reason) for one in map(breaker.judge, sample) if one.fate is not Fate.KILLED
    ]

    assert not wrong
    assert len(sample) > 200


def test_a_column_that_keeps_its_values_in_the_row_is_seen(breaker: Bench, mutants: dict[str, Mutant]) -> None:
    """Each column whose values may be long, by whoever owns it."""
    plain = [mutant for mutant in mutants.values() if mutant.change == "STORAGE PLAIN"]
    wrong = [(one.mutant.name, one.fate, one.reason) for one in map(breaker.judge, plain) if one.fate != Fate.KILLED]

    assert not wrong
    assert len(plain) > 50


def test_a_check_that_is_gone_lets_its_mutants_live(
    breaker: Bench, mutants: dict[str, Mutant], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suite can fail: without the comparison of indexes each broken index survives."""
    broken = [m for m in mutants.values() if m.object == "index public.idx_tenants_status"]
    assert {breaker.judge(mutant).fate for mutant in broken} == {Fate.KILLED}

    def overlooked(*_: Any, **__: Any) -> None:
        pass

    monkeypatch.setattr(Facts, "index", overlooked)
    assert {breaker.judge(mutant).fate for mutant in broken} == {Fate.SURVIVED}


def test_a_body_is_judged_by_what_it_does(breaker: Bench, mutants: dict[str, Mutant]) -> None:
    """Another text that does the same survives, whatever the fact about bodies says; doing nothing does not."""
    noop = mutants["body of deny_append_only_mutation: does nothing"]
    same = noop.sql[0].replace("BEGIN RETURN NEW; END", "BEGIN RAISE 'no' USING ERRCODE = 'P0001'; END")
    assert same != noop.sql[0]

    assert breaker.judge(noop).fate is Fate.KILLED
    assert breaker.judge(Mutant("body", "same", noop.owners, (same,), behaviour=True)).fate is Fate.SURVIVED
    assert breaker.judge(Mutant("body", "same", ("definer-search-path",), (same,))).fate is Fate.KILLED


def test_a_mutant_that_cannot_be_applied_is_no_kill(breaker: Bench) -> None:
    """It is an error of the suite, told by its statement and its code, and never by a row."""
    verdict = breaker.judge(Mutant("x", "y", ("table-definitions",), ("SELECT 1", "DROP TABLE public.nothing")))

    assert (verdict.fate, verdict.reason) == (Fate.FAILED, "statement 2 was refused: SQLSTATE 42P01")


def test_a_body_that_never_ends_is_told_as_stalled(
    breaker: Bench, mutants: dict[str, Mutant], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its gate would end as an error; the suite goes on."""
    monkeypatch.setattr(ask, "STATEMENT_TIMEOUT_MS", 300)
    noop = mutants["body of deny_append_only_mutation: does nothing"]
    endless = noop.sql[0].replace("RETURN NEW;", "LOOP PERFORM 1; END LOOP;")
    verdict = breaker.judge(Mutant("body", "endless", noop.owners, (endless,), behaviour=True))

    assert (verdict.fate, verdict.by) == (Fate.STALLED, "append-only-ledgers/no answer within 300 ms")


def test_nothing_of_a_mutant_stays(database: ScratchDatabase, breaker: Bench, mutants: dict[str, Mutant]) -> None:
    """The catalog is what it was, whatever was done, also after an error."""
    before = fingerprint(read_catalog(database.connect()))
    for mutant in list(mutants.values())[::200]:
        breaker.judge(mutant)
    breaker.judge(Mutant("x", "y", ("table-definitions",), ("DROP TABLE public.tenants CASCADE", "SELECT 1/0")))

    assert fingerprint(read_catalog(database.connect())) == before
    assert breaker.judge(Mutant("nothing", "at all", ("table-definitions",), ())).fate is Fate.SURVIVED


def test_everything_is_green_before(breaker: Bench) -> None:
    """On the schema as it is, no invariant is red: else it would kill every mutant it owns."""
    assert breaker.green([invariant.id for invariant in INVARIANTS]) == {}


def test_a_red_owner_is_found_before(breaker: Bench, database: ScratchDatabase) -> None:
    """By its check."""
    database.connect().execute("DROP INDEX public.idx_tenants_status")

    assert breaker.green(["table-definitions"]) == {"table-definitions": "table-definitions/idx_tenants_status"}


GIVEN = """
-- mutant: a guard is gone
DROP TRIGGER trg_deny_external_proofs_mutation ON public.external_proofs;
-- mutant: as superuser
ALTER TABLE public.external_proofs DISABLE TRIGGER ALL;
-- mutant: nobody's business
COMMENT ON TABLE public.tenants IS 'kept';
-- mutant: a session is no schema
SELECT pg_catalog.set_config('session_replication_role', 'replica', true);
-- mutant: two statements, the second refused
SELECT 1;
DROP TABLE public.nothing;
-- mutant: a body that does less
CREATE OR REPLACE FUNCTION public.deny_tenant_change() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp AS 'BEGIN RETURN NEW; END';
"""


def test_mutants_of_others_are_put_before_every_invariant(breaker: Bench) -> None:
    """Whoever sees it kills it; what harms nobody survives; what is refused is told by file and line."""
    found = {one.mutant.name: one for one in map(breaker.judge, parse_blocks(GIVEN, where="given.sql"))}

    assert found["a guard is gone"].fate is Fate.KILLED
    assert found["as superuser"].fate is Fate.KILLED
    assert found["nobody's business"].fate is Fate.SURVIVED
    assert found["a session is no schema"].fate is Fate.SURVIVED
    refused = found["two statements, the second refused"]
    assert (refused.fate, refused.reason) == (Fate.FAILED, "given.sql:12 was refused: SQLSTATE 42P01")
    assert found["a body that does less"].fate is Fate.KILLED
