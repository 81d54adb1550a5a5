"""INV-012, INV-013, INV-015: what a completion writes down, what claims nothing, and where the ceiling is set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.attempts import EXECUTOR, WORKER
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.twins import twin_function
from scripts.verifiers.probes.violations import rewritten

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage

_COMPLETE, _LIMIT, _CEILING = "complete_outbox_attempt", "outbox_claim_limit", "outbox_retry_ceiling"
_SAID: LiteralString = (
    "SELECT c.attempt_no, c.state::text FROM public.complete_outbox_attempt(%(item)s, %(token)s, %(worker)s, "
    "%(state)s, 'reference', 'code', 'error', 'message', %(latency)s) AS c"
)
_KEPT: LiteralString = (
    "SELECT a.rail_reference, a.rail_code, a.error_code, a.error_message, a.latency_ms, a.worker_id, a.attempt_no "
    "FROM public.payment_outbox_attempts AS a WHERE a.outbox_id = %s"
)
_RETRY: LiteralString = (
    "SELECT c.state::text FROM public.complete_outbox_attempt(%(item)s, %(token)s, %(worker)s, 'RETRYABLE', "
    "p_retry_delay_seconds => %(delay)s) AS c"
)
_WAITS: LiteralString = (
    "SELECT p.next_attempt_at BETWEEN %(before)s::timestamptz + pg_catalog.make_interval(secs => %(seconds)s) "
    "AND pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => %(seconds)s) "
    "FROM public.payment_outbox_pending AS p WHERE p.outbox_id = %(item)s"
)
_CLAIM: LiteralString = "SELECT c.outbox_id FROM public.claim_outbox_batch(%s, %s, 60) AS c"


def _lease(stage: Stage) -> dict[str, Any]:
    item = world.queued(stage)
    return {"item": item.outbox_id, "token": world.leased(stage, item, worker=WORKER), "worker": WORKER}


def said(stage: Stage) -> None:
    """What the rail said is in the attempt; a time that cannot be is refused."""
    call = _lease(stage) | {"state": "FAILED", "latency": 7}
    where = f"public.{_COMPLETE}"
    stage.refused("negative_latency", "23514", _SAID, call | {"latency": -1}, role=EXECUTOR, where=where)
    answer = stage.row(_SAID, call, role=EXECUTOR)
    stage.findings.check("completion_answers", expected=[1, "FAILED"], observed=[*(answer or ())], where=where)
    stage.findings.check(
        "what_the_rail_said_is_kept",
        expected=["reference", "code", "error", "message", 7, WORKER, 1],
        observed=[*(stage.row(_KEPT, [call["item"]]) or ())],
        where=where,
    )


def delays(stage: Stage) -> None:
    """A retry waits as long as was asked, and a second where nothing sensible was."""
    found = []
    for delay, seconds in ((None, 1), (-5, 1), (0, 1), (90, 90), (604_800, 604_800)):
        call = _lease(stage) | {"delay": delay, "seconds": seconds}
        before = stage.value("SELECT pg_catalog.clock_timestamp()")
        stage.rows(_RETRY, call, role=EXECUTOR)
        found.append(bool(stage.value(_WAITS, call | {"before": before})))
    stage.findings.check("retry_waits_as_asked", expected=[True] * 5, observed=[*found], where=f"public.{_COMPLETE}")


def nothing_claimed(stage: Stage) -> None:
    """A claim of none is no mistake, and asks who it is all the same."""
    world.queued(stage)
    stage.accepted("claim_of_none", _CLAIM, [0, WORKER], role=EXECUTOR, where=f"public.{_LIMIT}")
    stage.refused("claim_of_none_by_nobody", "P7105", _CLAIM, [0, " "], role=EXECUTOR, where=f"public.{_LIMIT}")


def set_for_the_database(stage: Stage) -> None:
    """The ceiling is the one that is set for this database and every role of it; no other setting is taken for it.

    Setting it takes rights that the owner may not have, so the settings are read from a table of the probe's own.
    """
    stage.run(
        "CREATE TEMPORARY TABLE probe_settings AS SELECT s.setdatabase, s.setrole, s.setconfig "
        "FROM pg_catalog.pg_db_role_setting AS s WHERE false"
    )
    made = twin_function(
        stage,
        f"public.{_CEILING}()",
        instead_of="pg_catalog.pg_db_role_setting",
        use="pg_temp.probe_settings",
    )
    stage.findings.check("ceiling_reads_settings", expected=True, observed=made, where=f"public.{_CEILING}")
    if not made:
        return
    stage.run(
        "INSERT INTO pg_temp.probe_settings SELECT d.oid, v.role, v.config FROM pg_catalog.pg_database AS d CROSS JOIN "
        "(VALUES (true, 0::oid, ARRAY['work_mem=4MB', 'symphony.outbox_retry_ceiling=7']), "
        "(true, 10::oid, ARRAY['symphony.outbox_retry_ceiling=3']), "
        "(false, 0::oid, ARRAY['symphony.outbox_retry_ceiling=5'])) AS v (here, role, config) "
        "WHERE (d.datname = pg_catalog.current_database()) = v.here "
        "AND d.datname IN (pg_catalog.current_database(), 'template1')"
    )
    stage.value("SELECT pg_catalog.set_config('symphony.outbox_retry_ceiling', '', true)")
    stage.findings.check(
        "ceiling_set_for_the_database",
        expected=7,
        observed=stage.value("SELECT public.outbox_retry_ceiling()"),
        where=f"public.{_CEILING}",
    )


COMPLETION_PROBES = (
    Probe(
        "said_setup",
        said,
        (
            Control(
                "what the rail said is dropped, and the answer is of another attempt",
                rewritten(
                    (_COMPLETE, "p_error_message, p_latency_ms, p_worker_id", "NULL, NULL, p_worker_id"),
                    (_COMPLETE, "RETURN QUERY SELECT v_attempt_no,", "RETURN QUERY SELECT v_attempt_no + 1,"),
                ),
                ("negative_latency", "completion_answers", "what_the_rail_said_is_kept"),
            ),
        ),
    ),
    Probe(
        "delays_setup",
        delays,
        (
            Control(
                "a retry is due at once",
                rewritten((_COMPLETE, "greatest(1, coalesce(p_retry_delay_seconds, 1))", "0")),
                ("retry_waits_as_asked",),
            ),
        ),
    ),
)
LIMIT_PROBES = (
    Probe(
        "nothing_claimed_setup",
        nothing_claimed,
        (
            Control(
                "none is a mistake", rewritten((_LIMIT, "p_batch_size < 0", "p_batch_size < 1")), ("claim_of_none",)
            ),
            Control(
                "nobody may claim",
                rewritten(
                    (
                        _LIMIT,
                        "OR pg_catalog.btrim(coalesce(p_worker_id, '')",
                        "AND pg_catalog.btrim(coalesce(p_worker_id, '')",
                    )
                ),
                ("claim_of_none_by_nobody",),
            ),
        ),
    ),
)
SETTING_PROBES = (
    Probe(
        "set_for_the_database_setup",
        set_for_the_database,
        (
            Control(
                "the settings of roles count",
                rewritten((_CEILING, "s.setrole = 0", "s.setrole <> 0")),
                ("ceiling_set_for_the_database",),
            ),
            Control(
                "no setting counts",
                rewritten(
                    (
                        _CEILING,
                        "pg_catalog.pg_db_role_setting",
                        "(SELECT 0 AS tableoid, 0 AS setdatabase, 0::oid AS setrole, NULL::text[] AS setconfig)",
                    )
                ),
                ("ceiling_reads_settings",),
            ),
        ),
    ),
)
