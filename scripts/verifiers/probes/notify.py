"""INV-034, D-46: whoever waits for work is woken by a fresh item, a retry and a repair, and not by a replay.

A notification is delivered at commit, and a probe never commits. So the functions are played with one name in their
bodies replaced: what would notify writes the call down instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.probes import world
from scripts.verifiers.probes.attempts import complete
from scripts.verifiers.probes.own_queue import by_order
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.twins import twin_function
from scripts.verifiers.probes.violations import before, rewritten

if TYPE_CHECKING:
    from scripts.digest import Json
    from scripts.verifiers.probes.stage import Stage

NOTIFIERS = _ENQUEUES, _COMPLETES, _REPAIRS = (
    "enqueue_payment_outbox",
    "complete_outbox_attempt",
    "repair_expired_leases",
)
_WAKES: list[Json] = [["symphony_outbox", ""]]


@by_order
def wakes(stage: Stage) -> None:
    """Play each function that makes an item due, and read what it would have sent."""
    from psycopg import sql

    stage.run("CREATE TEMPORARY TABLE probe_wakes (channel text, payload text)")
    recorder = world.name("probe_wake").replace("-", "_")
    stage.run(
        sql.SQL(
            "CREATE FUNCTION {}(text, text) RETURNS void LANGUAGE sql "
            "AS 'INSERT INTO pg_temp.probe_wakes VALUES ($1, $2)'"
        ).format(sql.Identifier("public", recorder))
    )
    for name in NOTIFIERS:
        signature = stage.value(
            "SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc AS p "
            "WHERE p.pronamespace = 'public'::pg_catalog.regnamespace AND p.proname = %s",
            [name],
        )
        made = bool(signature) and twin_function(
            stage, signature, instead_of="pg_catalog.pg_notify(", use=f"public.{recorder}("
        )
        stage.findings.check(f"{name}_can_notify", expected=True, observed=made, where=f"public.{name}")

    def sent(id: str, expected: list[Json]) -> None:  # noqa: A002 - the check's id
        rows = stage.rows("DELETE FROM pg_temp.probe_wakes RETURNING channel, payload")
        stage.findings.check(id, expected=expected, observed=[[*row] for row in rows])

    item = world.queued(stage)
    sent("enqueue_notifies", _WAKES)
    stage.rows(world.ENQUEUE, item.asked, role="symphony_ingest")
    sent("replay_is_silent", [])
    complete(stage, item, "RETRYABLE")
    sent("retry_notifies", _WAKES)
    world.leased(stage, item, expired=True)
    stage.rows("SELECT public.repair_expired_leases(1, 'probe-repairer')", role="symphony_executor")
    sent("repair_notifies", _WAKES)
    complete(stage, item, "DISPATCHED")
    sent("end_is_silent", [])


_CALL = "PERFORM pg_catalog.pg_notify('symphony_outbox', '');"

PROBES = (
    Probe(
        "notify_setup",
        wakes,
        (
            Control(
                "nobody is woken",
                rewritten(*((name, _CALL, "") for name in NOTIFIERS)),
                breaks=tuple(f"{name}_can_notify" for name in NOTIFIERS),
            ),
            Control(
                "a replay and an end wake, and nothing else does",
                rewritten(
                    (_ENQUEUES, _CALL, ""),
                    before(_ENQUEUES, "IF v_known.request_sha256 <>", _CALL),
                    (_COMPLETES, _CALL, f"IF false THEN {_CALL} END IF;"),
                    before(_COMPLETES, "RETURN QUERY SELECT", f"IF v_state <> 'RETRYABLE' THEN {_CALL} END IF;"),
                    (_REPAIRS, _CALL, f"IF false THEN {_CALL} END IF;"),
                ),
                breaks=("enqueue_notifies", "replay_is_silent", "retry_notifies", "repair_notifies", "end_is_silent"),
            ),
        ),
    ),
)
