"""INV-092, D-03, D-45: whose id a hop takes on, and whose it never does; in which order an enqueue meets the tables."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.attempts import complete
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.violations import rewritten
from scripts.verifiers.twin.probe import two_sessions

if TYPE_CHECKING:
    from scripts.verifiers.model import Database
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.twin.pair import Pair

INGEST = "symphony_ingest"
_ENQUEUE, _FILL, _TAKE = "enqueue_payment_outbox", "set_correlation_id_if_null", "outbox_correlation"
_OF: LiteralString = "SELECT p.correlation_id FROM public.payment_outbox_pending AS p WHERE p.outbox_id = %s"
_ATTESTED: LiteralString = (
    "INSERT INTO public.ingress_attestations (instruction_id, tenant_id, payload_hash) "
    "VALUES (%s, %s, 'hash') RETURNING correlation_id"
)
_ATTEMPT: LiteralString = (
    "INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, "
    "rail_type, sequence_id, payload, attempt_no, state, correlation_id) VALUES (%(item)s, %(n)s, %(n)s, %(n)s, "
    "'RAIL', 1, '{}', %(no)s, 'RETRYABLE', %(correlation)s) RETURNING correlation_id"
)
_GIVEN: LiteralString = (
    "SELECT q.outbox_id FROM public.enqueue_payment_outbox(%(instruction)s, %(participant)s, %(key)s, %(rail)s, "
    "%(payload)s::jsonb, %(tenant)s::uuid, %(correlation)s::uuid) AS q"
)
# Of its own tables those on which the session has or awaits a lock.
_HELD: LiteralString = (
    "SELECT pg_catalog.array_agg(DISTINCT c.relname::text) FROM pg_catalog.pg_locks AS k "
    "JOIN pg_catalog.pg_class AS c ON c.oid = k.relation WHERE k.pid = %s AND k.locktype = 'relation' "
    "AND c.relkind = 'r' AND c.relname ~ '^payment_outbox_|^ingress_'"
)


def neighbours(stage: Stage) -> None:
    """An instruction that nothing belongs to gets a fresh id, however near its neighbours are."""
    tenant, elsewhere = world.tenant(stage), world.tenant(stage)
    instruction = world.name("instruction")
    for of, name in ((elsewhere, instruction), (tenant, world.name("instruction"))):
        world.attestation(stage, of, instruction=name, correlation=uuid.uuid4())
    item = world.queued(stage, tenant, instruction=instruction)
    carried = stage.value(_OF, [item.outbox_id])
    taken = stage.value(
        "SELECT EXISTS (SELECT FROM public.ingress_attestations AS i WHERE i.correlation_id = %s)", [carried]
    )
    stage.findings.check(
        "enqueue_takes_no_strangers_id",
        expected=[False, False],
        observed=[carried is None, taken],
        where=f"public.{_ENQUEUE}",
    )
    instruction = world.name("instruction")
    ids = set()
    for of, name in ((elsewhere, instruction), (tenant, world.name("instruction"))):
        for ended in (True, False):
            item = world.queued(stage, of, instruction=name)
            ids.add(stage.value(_OF, [item.outbox_id]))
            if ended:
                complete(stage, item, "DISPATCHED")
    fresh = stage.value(_ATTESTED, [instruction, tenant], role=INGEST)
    stage.findings.check(
        "attestation_takes_no_strangers_id",
        expected=[False, False],
        observed=[fresh is None, fresh in ids],
        where=f"public.{_FILL}",
    )


def own(stage: Stage) -> None:
    """What was given goes first, what was there comes back, and a late attempt carries its item's id."""
    tenant, given = world.tenant(stage), uuid.uuid4()
    asked = world.request(tenant, correlation=given)
    world.attestation(stage, tenant, instruction=asked["instruction"], correlation=uuid.uuid4())
    outbox_id = stage.value(_GIVEN, asked, role=INGEST)
    stage.findings.check(
        "given_id_goes_before_the_attestations",
        expected=True,
        observed=stage.value(_OF, [outbox_id]) == given,
        where=f"public.{_ENQUEUE}",
    )
    stage.run("UPDATE public.payment_outbox_pending SET correlation_id = NULL WHERE outbox_id = %s", [outbox_id])
    stage.findings.check(
        "id_taken_away_comes_back",
        expected=True,
        observed=stage.value(_OF, [outbox_id]) == given,
        where=f"public.{_TAKE}",
    )
    row = {"n": world.name(), "item": uuid.uuid4(), "no": 2, "correlation": uuid.uuid4()}
    # Another item's first attempt: earlier than this one's second.
    stage.run(_ATTEMPT, row | {"item": uuid.uuid4(), "no": 1, "correlation": uuid.uuid4()})
    # Of its own attempts the first counts, wherever it stands in the table.
    stage.run(_ATTEMPT, row | {"no": 3, "correlation": uuid.uuid4()})
    stage.run(_ATTEMPT, row)
    late = stage.value(_ATTEMPT, row | {"no": 4, "correlation": None})
    stage.findings.check(
        "late_attempt_takes_its_items_id",
        expected=True,
        observed=late == row["correlation"],
        where=f"public.{_TAKE}",
    )


def _order(stage: Stage, pair: Pair) -> None:
    """An enqueue comes to the attestations before queue and ledger: who locks them in this order meets no deadlock."""
    tenant = world.tenant(pair.first)
    pair.first.begin()
    pair.first.run("LOCK TABLE public.ingress_attestations IN ACCESS EXCLUSIVE MODE")
    waited, pending = pair.meanwhile(world.ENQUEUE, world.request(tenant), role=INGEST)
    held = stage.value(_HELD, [pair.second.pid]) if waited else None
    pair.first.rollback()
    pending.told()
    stage.findings.check(
        "enqueue_meets_the_attestations_first",
        expected=[True, ["ingress_attestations"]],
        observed=[waited, held or []],
        where=f"public.{_ENQUEUE}",
    )


ID_PROBES = (
    Probe(
        "neighbours_setup",
        neighbours,
        (
            Control(
                "any tenant's attestation will do",
                rewritten(
                    (
                        _ENQUEUE,
                        "WHERE i.tenant_id = p_tenant_id AND i.instruction_id",
                        "WHERE i.tenant_id <> p_tenant_id AND i.instruction_id",
                    )
                ),
                ("enqueue_takes_no_strangers_id",),
            ),
            Control(
                "any instruction of the tenant will do",
                rewritten(
                    (
                        _FILL,
                        "WHERE a.tenant_id = NEW.tenant_id AND a.instruction_id = NEW.instruction_id",
                        "WHERE a.tenant_id = NEW.tenant_id",
                    )
                ),
                ("attestation_takes_no_strangers_id",),
            ),
        ),
    ),
    Probe(
        "own_setup",
        own,
        (
            Control(
                "the attestation's id goes first",
                rewritten(
                    (_ENQUEUE, "IF v_correlation_id IS NULL AND p_tenant_id IS NOT NULL", "IF p_tenant_id IS NOT NULL")
                ),
                ("given_id_goes_before_the_attestations",),
            ),
            Control(
                "the queue is not asked",
                rewritten((_TAKE, "WHERE p.outbox_id = p_outbox_id", "WHERE p.outbox_id = p_outbox_id AND false")),
                ("id_taken_away_comes_back",),
            ),
            Control(
                "the ledger is not asked",
                rewritten((_TAKE, "WHERE a.outbox_id = p_outbox_id", "WHERE a.outbox_id = p_outbox_id AND false")),
                ("late_attempt_takes_its_items_id",),
            ),
        ),
    ),
)


def order_probes(database: Database) -> tuple[Probe, ...]:
    """D-45: the order in which an enqueue takes its locks."""
    return (
        two_sessions(
            database,
            "order_setup",
            _order,
            [
                Control(
                    "the attestations are left to the trigger",
                    rewritten((_ENQUEUE, "IF v_correlation_id IS NULL AND p_tenant_id IS NOT NULL", "IF false")),
                    ("enqueue_meets_the_attestations_first",),
                )
            ],
        ),
    )
