"""The hollow schema, asked in a thread of its own while the probes are played: the same answers, and nobody waits."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from scripts.errors.verifiers import UnaskedError
from scripts.result import Outcome
from scripts.verifiers import ahead as module
from scripts.verifiers import run as run_module
from scripts.verifiers.ahead import Ahead
from scripts.verifiers.hollow import reading
from scripts.verifiers.model import Database
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.run import Verification, select_invariants
from scripts.verifiers.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.verifiers.conftest import Bench

    from scripts.result import Result
    from scripts.verifiers.hollow.reading import Hollow
    from scripts.verifiers.model import Invariant

ON_SCHEMA = ("boz-observability-role", "table-privileges")


@contextmanager
def turns_of(bench: Bench, *invariants: Invariant) -> Iterator[tuple[Database, Turns]]:
    """The database as a run has it, and whose turn it is."""
    connect = bench.database.connect
    database = Database(bench.owner, connect, bench.files, whole=True, ahead=Ahead(connect, bench.files, invariants))
    try:
        yield database, Turns(database, invariants)
    finally:
        database.close()


def settled(bench: Bench, *invariants: Invariant) -> dict[str, Result]:
    """All of them, in order."""
    with turns_of(bench, *invariants) as (_, turns):
        return {one.id: turns.settle(one) for one in invariants}


def told(result: Result) -> tuple[Any, ...]:
    """What a result says, apart from when."""
    return (
        result.outcome,
        {check.id: check for check in result.checks},
        set(result.controls or ()),
        result.examined,
        result.error,
    )


def held_until(go: threading.Event, original: Callable[..., Hollow]) -> Callable[..., Hollow]:
    """The hollow schema, planted and asked only when it may go on."""

    def hold(database: Database, invariants: tuple[Invariant, ...]) -> Hollow:
        assert go.wait(60)
        return original(database, invariants)

    return hold


def test_the_answers_are_those_of_one_thread(bench: Bench) -> None:
    """Every invariant: the same checks and counts, and the same controls."""
    alone = bench.settle(controls=True)
    found = settled(bench, *INVARIANTS)
    assert list(found) == [one.id for one in INVARIANTS]
    assert {name: told(result) for name, result in found.items()} == {
        name: told(result) for name, result in alone.items()
    }
    assert {result.outcome for result in found.values()} == {Outcome.PASS}


def test_the_others_are_asked_before_their_turn(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the thread who has something to ask; what changes the schema's own row is planted after it."""
    go, asked, planted = threading.Event(), list[str](), list[str]()
    monkeypatch.setattr(reading, "read_hollow", held_until(go, reading.read_hollow))
    begin = Verification.__init__

    def note(self: Verification, invariant: Invariant, *rest: Any, **more: Any) -> None:
        begin(self, invariant, *rest, **more)
        asked.append(invariant.id)
        if self._asked.postponed:
            planted.append(invariant.id)
        if invariant is INVARIANTS[-1]:
            go.set()

    monkeypatch.setattr(Verification, "__init__", note)
    with turns_of(bench, *INVARIANTS) as (_, turns):
        first = turns.settle(INVARIANTS[0])
        assert first.outcome is Outcome.PASS
        assert asked == [one.id for one in INVARIANTS]
        assert sorted(planted) == sorted(ON_SCHEMA)
        rest = {one.id: turns.settle(one) for one in INVARIANTS[1:]}
    assert {result.outcome for result in rest.values()} == {Outcome.PASS}
    assert asked == [one.id for one in INVARIANTS]


def test_what_cannot_be_had_there_is_asked_here(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that refuses the thread's connection, or ends it; the answers come all the same."""
    chosen = select_invariants(["table-definitions", "function-privileges"])
    alone = bench.settle(*(one.id for one in chosen), controls=True)
    threads = list[str]()
    original = reading.read_hollow

    def lost(database: Database, invariants: tuple[Invariant, ...]) -> Hollow:
        threads.append(threading.current_thread().name)
        if threads[-1] == module.THREAD:
            bench.admin.execute("SELECT pg_terminate_backend(%s, 5000)", [database.conn.info.backend_pid])
        return original(database, invariants)

    monkeypatch.setattr(reading, "read_hollow", lost)
    found = settled(bench, *chosen)
    assert threads == [module.THREAD, threading.current_thread().name]
    assert {name: told(result) for name, result in found.items()} == {
        name: told(result) for name, result in alone.items()
    }


def test_a_fact_that_is_not_noticed_there_is_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread's answer counts: what it did not see fail is not seen to be able to."""
    (chosen,) = select_invariants(["table-definitions"])
    original = reading.read_hollow

    def blind(database: Database, invariants: tuple[Invariant, ...]) -> Hollow:
        hollow = original(database, invariants)
        return replace(hollow, noticed={verify: reading.Noticed() for verify in hollow.noticed})

    monkeypatch.setattr(reading, "read_hollow", blind)
    result = settled(bench, chosen)[chosen.id]
    assert result.outcome is Outcome.ERROR
    assert any(planted.missed for planted in result.controls or ())


def test_what_asking_one_raises_is_raised_when_its_turn_comes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without room stops a run; those before it have their results."""
    chosen = select_invariants(["table-definitions", "function-privileges"])

    def full(*_: object) -> None:
        raise psycopg.errors.DiskFull

    broken = replace(chosen[-1], verify=full)
    go = threading.Event()
    monkeypatch.setattr(reading, "read_hollow", held_until(go, reading.read_hollow))
    begin = Verification.__init__

    def note(self: Verification, invariant: Invariant, *rest: Any, **more: Any) -> None:
        try:
            begin(self, invariant, *rest, **more)
        finally:
            if invariant is broken:
                go.set()

    monkeypatch.setattr(Verification, "__init__", note)
    with turns_of(bench, chosen[0], broken) as (_, turns):
        assert turns.settle(chosen[0]).outcome is Outcome.PASS
        with pytest.raises(psycopg.errors.DiskFull):
            turns.settle(broken)


def test_it_ends_when_it_is_told_to(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed while the thread waits in the server: it is cancelled, and nothing of it is left."""
    begun = threading.Event()

    def hang(database: Database, _: tuple[Invariant, ...]) -> Hollow:
        begun.set()
        database.conn.execute("SELECT pg_catalog.pg_sleep(9)")
        raise AssertionError

    monkeypatch.setattr(reading, "read_hollow", hang)
    monkeypatch.setattr(module, "CANCEL_S", 0.1)
    (chosen,) = select_invariants(["table-definitions"])
    with turns_of(bench, chosen) as (database, _):
        Verification(chosen, database, controls=True)
        assert begun.wait(10)
    assert [one for one in threading.enumerate() if one.name == module.THREAD] == []
    rows = bench.admin.execute("SELECT count(*) FROM pg_stat_activity WHERE query ~ 'pg_sleep.9.' AND state = 'active'")
    assert rows.fetchall()[0][0] <= 1  # this very question


def test_the_twin_is_gone_before_the_schema_is_hollowed_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probes of two sessions come first, and nothing of theirs is there any more."""
    (chosen,) = select_invariants(["outbox-claim-semantics"])
    twins = list[list[tuple[str]]]()
    original = reading.read_hollow

    def look(database: Database, invariants: tuple[Invariant, ...]) -> Hollow:
        query = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^parity_twin'"
        twins.append(bench.admin.execute(query).fetchall())
        return original(database, invariants)

    monkeypatch.setattr(reading, "read_hollow", look)
    (facts,) = select_invariants(["table-definitions"])
    assert {result.outcome for result in settled(bench, facts, chosen).values()} == {Outcome.PASS}
    assert twins == [[]]


def test_where_no_facts_are_read_the_thread_ends_all_the_same(bench: Bench) -> None:
    """Nobody hands anything over: it waits for that until it is told to end."""
    (chosen,) = select_invariants(["outbox-claim-semantics"])
    with turns_of(bench, chosen) as (database, _):
        assert database.ahead is not None
        assert not database.ahead.hollowing
    assert [one for one in threading.enumerate() if one.name == module.THREAD] == []


def test_what_is_handed_over_after_the_end_is_asked_by_nobody_there(bench: Bench) -> None:
    """And so by whoever needs it."""
    (chosen,) = select_invariants(["table-definitions"])
    with turns_of(bench, chosen) as (database, turns):
        assert database.ahead is not None
        database.ahead.close()
        assert turns.settle(chosen).outcome is Outcome.PASS
        assert not database.ahead.hollowing
        assert database.ahead.hollow() is None


def test_waiting_for_the_thread_is_no_time_of_an_invariants_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes as long as its own questions; that others were asked meanwhile is not told as its time."""
    original = reading.read_hollow
    slept_s = 0.8

    def late(database: Database, invariants: tuple[Invariant, ...]) -> Hollow:
        time.sleep(slept_s)
        return original(database, invariants)

    monkeypatch.setattr(reading, "read_hollow", late)
    (chosen,) = select_invariants(["table-conventions"])
    began = time.monotonic()
    result = settled(bench, chosen)[chosen.id]
    took_s = time.monotonic() - began
    assert result.started_at is not None
    assert result.finished_at is not None
    assert 0 <= (result.finished_at - result.started_at).total_seconds() < took_s - slept_s


def test_a_thread_that_stalls_is_waited_for_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by each invariant anew; what it would have said is asked here, or an error of who needs it."""
    go, asked = threading.Event(), list[str]()
    original = reading.read_hollow

    def stall(database: Database, invariants: tuple[Invariant, ...]) -> Hollow:
        asked.append(threading.current_thread().name)
        if asked[-1] == module.THREAD:
            assert go.wait(60)
            raise AssertionError
        return original(database, invariants)

    monkeypatch.setattr(reading, "read_hollow", stall)
    patience_s = 1.5
    monkeypatch.setattr(module, "INVARIANT_TIMEOUT_MS", patience_s * 1000)
    chosen = select_invariants(["table-definitions", "table-conventions", "function-privileges", "table-privileges"])
    with turns_of(bench, *chosen) as (_, turns):
        began = time.monotonic()
        outcomes = [turns.settle(one).outcome for one in chosen]
        took_s = time.monotonic() - began
        go.set()
    assert outcomes == [Outcome.PASS] * len(chosen)
    assert patience_s < took_s < 2 * patience_s + 1
    assert asked == [module.THREAD, threading.current_thread().name]


def test_answers_that_do_not_come_are_waited_for_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each probe of two sessions is an error then, and the wait is that of one."""
    go = threading.Event()
    original = module._answer

    def stall(*given: Any) -> Any:
        assert go.wait(60)
        return original(*given)

    monkeypatch.setattr(module, "_answer", stall)
    patience_s = 1.0
    monkeypatch.setattr(module, "INVARIANT_TIMEOUT_MS", patience_s * 1000)
    chosen = select_invariants(["ci-invariant-gate", "tenant-integrity", "outbox-claim-semantics"])
    with turns_of(bench, *chosen) as (_, turns):
        began = time.monotonic()
        results = [turns.settle(one) for one in chosen]
        took_s = time.monotonic() - began
        go.set()
    assert {one.outcome for one in results} == {Outcome.ERROR}
    assert {one.error for one in results} == {UnaskedError.connection_lost().sentence}
    assert took_s < 2 * patience_s + 2


def test_a_half_answer_of_the_thread_is_not_the_last_word(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be planted there, for a lock that was held just then, is planted and asked here."""
    threads = list[str]()
    original = reading.read_hollow

    def half(database: Database, invariants: tuple[Invariant, ...]) -> Hollow:
        threads.append(threading.current_thread().name)
        hollow = original(database, invariants)
        return replace(hollow, unplanted=("a login (SQLSTATE 55P03)",)) if threads[-1] == module.THREAD else hollow

    monkeypatch.setattr(reading, "read_hollow", half)
    chosen = select_invariants(["table-definitions", "role-login-posture"])
    assert {result.outcome for result in settled(bench, *chosen).values()} == {Outcome.PASS}
    assert threads == [module.THREAD, threading.current_thread().name]


def test_a_schema_that_is_gone_by_then_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the questions and the controls: the check that names it fails, and is not lost."""
    (chosen,) = select_invariants(["table-definitions"])

    def gone(*_: object) -> None:
        raise psycopg.errors.InvalidSchemaName

    monkeypatch.setattr(reading, "read_hollow", gone)
    monkeypatch.setattr(run_module, "_is_there", lambda *_: False)
    result = settled(bench, chosen)[chosen.id]
    assert result.outcome is Outcome.FAIL
    assert [check.id for check in result.checks if not check.holds] == ["schema_public"]
