"""A payment is queued once: per tenant, instruction and key, for the whole life of the item, at any isolation level."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from make_payments import Payments, fresh, refused

if TYPE_CHECKING:
    from fix_database import ScratchDatabase

FIVE = "SELECT (public.enqueue_payment_outbox(%s, %s, %s, %s, %s)).outbox_id"


@pytest.fixture
def payments(database: ScratchDatabase) -> Payments:
    """The business as its owner sees it."""
    return Payments(database.connect())


def test_a_replay_answers_with_the_first_item(payments: Payments) -> None:
    """Queued, leased, waiting between retries: the state is PENDING and the item is the first one (D-13, INV-011)."""
    first = payments.enqueue("i")
    assert payments.enqueue("i") == first
    (lease,) = payments.claim()
    assert payments.enqueue("i") == first
    payments.complete(lease, "RETRYABLE")

    assert payments.enqueue("i") == first
    assert first.state == "PENDING"
    assert payments.one("SELECT count(*) FROM public.payment_outbox_pending") == 1


@pytest.mark.parametrize("state", ["DISPATCHED", "FAILED"])
def test_a_replay_after_the_end_answers_with_the_end(payments: Payments, state: str) -> None:
    """A terminal item is never queued again under its key (D-13)."""
    first = payments.enqueue("i")
    payments.complete(payments.claim()[0], state)

    replay = payments.enqueue("i")

    assert (replay.outbox_id, replay.sequence_id, replay.state) == (first.outbox_id, first.sequence_id, state)
    assert payments.claim() == []


@pytest.mark.parametrize(
    "other",
    [{"payload": {"amount": 2}}, {"rail_type": "other"}, {"participant_id": "other"}],
    ids=lambda o: next(iter(o)),
)
@pytest.mark.parametrize("completed", [False, True], ids=["queued", "completed"])
def test_other_content_under_the_key_is_refused(
    payments: Payments, other: dict[str, object], *, completed: bool
) -> None:
    """Another payload, rail or participant under a used key is P7104: no payment is lost in silence (D-13)."""
    payments.enqueue("i")
    if completed:
        payments.complete(payments.claim()[0], "DISPATCHED")

    with pytest.raises(psycopg.Error, match="used for a payment with other content") as caught:
        payments.enqueue("i", **other)

    assert caught.value.sqlstate == "P7104"
    assert payments.one("SELECT count(*) FROM public.payment_outbox_idempotency") == 1


def test_the_order_of_json_keys_is_no_content(payments: Payments) -> None:
    """The payload is compared as JSON: order and white space do not matter (D-13)."""
    text = "SELECT (public.enqueue_payment_outbox('i', 'p', 'k', 'r', %s::jsonb)).outbox_id"
    assert payments.one(text, '{"a": 1, "b": [2]}') == payments.one(text, '{"b":[2],\n "a":1}')


def test_two_tenants_may_use_the_same_key(payments: Payments) -> None:
    """The key is the tenant's own; an item without tenant is a third one (D-13)."""
    payer = payments.payer()
    one, two = payments.tenant(payer), payments.tenant(payer)

    items = {payments.enqueue("i", tenant=tenant).outbox_id for tenant in (one, two, None)}

    assert len(items) == 3
    assert payments.enqueue("i", tenant=two).outbox_id in items


def test_without_a_tenant_the_key_is_unique_in_the_queue_too(payments: Payments) -> None:
    """Nulls are distinct to a unique constraint; the partial index closes that (D-13)."""
    payments.pending("i")
    error = refused(
        payments.conn,
        "23505",
        "INSERT INTO public.payment_outbox_pending (instruction_id, participant_id, sequence_id, idempotency_key,"
        " rail_type, payload) VALUES ('i', 'q', 1, 'key', 'r', '{}')",
    )
    assert error.diag.constraint_name == "ux_pending_idempotency_without_tenant"


@pytest.mark.parametrize("level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE])
@pytest.mark.parametrize("participant", ["bank", "other"])
def test_an_old_snapshot_never_queues_a_second_item(
    database: ScratchDatabase, payments: Payments, level: psycopg.IsolationLevel, participant: str
) -> None:
    """A key enqueued and dispatched after the snapshot ends in 40001, for any participant (D-14)."""
    late = database.connect(autocommit=False)
    late.isolation_level = level
    late.execute("SELECT count(*) FROM public.payment_outbox_pending")
    payments.enqueue("i")
    payments.complete(payments.claim()[0], "DISPATCHED")

    refused(late, "40001", FIVE, "i", participant, "key", "rail", '{"amount": 1}')

    late.rollback()
    assert payments.claim() == []
    assert payments.one("SELECT count(*) FROM public.payment_outbox_attempts") == 1


def test_two_sessions_with_one_key_make_one_item(database: ScratchDatabase, payments: Payments) -> None:
    """The second waits for the first to commit, and answers with its item (D-13, D-14)."""
    first = database.connect(autocommit=False)
    mine = Payments(first).enqueue("i")
    answers: list[Any] = []
    second = threading.Thread(target=lambda: answers.append(payments.enqueue("i")))
    second.start()
    second.join(0.3)
    assert second.is_alive(), "the second enqueue did not wait"
    first.commit()
    second.join(10)

    assert answers == [mine]
    assert payments.one("SELECT next_sequence_id FROM public.participant_outbox_sequences") == 2


def test_a_rolled_back_enqueue_leaves_nothing(database: ScratchDatabase, payments: Payments) -> None:
    """Neither the key nor the number is spent."""
    first = database.connect(autocommit=False)
    Payments(first).enqueue("i", payload={"amount": 9})
    first.rollback()

    assert payments.enqueue("i").sequence_id == 1


@pytest.mark.parametrize("where", ["queue", "ledger"])
def test_an_imported_item_counts_as_enqueued(payments: Payments, where: str) -> None:
    """A key that queue or ledger hold without a record of its own is answered, or refused, like any other (D-13)."""
    same: dict[str, object] = {"participant_id": "p", "rail_type": "r", "payload": '{"a": 1}'}
    if where == "queue":
        outbox, state = payments.pending("i", **same), "PENDING"
    else:
        outbox, state = payments.one("SELECT gen_random_uuid()"), "DISPATCHED"
        payments.attempt(outbox, 1, state, **(same | {"instruction_id": "i"}))

    replay = payments.enqueue("i", participant_id="p", rail_type="r", payload={"a": 1})

    assert (replay.outbox_id, replay.state) == (outbox, state)
    with pytest.raises(psycopg.Error) as caught:
        payments.enqueue("i", participant_id="p", rail_type="r", payload={"a": 2})
    assert caught.value.sqlstate == "P7104"


def test_an_item_taken_off_the_queue_by_the_owner_is_queued_again(payments: Payments) -> None:
    """Its key is known and nothing was tried: the same item returns, never a second one."""
    first = payments.enqueue("i")
    payments.run("DELETE FROM public.payment_outbox_pending")

    assert payments.enqueue("i").outbox_id == first.outbox_id
    assert payments.one("SELECT count(*) FROM public.payment_outbox_pending") == 1


@pytest.mark.parametrize("name", ["instruction_id", "participant_id", "idempotency_key", "rail_type", "payload"])
def test_a_missing_argument_is_refused(payments: Payments, name: str) -> None:
    """Each of the five is needed: 23502."""
    with pytest.raises(psycopg.errors.NotNullViolation):
        payments.enqueue(**{name: None})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["instruction_id", "participant_id", "idempotency_key", "rail_type"])
@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_argument_is_refused(payments: Payments, name: str, blank: str) -> None:
    """Empty or white space alone is no name: P7105."""
    with pytest.raises(psycopg.Error, match="may not be blank") as caught:
        payments.enqueue(**{"instruction_id": "i", name: blank})
    assert caught.value.sqlstate == "P7105"


@pytest.mark.parametrize("payload", [[1], "text", 5])
def test_a_payload_is_an_object(payments: Payments, payload: object) -> None:
    """Anything else is 23514 of the named check, and the key stays free."""
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        payments.enqueue("i", payload=payload)
    assert caught.value.diag.constraint_name == "ck_pending_payload_is_object"
    assert payments.enqueue("i").state == "PENDING"


def test_a_used_number_is_refused_and_spends_no_key(payments: Payments) -> None:
    """The violation is the sequence's own, and the next enqueue of the key works."""
    payments.pending("x", participant_id="bank", sequence_id=1)
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        payments.enqueue("i")
    assert caught.value.diag.constraint_name == "ux_pending_participant_sequence"
    payments.run("DELETE FROM public.payment_outbox_pending")
    assert payments.enqueue("i").sequence_id == 1


def test_five_untyped_literals_are_enough(payments: Payments) -> None:
    """The call of the release before keeps working, and there is no second function to confuse it with."""
    outbox = payments.one("SELECT (public.enqueue_payment_outbox('i', 'p', 'k', 'r', '{\"a\": 1}'::jsonb)).outbox_id")
    assert payments.queue(outbox, "instruction_id") == ("i",)
    assert payments.one("SELECT count(*) FROM pg_proc WHERE proname = 'enqueue_payment_outbox'") == 1


def test_an_unknown_tenant_is_refused(payments: Payments) -> None:
    """An item names a tenant that exists (D-15)."""
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        payments.enqueue(tenant=payments.one("SELECT gen_random_uuid()"))


def test_numbers_of_a_participant_have_no_gap(payments: Payments) -> None:
    """1, 2, 3 per participant, replays and other participants apart."""
    for name in ("a", "a", "b", "c"):
        payments.enqueue(name)
    payments.enqueue("z", participant_id="other")
    numbers = payments.rows(
        "SELECT participant_id, array_agg(sequence_id ORDER BY sequence_id) FROM public.payment_outbox_pending"
        " GROUP BY 1 ORDER BY 1"
    )
    assert numbers == [("bank", [1, 2, 3]), ("other", [1])]


def test_opposite_orders_end_in_a_deadlock_that_can_be_repeated(database: ScratchDatabase) -> None:
    """Gapless numbers cost this: of two in opposite order one gets 40P01, and its repetition works (D-45)."""
    sessions = [database.connect(autocommit=False) for _ in range(2)]
    for session, name in zip(sessions, ("a", "b"), strict=True):
        Payments(session).enqueue(participant_id=name)
    codes: list[str | None] = []

    def cross(session: psycopg.Connection[Any], name: str) -> None:
        try:
            Payments(session).enqueue(participant_id=name)
            session.commit()
            codes.append(None)
        except psycopg.Error as exc:
            session.rollback()
            codes.append(exc.sqlstate)
            Payments(session).enqueue(participant_id=name)
            session.commit()

    threads = [
        threading.Thread(target=cross, args=(session, name)) for session, name in zip(sessions, ("b", "a"), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(codes, key=str) == ["40P01", None]
    owner = Payments(database.connect())
    assert owner.one("SELECT count(*) FROM public.payment_outbox_pending") == 3


def test_only_a_fresh_item_wakes_the_workers(database: ScratchDatabase, payments: Payments) -> None:
    """A replay and a rolled-back enqueue notify nobody; a fresh one does, with nothing in the message (INV-034)."""
    listener = database.connect()
    listener.execute("LISTEN symphony_outbox")
    payments.enqueue("i")
    assert [note.payload for note in listener.notifies(timeout=2, stop_after=1)] == [""]
    payments.enqueue("i")
    lost = database.connect(autocommit=False)
    Payments(lost).enqueue(fresh("lost"))
    lost.rollback()
    assert list(listener.notifies(timeout=0.3)) == []
