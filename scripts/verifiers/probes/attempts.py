"""INV-015, INV-032: what completion and repair write, and where retrying ends (D-01, D-07)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.own_queue import by_order
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.violations import altered, rewritten

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage

EXECUTOR = "symphony_executor"
WORKER = "probe-worker"
REPAIR: LiteralString = "SELECT r.outbox_id, r.attempt_no FROM public.repair_expired_leases(%s, %s) AS r"
STATE: LiteralString = (
    "SELECT p.claimed_by IS NULL AND p.lease_token IS NULL AND p.lease_expires_at IS NULL, p.attempt_count, "
    "p.next_attempt_at > pg_catalog.clock_timestamp() FROM public.payment_outbox_pending AS p WHERE p.outbox_id = %s"
)
_RETRIED: LiteralString = (
    "SELECT c.state::text FROM public.complete_outbox_attempt(%(item)s, %(token)s, %(worker)s, 'RETRYABLE', "
    "p_error_code => 'of the caller') AS c"
)
_LAST: LiteralString = (
    "SELECT a.attempt_no, a.state::text, a.error_code, a.completed_at IS NOT NULL, a.worker_id "
    "FROM public.payment_outbox_attempts AS a WHERE a.outbox_id = %s ORDER BY a.attempt_no DESC LIMIT 1"
)
_TIMES: LiteralString = (
    "SELECT a.claimed_at = '2001-02-03 04:05:06+00', a.completed_at > pg_catalog.now() "
    "FROM public.payment_outbox_attempts AS a WHERE a.outbox_id = %s"
)


def complete(stage: Stage, item: world.Item, state: str) -> str | None:
    """Lease and complete the item as a worker does; the state that was recorded."""
    token = world.leased(stage, item, worker=WORKER)
    found: str | None = stage.value(
        world.COMPLETE, {"item": item.outbox_id, "token": token, "worker": WORKER, "state": state}, role=EXECUTOR
    )
    return found


def dispatched(stage: Stage) -> None:
    """DISPATCHED and FAILED end an item: out of the queue, one attempt, and no second end."""
    for state in ("DISPATCHED", "FAILED"):
        item = world.queued(stage)
        recorded = complete(stage, item, state)
        stage.findings.check(
            f"{state.lower()}_ends_the_item",
            expected=[state, False, [state]],
            observed=[recorded, world.is_queued(stage, item), [*world.attempts(stage, item)]],
            where="public.complete_outbox_attempt",
        )


def second_terminal(stage: Stage) -> None:
    """A second terminal attempt of one item is refused by the index made for it."""
    insert = (
        "INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, "
        "rail_type, sequence_id, payload, attempt_no, state) SELECT %(item)s, %(n)s, %(n)s, %(n)s, 'RAIL', 1, '{}', "
        "%(no)s, %(state)s::public.outbox_attempt_state"
    )
    row = {"item": stage.value("SELECT public.uuid_v7_or_random()"), "n": world.name()}
    stage.run(insert, row | {"no": 1, "state": "DISPATCHED"})
    refusal = "23505 ux_outbox_attempts_one_terminal_per_outbox"
    where = "public.payment_outbox_attempts"
    for state in ("FAILED", "DISPATCHED"):
        stage.refused(f"second_terminal_{state.lower()}", refusal, insert, row | {"no": 2, "state": state}, where=where)
    stage.accepted("zombie_beside_terminal", insert, row | {"no": 2, "state": "ZOMBIE_REQUEUE"}, where=where)
    stage.refused(
        "attempt_number_twice",
        "23505 ux_attempts_outbox_attempt_no",
        insert,
        row | {"no": 1, "state": "RETRYABLE"},
        where=where,
    )


def retryable(stage: Stage) -> None:
    """RETRYABLE below the ceiling gives the item back to the queue, counted, unleased, due later."""
    item = world.queued(stage)
    recorded = complete(stage, item, "RETRYABLE")
    stage.findings.check(
        "retryable_requeues",
        expected=["RETRYABLE", ["RETRYABLE"], [True, 1, True]],
        observed=[recorded, [*world.attempts(stage, item)], [*(stage.row(STATE, [item.outbox_id]) or ())]],
        where="public.complete_outbox_attempt",
    )
    stage.findings.check(
        "attempt_keeps_the_claim's_time",
        expected=[True, True],
        observed=[*(stage.row(_TIMES, [item.outbox_id]) or ())],
        where="public.complete_outbox_attempt",
    )


def ceiling_of_completion(stage: Stage) -> None:
    """The attempt that reaches the ceiling is the last: RETRYABLE becomes FAILED, for the reason that was given."""
    item = world.queued(stage)
    ceiling = _tried_to_the_brink(stage, item)
    call = {"item": item.outbox_id, "token": world.leased(stage, item, worker=WORKER), "worker": WORKER}
    recorded = stage.value(_RETRIED, call, role=EXECUTOR)
    last = stage.row(_LAST, [item.outbox_id]) or (0, "", "", False, "")
    stage.findings.check(
        "completion_at_the_ceiling_fails_the_item",
        expected=["FAILED", ceiling, "FAILED", "of the caller", False],
        observed=[recorded, *last[:3], world.is_queued(stage, item)],
        where="public.complete_outbox_attempt",
    )


@by_order
def ceiling_of_repair(stage: Stage) -> None:
    """Repair fails the item at the ceiling, and the others of the batch are repaired with it (D-01)."""
    worn, fresh = world.queued(stage), world.queued(stage)
    ceiling = _tried_to_the_brink(stage, worn)
    world.leased(stage, worn, worker=WORKER, expired=True)
    world.leased(stage, fresh, worker=WORKER, expired=True)
    handled = {row[0]: row[1] for row in stage.rows(REPAIR, [2, "probe-repairer"], role=EXECUTOR)}
    last = stage.row(_LAST, [worn.outbox_id]) or (0, "", "", False, "")
    stage.findings.check(
        "repair_at_the_ceiling_fails_the_item",
        expected=[ceiling, "FAILED", "RETRY_CEILING_EXCEEDED", True, False],
        observed=[*last[:4], world.is_queued(stage, worn)],
        where="public.repair_expired_leases",
    )
    stage.findings.check(
        "repair_goes_on_after_the_ceiling",
        expected=[True, ["ZOMBIE_REQUEUE"], True],
        observed=[
            handled == {worn.outbox_id: ceiling, fresh.outbox_id: 1},
            [*world.attempts(stage, fresh)],
            world.is_queued(stage, fresh),
        ],
        where="public.repair_expired_leases",
    )


def ceiling_is_sane(stage: Stage) -> None:
    """The ceiling is a number strictly between 0 and 1000, whatever a session sets it to."""
    where = "public.outbox_retry_ceiling"
    stage.findings.check("ceiling_in_bounds", expected=True, observed=0 < _ceiling(stage) < 1000, where=where)
    for label, setting in (("text", "abc"), ("negative", "-3"), ("zero", "0"), ("huge", "2000000000")):
        with stage.undone():
            stage.value("SELECT pg_catalog.set_config('symphony.outbox_retry_ceiling', %s, true)", [setting])
            sane = 0 < _ceiling(stage) < 1000
            stage.findings.check(f"ceiling_set_to_{label}", expected=True, observed=sane, where=where)


def ceiling_is_policy(stage: Stage) -> None:
    """A worker that could lower the ceiling would turn its first retry into a lost payment: its setting is nothing."""
    item = world.queued(stage)
    token = world.leased(stage, item, worker=WORKER)
    stage.become(EXECUTOR)
    stage.value("SELECT pg_catalog.set_config('symphony.outbox_retry_ceiling', '1', true)")
    call = {"item": item.outbox_id, "token": token, "worker": WORKER, "state": "RETRYABLE"}
    recorded = stage.value(world.COMPLETE, call)
    stage.findings.check(
        "ceiling_not_set_by_a_worker",
        expected="RETRYABLE",
        observed=recorded,
        where="public.outbox_retry_ceiling",
    )


@by_order
def takeover(stage: Stage) -> None:
    """Claiming past a dead worker counts as an attempt, and meets the ceiling like any other (D-07)."""
    claim: LiteralString = "SELECT c.outbox_id FROM public.claim_outbox_batch(1, 'probe-next', 60) AS c"
    where = "public.claim_outbox_batch"
    for worn, states, queued in ((False, ["ZOMBIE_REQUEUE"], True), (True, ["FAILED"], False)):
        with stage.undone():
            # One that is free for the claim to take, one whose worker has died.
            world.queued(stage)
            item = world.queued(stage)
            if worn:
                _tried_to_the_brink(stage, item)
            world.leased(stage, item, worker="probe-dead", expired=True)
            stage.rows(claim, role=EXECUTOR)
            stage.findings.check(
                "takeover_at_the_ceiling_fails_the_item" if worn else "takeover_is_counted",
                expected=[[*states], queued],
                observed=[[*world.attempts(stage, item)[-1:]], world.is_queued(stage, item)],
                where=where,
            )


def _ceiling(stage: Stage) -> int:
    """The ceiling as the functions see it; 0 when it is none at all."""
    found: int | None = stage.value("SELECT public.outbox_retry_ceiling()")
    return found or 0


def _tried_to_the_brink(stage: Stage, item: world.Item) -> int:
    """Record all attempts but the last that the ceiling allows; returns the ceiling."""
    # A ceiling beyond all bounds is another check's finding; it must not make this one write millions of rows.
    ceiling = min(_ceiling(stage), 1000)
    asked: dict[str, Any] = item.asked | {"item": item.outbox_id, "last": ceiling - 1}
    stage.run(
        "INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, "
        "rail_type, sequence_id, payload, attempt_no, state) SELECT %(item)s, %(instruction)s, %(participant)s, "
        "%(key)s, %(rail)s, 1, %(payload)s::jsonb, n, 'RETRYABLE' FROM pg_catalog.generate_series(1, %(last)s) AS n",
        asked,
    )
    stage.run(
        "UPDATE public.payment_outbox_pending SET attempt_count = %s WHERE outbox_id = %s",
        [ceiling - 1, item.outbox_id],
    )
    return ceiling


COMPLETE, REPAIRS, CEILING = "complete_outbox_attempt", "repair_expired_leases", "outbox_retry_ceiling"
_DELETE = "DELETE FROM public.payment_outbox_pending AS p WHERE p.outbox_id = v_item.outbox_id;"
_AT_THE_CEILING = "v_attempt_no >= public.outbox_retry_ceiling()"
_CLAMP = "CASE WHEN chosen.value ~ '^[1-9][0-9]{0,2}$' THEN chosen.value::integer ELSE 20 END"

TERMINAL_PROBES = (
    Probe(
        "terminal_setup",
        dispatched,
        (
            Control(
                "an item that has ended stays in the queue",
                rewritten((COMPLETE, _DELETE, "")),
                breaks=("dispatched_ends_the_item", "failed_ends_the_item"),
            ),
        ),
    ),
    Probe(
        "second_terminal_setup",
        second_terminal,
        (
            Control(
                "an item may end twice and count an attempt twice, and no zombie is recorded",
                altered(
                    "payment_outbox_attempts",
                    "ALTER TABLE public.payment_outbox_attempts DROP CONSTRAINT ux_attempts_outbox_attempt_no, "
                    "ADD CONSTRAINT planted CHECK (state <> 'ZOMBIE_REQUEUE') NOT VALID; "
                    "DROP INDEX public.ux_outbox_attempts_one_terminal_per_outbox",
                ),
                breaks=(
                    "second_terminal_failed",
                    "second_terminal_dispatched",
                    "zombie_beside_terminal",
                    "attempt_number_twice",
                ),
            ),
        ),
    ),
)
CEILING_PROBES = (
    Probe(
        "retryable_setup",
        retryable,
        (
            Control(
                "a retry keeps its lease and forgets when it was claimed",
                rewritten(
                    (
                        COMPLETE,
                        "claimed_by = NULL, claimed_at = NULL, lease_token = NULL, lease_expires_at = NULL",
                        "claimed_at = NULL",
                    ),
                    (
                        COMPLETE,
                        "coalesce(v_item.claimed_at, pg_catalog.clock_timestamp())",
                        "pg_catalog.clock_timestamp()",
                    ),
                ),
                breaks=("retryable_requeues", "attempt_keeps_the_claim's_time"),
            ),
        ),
    ),
    Probe(
        "completion_ceiling_setup",
        ceiling_of_completion,
        (
            Control(
                "a completion has no ceiling",
                rewritten((COMPLETE, _AT_THE_CEILING, "false")),
                breaks=("completion_at_the_ceiling_fails_the_item",),
            ),
        ),
    ),
    Probe(
        "repair_ceiling_setup",
        ceiling_of_repair,
        (
            Control(
                "a repair has no ceiling and ends with its first item",
                rewritten((REPAIRS, _AT_THE_CEILING, "false"), (REPAIRS, "RETURN NEXT;", "RETURN NEXT; EXIT;")),
                breaks=("repair_at_the_ceiling_fails_the_item", "repair_goes_on_after_the_ceiling"),
            ),
        ),
    ),
    Probe(
        "takeover_setup",
        takeover,
        (
            Control(
                "a claim repairs nothing",
                rewritten(
                    ("outbox_claim_limit", "PERFORM public.repair_expired_leases(p_batch_size, p_worker_id);", "")
                ),
                breaks=("takeover_is_counted", "takeover_at_the_ceiling_fails_the_item"),
            ),
        ),
    ),
    Probe(
        "ceiling_setting_setup",
        ceiling_is_sane,
        (
            Control(
                "whatever number is set is the ceiling, and there is none by itself",
                rewritten(
                    (
                        CEILING,
                        _CLAMP,
                        "CASE WHEN chosen.value ~ '^-?[0-9]+$' THEN chosen.value::integer ELSE 2000000 END",
                    ),
                ),
                breaks=(
                    "ceiling_in_bounds",
                    "ceiling_set_to_text",
                    "ceiling_set_to_negative",
                    "ceiling_set_to_zero",
                    "ceiling_set_to_huge",
                ),
            ),
        ),
    ),
    Probe(
        "ceiling_policy_setup",
        ceiling_is_policy,
        (
            Control(
                "a worker sets the ceiling",
                rewritten((CEILING, "'USAGE')", "'USAGE') OR true")),
                breaks=("ceiling_not_set_by_a_worker",),
            ),
        ),
    ),
)
