"""Who may call what, tried out: D-04 (functions), D-05 (temporary tables), D-06 and D-39 (the control plane)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, LiteralString

from scripts.verifiers.facts.privileges import EXECUTORS
from scripts.verifiers.facts.roles import BOZ_ROLE, ROLES
from scripts.verifiers.probes import world
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.stage import ACCEPTED, ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE
from scripts.verifiers.probes.violations import all_of, altered, rewritten, said

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.probes.wire import Query

DENIED = "42501"
CONTROL, EXECUTOR, INGEST = "symphony_control", "symphony_executor", "symphony_ingest"
_CALLS: dict[str, Query] = {
    "enqueue_payment_outbox": world.ENQUEUE,
    "claim_outbox_batch": "SELECT public.claim_outbox_batch(0, 'probe-worker', 1)",
    "complete_outbox_attempt": world.COMPLETE,
    "repair_expired_leases": "SELECT public.repair_expired_leases(0, 'probe-worker')",
    "bump_participant_outbox_seq": "SELECT public.bump_participant_outbox_seq(%(participant)s)",
}
_OUTBOX = ("payment_outbox_pending", "payment_outbox_attempts", "participant_outbox_sequences")
_BY_HAND = (CONTROL, EXECUTOR, INGEST, "symphony_readonly", "symphony_auditor", "test_user")
_COMPLETES = "complete_outbox_attempt"
# Attack → what is tried, and the lock it takes where it is not refused before.
_ATTACKS: dict[str, tuple[LiteralString, str]] = {
    "delete": ("DELETE FROM {} WHERE false", ""),
    "truncate": ("TRUNCATE {}", ACCESS_EXCLUSIVE),
    "lock": ("LOCK TABLE {} IN SHARE MODE", "SHARE"),
}


def functions_are_denied(stage: Stage) -> None:
    """Each role that must not call an outbox function is refused."""
    arguments = world.request() | {
        "item": uuid.uuid4(),
        "token": uuid.uuid4(),
        "worker": "probe-worker",
        "state": "DISPATCHED",
    }
    for name, call in _CALLS.items():
        for role in _denied(name):
            stage.refused(f"{name} as {role}", DENIED, call, arguments, role=role, where=f"public.{name}")


def _denied(function: str) -> tuple[str, ...]:
    """The roles that must not call it."""
    return tuple(role for role in ROLES if role not in EXECUTORS.get(function, ()))


def temporary_table_is_no_ledger(stage: Stage) -> None:
    """A caller's temporary table of the ledger's name gets nothing; the attempt is in the ledger (D-05)."""
    from psycopg import sql

    item = world.queued(stage)
    token = world.leased(stage, item, worker="probe-worker")
    call = {"item": item.outbox_id, "token": token, "worker": "probe-worker", "state": "DISPATCHED"}
    for table in ("payment_outbox_attempts", "payment_outbox_pending"):
        # Whoever made it, a temporary table comes first on a path that does not put pg_temp last.
        shadow, original = sql.Identifier("pg_temp", table), sql.Identifier("public", table)
        stage.run(
            sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING IDENTITY)").format(
                sql.Identifier(table), original
            )
        )
        stage.run(sql.SQL("GRANT ALL ON {} TO {}").format(shadow, sql.Identifier(EXECUTOR)))
    recorded = stage.value(world.COMPLETE, call, role=EXECUTOR)
    strays = stage.value("SELECT pg_catalog.count(*) FROM pg_temp.payment_outbox_attempts")
    stage.findings.check(
        "temporary_table_is_no_ledger",
        expected=["DISPATCHED", ["DISPATCHED"], 0],
        observed=[recorded, [*world.attempts(stage, item)], strays],
        where="public.complete_outbox_attempt",
    )


def tables_are_denied(stage: Stage) -> None:
    """No runtime role writes to the outbox by hand, arms it with triggers, empties or locks it, or makes a table."""
    from psycopg import sql

    for role in _BY_HAND:
        for table in _OUTBOX:
            where = f"public.{table}"
            for label, (attack, lock) in _ATTACKS.items():
                query = sql.SQL(attack).format(sql.Identifier("public", table))
                stage.refused(f"{label} {table} as {role}", DENIED, query, role=role, where=where, lock=lock)
    stage.run(b"CREATE FUNCTION pg_temp.probe_escalation() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    stage.run(b"GRANT EXECUTE ON FUNCTION pg_temp.probe_escalation() TO PUBLIC")
    for table in _OUTBOX[:2]:
        stage.refused(
            f"trigger on {table} as {CONTROL}",
            DENIED,
            sql.SQL(
                "CREATE TRIGGER probe BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION pg_temp.probe_escalation()"
            ).format(sql.Identifier("public", table)),
            role=CONTROL,
            where=f"public.{table}",
            # Taken before the privilege is asked for.
            lock=SHARE_ROW_EXCLUSIVE,
        )
    stage.refused(
        f"forged attempt as {CONTROL}",
        DENIED,
        b"INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, "
        b"rail_type, sequence_id, payload, attempt_no, state, correlation_id) VALUES (public.uuid_v7_or_random(), "
        b"'p', 'p', 'p', 'p', 1, '{}', 1, 'FAILED', public.uuid_v7_or_random())",
        role=CONTROL,
        where="public.payment_outbox_attempts",
    )
    for role in ROLES:
        stage.refused(f"create in public as {role}", DENIED, b"CREATE TABLE public.probe (id int)", role=role)


def boz_reads_only(stage: Stage) -> None:
    """The regulator reads its tables, and nothing it tries changes anything."""
    stage.refused("boz_reads_the_queue", ACCEPTED, "SELECT FROM public.payment_outbox_pending LIMIT 0", role=BOZ_ROLE)
    stage.refused("boz_enqueues", DENIED, world.ENQUEUE, world.request(), role=BOZ_ROLE)
    stage.refused("boz_claims", DENIED, _CALLS["claim_outbox_batch"], role=BOZ_ROLE)
    stage.refused("boz_creates", DENIED, "CREATE TABLE public.probe (id int)", role=BOZ_ROLE)
    stage.refused("boz_reads_attestations", DENIED, "SELECT FROM public.ingress_attestations LIMIT 0", role=BOZ_ROLE)


_KEEP: LiteralString = (
    "CREATE TRIGGER planted BEFORE TRUNCATE ON public.{} EXECUTE FUNCTION public.deny_append_only_mutation()"
)

PRIVILEGE_PROBES = (
    Probe(
        "functions_denied_setup",
        functions_are_denied,
        (
            Control(
                "everybody may call the outbox functions",
                said(
                    "GRANT EXECUTE ON FUNCTION public.enqueue_payment_outbox, public.claim_outbox_batch, "
                    "public.complete_outbox_attempt, public.repair_expired_leases, public.bump_participant_outbox_seq "
                    "TO PUBLIC"
                ),
                breaks=tuple(f"{name} as {role}" for name in _CALLS for role in _denied(name)),
            ),
        ),
    ),
)
SHADOW_PROBES = (
    Probe(
        "shadow_setup",
        temporary_table_is_no_ledger,
        (
            Control(
                "completion writes to whatever ledger comes first on the caller's path",
                rewritten(
                    (_COMPLETES, "public.payment_outbox_attempts", "payment_outbox_attempts"),
                    (_COMPLETES, ", 'pg_temp'", ""),
                ),
                breaks=("temporary_table_is_no_ledger",),
            ),
        ),
    ),
)
TABLE_PROBES = (
    Probe(
        "tables_denied_setup",
        tables_are_denied,
        (
            Control(
                "everybody has every right on the outbox and makes tables",
                all_of(
                    said(
                        "GRANT ALL ON public.payment_outbox_pending, public.payment_outbox_attempts, "
                        "public.participant_outbox_sequences TO PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC"
                    ),
                    # The right to empty a table is seen as well when a guard refuses what was allowed.
                    # The attempts are emptied behind it.
                    altered(
                        "payment_outbox_pending", _KEEP.format("payment_outbox_pending"), "payment_outbox_attempts"
                    ),
                    altered("participant_outbox_sequences", _KEEP.format("participant_outbox_sequences")),
                ),
                breaks=(
                    *(f"{attack} {table} as {role}" for role in _BY_HAND for table in _OUTBOX for attack in _ATTACKS),
                    *(f"trigger on {table} as {CONTROL}" for table in _OUTBOX[:2]),
                    f"forged attempt as {CONTROL}",
                    *(f"create in public as {role}" for role in ROLES),
                ),
                on_schema=True,
            ),
        ),
    ),
)
BOZ_PROBES = (
    Probe(
        "boz_setup",
        boz_reads_only,
        (
            Control(
                "the regulator may do what it may not, and not what it may",
                said(
                    "REVOKE SELECT ON public.payment_outbox_pending FROM boz_auditor; "
                    "GRANT SELECT ON public.ingress_attestations TO boz_auditor; "
                    "GRANT EXECUTE ON FUNCTION public.enqueue_payment_outbox, public.claim_outbox_batch "
                    "TO boz_auditor; GRANT CREATE ON SCHEMA public TO boz_auditor"
                ),
                breaks=(
                    "boz_reads_the_queue",
                    "boz_enqueues",
                    "boz_claims",
                    "boz_creates",
                    "boz_reads_attestations",
                ),
                on_schema=True,
            ),
        ),
    ),
)
