"""INV-011, INV-012, INV-015, INV-023: the queue under two sessions at once (D-14, D-45).

Each probe is played in the twin, where both sessions see what the other has committed and wait for what it has not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.playing import Control
from scripts.verifiers.probes.violations import before, rewritten
from scripts.verifiers.twin.pair import SNAPSHOT
from scripts.verifiers.twin.probe import two_sessions

if TYPE_CHECKING:
    from scripts.verifiers.model import Database
    from scripts.verifiers.probes.playing import Probe
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.twin.pair import Pair, Session

EXECUTOR, INGEST = "symphony_executor", "symphony_ingest"
_CLAIM: LiteralString = "SELECT c.outbox_id FROM public.claim_outbox_batch(%s, %s, 60) AS c"
REPAIR: LiteralString = "SELECT r.outbox_id FROM public.repair_expired_leases(%s, %s) AS r"
NUMBERED: LiteralString = world.ENQUEUE.replace("q.outbox_id", "q.outbox_id, q.sequence_id")
_KEYLESS = (
    "enqueue_payment_outbox",
    "VALUES (p_tenant_id, p_instruction_id, p_idempotency_key,",
    "VALUES (p_tenant_id, p_instruction_id, p_idempotency_key || v_outbox_id,",
)
WAITS = "FOR UPDATE SKIP LOCKED"
_LOCK = "LOCK TABLE public.payment_outbox_pending IN EXCLUSIVE MODE;"


def _workers_share(stage: Stage, pair: Pair) -> None:
    """Two workers at once get disjoint sets, and neither waits; an enqueue that is under way holds nobody up."""
    pair.empty_queue()
    for _ in range(4):
        world.queued(pair.first)
    pair.first.begin()
    mine = {row[0] for row in pair.first.rows(_CLAIM, [2, "first"], role=EXECUTOR)}
    waited, other = pair.meanwhile(_CLAIM, [10, "second"], role=EXECUTOR)
    if waited:
        pair.first.commit()
    theirs = {row[0] for row in other.rows()}
    stage.findings.check(
        "two_claims_at_once_share_the_queue",
        expected=[False, 2, 2, True],
        observed=[waited, len(mine), len(theirs), mine.isdisjoint(theirs)],
        where="public.claim_outbox_batch",
    )


def _enqueue_holds_nobody_up(stage: Stage, pair: Pair) -> None:
    """While an enqueue is open, others claim, complete and repair; while a claim is open, its participant enqueues."""
    pair.empty_queue()
    _, done, lost = (world.queued(pair.first, participant="shared") for _ in range(3))
    token = world.leased(pair.first, done)
    world.leased(pair.first, lost, expired=True)
    pair.first.begin()
    pair.first.rows(world.ENQUEUE, world.request(participant="shared"), role=INGEST)
    complete = {"item": done.outbox_id, "token": token, "worker": "probe-worker", "state": "DISPATCHED"}
    calls: tuple[tuple[LiteralString, Any], ...] = (
        (REPAIR, [5, "second"]),
        (_CLAIM, [1, "second"]),
        (world.COMPLETE, complete),
    )
    waits = []
    for call, arguments in calls:
        waited, pending = pair.meanwhile(call, arguments, role=EXECUTOR)
        waits.append(waited)
        if waited:
            pair.first.rollback()
        pending.rows()
    pair.first.rollback()
    stage.findings.check(
        "an_enqueue_holds_up_no_worker",
        expected=[False, False, False],
        observed=[*waits],
        where="public.enqueue_payment_outbox",
    )
    pair.first.begin()
    pair.first.rows(_CLAIM, [5, "first"], role=EXECUTOR)
    waited, _ = pair.meanwhile(world.ENQUEUE, world.request(participant="shared"), role=INGEST)
    stage.findings.check(
        "a_claim_holds_up_no_enqueue", expected=False, observed=waited, where="public.claim_outbox_batch"
    )


def _repairers_share(stage: Stage, pair: Pair) -> None:
    """Two repairs at once share the work, neither waits, each lost lease is counted once, and no running one."""
    pair.empty_queue()
    running = world.queued(pair.first)
    world.leased(pair.first, running)
    items = [world.queued(pair.first) for _ in range(4)]
    for item in items:
        world.leased(pair.first, item, expired=True)
    pair.first.begin()
    mine = pair.first.rows(REPAIR, [2, "first"], role=EXECUTOR)
    waited, other = pair.meanwhile(REPAIR, [10, "second"], role=EXECUTOR)
    if not waited:
        other.rows()
    pair.first.commit()
    stage.findings.check(
        "two_repairs_at_once_share_the_work",
        expected=[False, 2, 2, [["ZOMBIE_REQUEUE"]] * 4],
        observed=[waited, len(mine), len(other.rows()), [[*world.attempts(pair.first, item)] for item in items]],
        where="public.repair_expired_leases",
    )
    stage.findings.check(
        "a_running_lease_is_not_repaired",
        expected=[],
        observed=[*world.attempts(pair.first, running)],
        where="public.repair_expired_leases",
    )


def _key_at_once(stage: Stage, pair: Pair) -> None:
    """The second of two enqueues of one key waits: it gets the first's item, or makes its own when there is none."""
    where = "public.enqueue_payment_outbox"
    asked = world.request()
    pair.first.begin()
    (first,) = pair.first.rows(NUMBERED, asked, role=INGEST)
    waited, second = pair.meanwhile(NUMBERED, asked, role=INGEST)
    pair.first.commit()
    stage.findings.check(
        "two_enqueues_at_once_are_one", expected=[True, True], observed=[waited, second.rows() == [first]], where=where
    )
    asked = world.request()
    pair.first.begin()
    pair.first.rows(NUMBERED, asked, role=INGEST)
    waited, second = pair.meanwhile(world.ENQUEUE, asked | {"rail": "OTHER"}, role=INGEST)
    pair.first.commit()
    stage.findings.check(
        "other_content_at_once_is_refused", expected=[True, "P7104"], observed=[waited, second.told()], where=where
    )
    asked = world.request()
    pair.first.begin()
    (first,) = pair.first.rows(NUMBERED, asked, role=INGEST)
    waited, second = pair.meanwhile(NUMBERED, asked, role=INGEST)
    pair.first.rollback()
    (own,) = second.rows() or [(None, 0)]
    stage.findings.check(
        "a_key_given_back_is_free",
        expected=[True, True, 1],
        observed=[waited, own[0] not in (None, first[0]), own[1]],
        where=where,
    )
    participant = asked["participant"]
    # A replay takes no number.
    pair.first.answer(NUMBERED, asked, role=INGEST)
    pair.first.begin()
    pair.first.rows(NUMBERED, world.request(participant=participant), role=INGEST)
    waited, second = pair.meanwhile(NUMBERED, world.request(participant=participant), role=INGEST)
    pair.first.commit()
    stage.findings.check(
        "numbers_have_no_gap",
        expected=[True, 3],
        observed=[waited, (second.rows() or [(None, 0)])[0][1]],
        where="public.bump_participant_outbox_seq",
    )


def _old_snapshot(stage: Stage, pair: Pair) -> None:
    """A key that was queued and dispatched after the snapshot is refused, and never becomes a second item (D-14)."""
    for label, level in (("repeatable_read", "REPEATABLE READ"), ("serializable", "SERIALIZABLE")):
        asked = world.request()
        pair.second.begin(level)
        pair.second.rows("SELECT FROM public.payment_outbox_idempotency LIMIT 1")
        _dispatch(pair.first, asked)
        # Another participant's number would not stop it: the key alone has to.
        other = asked | {"participant": world.name("participant")}
        found = pair.second.answer(world.ENQUEUE, other, role=INGEST)
        pair.second.rollback()
        stage.findings.check(
            f"replay_under_{label}", expected=SNAPSHOT, observed=found, where="public.enqueue_payment_outbox"
        )


def _dispatch(session: Session, asked: dict[str, Any]) -> None:
    item = world.Item(session.value(world.ENQUEUE, asked, role=INGEST), asked)
    token = world.leased(session, item)
    call = {"item": item.outbox_id, "token": token, "worker": "probe-worker", "state": "DISPATCHED"}
    session.rows(world.COMPLETE, call, role=EXECUTOR)


def claim_probes(database: Database) -> tuple[Probe, ...]:
    """INV-012, D-45: who claims waits for nobody."""
    return (
        two_sessions(
            database,
            "claims_at_once_setup",
            _workers_share,
            [
                Control(
                    "the claim waits for locked rows",
                    rewritten(("claim_outbox_batch", WAITS, "FOR UPDATE")),
                    ("two_claims_at_once_share_the_queue",),
                )
            ],
        ),
        two_sessions(
            database,
            "enqueue_beside_workers_setup",
            _enqueue_holds_nobody_up,
            [
                Control(
                    "enqueue and claim lock the queue",
                    rewritten(
                        before("enqueue_payment_outbox", "v_sequence_id := public", _LOCK),
                        before("repair_expired_leases", "FOR v_item IN", _LOCK),
                    ),
                    ("an_enqueue_holds_up_no_worker", "a_claim_holds_up_no_enqueue"),
                ),
            ],
        ),
    )


def replay_probes(database: Database) -> tuple[Probe, ...]:
    """INV-011, INV-023, D-14: one key, one item, whoever else is at it."""
    return (
        two_sessions(
            database,
            "repairs_at_once_setup",
            _repairers_share,
            [
                Control(
                    "whatever is leased is repaired, and waited for",
                    rewritten(
                        ("repair_expired_leases", WAITS, "FOR UPDATE"),
                        ("repair_expired_leases", "AND p.lease_expires_at <=", "OR p.lease_expires_at <="),
                    ),
                    ("two_repairs_at_once_share_the_work", "a_running_lease_is_not_repaired"),
                ),
            ],
        ),
        two_sessions(
            database,
            "enqueues_at_once_setup",
            _key_at_once,
            [
                Control(
                    "the key is not the request's, and numbers are drawn",
                    rewritten(
                        _KEYLESS,
                        ("bump_participant_outbox_seq", "RETURN v_sequence_id;", "RETURN 1000 + v_sequence_id;"),
                    ),
                    (
                        "two_enqueues_at_once_are_one",
                        "other_content_at_once_is_refused",
                        "a_key_given_back_is_free",
                        "numbers_have_no_gap",
                    ),
                ),
            ],
        ),
        two_sessions(
            database,
            "old_snapshot_setup",
            _old_snapshot,
            [
                Control(
                    "the key is not the request's",
                    rewritten(_KEYLESS),
                    ("replay_under_repeatable_read", "replay_under_serializable"),
                )
            ],
        ),
    )
