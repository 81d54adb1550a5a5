"""The outbox against a model of it: whatever happens in whatever order, queue and ledger say what the model says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_payments import Lease, Payments

if TYPE_CHECKING:
    from fix_database import ScratchDatabase

CEILING = 3
TERMINAL = {"DISPATCHED", "FAILED"}
KEYS, WORKERS = ("a", "b", "c"), ("one", "two")
OPERATIONS = st.one_of(
    st.tuples(st.just("enqueue"), st.sampled_from(KEYS), st.sampled_from((1, 2))),
    st.tuples(st.just("claim"), st.sampled_from(WORKERS)),
    st.tuples(
        st.just("complete"),
        st.sampled_from(KEYS),
        st.sampled_from(WORKERS),
        st.sampled_from(("DISPATCHED", "FAILED", "RETRYABLE", "ZOMBIE_REQUEUE", "DISPATCHING")),
        st.booleans(),
    ),
    st.tuples(st.just("expire")),
    st.tuples(st.just("make_due")),
    st.tuples(st.just("repair")),
)


@dataclass
class Item:
    """What is known of one payment.

    worker, token: of its lease, valid or expired. past: the tokens of leases that ended.
    """

    outbox: UUID
    content: int
    attempts: list[str] = field(default_factory=list)
    due: bool = True
    worker: str | None = None
    token: UUID | None = None
    expired: bool = False
    past: list[UUID] = field(default_factory=list)

    @property
    def queued(self) -> bool:
        """Whether it is in the queue."""
        return not self.attempts or self.attempts[-1] not in TERMINAL

    def end_lease(self, state: str) -> None:
        """Record an attempt, and give the item back unless that ends it."""
        self.attempts.append(state)
        if self.token is not None:
            self.past.append(self.token)
        self.worker = self.token = None
        self.expired = self.due = False


class Model:
    """The business and the model of it, side by side; each operation is done to both and they are compared."""

    def __init__(self, payments: Payments) -> None:
        self._payments = payments
        self._items: dict[str, Item] = {}

    def do(self, operation: tuple[Any, ...]) -> None:
        """One operation, then the comparison."""
        name, *arguments = operation
        getattr(self, f"_{name}")(*arguments)
        self._compare()

    def _enqueue(self, key: str, content: int) -> None:
        known = self._items.get(key)
        if known is not None and known.content != content:
            assert self._refusal(lambda: self._payments.enqueue(key, payload={"amount": content})) == "P7104"
            return
        answer = self._payments.enqueue(key, payload={"amount": content})
        if known is None:
            assert answer.state == "PENDING"
            self._items[key] = Item(answer.outbox_id, content)
        else:
            assert answer.outbox_id == known.outbox
            assert answer.state == ("PENDING" if known.queued else known.attempts[-1])

    def _claim(self, worker: str) -> None:
        self._lose_leases()
        waiting = {item.outbox: item for item in self._items.values() if item.queued and item.due and not item.worker}
        leases = self._payments.claim(10, worker)
        assert {lease.outbox_id for lease in leases} == waiting.keys()
        for lease in leases:
            waiting[lease.outbox_id].worker, waiting[lease.outbox_id].token = worker, lease.token

    def _complete(self, key: str, worker: str, state: str, stale: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        item = self._items.get(key)
        token = None if item is None else (item.past[-1] if item.past else uuid4()) if stale else item.token
        lease = Lease(uuid4() if item is None else item.outbox, token or uuid4())
        holds = item is not None and item.token == lease.token and item.worker == worker and not item.expired
        if not holds:
            assert self._refusal(lambda: self._payments.complete(lease, state, worker)) == "P7002"
        elif state not in {*TERMINAL, "RETRYABLE"}:
            assert self._refusal(lambda: self._payments.complete(lease, state, worker)) == "P7003"
        else:
            assert item is not None
            number = len(item.attempts) + 1
            effective = "FAILED" if state == "RETRYABLE" and number >= CEILING else state
            assert self._payments.complete(lease, state, worker) == (number, effective)
            item.end_lease(effective)

    def _expire(self) -> None:
        self._payments.expire()
        for item in self._items.values():
            item.expired = item.token is not None

    def _make_due(self) -> None:
        self._payments.make_due()
        for item in self._items.values():
            item.due = item.due or item.token is None

    def _repair(self) -> None:
        lost = self._lose_leases()
        assert sorted(self._payments.repair()) == sorted(lost)

    def _lose_leases(self) -> list[tuple[UUID, int]]:
        """What a repair, or a claim before anything else, does to expired leases."""
        lost = [item for item in self._items.values() if item.expired]
        for item in lost:
            item.end_lease("FAILED" if len(item.attempts) + 1 >= CEILING else "ZOMBIE_REQUEUE")
        return [(item.outbox, len(item.attempts)) for item in lost]

    def _compare(self) -> None:
        queue = self._payments.rows("SELECT outbox_id, claimed_by, attempt_count FROM public.payment_outbox_pending")
        ledger = self._payments.rows(
            "SELECT outbox_id, array_agg(state::text ORDER BY attempt_no), array_agg(attempt_no ORDER BY attempt_no)"
            " FROM public.payment_outbox_attempts GROUP BY outbox_id"
        )
        items = list(self._items.values())
        assert sorted(queue, key=str) == sorted(
            [(item.outbox, item.worker, len(item.attempts)) for item in items if item.queued], key=str
        )
        assert sorted(ledger) == sorted(
            (item.outbox, item.attempts, list(range(1, len(item.attempts) + 1))) for item in items if item.attempts
        )
        ids = self._payments.rows(
            "SELECT outbox_id, count(DISTINCT correlation_id), bool_and(correlation_id IS NOT NULL) FROM"
            " (SELECT outbox_id, correlation_id FROM public.payment_outbox_pending UNION ALL"
            " SELECT outbox_id, correlation_id FROM public.payment_outbox_attempts) r GROUP BY outbox_id"
        )
        assert sorted(ids) == sorted((item.outbox, 1, True) for item in items)

    def _refusal(self, call: Any) -> str | None:
        with pytest.raises(psycopg.Error) as caught, self._payments.conn.transaction():
            call()
        return caught.value.sqlstate


@settings(max_examples=120)
@given(operations=st.lists(OPERATIONS, min_size=1, max_size=25))
def test_queue_and_ledger_follow_the_model(database: ScratchDatabase, operations: list[tuple[Any, ...]]) -> None:
    """Any order of calls, workers, lost leases and replays (D-01, D-03, D-07, D-13, INV-011, INV-013, INV-015)."""
    conn = _owner(database)
    with conn.transaction(force_rollback=True):
        model = Model(Payments(conn))
        for operation in operations:
            model.do(operation)


def test_the_model_reaches_every_end(database: ScratchDatabase) -> None:
    """The operations above lead to each state, so the comparison is not one of empty tables (INV-015)."""
    conn = _owner(database)
    model = Model(Payments(conn))
    for operation in (
        ("enqueue", "a", 1),
        ("enqueue", "b", 1),
        ("enqueue", "c", 1),
        ("claim", "one"),
        ("complete", "a", "one", "DISPATCHED", False),
        ("complete", "b", "one", "RETRYABLE", False),
        ("expire",),
        ("repair",),
        *([("make_due",), ("claim", "two"), ("expire",)] * 3),
        ("claim", "one"),
        ("enqueue", "a", 1),
        ("enqueue", "a", 2),
    ):
        model.do(operation)
    states = Payments(conn).rows("SELECT DISTINCT state::text FROM public.payment_outbox_attempts ORDER BY 1")
    assert states == [("DISPATCHED",), ("FAILED",), ("RETRYABLE",), ("ZOMBIE_REQUEUE",)]
    assert Payments(conn).one("SELECT count(*) FROM public.payment_outbox_pending") == 0


def _owner(database: ScratchDatabase) -> psycopg.Connection[Any]:
    conn = database.opened[-1] if database.opened else database.connect()
    conn.execute(f"SET symphony.outbox_retry_ceiling = {CEILING}".encode())
    return conn
