"""Probes of two sessions, played ahead in a thread: the same answers, nobody's locks, and an end."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from scripts.result import Outcome
from scripts.verifiers import ahead as module
from scripts.verifiers.ahead import Ahead
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.model import Database
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.run import select_invariants, verify_invariant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.verifiers.conftest import Bench

    from scripts.verifiers.model import Invariant

PAIRED = tuple(one for one in INVARIANTS if one.pairs(Database(None, lambda: None, ())))  # type: ignore[arg-type, return-value]
CLAIMS = "outbox-claim-semantics"
FUNCTIONS = "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'"
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


@contextmanager
def ahead_of(bench: Bench, *invariants: Invariant) -> Iterator[Database]:
    """The database, with the probes of these under way in another thread."""
    connect = bench.database.connect
    database = Database(bench.owner, connect, bench.files, ahead=Ahead(connect, bench.files, invariants))
    try:
        yield database
    finally:
        database.close()


def threads() -> list[str]:
    """Those that play."""
    return [one.name for one in threading.enumerate() if one.name == module.THREAD]


def test_the_answers_are_those_of_one_thread(bench: Bench) -> None:
    """Every invariant that has such probes: the same checks, counts and controls, in the same order."""
    assert len(PAIRED) >= 10
    alone = bench.settle(*(one.id for one in PAIRED), controls=True)
    with ahead_of(bench, *PAIRED) as database:
        for one in PAIRED:
            found, before = verify_invariant(one, database, controls=True), alone[one.id]
            assert found.outcome is Outcome.PASS
            assert {check.id: check for check in found.checks} == {check.id: check for check in before.checks}
            assert set(found.controls or ()) == set(before.controls or ())
            assert found.examined == before.examined
        assert database._twin is None
    assert threads() == []


def test_it_is_seen_that_a_guarantee_is_gone(bench: Bench) -> None:
    """A violation that is committed in the schema fails the same checks as without the thread."""
    (row,) = bench.owner.execute("SELECT pg_get_functiondef('public.claim_outbox_batch'::regproc)").fetchall()
    bench.owner.execute(row[0].replace("FOR UPDATE SKIP LOCKED", "FOR UPDATE").encode())
    (claims,) = select_invariants([CLAIMS])
    with ahead_of(bench, claims) as database:
        result = verify_invariant(claims, database, controls=True)
    assert "two_claims_at_once_share_the_queue" in {check.id for check in result.failures}
    assert result.outcome is Outcome.FAIL


def test_it_holds_up_nobody_and_waits_for_nobody(bench: Bench) -> None:
    """Once it has read the schema, others lock every table and replace every function, and all answers come."""
    with ahead_of(bench, *PAIRED) as database:
        probes = [probe for one in PAIRED for probe in one.pairs(database)]
        answers = [probe.elsewhere for probe in probes if probe.elsewhere is not None]
        assert len(answers) == len(probes)
        found = [*answers[0]()]
        with bench.database.connect_admin() as other, other.transaction(force_rollback=True):
            other.execute("SET LOCAL lock_timeout TO '100ms'")
            for name in TABLES:
                other.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(name)))
            for (definition,) in other.execute(FUNCTIONS).fetchall():
                other.execute(definition.encode())
            for answer in answers[1:]:
                found += answer()
    assert [planted for planted in found if planted.missed or planted.trouble] == []


def test_a_connection_that_is_lost_is_one_invariants_loss(bench: Bench) -> None:
    """Its answers are an error; the ones after it are played on a new one."""
    (claims,) = select_invariants([CLAIMS])
    others = [one for one in PAIRED if one is not claims]
    killed: list[int] = []
    original = module._answer

    def kill(stage: object, probe: object) -> object:
        if not killed:
            pid = stage.conn.info.backend_pid  # type: ignore[attr-defined]
            killed.append(pid)
            bench.admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        return original(stage, probe)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_answer", kill)
        with ahead_of(bench, claims, *others) as database:
            results = {one.id: verify_invariant(one, database, controls=True) for one in (claims, *others)}
    assert results.pop(CLAIMS).outcome is Outcome.ERROR
    assert {name for name, result in results.items() if result.outcome is not Outcome.PASS} == set()


def test_a_server_that_refuses_connections_is_told_by_each(bench: Bench) -> None:
    """No answer is no pass."""

    def refused() -> object:
        msg = "refused"
        raise OSError(msg)

    database = Database(
        bench.owner,
        bench.database.connect,
        bench.files,
        ahead=Ahead(refused, bench.files, PAIRED),  # type: ignore[arg-type]
    )
    for one in PAIRED:
        assert verify_invariant(one, database, controls=True).outcome is Outcome.ERROR
    database.close()


def test_it_ends_when_it_is_told_to(bench: Bench) -> None:
    """Closed at once, in the middle, or while a statement waits: no thread, no session and no twin is left."""
    sessions = bench.admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    ).fetchone()
    for pause_s in (0.0, 0.02, 0.1):
        with ahead_of(bench, *PAIRED):
            time.sleep(pause_s)
        assert threads() == []
    left = bench.admin.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^parity_twin_'").fetchall()
    assert left == []
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        now = bench.admin.execute(SESSIONS).fetchone()
        if now == sessions:
            break
        time.sleep(0.02)
    assert now == sessions


def test_a_statement_that_hangs_is_cancelled(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gives up does not wait for the server's own deadline."""
    begun = threading.Event()

    def hang(stage: object, _probe: object) -> object:
        begun.set()
        return stage.rows("SELECT pg_sleep(9)")  # type: ignore[attr-defined]

    monkeypatch.setattr(module, "_answer", hang)
    monkeypatch.setattr(module, "CANCEL_S", 0.1)
    started = time.monotonic()
    with ahead_of(bench, *PAIRED):
        assert begun.wait(10)
    assert time.monotonic() - started < 5
    assert threads() == []


def test_a_probe_that_nobody_announced_is_no_pass(bench: Bench) -> None:
    """An invariant that is not among those named has no answers here."""
    claims, other = select_invariants([CLAIMS])[0], next(one for one in PAIRED if one.id != CLAIMS)
    with ahead_of(bench, other) as database:
        assert verify_invariant(claims, database, controls=True).outcome is Outcome.ERROR
