"""INV-011, INV-023: a key that stands in queue and ledger is the queued item's; a replay is answered once.

Played in the twin: the imported rows that share a key are written down there, and nowhere else.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.playing import Control
from scripts.verifiers.probes.violations import rewritten
from scripts.verifiers.twin.probe import two_sessions

if TYPE_CHECKING:
    from scripts.verifiers.model import Database
    from scripts.verifiers.probes.playing import Probe
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.twin.pair import Pair

EXECUTOR = "symphony_executor"
_ENQUEUE, _FIND = "enqueue_payment_outbox", "outbox_item_of_key"
_REPLAY: LiteralString = world.ENQUEUE.replace("q.outbox_id", "q.outbox_id, q.state")
_KNOWN: LiteralString = "SELECT k.outbox_id FROM public.outbox_item_of_key(%(tenant)s, %(instruction)s, %(key)s) AS k"
_IMPORTED: LiteralString = (
    "INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, "
    "rail_type, sequence_id, payload, attempt_no, state, tenant_id) VALUES (%(item)s, %(instruction)s, "
    "%(participant)s, %(key)s, %(rail)s, 1, %(payload)s::jsonb, 1, 'RETRYABLE', %(tenant)s)"
)


def _keys(stage: Stage, pair: Pair) -> None:
    """Two items of one key, one of them queued; then a replay of what was tried twice."""
    session = pair.first
    session.begin()
    queued = world.queued(session, world.tenant(session))
    session.run(_IMPORTED, queued.asked | {"item": uuid.uuid4()})
    known = [row[0] for row in session.rows(_KNOWN, queued.asked)]
    for state in ("RETRYABLE", "DISPATCHED"):
        token = world.leased(session, queued)
        call = {"item": queued.outbox_id, "token": token, "worker": "probe-worker", "state": state}
        session.rows(world.COMPLETE, call, role=EXECUTOR)
    answer = session.rows(_REPLAY, queued.asked)
    session.rollback()
    stage.findings.check(
        "key_of_a_queued_item_is_its_own",
        expected=[1, True],
        observed=[len(known), known[:1] == [queued.outbox_id]],
        where=f"public.{_FIND}",
    )
    stage.findings.check(
        "replay_is_answered_once",
        expected=[1, True],
        observed=[len(answer), answer[:1] == [(queued.outbox_id, "DISPATCHED")]],
        where=f"public.{_ENQUEUE}",
    )


def several_probes(database: Database) -> tuple[Probe, ...]:
    """INV-011: one answer, however many there are to choose from."""
    return (
        two_sessions(
            database,
            "several_setup",
            _keys,
            [
                Control(
                    "all that have the key answer",
                    rewritten(
                        (_FIND, "LIMIT 1)\n    LIMIT 1", "LIMIT 1)\n    LIMIT 2"),
                        (
                            _ENQUEUE,
                            "ORDER BY a.attempt_no DESC\n             LIMIT 1",
                            "ORDER BY a.attempt_no DESC\n             LIMIT 2",
                        ),
                    ),
                    ("key_of_a_queued_item_is_its_own", "replay_is_answered_once"),
                )
            ],
        ),
    )
