"""INV-011, D-13: the edges of an idempotency key: what is missing, what came by another way, what was taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.attempts import complete
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.stage import ACCEPTED, told
from scripts.verifiers.probes.violations import rewritten

if TYPE_CHECKING:
    from scripts.digest import Json
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.probes.wire import Params, Query

INGEST = "symphony_ingest"
_ENQUEUE = "enqueue_payment_outbox"
_WHERE = f"public.{_ENQUEUE}"
_REPLAY: LiteralString = world.ENQUEUE.replace("q.outbox_id", "q.outbox_id, q.state")
_RECORDED: LiteralString = (
    "INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, "
    "rail_type, sequence_id, payload, attempt_no, state, tenant_id, claimed_at) VALUES (public.uuid_v7_or_random(), "
    "%(instruction)s, %(participant)s, %(key)s, %(rail)s, 1, %(payload)s::jsonb, 1, 'DISPATCHED', %(tenant)s, "
    "%(claimed)s::timestamptz) RETURNING outbox_id"
)
_FIVE = ("instruction", "participant", "key", "rail", "payload")


def raised(stage: Stage, sql: Query, params: Params = None, *, role: str = "") -> list[Json]:
    """SQLSTATE, and the table whose own rule it was that refused; none where a function did, before any table was met.

    Raises:
        psycopg.Error: the server gave no answer.
    """
    import psycopg

    try:
        with stage.undone():
            stage.rows(sql, params, role=role)
    except psycopg.Error as exc:
        return [told(exc).partition(" ")[0], exc.diag.table_name or ""]
    return [ACCEPTED, ""]


def all_five(stage: Stage) -> None:
    """What is missing is asked for by the function itself, before a key or a number is spent."""
    for field in _FIVE:
        stage.findings.check(
            f"enqueue_asks_for_{field}",
            expected=["23502", ""],
            observed=raised(stage, world.ENQUEUE, world.request() | {field: None}, role=INGEST),
            where=_WHERE,
        )
    stage.findings.check(
        "no_number_for_nobody",
        expected="23502",
        observed=raised(stage, "SELECT public.bump_participant_outbox_seq(NULL)")[0],
        where="public.bump_participant_outbox_seq",
    )


def on_the_way(stage: Stage) -> None:
    """A replay finds its item leased, between two attempts, and after it has failed."""
    asked = world.request(world.tenant(stage))
    item = world.Item(stage.value(world.ENQUEUE, asked, role=INGEST), asked)
    found: list[Json] = []

    def again() -> None:
        outbox_id, state = stage.row(_REPLAY, asked, role=INGEST) or (None, "")
        found.append([outbox_id == item.outbox_id, state])

    world.leased(stage, item)
    again()
    complete(stage, item, "RETRYABLE")
    again()
    stage.findings.check(
        "replay_while_leased_and_waiting", expected=[[True, "PENDING"]] * 2, observed=[*found], where=_WHERE
    )
    complete(stage, item, "FAILED")
    found.clear()
    again()
    stage.findings.check(
        "replay_after_a_failure",
        expected=[[True, "FAILED"], False],
        observed=[*found, world.is_queued(stage, item)],
        where=_WHERE,
    )


def taken_off(stage: Stage) -> None:
    """An item that the owner took off the queue before it was tried returns under its own id."""
    asked = world.request(world.tenant(stage))
    item = world.Item(stage.value(world.ENQUEUE, asked, role=INGEST), asked)
    stage.run("DELETE FROM public.payment_outbox_pending WHERE outbox_id = %s", [item.outbox_id])
    again = stage.value(world.ENQUEUE, asked, role=INGEST)
    stage.findings.check(
        "item_taken_off_is_queued_again",
        expected=[True, True],
        observed=[again == item.outbox_id, world.is_queued(stage, item)],
        where=_WHERE,
    )


def recorded(stage: Stage) -> None:
    """The key of an item that the ledger alone holds counts, and no neighbour of it is taken for it."""
    asked = world.request(world.tenant(stage)) | {"claimed": "2001-02-03"}
    # Of two under one key the one that was claimed last counts, wherever it stands in the table.
    stage.run(_RECORDED, asked | {"claimed": "2000-02-03"})
    mine = stage.value(_RECORDED, asked)
    neighbours: tuple[dict[str, Any], ...] = (
        {"key": world.name("key")},
        {"instruction": world.name("instruction")},
        {"tenant": world.tenant(stage)},
        {"tenant": None},
    )
    for other in neighbours:
        # Claimed later: of two that fit the later one would be chosen.
        stage.run(_RECORDED, asked | {"claimed": "2002-02-03"} | other)
    outbox_id, state = stage.row(_REPLAY, asked, role=INGEST) or (None, "")
    stage.findings.check(
        "key_of_an_item_in_the_ledger",
        expected=[True, "DISPATCHED"],
        observed=[outbox_id == mine, state],
        where="public.outbox_item_of_key",
    )


def used_number(stage: Stage) -> None:
    """A number that the participant's item has already is refused, and not given to a second one."""
    asked = world.request()
    stage.run(
        "INSERT INTO public.payment_outbox_pending (instruction_id, participant_id, idempotency_key, rail_type, "
        "sequence_id, payload) VALUES (%(instruction)s, %(participant)s, 'imported', 'RAIL', 1, '{}')",
        asked,
    )
    refusal = "23505 ux_pending_participant_sequence"
    stage.refused("number_used_twice", refusal, world.ENQUEUE, asked, role=INGEST, where=_WHERE)


KEY_PROBES = (
    Probe(
        "all_five_setup",
        all_five,
        (
            Control(
                "what is missing is not asked for",
                rewritten(
                    (
                        _ENQUEUE,
                        "OR p_rail_type IS NULL OR p_payload IS NULL THEN",
                        "OR p_payload IS NULL AND false THEN",
                    ),
                    (_ENQUEUE, "IF p_instruction_id IS NULL OR", "IF p_instruction_id IS NULL AND"),
                    (
                        _ENQUEUE,
                        "p_participant_id IS NULL OR p_idempotency_key IS NULL",
                        "p_participant_id IS NULL AND false",
                    ),
                ),
                tuple(f"enqueue_asks_for_{field}" for field in _FIVE),
            ),
            Control(
                "nobody has numbers too",
                rewritten(
                    (
                        "bump_participant_outbox_seq",
                        "VALUES (p_participant_id, 2)",
                        "VALUES (coalesce(p_participant_id, 'nobody'), 2)",
                    )
                ),
                ("no_number_for_nobody",),
            ),
        ),
    ),
    Probe(
        "on_the_way_setup",
        on_the_way,
        (
            Control(
                "a queued item has another state",
                rewritten((_ENQUEUE, "p.created_at, 'PENDING'::text", "p.created_at, 'RETRYABLE'::text")),
                ("replay_while_leased_and_waiting",),
            ),
            Control(
                "an ended item is pending",
                rewritten((_ENQUEUE, "a.state::text", "'PENDING'::text")),
                ("replay_after_a_failure",),
            ),
        ),
    ),
    Probe(
        "taken_off_setup",
        taken_off,
        (
            Control(
                "it returns under another id",
                rewritten((_ENQUEUE, "v_outbox_id := v_known.outbox_id;", "NULL;")),
                ("item_taken_off_is_queued_again",),
            ),
        ),
    ),
    Probe(
        "recorded_setup",
        recorded,
        (
            Control(
                "the ledger is not looked at",
                rewritten(("outbox_item_of_key", "ORDER BY a.claimed_at", "AND false ORDER BY a.claimed_at")),
                ("key_of_an_item_in_the_ledger",),
            ),
        ),
    ),
    Probe(
        "used_number_setup",
        used_number,
        (
            Control(
                "numbers are drawn, not counted",
                rewritten(("bump_participant_outbox_seq", "RETURN v_sequence_id;", "RETURN 1000 + v_sequence_id;")),
                ("number_used_twice",),
            ),
        ),
    ),
)
