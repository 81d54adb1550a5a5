"""INV-011, INV-013, D-45: in which order an enqueue and a completion come to what they may have to wait for.

Who waits holding nothing is in no circle, and who never waits is in none either: claim and repair pass over locked rows
(at_once.py), a completion waits for its item before it has anything, an enqueue waits for its key before it has a
number. What is left is the circle that a caller closes by numbering two participants in one transaction, and another
caller the same two in the other order: the server ends it, one of them repeats what it did, and no number is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from scripts.errors.verifiers import UnaskedError
from scripts.verifiers.probes import world
from scripts.verifiers.probes.at_once import EXECUTOR, INGEST, NUMBERED
from scripts.verifiers.probes.playing import Control
from scripts.verifiers.probes.stage import ACCEPTED
from scripts.verifiers.probes.violations import before, rewritten
from scripts.verifiers.twin.pair import DEADLOCK
from scripts.verifiers.twin.probe import two_sessions
from scripts.verifiers.twin.schema import LOCK_TIMEOUT_MS

if TYPE_CHECKING:
    from scripts.digest import Json
    from scripts.verifiers.model import Database
    from scripts.verifiers.probes.playing import Probe
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.twin.pair import Pair

_ENQUEUE, _COMPLETE, _BUMP = "enqueue_payment_outbox", "complete_outbox_attempt", "bump_participant_outbox_seq"
# How long the server lets two wait for each other before it looks.
_PATIENCE_MS: LiteralString = (
    "SELECT s.setting::integer FROM pg_catalog.pg_settings AS s WHERE s.name = 'deadlock_timeout'"
)
# Of the twin's tables those on which the session has or awaits a lock.
_HELD: LiteralString = (
    "SELECT pg_catalog.array_agg(DISTINCT c.relname::text) FROM pg_catalog.pg_locks AS k "
    "JOIN pg_catalog.pg_class AS c ON c.oid = k.relation WHERE k.pid = %s AND k.locktype = 'relation' "
    "AND c.relkind = 'r' AND c.relname ~ '^payment_outbox_'"
)


def _circle(stage: Stage, pair: Pair) -> None:
    """Two number the same participants in opposite order: one gets 40P01, its repetition works, no number is lost."""
    patience = max(pair.first.value(_PATIENCE_MS), pair.second.value(_PATIENCE_MS))
    if patience >= LOCK_TIMEOUT_MS:
        raise UnaskedError.deadlocks_unseen(patience, longest_ms=LOCK_TIMEOUT_MS)
    one, other = (world.name("participant") for _ in range(2))
    for session, participant in ((pair.first, one), (pair.second, other)):
        session.begin()
        session.rows(NUMBERED, world.request(participant=participant), role=INGEST)
    waited, second = pair.meanwhile(NUMBERED, world.request(participant=one), role=INGEST)
    ends = [pair.first.answer(NUMBERED, world.request(participant=other), role=INGEST)]
    winner, loser = (pair.second, pair.first) if ends == [DEADLOCK] else (pair.first, pair.second)
    if ends == [DEADLOCK]:
        loser.rollback()
    ends.append(second.told())
    winner.commit()
    loser.rollback()
    numbers: list[Json] = []
    loser.begin()
    for participant in (one, other):
        rows = loser.rows(NUMBERED, world.request(participant=participant), role=INGEST)
        numbers.extend(row[1] for row in rows)
    loser.rollback()
    stage.findings.check(
        "of_two_in_opposite_order_one_repeats",
        expected=[True, [DEADLOCK, ACCEPTED], [2, 2]],
        observed=[waited, [*sorted(ends)], numbers],
        where=f"public.{_ENQUEUE}",
    )


def _key_before_number(stage: Stage, pair: Pair) -> None:
    """An enqueue that waits for its key holds no number: who has the key may ask for that number, and gets it."""
    asked, participant = world.request(), world.name("participant")
    pair.first.begin()
    pair.first.rows(world.ENQUEUE, asked, role=INGEST)
    waited, second = pair.meanwhile(world.ENQUEUE, asked | {"participant": participant}, role=INGEST)
    mine = pair.first.answer(world.ENQUEUE, world.request(participant=participant), role=INGEST)
    pair.first.rollback()
    stage.findings.check(
        "a_waiting_enqueue_holds_no_number",
        expected=[True, ACCEPTED, ACCEPTED],
        observed=[waited, mine, second.told()],
        where=f"public.{_ENQUEUE}",
    )


def _item_before_ledger(stage: Stage, pair: Pair) -> None:
    """A completion that waits for its item has come to no other table."""
    item = world.queued(pair.first)
    token = world.leased(pair.first, item)
    call = {"item": item.outbox_id, "token": token, "worker": "probe-worker", "state": "DISPATCHED"}
    pair.first.begin()
    pair.first.rows(world.COMPLETE, call, role=EXECUTOR)
    waited, second = pair.meanwhile(world.COMPLETE, call, role=EXECUTOR)
    held = stage.value(_HELD, [pair.second.pid]) if waited else None
    pair.first.rollback()
    stage.findings.check(
        "a_waiting_completion_holds_nothing_else",
        expected=[True, ["payment_outbox_pending"], ACCEPTED],
        observed=[waited, held or [], second.told()],
        where=f"public.{_COMPLETE}",
    )


def enqueue_order_probes(database: Database) -> tuple[Probe, ...]:
    """INV-011, D-45: key, then number; and what becomes of two that number in opposite order."""
    return (
        two_sessions(
            database,
            "key_before_number_setup",
            _key_before_number,
            [
                Control(
                    "the number comes before the key",
                    rewritten(
                        before(
                            _ENQUEUE,
                            "INSERT INTO public.payment_outbox_idempotency",
                            "PERFORM public.bump_participant_outbox_seq(p_participant_id);",
                        )
                    ),
                    ("a_waiting_enqueue_holds_no_number",),
                )
            ],
        ),
        two_sessions(
            database,
            "opposite_orders_setup",
            _circle,
            [
                Control(
                    "a number is drawn, and nobody waits for one",
                    rewritten(
                        before(
                            _BUMP,
                            "INSERT INTO public.participant_outbox_sequences",
                            "RETURN 1 + (pg_catalog.random() * 1000000000)::bigint;",
                        )
                    ),
                    ("of_two_in_opposite_order_one_repeats",),
                )
            ],
        ),
    )


def completion_order_probes(database: Database) -> tuple[Probe, ...]:
    """INV-013, D-45: the item, then the ledger."""
    return (
        two_sessions(
            database,
            "item_before_ledger_setup",
            _item_before_ledger,
            [
                Control(
                    "the ledger comes before the item",
                    rewritten(
                        before(
                            _COMPLETE,
                            "SELECT p.* INTO v_item",
                            "SELECT coalesce(pg_catalog.max(a.attempt_no), 0) + 1 INTO v_attempt_no "
                            "FROM public.payment_outbox_attempts AS a WHERE a.outbox_id = p_outbox_id;",
                        )
                    ),
                    ("a_waiting_completion_holds_nothing_else",),
                )
            ],
        ),
    )
