"""Claiming, completing and repairing: an item is one worker's at a time, every attempt is counted, and retries end."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from make_payments import Lease, Payments, fresh, refused

if TYPE_CHECKING:
    from fix_database import ScratchDatabase

CLAIM = "SELECT * FROM public.claim_outbox_batch(%s, %s, %s)"
CEILING = "SELECT public.outbox_retry_ceiling()"


@pytest.fixture
def payments(database: ScratchDatabase) -> Payments:
    """The business as its owner sees it."""
    return Payments(database.connect())


def test_due_items_are_claimed_in_the_order_in_which_they_are_due(payments: Payments) -> None:
    """Returned as claimed, oldest due first, whatever the order of insertion (D-38)."""
    payments.run(
        "INSERT INTO public.payment_outbox_pending (instruction_id, participant_id, sequence_id, idempotency_key,"
        " rail_type, payload, next_attempt_at) SELECT 'i' || g, 'p', g, 'k', 'r', '{}',"
        " now() - make_interval(secs => (g * 7919) %% 2000 + 1) FROM generate_series(1, %s) g",
        2000,
    )
    payments.run("ANALYZE public.payment_outbox_pending")
    due = [
        row[0] for row in payments.rows("SELECT outbox_id FROM public.payment_outbox_pending ORDER BY next_attempt_at")
    ]

    assert [lease.outbox_id for lease in payments.claim(500)] == due[:500]
    assert [lease.outbox_id for lease in payments.claim(2000)] == due[500:]


def test_what_is_not_due_or_leased_is_not_claimed(payments: Payments) -> None:
    """A future item and a valid lease stay where they are (INV-012)."""
    later, leased = payments.enqueue(), payments.enqueue()
    payments.run(
        "UPDATE public.payment_outbox_pending SET next_attempt_at = now() + interval '1 hour' WHERE outbox_id = %s",
        later.outbox_id,
    )
    assert [lease.outbox_id for lease in payments.claim(10)] == [leased.outbox_id]
    assert payments.claim(10, "other") == []


def test_two_workers_at_once_get_disjoint_sets(database: ScratchDatabase, payments: Payments) -> None:
    """The second neither waits for the first nor sees its items: SKIP LOCKED at work, not in a comment (INV-012)."""
    for _ in range(10):
        payments.enqueue()
    one, two = (database.connect(autocommit=False) for _ in range(2))
    first = {lease.outbox_id for lease in Payments(one).claim(6, "one")}
    two.execute("SET LOCAL lock_timeout = '1s'")
    second = {lease.outbox_id for lease in Payments(two).claim(6, "two")}

    assert (len(first), len(second)) == (6, 4)
    assert first.isdisjoint(second)


def test_a_claim_reads_an_index_whatever_the_queue_holds(payments: Payments) -> None:
    """With a long backlog, and with many items for later, a claim and a repair touch a few pages (INV-031)."""
    payments.run(
        "INSERT INTO public.payment_outbox_pending (instruction_id, participant_id, sequence_id, idempotency_key,"
        " rail_type, payload, next_attempt_at) SELECT 'i' || g, 'p', g, 'k', 'r', '{}',"
        " now() + CASE WHEN g %% 2 = 0 THEN interval '1 hour' ELSE interval '-1 hour' END + g * interval '1 ms'"
        " FROM generate_series(1, %s) g",
        20_000,
    )
    payments.run("ANALYZE public.payment_outbox_pending")

    def touched(query: str) -> int:
        payments.rows(query)
        before = _blocks(payments)
        payments.rows(query)
        return _blocks(payments) - before

    claim = "SELECT * FROM public.claim_outbox_batch(5, 'w', 60)"
    repair = "SELECT * FROM public.repair_expired_leases(5, 'w')"
    assert payments.one("SELECT pg_relation_size('public.payment_outbox_pending') / 8192") > 300
    assert touched(claim) < 250  # five rows, each with nine indexes
    assert touched(repair) < 20
    payments.run("DELETE FROM public.payment_outbox_pending WHERE next_attempt_at < now()")
    payments.run("VACUUM ANALYZE public.payment_outbox_pending")
    assert touched(claim) < 20


def _blocks(payments: Payments) -> int:
    """Pages of the queue and its indexes asked for so far."""
    payments.run("SELECT pg_stat_force_next_flush()")
    payments.run("SELECT pg_stat_clear_snapshot()")
    asked: int = payments.one(
        "SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit FROM pg_statio_user_tables"
        " WHERE relname = 'payment_outbox_pending'"
    )
    return asked


@pytest.mark.parametrize(
    "arguments",
    [
        *((batch, "w", 5) for batch in (None, -1, 10_001, 2**31 - 1)),
        *((1, worker, 5) for worker in (None, "", " \t")),
        *((1, "w", seconds) for seconds in (None, 0, -5, 86_401, 2**31 - 1)),
    ],
)
def test_a_claim_says_how_many_who_and_how_long(payments: Payments, arguments: tuple[object, ...]) -> None:
    """A missing, useless or boundless batch, worker or lease is P7105, and nothing is leased (D-38)."""
    payments.enqueue()
    error = refused(payments.conn, "P7105", CLAIM, *arguments)
    assert "a batch size of 0 to 10000, a worker and a lease of 1 to 86400 seconds are needed" in str(error)
    assert payments.one("SELECT count(*) FROM public.payment_outbox_pending WHERE lease_token IS NOT NULL") == 0


@pytest.mark.parametrize("arguments", [(None, "w"), (-1, "w"), (0, "w"), (10_001, "w"), (1, None), (1, ""), (1, " ")])
def test_a_repair_says_how_many_and_who(payments: Payments, arguments: tuple[object, ...]) -> None:
    """The same for the repair: P7105 (D-38)."""
    error = refused(payments.conn, "P7105", "SELECT * FROM public.repair_expired_leases(%s, %s)", *arguments)
    assert "a batch of 1 to 10000 and a worker are needed" in str(error)


def test_the_longest_lease_and_the_largest_batches_are_taken(payments: Payments) -> None:
    """The bounds themselves are no refusal (D-38)."""
    payments.enqueue()
    (lease,) = payments.claim(10_000, seconds=86_400)
    assert payments.repair(10_000) == []
    assert payments.complete(lease, "RETRYABLE", retry_delay_seconds=604_800) == (1, "RETRYABLE")
    left = "SELECT extract(day FROM next_attempt_at - clock_timestamp()) FROM public.payment_outbox_pending"
    assert payments.one(left) in (6, 7)


@pytest.mark.parametrize("delay", [604_801, 2**31 - 1])
def test_a_retry_is_not_put_off_beyond_a_week(payments: Payments, delay: int) -> None:
    """P7105, nothing is recorded, and the lease still stands; of a payment that went out the delay does not count."""
    payments.enqueue()
    (lease,) = payments.claim()
    with pytest.raises(psycopg.Error) as caught:
        payments.complete(lease, "RETRYABLE", retry_delay_seconds=delay)
    assert caught.value.sqlstate == "P7105"
    assert caught.value.diag.message_primary == "a retry delay of at most 604800 seconds is needed"
    assert caught.value.diag.message_hint == "Give at most seven days, or complete as FAILED."
    assert payments.attempts(lease.outbox_id, "state") == []
    assert payments.complete(lease, "DISPATCHED", retry_delay_seconds=delay) == (1, "DISPATCHED")


@pytest.mark.parametrize("wrong", ["token", "worker", "item", "expired"])
def test_only_the_holder_of_a_valid_lease_completes(payments: Payments, wrong: str) -> None:
    """Another token, worker or item, or a lease that ran out: P7002, before the state is looked at (INV-013)."""
    payments.enqueue()
    (lease,) = payments.claim()
    worker = "other" if wrong == "worker" else "worker"
    if wrong == "token":
        lease = Lease(lease.outbox_id, uuid4())
    if wrong == "item":
        lease = Lease(uuid4(), lease.token)
    if wrong == "expired":
        payments.expire()

    for state in ("DISPATCHED", "ZOMBIE_REQUEUE", None):
        with pytest.raises(psycopg.Error, match="LEASE_LOST") as caught:
            payments.complete(lease, state, worker)
        assert caught.value.sqlstate == "P7002"
    assert payments.one("SELECT count(*) FROM public.payment_outbox_attempts") == 0


@pytest.mark.parametrize("state", [None, "DISPATCHING", "ZOMBIE_REQUEUE"])
def test_a_state_that_completes_nothing_is_refused(payments: Payments, state: str | None) -> None:
    """Null, too: P7003, and the lease stays."""
    payments.enqueue()
    (lease,) = payments.claim()
    with pytest.raises(psycopg.Error, match="an attempt cannot be completed as") as caught:
        payments.complete(lease, state)
    assert caught.value.sqlstate == "P7003"
    assert payments.complete(lease, "DISPATCHED") == (1, "DISPATCHED")


def test_the_clock_ends_a_lease_not_the_start_of_the_transaction(database: ScratchDatabase, payments: Payments) -> None:
    """A transaction from before the end of the lease cannot complete after it (D-38)."""
    payments.enqueue()
    (lease,) = payments.claim(seconds=1)
    old = database.connect(autocommit=False)
    old.execute("SELECT now()")
    time.sleep(1.05)
    with pytest.raises(psycopg.Error) as caught:
        Payments(old).complete(lease, "DISPATCHED")
    assert caught.value.sqlstate == "P7002"


def test_a_lease_that_runs_out_in_a_lock_queue_is_lost(database: ScratchDatabase, payments: Payments) -> None:
    """The completion waited for the row, and the lease ended meanwhile: P7002, not a late success (D-38)."""
    payments.enqueue()
    (lease,) = payments.claim(seconds=1)
    holder = database.connect(autocommit=False)
    holder.execute("SELECT 1 FROM public.payment_outbox_pending FOR UPDATE")
    codes: list[str | None] = []

    def late() -> None:
        with pytest.raises(psycopg.Error) as caught:
            payments.complete(lease, "DISPATCHED")
        codes.append(caught.value.sqlstate)

    thread = threading.Thread(target=late)
    thread.start()
    time.sleep(1.1)
    holder.rollback()
    thread.join(10)
    assert codes == ["P7002"]


@pytest.mark.parametrize("state", ["DISPATCHED", "FAILED"])
def test_a_terminal_completion_ends_the_item(payments: Payments, state: str) -> None:
    """Gone from the queue, one attempt with the true times and all that the rail said; a second completion is P7002."""
    item = payments.enqueue()
    (lease,) = payments.claim()
    (claimed_at,) = payments.queue(item.outbox_id, "claimed_at") or (None,)
    time.sleep(0.02)
    said = {"rail_reference": "ref", "rail_code": "00", "error_code": "e", "error_message": "m", "latency_ms": 7}

    assert payments.complete(lease, state, **said) == (1, state)
    assert payments.queue(item.outbox_id, "1") is None
    ((*found, claimed, completed),) = payments.attempts(
        item.outbox_id,
        "rail_reference, rail_code, error_code, error_message, latency_ms, worker_id, sequence_id, claimed_at,"
        " completed_at",
    )
    assert found == ["ref", "00", "e", "m", 7, "worker", item.sequence_id]
    assert claimed == claimed_at
    assert completed > claimed
    with pytest.raises(psycopg.Error) as caught:
        payments.complete(lease, state)
    assert caught.value.sqlstate == "P7002"


@pytest.mark.parametrize(("delay", "seconds"), [(None, 1), (-5, 1), (0, 1), (90, 90)])
def test_a_retry_waits_and_is_counted(payments: Payments, delay: int | None, seconds: int) -> None:
    """Back in the queue, unleased, due after the delay; the attempt has its completion time (D-38)."""
    item = payments.enqueue()
    (lease,) = payments.claim()

    assert payments.complete(lease, "RETRYABLE", retry_delay_seconds=delay) == (1, "RETRYABLE")
    row = payments.queue(
        item.outbox_id,
        "attempt_count, claimed_by, claimed_at, lease_token, lease_expires_at,"
        " round(extract(epoch FROM next_attempt_at - clock_timestamp()))::int",
    )
    assert row is not None
    assert row[:5] == (1, None, None, None, None)
    assert abs(row[5] - seconds) <= 1
    assert payments.attempts(item.outbox_id, "state::text, completed_at IS NOT NULL") == [("RETRYABLE", True)]
    payments.make_due()
    assert payments.complete(payments.claim()[0], "DISPATCHED") == (2, "DISPATCHED")


def test_a_negative_latency_is_refused(payments: Payments) -> None:
    """23514, and the lease stays valid."""
    payments.enqueue()
    (lease,) = payments.claim()
    with pytest.raises(psycopg.errors.CheckViolation):
        payments.complete(lease, "DISPATCHED", latency_ms=-1)
    assert payments.complete(lease, "DISPATCHED") == (1, "DISPATCHED")


def test_an_item_has_one_terminal_attempt(payments: Payments) -> None:
    """A second one is 23505 of the named index, whoever writes it (INV-032)."""
    outbox = uuid4()
    payments.attempt(outbox, 1, "DISPATCHED", rail_reference="ref")
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        payments.attempt(outbox, 2, "FAILED")
    assert caught.value.diag.constraint_name == "ux_outbox_attempts_one_terminal_per_outbox"


def test_repair_gives_an_expired_item_back(payments: Payments) -> None:
    """One ZOMBIE_REQUEUE that names the lost worker; queued once, due in a second; valid leases stay (INV-023)."""
    item, valid = payments.enqueue(), payments.enqueue()
    payments.claim(1, "lost")
    payments.claim(1, "busy")
    payments.run(
        "UPDATE public.payment_outbox_pending SET lease_expires_at = clock_timestamp() WHERE claimed_by = 'lost'"
    )

    assert payments.repair() == [(item.outbox_id, 1)]
    assert payments.attempts(item.outbox_id, "state::text, worker_id, error_code") == [
        ("ZOMBIE_REQUEUE", "repairer", "LEASE_EXPIRED")
    ]
    assert "worker lost" in payments.attempts(item.outbox_id, "error_message")[0][0]
    assert payments.queue(
        item.outbox_id, "attempt_count, claimed_by, lease_token, next_attempt_at > clock_timestamp()"
    ) == (
        1,
        None,
        None,
        True,
    )
    assert payments.queue(valid.outbox_id, "claimed_by") == ("busy",)
    assert payments.repair() == []


def test_repair_skips_what_another_repair_holds(database: ScratchDatabase, payments: Payments) -> None:
    """Two repairs at once share the work and neither waits; each item is counted once."""
    for _ in range(4):
        payments.enqueue()
    payments.claim(4)
    payments.expire()
    one, two = (database.connect(autocommit=False) for _ in range(2))
    first = Payments(one).repair(2)
    two.execute("SET LOCAL lock_timeout = '1s'")
    second = Payments(two).repair(10)
    one.commit()
    two.commit()

    assert len(first) == len(second) == 2
    assert payments.one("SELECT count(*) FROM public.payment_outbox_attempts WHERE state = 'ZOMBIE_REQUEUE'") == 4


def test_repair_ends_an_item_at_the_ceiling_and_helps_the_others(payments: Payments) -> None:
    """Nineteen lost leases, then the twentieth: FAILED, gone, and its healthy neighbour is repaired too (D-01)."""
    doomed = payments.enqueue()
    for number in range(1, 20):
        payments.claim(1, "crash")
        payments.expire()
        assert payments.repair() == [(doomed.outbox_id, number)]
        payments.make_due()
    healthy = payments.enqueue()
    payments.claim(2, "crash")
    payments.expire()

    assert sorted(payments.repair()) == sorted([(doomed.outbox_id, 20), (healthy.outbox_id, 1)])
    assert payments.queue(doomed.outbox_id, "1") is None
    assert payments.attempts(doomed.outbox_id, "attempt_no, state::text, error_code")[-1] == (
        20,
        "FAILED",
        "RETRY_CEILING_EXCEEDED",
    )
    assert payments.queue(healthy.outbox_id, "attempt_count") == (1,)
    assert payments.repair() == []


def test_a_retry_at_the_ceiling_fails_with_the_callers_words(payments: Payments) -> None:
    """The last attempt allowed cannot be RETRYABLE: it is FAILED, the error is the worker's own (D-01)."""
    item = payments.enqueue()
    payments.attempt(item.outbox_id, 19, "RETRYABLE")
    (lease,) = payments.claim()

    assert payments.complete(lease, "RETRYABLE", error_code="RAIL_DOWN") == (20, "FAILED")
    assert payments.attempts(item.outbox_id, "state::text, error_code")[-1] == ("FAILED", "RAIL_DOWN")
    assert payments.queue(item.outbox_id, "1") is None


def test_a_crash_loop_meets_the_ceiling_without_any_repair(payments: Payments) -> None:
    """Claims alone: every lost lease is counted before the next one, and the twentieth ends the item (D-07)."""
    item = payments.enqueue()
    for _ in range(40):
        payments.claim(1, "crash")
        payments.expire()
        payments.claim(1, "crash")
        payments.make_due()

    states = [state for _, state in payments.attempts(item.outbox_id)]
    assert states == ["ZOMBIE_REQUEUE"] * 19 + ["FAILED"]
    assert payments.queue(item.outbox_id, "1") is None


def test_a_queue_without_a_repairer_moves_on(payments: Payments) -> None:
    """A taken-over item is due again a second later, and the next claim gets it (D-07)."""
    item = payments.enqueue()
    payments.claim(1, "lost", seconds=1)
    time.sleep(1.05)
    assert payments.claim(5, "next") == []
    time.sleep(1.05)
    (lease,) = payments.claim(5, "next")
    assert payments.complete(lease, "DISPATCHED", "next") == (2, "DISPATCHED")
    assert [state for _, state in payments.attempts(item.outbox_id)] == ["ZOMBIE_REQUEUE", "DISPATCHED"]


def test_a_worker_that_lost_its_lease_cannot_complete_after_the_take_over(payments: Payments) -> None:
    """The token is the fence: the old worker gets P7002, the new one completes (INV-013)."""
    payments.enqueue()
    (old,) = payments.claim(1, "old")
    payments.expire()
    payments.repair()
    payments.make_due()
    (new,) = payments.claim(1, "new")

    with pytest.raises(psycopg.Error) as caught:
        payments.complete(old, "DISPATCHED", "old")
    assert caught.value.sqlstate == "P7002"
    assert payments.complete(new, "DISPATCHED", "new") == (2, "DISPATCHED")


def test_half_a_lease_is_refused(payments: Payments) -> None:
    """Nobody could claim, complete or repair such a row; clearing all three together is fine."""
    item = payments.enqueue()
    payments.claim()
    error = refused(payments.conn, "23514", "UPDATE public.payment_outbox_pending SET claimed_by = NULL")
    assert error.diag.constraint_name == "payment_outbox_pending_lease_whole_check"
    payments.run(
        "UPDATE public.payment_outbox_pending SET next_attempt_at = now(), claimed_by = NULL, lease_token = NULL,"
        " lease_expires_at = NULL"
    )
    assert [lease.outbox_id for lease in payments.claim()] == [item.outbox_id]


@pytest.mark.parametrize("how", ["retry", "repair", "take-over"])
def test_a_requeue_wakes_the_workers(database: ScratchDatabase, payments: Payments, how: str) -> None:
    """Retry, repair and take-over notify, as a fresh item does (D-46)."""
    payments.enqueue()
    (lease,) = payments.claim()
    listener = database.connect()
    listener.execute("LISTEN symphony_outbox")
    if how == "retry":
        payments.complete(lease, "RETRYABLE")
    else:
        payments.expire()
        if how == "repair":
            payments.repair()
        else:
            payments.claim()
    assert [note.channel for note in listener.notifies(timeout=2, stop_after=1)] == ["symphony_outbox"]


@pytest.mark.parametrize("value", ["abc", "-3", "0", "1000", "2000000000", "1.5", "", " "])
def test_a_useless_ceiling_is_twenty(payments: Payments, value: str) -> None:
    """Text, zero, negative or immense: 20 holds, and completion works (D-38, INV-015)."""
    payments.rows("SELECT set_config('symphony.outbox_retry_ceiling', %s, false)", value)
    assert payments.one(CEILING) == 20
    payments.enqueue()
    assert payments.complete(payments.claim()[0], "RETRYABLE") == (1, "RETRYABLE")


def test_the_ceiling_is_set_for_the_database(database: ScratchDatabase, payments: Payments) -> None:
    """ALTER DATABASE … SET binds every worker, those already connected too (INV-015)."""
    worker = Payments(_as_worker(database))
    payments.enqueue()
    database.connect_admin().execute(f"ALTER DATABASE {database.name} SET symphony.outbox_retry_ceiling = 2".encode())

    assert worker.complete(worker.claim()[0], "RETRYABLE") == (1, "RETRYABLE")
    payments.make_due()
    assert worker.complete(worker.claim()[0], "RETRYABLE") == (2, "FAILED")


@pytest.mark.parametrize("how", ["own login", "SET ROLE"])
def test_a_worker_cannot_set_the_ceiling(database: ScratchDatabase, payments: Payments, how: str) -> None:
    """Neither a login that became the executor nor the executor's own session shortens the retries (D-38)."""
    conn = _as_worker(database) if how == "own login" else database.connect("symphony_executor")
    worker = Payments(conn)
    worker.rows("SELECT set_config('symphony.outbox_retry_ceiling', '1', false)")
    payments.enqueue()

    assert worker.complete(worker.claim()[0], "RETRYABLE") == (1, "RETRYABLE")


def _as_worker(database: ScratchDatabase) -> psycopg.Connection[Any]:
    """A login of its own that may become the executor, as in production."""
    from psycopg import sql
    from psycopg.conninfo import make_conninfo

    name = fresh("worker").replace("-", "_")
    with database.connect_admin() as admin:
        admin.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'made-up' IN ROLE symphony_executor").format(sql.Identifier(name))
        )
    conn = psycopg.connect(make_conninfo(database.admin_dsn, user=name, password="made-up"), autocommit=True)  # noqa: S106 - made up on the spot
    database.opened.append(conn)
    conn.execute("SET ROLE symphony_executor")
    return conn


def test_workers_at_full_speed_dispatch_every_item_once(database: ScratchDatabase, payments: Payments) -> None:
    """Four workers, crashes among them: one terminal attempt an item, numbers without gap (INV-032)."""
    items = {payments.enqueue().outbox_id for _ in range(60)}

    def work(name: str) -> None:
        mine = Payments(database.connect())
        for turn in range(60):
            for lease in mine.claim(3, name):
                if turn % 5 == 4:
                    continue  # a crash: the lease is left to run out
                mine.complete(lease, "RETRYABLE" if turn % 3 == 2 else "DISPATCHED", name)

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for _ in range(20):
        payments.expire()
        payments.repair()
        payments.make_due()
        for lease in payments.claim(100, "last"):
            payments.complete(lease, "DISPATCHED", "last")

    ended = payments.rows(
        "SELECT outbox_id, count(*) FILTER (WHERE state IN ('DISPATCHED', 'FAILED')), max(attempt_no), count(*)"
        " FROM public.payment_outbox_attempts GROUP BY outbox_id"
    )
    assert {row[0] for row in ended} == items
    assert all(terminal == 1 and last == count for _, terminal, last, count in ended)
