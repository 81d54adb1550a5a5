"""INV-012, INV-015, INV-092: what is just allowed, and which comes first where there are several."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.stage import ACCEPTED
from scripts.verifiers.probes.violations import rewritten
from scripts.verifiers.twin.probe import two_sessions

if TYPE_CHECKING:
    from scripts.digest import Json
    from scripts.verifiers.model import Database
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.twin.pair import Pair

EXECUTOR, INGEST = "symphony_executor", "symphony_ingest"
_CLAIM: LiteralString = "SELECT c.outbox_id FROM public.claim_outbox_batch(%s, 'probe-worker', %s) AS c"
_REPAIR: LiteralString = "SELECT r.outbox_id FROM public.repair_expired_leases(%s, 'probe-repairer') AS r"
_DUE: LiteralString = "UPDATE public.payment_outbox_pending SET next_attempt_at = %s::timestamptz WHERE outbox_id = %s"
_LOST: LiteralString = (
    "UPDATE public.payment_outbox_pending SET lease_expires_at = %s::timestamptz WHERE outbox_id = %s"
)
# The answer in the order of the table, unless it is sorted: what was claimed is joined to it by a hash.
_UNSORTED = (
    "SET LOCAL plan_cache_mode TO force_custom_plan",
    "SET LOCAL enable_nestloop TO off",
    "SET LOCAL enable_mergejoin TO off",
)
CREATED: LiteralString = (
    "UPDATE public.payment_outbox_pending SET created_at = %s::timestamptz WHERE outbox_id = %s "
    "RETURNING correlation_id"
)
ATTEMPT: LiteralString = (
    "INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, "
    "rail_type, sequence_id, payload, attempt_no, state, tenant_id, correlation_id, created_at) VALUES "
    "(public.uuid_v7_or_random(), %(n)s, %(n)s, %(n)s, 'RAIL', 1, '{}', 1, 'DISPATCHED', %(tenant)s, %(correlation)s, "
    "%(created)s::timestamptz)"
)
_ATTESTED: LiteralString = (
    "INSERT INTO public.ingress_attestations (instruction_id, tenant_id, payload_hash) VALUES (%s, %s, 'hash') "
    "RETURNING correlation_id"
)
# In this order in the table, and by key in its indexes: what comes first by time is never the first to be found.
YEARS = ("2003-01-01", "2001-01-01", "2002-01-01")
_FILL = "set_correlation_id_if_null"


def _bounds(stage: Stage, pair: Pair) -> None:
    """The largest batch, the shortest and the longest lease are allowed; in the twin, where the queue is nobody's."""
    pair.empty_queue()
    calls: tuple[tuple[str, LiteralString, list[int]], ...] = (
        ("largest_claim", _CLAIM, [10_000, 60]),
        ("shortest_lease", _CLAIM, [1, 1]),
        ("longest_lease", _CLAIM, [1, 86_400]),
        ("largest_repair", _REPAIR, [10_000]),
    )
    for id_, call, arguments in calls:
        found = pair.first.answer(call, arguments, role=EXECUTOR)
        stage.findings.check(id_, expected=ACCEPTED, observed=found, where="public.outbox_claim_limit")


def _order(stage: Stage, pair: Pair) -> None:
    """What is due first is told first, and the lease that ran out first is repaired first."""
    # Rows that were taken off would leave room between those that come: then nothing says which is found first.
    pair.first.run("TRUNCATE public.payment_outbox_pending")
    items = [world.queued(pair.first) for _ in YEARS]
    for year, item in zip(YEARS, items, strict=True):
        pair.first.run(_DUE, [year, item.outbox_id])
    by_time = [item.outbox_id for _, item in sorted(zip(YEARS, items, strict=True), key=lambda pair: pair[0])]
    pair.first.begin()
    for setting in _UNSORTED:
        pair.first.run(setting)
    claimed = [row[0] for row in pair.first.rows(_CLAIM, [len(items), 60], role=EXECUTOR)]
    pair.first.rollback()
    stage.findings.check(
        "claim_tells_in_the_order_of_the_due_times",
        expected=True,
        observed=claimed == by_time,
        where="public.claim_outbox_batch",
    )
    for year, item in zip(YEARS, items, strict=True):
        world.leased(pair.first, item)
        pair.first.run(_LOST, [year, item.outbox_id])
    repaired = [row[0] for row in pair.first.rows(_REPAIR, [1], role=EXECUTOR)]
    stage.findings.check(
        "longest_lost_is_repaired_first",
        expected=True,
        observed=repaired == by_time[:1],
        where="public.repair_expired_leases",
    )


def first_of_several(stage: Stage) -> None:
    """A late attestation takes the id of the item that was queued first, or of the attempt that was made first."""
    tenant, instruction = world.tenant(stage), world.name("instruction")
    ids: list[Json] = []
    for year in YEARS:
        item = world.queued(stage, tenant, instruction=instruction, key=f"key {len(ids)}")
        ids.append(str(stage.value(CREATED, [year, item.outbox_id])))
    taken = stage.value(_ATTESTED, [instruction, tenant], role=INGEST)
    where = f"public.{_FILL}"
    stage.findings.check(
        "late_attestation_takes_the_first_items_id", expected=True, observed=str(taken) == ids[1], where=where
    )
    row = {"n": world.name("instruction"), "tenant": tenant}
    made = [uuid.uuid4() for _ in YEARS]
    for year, correlation in zip(YEARS, made, strict=True):
        stage.run(ATTEMPT, row | {"created": year, "correlation": correlation})
    taken = stage.value(_ATTESTED, [row["n"], tenant], role=INGEST)
    stage.findings.check(
        "late_attestation_takes_the_first_attempts_id", expected=True, observed=taken == made[1], where=where
    )


FIRST_PROBES = (
    Probe(
        "first_of_several_setup",
        first_of_several,
        (
            Control(
                "the last one is as good",
                rewritten(
                    (_FILL, "ORDER BY p.created_at, p.outbox_id", "ORDER BY p.created_at DESC"),
                    (_FILL, "ORDER BY a.created_at, a.attempt_id", "ORDER BY a.created_at DESC"),
                ),
                ("late_attestation_takes_the_first_items_id", "late_attestation_takes_the_first_attempts_id"),
            ),
        ),
    ),
)


def limit_probes(database: Database) -> tuple[Probe, ...]:
    """INV-012, INV-015: bounds and order of claim and repair, on a queue of their own."""
    return (
        two_sessions(
            database,
            "bounds_setup",
            _bounds,
            [
                Control(
                    "the bounds are beyond what is allowed",
                    rewritten(
                        ("outbox_claim_limit", "p_batch_size > 10000", "p_batch_size >= 10000"),
                        ("outbox_claim_limit", "p_lease_seconds < 1 ", "p_lease_seconds <= 1 "),
                        ("outbox_claim_limit", "p_lease_seconds > 86400", "p_lease_seconds >= 86400"),
                        ("repair_expired_leases", "p_batch_size > 10000", "p_batch_size >= 10000"),
                    ),
                    ("largest_claim", "shortest_lease", "longest_lease", "largest_repair"),
                )
            ],
        ),
        two_sessions(
            database,
            "order_of_time_setup",
            _order,
            [
                Control(
                    # Turned round, not left out: without an order, a plan may give the right one by chance.
                    "the last comes first",
                    rewritten(
                        ("claim_outbox_batch", "ORDER BY c.next_attempt_at,", "ORDER BY c.next_attempt_at DESC,"),
                        ("repair_expired_leases", "ORDER BY p.lease_expires_at", "ORDER BY p.lease_expires_at DESC"),
                    ),
                    ("claim_tells_in_the_order_of_the_due_times", "longest_lost_is_repaired_first"),
                )
            ],
        ),
    )
