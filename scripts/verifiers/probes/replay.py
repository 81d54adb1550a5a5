"""INV-011, INV-023, D-13: one request of one tenant is one item, whatever is repeated and whoever died."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.attempts import EXECUTOR, REPAIR, STATE, WORKER, complete
from scripts.verifiers.probes.own_queue import by_order
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.violations import before, rewritten

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage

INGEST = "symphony_ingest"
_EMPTY = ("instruction", "participant", "key", "rail")
_MISSING = (*_EMPTY, "payload")
_LOST: LiteralString = (
    "SELECT a.error_code, pg_catalog.strpos(a.error_message, 'probe-worker') > 0, "
    "a.claimed_at = '2001-02-03 04:05:06+00' FROM public.payment_outbox_attempts AS a WHERE a.outbox_id = %s"
)
_REPLAY: LiteralString = world.ENQUEUE.replace("q.outbox_id", "q.outbox_id, q.state")


def replay(stage: Stage) -> None:
    """One request queued twice is one item, in the queue and after it has left it."""
    asked = world.request(world.tenant(stage))
    where = "public.enqueue_payment_outbox"
    first = stage.row(_REPLAY, asked, role=INGEST) or (None, "")
    again = stage.row(_REPLAY, asked, role=INGEST) or (None, "")
    item = world.Item(first[0], asked)
    stage.findings.check(
        "replay_while_queued",
        expected=["PENDING", "PENDING", True, True, []],
        observed=[
            first[1],
            again[1],
            first[0] == again[0],
            world.is_queued(stage, item),
            [*world.attempts(stage, item)],
        ],
        where=where,
    )
    complete(stage, item, "DISPATCHED")
    late = stage.row(_REPLAY, asked, role=INGEST) or (None, "")
    stage.findings.check(
        "replay_after_dispatch",
        expected=[True, "DISPATCHED", False],
        observed=[late[0] == first[0], late[1], world.is_queued(stage, item)],
        where=where,
    )


def content(stage: Stage) -> None:
    """A key stands for one payment of one tenant: other content is refused, another tenant's is another item (D-13)."""
    asked = world.request(world.tenant(stage))
    where = "public.enqueue_payment_outbox"
    item = world.Item(stage.value(world.ENQUEUE, asked, role=INGEST), asked)
    others = {"participant": world.name("participant"), "rail": "OTHER", "payload": '{"amount": 2}'}
    for field, value in others.items():
        stage.refused(
            f"key_with_other_{field}", "P7104", world.ENQUEUE, asked | {field: value}, role=INGEST, where=where
        )
    spelled = stage.value(world.ENQUEUE, asked | {"payload": '{ "amount" : 1 }'}, role=INGEST)
    stage.findings.check(
        "key_with_same_content_respelled", expected=True, observed=spelled == item.outbox_id, where=where
    )
    for label, tenant in (("another_tenant", world.tenant(stage)), ("no_tenant", None)):
        found = stage.value(world.ENQUEUE, asked | {"tenant": tenant}, role=INGEST)
        stage.findings.check(
            f"key_of_{label}", expected=True, observed=found is not None and found != item.outbox_id, where=where
        )
    complete(stage, item, "FAILED")
    stage.refused(
        "key_with_other_content_after_the_end",
        "P7104",
        world.ENQUEUE,
        asked | {"rail": "OTHER"},
        role=INGEST,
        where=where,
    )


def imported(stage: Stage) -> None:
    """The key of an item that came by another way than enqueue counts all the same."""
    asked = world.request(world.tenant(stage))
    where = "public.enqueue_payment_outbox"
    item = stage.value(
        "INSERT INTO public.payment_outbox_pending (instruction_id, participant_id, idempotency_key, rail_type, "
        "sequence_id, payload, tenant_id) VALUES (%(instruction)s, %(participant)s, %(key)s, %(rail)s, 1, "
        "%(payload)s::jsonb, %(tenant)s) RETURNING outbox_id",
        asked,
    )
    found = stage.value(world.ENQUEUE, asked, role=INGEST)
    stage.findings.check("key_of_an_imported_item", expected=True, observed=found == item, where=where)
    other = asked | {"rail": "OTHER"}
    stage.refused("key_of_an_imported_item_with_other_content", "P7104", world.ENQUEUE, other, role=INGEST, where=where)


def arguments(stage: Stage) -> None:
    """What is missing, empty or no object is refused before anything is written."""
    asked = world.request()
    where = "public.enqueue_payment_outbox"
    for field in _MISSING:
        stage.refused(
            f"enqueue_without_{field}", "23502", world.ENQUEUE, asked | {field: None}, role=INGEST, where=where
        )
    for field in _EMPTY:
        stage.refused(
            f"enqueue_with_empty_{field}", "P7105", world.ENQUEUE, asked | {field: ""}, role=INGEST, where=where
        )
    refusal = "23514 ck_pending_payload_is_object"
    stage.refused("enqueue_a_list", refusal, world.ENQUEUE, asked | {"payload": "[]"}, role=INGEST, where=where)
    unknown = asked | {"tenant": uuid.uuid4()}
    stage.refused("enqueue_for_unknown_tenant", "23503", world.ENQUEUE, unknown, role=INGEST, where=where)
    for label, values in (
        ("no_batch", [None, WORKER]),
        ("empty_batch", [0, WORKER]),
        ("boundless_batch", [10_001, WORKER]),
        ("no_worker", [1, None]),
        ("empty_worker", [1, ""]),
        ("blank_worker", [1, " \t"]),
    ):
        stage.refused(f"repair_{label}", "P7105", REPAIR, values, role=EXECUTOR, where="public.repair_expired_leases")


@by_order
def zombie(stage: Stage) -> None:
    """A lease that ran out is recorded once, the item is still queued once, and a replay finds it."""
    item = world.queued(stage)
    world.leased(stage, item, worker=WORKER, expired=True)
    stage.rows(REPAIR, [1, "probe-repairer"], role=EXECUTOR)
    stage.findings.check(
        "expired_lease_is_a_zombie_attempt",
        expected=[["ZOMBIE_REQUEUE"], True, [True, 1, True]],
        observed=[
            [*world.attempts(stage, item)],
            world.is_queued(stage, item),
            [*(stage.row(STATE, [item.outbox_id]) or ())],
        ],
        where="public.repair_expired_leases",
    )
    stage.findings.check(
        "zombie_names_the_lost_worker",
        expected=["LEASE_EXPIRED", True, True],
        observed=[*(stage.row(_LOST, [item.outbox_id]) or ())],
        where="public.repair_expired_leases",
    )
    again = stage.row(_REPLAY, item.asked, role=INGEST) or (None, "")
    stage.findings.check(
        "replay_of_a_zombie",
        expected=[True, "PENDING"],
        observed=[again[0] == item.outbox_id, again[1]],
        where="public.enqueue_payment_outbox",
    )


_ENQUEUES, _REPAIRS = "enqueue_payment_outbox", "repair_expired_leases"
_OTHER_QUEUED = (_ENQUEUES, "SELECT p.outbox_id, p.sequence_id", "SELECT pg_catalog.uuidv7(), p.sequence_id")
_OTHER_TRIED = (_ENQUEUES, "SELECT a.outbox_id, a.sequence_id", "SELECT pg_catalog.uuidv7(), a.sequence_id")
_ANY_CONTENT = (_ENQUEUES, "v_known.request_sha256 <> v_request_sha256", "false")
_ANYBODYS_KEY = before(
    _ENQUEUES,
    "v_request_sha256 :=",
    "RETURN QUERY SELECT p.outbox_id, 0::bigint, p.created_at, 'PENDING'::text FROM public.payment_outbox_pending AS p "
    "WHERE p.instruction_id = p_instruction_id AND p.idempotency_key = p_idempotency_key "
    "AND p.tenant_id IS DISTINCT FROM p_tenant_id; IF FOUND THEN RETURN; END IF;",
)

REPLAY_PROBES = (
    Probe(
        "replay_setup",
        replay,
        (
            Control(
                "a replay is told of another item",
                rewritten(_OTHER_QUEUED, _OTHER_TRIED),
                breaks=("replay_while_queued", "replay_after_dispatch"),
            ),
        ),
    ),
    Probe(
        "content_setup",
        content,
        (
            Control(
                "a key is anybody's, for whatever content, and its replay is another item",
                rewritten(_OTHER_QUEUED, _ANY_CONTENT, _ANYBODYS_KEY),
                breaks=(
                    *(f"key_with_other_{what}" for what in ("participant", "rail", "payload")),
                    *("key_with_same_content_respelled", "key_of_another_tenant", "key_of_no_tenant"),
                    "key_with_other_content_after_the_end",
                ),
            ),
        ),
    ),
    Probe(
        "imported_setup",
        imported,
        (
            Control(
                "the key of an imported item is another's, for whatever content",
                rewritten(_OTHER_QUEUED, _ANY_CONTENT),
                breaks=("key_of_an_imported_item", "key_of_an_imported_item_with_other_content"),
            ),
        ),
    ),
    Probe(
        "arguments_setup",
        arguments,
        (
            Control(
                "what is missing, empty, no object or nobody's is passed over in silence",
                rewritten(
                    before(_ENQUEUES, "RAISE EXCEPTION 'instruction, participant, idempotency key", "RETURN;"),
                    before(
                        _ENQUEUES,
                        "v_sequence_id := public.bump",
                        "IF pg_catalog.jsonb_typeof(p_payload) <> 'object' OR p_tenant_id IS NOT NULL AND NOT EXISTS ("
                        "SELECT FROM public.tenants AS t WHERE t.tenant_id = p_tenant_id) THEN RETURN; END IF;",
                    ),
                    before(_REPAIRS, "RAISE EXCEPTION 'a batch of", "RETURN;"),
                ),
                breaks=(
                    *(f"enqueue_without_{what}" for what in _MISSING),
                    *(f"enqueue_with_empty_{what}" for what in _EMPTY),
                    *("enqueue_a_list", "enqueue_for_unknown_tenant"),
                    *(f"repair_{what}" for what in ("no_batch", "empty_batch", "boundless_batch")),
                    *(f"repair_{what}" for what in ("no_worker", "empty_worker", "blank_worker")),
                ),
            ),
        ),
    ),
    Probe(
        "zombie_setup",
        zombie,
        (
            Control(
                "a lost lease counts as a retry of nobody's, and a replay is told of another item",
                rewritten(
                    (_REPAIRS, "'ZOMBIE_REQUEUE' END", "'RETRYABLE' END"),
                    (_REPAIRS, "v_item.claimed_by, v_attempt_no", "'', v_attempt_no"),
                    _OTHER_QUEUED,
                ),
                breaks=("expired_lease_is_a_zombie_attempt", "zombie_names_the_lost_worker", "replay_of_a_zombie"),
            ),
        ),
    ),
)
