"""INV-013, INV-032: leases and ends of items under two sessions at once (D-38).

Each probe is played in the twin, where both sessions see what the other has committed and wait for what it has not.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.alike import one_of_two
from scripts.verifiers.probes.at_once import EXECUTOR, REPAIR, WAITS
from scripts.verifiers.probes.playing import Control
from scripts.verifiers.probes.stage import ACCEPTED
from scripts.verifiers.probes.violations import rewritten
from scripts.verifiers.twin.probe import two_sessions

if TYPE_CHECKING:
    from scripts.verifiers.model import Database
    from scripts.verifiers.probes.playing import Probe
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.twin.pair import Pair

_HOLD: LiteralString = "SELECT FROM public.payment_outbox_pending AS p WHERE p.outbox_id = %s FOR UPDATE"
_EXPIRE: LiteralString = (
    "UPDATE public.payment_outbox_pending SET lease_expires_at = "
    "pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => %s) WHERE outbox_id = ANY (%s)"
)
_UNTIL_EXPIRED: LiteralString = (
    "SELECT pg_catalog.pg_sleep(greatest(0, pg_catalog.date_part('epoch', pg_catalog.max(p.lease_expires_at) "
    "- pg_catalog.clock_timestamp())) + 0.001) FROM public.payment_outbox_pending AS p WHERE p.outbox_id = ANY (%s)"
)
_ENDED: LiteralString = (
    "INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, "
    "rail_type, sequence_id, payload, attempt_no, state) VALUES (%(item)s, %(n)s, %(n)s, %(n)s, 'RAIL', 1, '{}', "
    "%(no)s, %(state)s::public.outbox_attempt_state)"
)


def _completed_once(stage: Stage, pair: Pair) -> None:
    """Of two completions with one token the second waits, and has lost the lease."""
    item = world.queued(pair.first)
    token = world.leased(pair.first, item)
    call = {"item": item.outbox_id, "token": token, "worker": "probe-worker", "state": "DISPATCHED"}
    pair.first.begin()
    pair.first.rows(world.COMPLETE, call, role=EXECUTOR)
    waited, second = pair.meanwhile(world.COMPLETE, call | {"state": "FAILED"}, role=EXECUTOR)
    pair.first.commit()
    stage.findings.check(
        "two_completions_at_once_are_one",
        expected=[True, "P7002", ["DISPATCHED"]],
        observed=[waited, second.told(), [*world.attempts(pair.first, item)]],
        where="public.complete_outbox_attempt",
    )


def _lost_while_waiting(stage: Stage, pair: Pair) -> None:
    """A lease that runs out while its completion waits is lost; one that is being completed is not repaired."""
    pair.empty_queue()
    held, done = world.queued(pair.first), world.queued(pair.first)
    both = [[held.outbox_id, done.outbox_id]]
    tokens = {item.outbox_id: world.leased(pair.first, item) for item in (held, done)}

    def call(item: world.Item) -> dict[str, Any]:
        found = {"item": item.outbox_id, "token": tokens[item.outbox_id]}
        return found | {"worker": "probe-worker", "state": "DISPATCHED"}

    waited, pending = False, None
    # Long enough for two statements; where it was not, once more with a longer one.
    for seconds in (0.02, 0.2, 2.0):
        pair.first.run(_EXPIRE, [seconds, *both])
        pair.first.begin()
        if pair.first.answer(world.COMPLETE, call(done), role=EXECUTOR) == ACCEPTED:
            pair.first.run("SAVEPOINT held")
            pair.first.run(_HOLD, [held.outbox_id])
            waited, pending = pair.meanwhile(world.COMPLETE, call(held), role=EXECUTOR)
            if waited:
                break
            pending.told()
        pair.first.rollback()
    if pending is None or not waited:
        stage.findings.check("lease_lost_while_waiting", expected="P7002", observed="it did not wait")
        return
    pair.first.run(_UNTIL_EXPIRED, both)
    pair.first.run("ROLLBACK TO SAVEPOINT held")
    stage.findings.check(
        "lease_lost_while_waiting",
        expected="P7002",
        observed=pending.told(),
        where="public.complete_outbox_attempt",
    )
    waited, repair = pair.meanwhile(REPAIR, [10, "second"], role=EXECUTOR)
    if not waited:
        repair.rows()
    pair.first.commit()
    stage.findings.check(
        "an_item_in_completion_is_not_repaired",
        expected=[False, True, ["DISPATCHED"]],
        observed=[waited, repair.rows() == [(held.outbox_id,)], [*world.attempts(pair.first, done)]],
        where="public.repair_expired_leases",
    )


def _ended_once(stage: Stage, pair: Pair) -> None:
    """Of two ends that are written at once one waits, and is refused by the index made for it."""
    row = {"item": uuid.uuid4(), "n": world.name()}
    one, two = row | {"no": 1, "state": "DISPATCHED"}, row | {"no": 2, "state": "FAILED"}
    one_of_two(
        stage,
        "two_ends_at_once",
        "23505 ux_outbox_attempts_one_terminal_per_outbox",
        pair.race(_ENDED, one, _ENDED, two),
        where="public.payment_outbox_attempts",
    )


def fencing_probes(database: Database) -> tuple[Probe, ...]:
    """INV-013, D-38: one lease, one completion, and the clock decides when it has ended."""
    return (
        two_sessions(
            database,
            "completions_at_once_setup",
            _completed_once,
            [
                Control(
                    "the completion locks nothing",
                    rewritten(("complete_outbox_attempt", "\n       FOR UPDATE", "")),
                    ("two_completions_at_once_are_one",),
                )
            ],
        ),
        two_sessions(
            database,
            "lease_in_a_lock_queue_setup",
            _lost_while_waiting,
            [
                Control(
                    "the clock is not looked at again, and the repair waits for locked rows",
                    rewritten(
                        ("complete_outbox_attempt", " OR v_item.lease_expires_at <= pg_catalog.clock_timestamp()", ""),
                        ("repair_expired_leases", WAITS, "FOR UPDATE"),
                    ),
                    ("lease_lost_while_waiting", "an_item_in_completion_is_not_repaired"),
                ),
            ],
        ),
    )


def terminal_probes(database: Database) -> tuple[Probe, ...]:
    """INV-032: an item ends once, also when two end it."""
    index = ("index", "payment_outbox_attempts", "ux_outbox_attempts_one_terminal_per_outbox")
    return (
        two_sessions(
            database,
            "ends_at_once_setup",
            _ended_once,
            [Control("the index is gone", lambda _: database.twin.lack(index), ("two_ends_at_once",))],
        ),
    )
