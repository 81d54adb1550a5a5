"""Each invariant stands alone: what goes wrong with one is told in a sentence and keeps no other from being asked."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import psycopg
import pytest

from scripts.result import Outcome
from scripts.verifiers import bounds
from scripts.verifiers.model import Database, Invariant
from scripts.verifiers.run import select_invariants, verify_invariant

if TYPE_CHECKING:
    from collections.abc import Callable

    from db.verifiers.conftest import Bench

    from scripts.verifiers.model import Findings

SECRET = "4929-row-data"


def invariant(verify: Callable[[Database, Findings], None]) -> Invariant:
    """An invariant of the test's own."""
    (some,) = select_invariants(["outbox-mvcc-posture"])
    return replace(some, id="test", verify=verify)


def test_a_missing_table_fails_with_a_sentence(bench: Bench) -> None:
    """Without the table its invariants fail, by name of what is absent; the others are asked."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute("DROP TABLE public.payment_outbox_pending CASCADE")
        results = bench.settle()

    assert {name: result.error for name, result in results.items() if result.error} == {}
    assert results["outbox-pending-indexes"].outcome is Outcome.FAIL
    assert results["table-definitions"].outcome is Outcome.FAIL
    failed = {check.id: check.observed for check in results["table-definitions"].failures}
    assert failed["payment_outbox_pending_table"] == "absent"
    claims = {check.id: check.observed for check in results["outbox-claim-semantics"].failures}
    assert claims["due_item_setup"] == "42P01"
    assert results["revocation-tables"].outcome is Outcome.PASS


@pytest.mark.parametrize("times", [1, 4])
def test_one_of_two_that_wait_for_each_other_is_asked_again(bench: Bench, times: int) -> None:
    """A deadlock with another run says nothing of the schema: the gate is asked again, and told when it never ends."""
    first, second = (f"SELECT pg_catalog.pg_advisory_xact_lock({key})".encode() for key in (7101, 7102))
    waits = "SELECT FROM pg_catalog.pg_locks WHERE pid = %s AND NOT granted"
    other, tried, waiting = bench.database.connect(autocommit=False), [0], [threading.Thread()]

    def ended() -> None:
        if tried[0]:
            waiting[0].join()
            other.rollback()

    def verify(database: Database, findings: Findings) -> None:
        ended()
        tried[0] += 1
        if tried[0] <= times:
            other.execute(first)
            database.conn.execute(second)
            waiting[0] = threading.Thread(target=other.execute, args=(second,))
            waiting[0].start()
            while not bench.admin.execute(waits, [other.info.backend_pid]).fetchall():
                time.sleep(0.01)
            # That one asks whether there is a deadlock before there is; who comes last is told.
            time.sleep(0.1)
            database.conn.execute(first)
        findings.check("a", expected=1, observed=1)

    result = verify_invariant(invariant(verify), bench.on(bench.owner))
    ended()

    assert tried == [min(times + 1, 4)]
    assert (result.passed, "40P01 DeadlockDetected" in result.error) == (times == 1, times > 1)


def test_a_lost_connection_is_replaced(bench: Bench) -> None:
    """The invariant that was being asked errors; the next one is asked over a new connection."""
    lost = bench.database.connect()
    subject = Database(lost, bench.database.connect, bench.files)
    (pid,) = lost.execute("SELECT pg_backend_pid()").fetchone() or (0,)

    def verify(database: Database, findings: Findings) -> None:
        bench.admin.execute("SELECT pg_terminate_backend(%s)", [pid])
        database.conn.execute("SELECT 1")

    broken = verify_invariant(invariant(verify), subject)
    (after,) = select_invariants(["outbox-claim-semantics"])

    assert broken.outcome is Outcome.ERROR
    assert broken.error == (
        "the connection to the database was lost: the next invariant gets a new connection; repeat this one alone"
    )
    assert verify_invariant(after, subject).outcome is Outcome.PASS
    subject.close()
    assert subject.closed


def test_a_question_without_an_answer_has_a_deadline(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that takes too long is an error with its SQLSTATE, never a pass; the checks before it are kept."""
    monkeypatch.setattr(bounds, "STATEMENT_TIMEOUT_MS", 50)

    def verify(database: Database, findings: Findings) -> None:
        findings.check("before", expected=True, observed=True)
        database.conn.execute("SELECT pg_sleep(5)")

    result = verify_invariant(invariant(verify), bench.on(bench.owner))

    assert result.outcome is Outcome.ERROR
    assert result.error.startswith("the database gave no answer (SQLSTATE 57014 QueryCanceled)")
    assert [check.id for check in result.checks] == ["before"]


@pytest.mark.parametrize("code", ["53100", "53200"])
def test_a_machine_without_room_stops_the_run(bench: Bench, code: str) -> None:
    """It says nothing of the invariant, nor would it of the next; whoever owns the server tells it (telling.py)."""

    def verify(database: Database, findings: Findings) -> None:
        findings.check("before", expected=True, observed=True)
        database.conn.execute(f"DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '{code}'; END $$".encode())

    with pytest.raises(psycopg.errors.lookup(code)):
        verify_invariant(invariant(verify), bench.on(bench.owner))


def test_an_invariant_has_a_deadline(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many short questions that take too long together end in the same way."""
    monkeypatch.setattr(bounds, "INVARIANT_TIMEOUT_MS", 200)

    def verify(database: Database, findings: Findings) -> None:
        for _ in range(100):
            database.conn.execute("SELECT pg_sleep(0.05)")

    subject = Database(bench.database.connect(), bench.database.connect, bench.files)
    result = verify_invariant(invariant(verify), subject)

    assert result.outcome is Outcome.ERROR
    assert "connection" in result.error


def test_a_deadline_does_not_outlive_its_invariant(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside transactions of others, which may be many, no invariant is ended by the deadline of one before it."""
    monkeypatch.setattr(bounds, "INVARIANT_TIMEOUT_MS", 300)
    (invariant,) = select_invariants(["outbox-mvcc-posture"])
    until = time.monotonic() + 1
    while time.monotonic() < until:
        with bench.owner.transaction(force_rollback=True):
            assert verify_invariant(invariant, bench.on(bench.owner)).error == ""


def test_a_lock_that_others_hold_is_no_verdict(bench: Bench) -> None:
    """While a migration holds the table, the probes of old rows give up soon and say so."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute("LOCK TABLE public.tenants IN SHARE MODE")
        results = bench.settle("legacy-rows", "outbox-mvcc-posture")

    assert results["legacy-rows"].outcome is Outcome.ERROR
    assert "55P03 LockNotAvailable" in results["legacy-rows"].error
    assert results["outbox-mvcc-posture"].outcome is Outcome.PASS


def test_a_fault_of_ours_is_told_without_its_data(bench: Bench) -> None:
    """A Python fault names its kind and place; its message, which may quote a row, is not shown."""

    def verify(database: Database, findings: Findings) -> None:
        raise ValueError(SECRET)

    result = verify_invariant(invariant(verify), bench.on(bench.owner))

    assert result.outcome is Outcome.ERROR
    assert result.error.startswith("the verifier itself failed (fault ValueError at ")
    assert SECRET not in result.error


def test_no_row_data_in_any_text(bench: Bench) -> None:
    """Refusals are kept as SQLSTATE and constraint: neither message nor detail, which quote the row."""

    def verify(database: Database, findings: Findings) -> None:
        database.conn.execute("INSERT INTO public.revoked_tokens (token_jti) VALUES (%s), (%s)", [SECRET, SECRET])

    result = verify_invariant(invariant(verify), bench.on(bench.owner))

    assert result.outcome is Outcome.ERROR
    assert "23505" in result.error
    assert SECRET not in repr(result)


def test_nothing_examined_is_no_pass(bench: Bench) -> None:
    """An invariant that asked nothing is an error."""
    result = verify_invariant(invariant(lambda _database, _findings: None), bench.on(bench.owner))

    assert result.outcome is Outcome.ERROR


def test_defaults_of_the_database_do_not_change_the_answers(bench: Bench) -> None:
    """A database that is read-only and serialisable by default, with a path and a limit of its own, is green."""
    with bench.database.connect_admin() as admin:
        name = admin.execute("SELECT current_database()").fetchall()[0][0]
        for setting in (
            "default_transaction_isolation = 'serializable'",
            "default_transaction_read_only = on",
            "search_path = pg_temp",
            "statement_timeout = '1ms'",
            "quote_all_identifiers = on",
            "jit_above_cost = 0",
        ):
            admin.execute(f"ALTER DATABASE {name} SET {setting}".encode())
    subject = bench.on(bench.database.connect())
    names = ("table-definitions", "outbox-claim-semantics", "business-foundation-hooks", "legacy-rows")
    results = [verify_invariant(one, subject) for one in select_invariants(names)]

    assert [(result.gate, result.error) for result in results if not result.passed] == []


def test_roles_out_of_reach_are_told(bench: Bench) -> None:
    """Whoever may not act as the runtime roles gets an error that says as whom to verify."""
    bench.admin.execute("CREATE ROLE onlooker LOGIN PASSWORD 'onlooker'")
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute("SET LOCAL SESSION AUTHORIZATION onlooker")
        results = bench.settle("outbox-claim-semantics", conn=bench.admin)
    bench.admin.execute("DROP ROLE onlooker")

    error = results["outbox-claim-semantics"].error
    assert error.startswith("the probes cannot act as boz_auditor, symphony_auditor,")
    assert "verify as the role that made boz_auditor" in error


def test_the_clock_is_the_callers(bench: Bench) -> None:
    """Start and finish are read from the clock that was handed in."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ticks = count()
    result = verify_invariant(
        invariant(lambda _, findings: findings.check("a", expected=1, observed=1)),
        bench.on(bench.owner),
        now=lambda: start + timedelta(seconds=next(ticks)),
    )

    assert (result.started_at, result.finished_at) == (start, start + timedelta(seconds=1))
    assert result.passed
