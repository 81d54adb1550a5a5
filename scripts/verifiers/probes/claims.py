"""INV-012, INV-013: what a claim hands out and what a lease protects, played by the roles that do it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.own_queue import by_order, first_in_order
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.twins import twin_function
from scripts.verifiers.probes.violations import REFUSE, before, rewritten

if TYPE_CHECKING:
    from scripts.verifiers.model import Database, Findings
    from scripts.verifiers.probes.stage import Stage

EXECUTOR = "symphony_executor"
_WORKER = "probe-worker"
_CLAIM: LiteralString = (
    "SELECT c.outbox_id, c.lease_token, c.lease_expires_at FROM public.claim_outbox_batch(%s, %s, %s) AS c"
)
_LEASE: LiteralString = (
    "SELECT p.claimed_by, p.lease_token, p.lease_expires_at, p.attempt_count FROM public.payment_outbox_pending AS p "
    "WHERE p.outbox_id = %s"
)
_PUT_OFF: LiteralString = (
    "SELECT c.state::text FROM public.complete_outbox_attempt(%(item)s, %(token)s, %(worker)s, %(state)s, "
    "p_retry_delay_seconds => %(delay)s) AS c"
)
_SIGNATURE = "public.claim_outbox_batch(integer,text,integer)"
_QUEUE = "public.payment_outbox_pending"


@by_order
def due_is_claimed(stage: Stage) -> None:
    """A due item is leased to the worker, for as long as was asked, and nothing else about it changes."""
    item = world.queued(stage)
    world.decoy(stage)
    rows = stage.rows(_CLAIM, [1, _WORKER, 60], role=EXECUTOR)
    claimed = [row[0] for row in rows]
    stage.findings.check("due_item_is_claimed", expected=True, observed=claimed == [item.outbox_id], where=_SIGNATURE)
    lease = stage.row(_LEASE, [item.outbox_id])
    stage.findings.check(
        "claim_returns_the_lease_it_wrote",
        expected=True,
        observed=bool(rows and lease and (_WORKER, *rows[0][1:]) == lease[:3]),
        where=_SIGNATURE,
    )
    left = stage.value(
        "SELECT pg_catalog.date_part('epoch', %s::timestamptz - pg_catalog.clock_timestamp()) BETWEEN 50 AND 60",
        [lease[2] if lease else None],
    )
    stage.findings.check("lease_lasts_as_asked", expected=True, observed=bool(left), where=_SIGNATURE)
    stage.findings.check(
        "claim_is_no_attempt",
        expected=[0, []],
        observed=[lease[3] if lease else -1, [*world.attempts(stage, item)]],
        where=_SIGNATURE,
    )


@by_order
def leased_is_passed_over(stage: Stage) -> None:
    """An item under a lease stays where it is, however early it would be in the order."""
    held, free = world.queued(stage), world.queued(stage)
    # Equal times: the first by creation would be handed out first if its lease were not looked at.
    stage.run(
        "UPDATE public.payment_outbox_pending SET created_at = '-infinity' WHERE outbox_id = %s", [held.outbox_id]
    )
    stage.run(
        "UPDATE public.payment_outbox_pending SET created_at = '4000-01-01 BC' WHERE outbox_id = %s", [free.outbox_id]
    )
    world.leased(stage, held, worker="another-worker")
    world.decoy(stage)
    rows = stage.rows(_CLAIM, [1, _WORKER, 60], role=EXECUTOR)
    stage.findings.check(
        "leased_item_is_passed_over",
        expected=True,
        observed=[row[0] for row in rows] == [free.outbox_id],
        where=_SIGNATURE,
    )


def only_due_is_claimed(stage: Stage) -> None:
    """Of a queue of its own, a claim takes what is due and leaves what is not, in the order of the due times."""
    stage.run(
        "CREATE TEMPORARY TABLE probe_queue (LIKE public.payment_outbox_pending INCLUDING DEFAULTS INCLUDING IDENTITY)"
    )
    made = twin_function(stage, _SIGNATURE, instead_of=_QUEUE, use="pg_temp.probe_queue")
    stage.findings.check("claim_names_its_queue", expected=True, observed=made, where=_SIGNATURE)
    if not made:
        return
    for number, due in enumerate(("1 hour", "-1 hour", "-3 hours", "-2 hours")):
        stage.run(
            "INSERT INTO pg_temp.probe_queue (instruction_id, participant_id, idempotency_key, rail_type, sequence_id, "
            "payload, correlation_id, next_attempt_at) VALUES (%(n)s, %(n)s, %(n)s, 'RAIL', %(i)s, '{}', "
            "public.uuid_v7_or_random(), pg_catalog.clock_timestamp() + %(due)s::interval)",
            {"n": due, "i": number + 1, "due": due},
        )
    with first_in_order(stage):
        world.decoy(stage, 5)
        call: LiteralString = "SELECT c.instruction_id FROM public.claim_outbox_batch(%s, 'probe-worker', 60) AS c"
        first = [row[0] for row in stage.rows(call, [2])]
        stage.findings.check(
            "claim_takes_the_longest_due_first", expected=["-3 hours", "-2 hours"], observed=first, where=_SIGNATURE
        )
        rest = [row[0] for row in stage.rows(call, [3])]
        stage.findings.check("item_not_due_is_left", expected=["-1 hour"], observed=rest, where=_SIGNATURE)


def arguments(stage: Stage) -> None:
    """A claim without a limit, a worker or a time to live is refused, not guessed."""
    world.queued(stage)
    for label, values in (
        ("no_batch", [None, _WORKER, 60]),
        ("negative_batch", [-1, _WORKER, 60]),
        ("no_worker", [1, None, 60]),
        ("empty_worker", [1, "", 60]),
        ("blank_worker", [1, " \t", 60]),
        ("no_lease", [1, _WORKER, None]),
        ("empty_lease", [1, _WORKER, 0]),
        ("negative_lease", [1, _WORKER, -1]),
        ("boundless_batch", [10_001, _WORKER, 60]),
        ("boundless_lease", [1, _WORKER, 86_401]),
    ):
        stage.refused(f"claim_{label}", "P7105", _CLAIM, values, role=EXECUTOR, where=_SIGNATURE)


def fencing(stage: Stage) -> None:
    """Completion needs the item's own, running lease; whoever lost it is told so before anything else is looked at."""
    item = world.queued(stage)
    token = world.leased(stage, item, worker=_WORKER)
    good = {"item": item.outbox_id, "token": token, "worker": _WORKER, "state": "DISPATCHED"}
    where = "public.complete_outbox_attempt"

    def lost(id: str, **other: Any) -> None:  # noqa: A002 - the check's id
        stage.refused(id, "P7002", world.COMPLETE, good | other, role=EXECUTOR, where=where)

    stage.accepted("valid_lease", world.COMPLETE, good, role=EXECUTOR, where=where)
    with stage.undone():
        stage.rows(world.COMPLETE, good, role=EXECUTOR)
        lost("completed_twice")
    lost("wrong_token", token=uuid.uuid4())
    lost("wrong_worker", worker="another-worker")
    lost("unknown_item", item=uuid.uuid4())
    lost("no_token", token=None)
    lost("no_worker", worker=None)
    # The lease is looked at before the state: a stranger learns nothing by trying states.
    lost("lease_before_state", token=uuid.uuid4(), state="ZOMBIE_REQUEUE")
    for state in ("DISPATCHING", "ZOMBIE_REQUEUE"):
        stage.refused(
            f"state_{state.lower()}", "P7003", world.COMPLETE, good | {"state": state}, role=EXECUTOR, where=where
        )
    stage.refused("state_null", "P7003", world.COMPLETE, good | {"state": None}, role=EXECUTOR, where=where)
    late = good | {"state": "RETRYABLE", "delay": 604_801}
    stage.refused("retry_put_off_for_ever", "P7105", _PUT_OFF, late, role=EXECUTOR, where=where)
    with stage.undone():
        old = world.leased(stage, item, worker=_WORKER, expired=True)
        lost("expired_lease", token=old)
    with stage.undone():
        # Taken over: the first worker's token is worth nothing any more.
        world.leased(stage, item, worker="another-worker")
        lost("lease_taken_over")


def skips_locked(database: Database, findings: Findings) -> None:
    """The lock of the claim, as its body is parsed: rows that another worker holds are passed over, not waited for.

    That two workers at once get disjoint sets is played in the twin (at_once.py).
    """
    from scripts.parser.statements import parse_statements, walk

    found = "absent"
    for routine in database.facts.routines_named("claim_outbox_batch"):
        nodes = (node for s in parse_statements(routine.source, where=_SIGNATURE) for node in walk(s.node))
        locks = [node for node in nodes if node.DESCRIPTOR.name == "LockingClause"]
        found = ", ".join(f"{_word(lock, 'strength')} {_word(lock, 'wait_policy')}" for lock in locks) or "no lock"
    findings.check(
        "claim_skips_locked_rows",
        expected="LCS_FORUPDATE LockWaitSkip",
        observed=found,
        where=_SIGNATURE,
        examined=int(found != "absent"),
    )


def _word(lock: Any, field: str) -> str:
    values = lock.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return str(values[getattr(lock, field)].name)


_CLAIMS, _LIMIT, _COMPLETES = "claim_outbox_batch", "outbox_claim_limit", "complete_outbox_attempt"

CLAIM_PROBES = (
    Probe(
        "due_item_setup",
        due_is_claimed,
        (
            Control(
                "a claim tells another item and lease than it wrote, for hours, and counts as an attempt",
                rewritten(
                    (_CLAIMS, "SELECT c.outbox_id,", "SELECT pg_catalog.gen_random_uuid(),"),
                    (_CLAIMS, "c.lease_token, c.lease", "pg_catalog.gen_random_uuid(), c.lease"),
                    (_CLAIMS, "secs => p_lease_seconds", "hours => p_lease_seconds"),
                    (_CLAIMS, "SET claimed_by = p_worker_id,", "SET claimed_by = p_worker_id, attempt_count = 7,"),
                ),
                breaks=(
                    "due_item_is_claimed",
                    "claim_returns_the_lease_it_wrote",
                    "lease_lasts_as_asked",
                    "claim_is_no_attempt",
                ),
            ),
        ),
    ),
    Probe(
        "leased_item_setup",
        leased_is_passed_over,
        (
            Control(
                "a claim takes what is leased",
                rewritten((_CLAIMS, "AND p.lease_expires_at IS NULL", "")),
                breaks=("leased_item_is_passed_over",),
            ),
        ),
    ),
    Probe(
        "own_queue_setup",
        only_due_is_claimed,
        (
            Control(
                "a claim takes what is not due, the last first",
                rewritten(
                    (_CLAIMS, "p.next_attempt_at <= (SELECT pg_catalog.clock_timestamp()) AND", ""),
                    (_CLAIMS, "ORDER BY p.next_attempt_at,", "ORDER BY p.next_attempt_at DESC,"),
                ),
                breaks=("claim_takes_the_longest_due_first", "item_not_due_is_left"),
            ),
            Control(
                "a claim takes from whatever queue comes first on its path",
                rewritten((_CLAIMS, "public.payment_outbox_pending", "payment_outbox_pending")),
                breaks=("claim_names_its_queue",),
            ),
        ),
    ),
    Probe(
        "arguments_setup",
        arguments,
        (
            Control(
                # And not of everything: without a limit it would take what is not ours.
                "a claim without a limit, a worker or a time to live is one of nothing",
                rewritten(
                    before(_LIMIT, "RAISE EXCEPTION 'a batch size of", "RETURN 0;"),
                    (_CLAIMS, "LIMIT p_batch_size", "LIMIT 0"),
                ),
                breaks=tuple(
                    f"claim_{what}"
                    for what in (
                        *("no_batch", "negative_batch", "boundless_batch", "no_worker", "empty_worker"),
                        *("blank_worker", "no_lease", "empty_lease", "negative_lease", "boundless_lease"),
                    )
                ),
            ),
        ),
    ),
)
FENCING_PROBES = (
    Probe(
        "fencing_setup",
        fencing,
        (
            Control(
                "who has no lease, or gives no state, is not told",
                rewritten(
                    before(_COMPLETES, "RAISE EXCEPTION 'LEASE_LOST'", "RETURN;"),
                    before(_COMPLETES, "RAISE EXCEPTION 'an attempt cannot", "RETURN;"),
                    before(_COMPLETES, "RAISE EXCEPTION 'a retry delay", "RETURN;"),
                ),
                breaks=(
                    *("wrong_token", "wrong_worker", "unknown_item", "no_token", "no_worker", "lease_before_state"),
                    *("completed_twice", "expired_lease", "lease_taken_over"),
                    *("state_dispatching", "state_zombie_requeue", "state_null", "retry_put_off_for_ever"),
                ),
            ),
            Control(
                "nobody may complete",
                rewritten(before(_COMPLETES, "RETURN QUERY SELECT v_attempt_no", REFUSE)),
                breaks=("valid_lease",),
            ),
        ),
    ),
)
