"""AC6, D-02: rows that were there before the tightening still do everything they did.

The rows are planted as the old schema would have left them: for a moment, inside the transaction that is rolled back,
the guard that refuses them is switched off. That takes a lock on the table until the rollback: on a database with
traffic this gate gives up rather than hold anybody up.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.alike import same_checks
from scripts.verifiers.probes.attempts import complete
from scripts.verifiers.probes.own_queue import by_order
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.stage import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE
from scripts.verifiers.probes.violations import rewritten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.verifiers.probes.stage import Stage

_EXECUTOR = "symphony_executor"
_CLAIM: LiteralString = "SELECT c.outbox_id FROM public.claim_outbox_batch(1, 'probe-worker', 60) AS c"
_PROOF: LiteralString = (
    "INSERT INTO public.external_proofs (attestation_id, provider, request_hash, response_hash) "
    "VALUES (%s, 'probe', 'request', 'response') RETURNING tenant_id, correlation_id"
)
_ENABLE: dict[str, LiteralString] = {"A": "ENABLE ALWAYS", "O": "ENABLE", "R": "ENABLE REPLICA", "D": "DISABLE"}


@contextmanager
def _before_the_rule(stage: Stage, table: str, rule: str = "") -> Iterator[None]:
    """The table as it was before the tightening: no trigger fires, and no CHECK says what that name's does.

    Afterwards everything is put back as it was found, not as it should be: what is proved of old rows must be proved
    under the guards that this database has.
    """
    from psycopg import sql

    name = sql.Identifier("public", table)
    states = stage.rows(
        "SELECT t.tgname, t.tgenabled::text FROM pg_catalog.pg_trigger AS t "
        "WHERE t.tgrelid = %s::pg_catalog.regclass AND NOT t.tgisinternal ORDER BY t.tgname",
        [f"public.{table}"],
    )
    checks = same_checks(stage, table, rule) if rule else {}
    with stage.hurried(f"public.{table}", ACCESS_EXCLUSIVE if checks else SHARE_ROW_EXCLUSIVE):
        if checks:
            # Who has made the column NOT NULL, too, has no row from before, and agreed on more than must be.
            drops = sql.SQL(", ").join(sql.SQL("DROP CONSTRAINT {}").format(sql.Identifier(check)) for check in checks)
            stage.run(sql.SQL("ALTER TABLE {} {}, ALTER COLUMN correlation_id DROP NOT NULL").format(name, drops))
        stage.run(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(name))
    yield
    for check, definition in checks.items():
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(name, sql.Identifier(check))
        stage.run(add.as_bytes() + definition.encode())
    for trigger, state in states:
        stage.run(
            sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(name, sql.SQL(_ENABLE[state]), sql.Identifier(trigger))
        )


def old_tenant(stage: Stage) -> None:
    """A tenant without a payer can be suspended, renamed and closed; given a payer, it can not lose it again."""
    key = world.name("tenant")
    with _before_the_rule(stage, "tenants"):
        tenant = stage.value(
            "INSERT INTO public.tenants (tenant_key, tenant_name, tenant_type, predates_payer) "
            "VALUES (%s, 'old', 'NGO', true) RETURNING tenant_id",
            [key],
        )
        # The marker reads true on every row that was there, also on one that had its payer.
        paid = stage.value(
            "INSERT INTO public.tenants (tenant_key, tenant_name, tenant_type, billable_client_id, predates_payer) "
            "VALUES (%s, 'old', 'NGO', %s, true) RETURNING tenant_id",
            [world.name("tenant"), world.payer(stage)],
        )
    where = "public.tenants"
    for label, change in (
        ("suspended", b"status = 'SUSPENDED'"),
        ("renamed", b"tenant_name = 'renamed'"),
        ("closed", b"status = 'CLOSED'"),
    ):
        stage.accepted(
            f"old_tenant_is_{label}",
            b"UPDATE public.tenants SET " + change + b" WHERE tenant_key = %s",
            [key],
            where=where,
        )
    stage.refused(
        "old_tenant_keeps_the_payer_it_had",
        "23514 tenants_billable_client_required_new_rows_chk",
        "UPDATE public.tenants SET billable_client_id = NULL WHERE tenant_id = %s",
        [paid],
        where=where,
    )
    # Nobody pays for it yet, so nothing of it can be billed: its proofs are refused until somebody does.
    attestation = world.attestation(stage, tenant)
    stage.refused("proof_of_an_old_tenant", "P7212", _PROOF, [attestation], where="public.external_proofs")
    stage.run("UPDATE public.tenants SET billable_client_id = %s WHERE tenant_key = %s", [world.payer(stage), key])
    stage.refused(
        "old_tenant_keeps_the_payer_it_got",
        "23514 tenants_billable_client_required_new_rows_chk",
        "UPDATE public.tenants SET billable_client_id = NULL WHERE tenant_key = %s",
        [key],
        where=where,
    )


def old_payer(stage: Stage) -> None:
    """A payer without a key can be suspended, renamed and closed; given a key, it can not lose it again."""
    with _before_the_rule(stage, "billable_clients"):
        payer = stage.value(
            "INSERT INTO public.billable_clients (legal_name, client_type, predates_client_key) "
            "VALUES ('old', 'BANK', true) RETURNING billable_client_id"
        )
    where = "public.billable_clients"
    for label, change in (
        ("suspended", b"status = 'SUSPENDED'"),
        ("renamed", b"legal_name = 'renamed'"),
        ("closed", b"status = 'CLOSED'"),
    ):
        stage.accepted(
            f"old_payer_is_{label}",
            b"UPDATE public.billable_clients SET " + change + b" WHERE billable_client_id = %s",
            [payer],
            where=where,
        )
    stage.run(
        "UPDATE public.billable_clients SET client_key = %s WHERE billable_client_id = %s", [world.name("key"), payer]
    )
    stage.refused(
        "old_payer_keeps_the_key_it_got",
        "23514 billable_clients_client_key_required_new_rows_chk",
        "UPDATE public.billable_clients SET client_key = NULL WHERE billable_client_id = %s",
        [payer],
        where=where,
    )


@by_order
def old_item(stage: Stage) -> None:
    """An item queued without a correlation id is claimed, retried, repaired and dispatched; it is healed once."""
    items = [world.queued(stage) for _ in range(3)]
    with _before_the_rule(stage, "payment_outbox_pending", "payment_outbox_pending_correlation_required_new_rows_chk"):
        stage.run(
            "UPDATE public.payment_outbox_pending SET correlation_id = NULL WHERE outbox_id = ANY (%s)",
            [[item.outbox_id for item in items]],
        )
    claimed, retried, lost = items
    stage.run(
        "UPDATE public.payment_outbox_pending SET next_attempt_at = '4000-01-01 BC' WHERE outbox_id = ANY (%s)",
        [[retried.outbox_id, lost.outbox_id]],
    )
    where = "public.payment_outbox_pending"
    world.decoy(stage)
    rows = stage.rows(_CLAIM, role=_EXECUTOR)
    stage.findings.check(
        "old_item_is_claimed", expected=True, observed=[row[0] for row in rows] == [claimed.outbox_id], where=where
    )
    stage.findings.check(
        "old_item_is_retried", expected="RETRYABLE", observed=complete(stage, retried, "RETRYABLE"), where=where
    )
    first = _ids(stage, retried)
    complete(stage, retried, "DISPATCHED")
    ids = {*first, *_ids(stage, retried)}
    stage.findings.check("old_item_is_healed_once", expected=[1, False], observed=[len(ids), None in ids], where=where)
    world.leased(stage, lost, expired=True)
    stage.rows("SELECT public.repair_expired_leases(1, 'probe-repairer')", role=_EXECUTOR)
    stage.findings.check(
        "old_item_is_repaired",
        expected=[["ZOMBIE_REQUEUE"], True],
        observed=[[*world.attempts(stage, lost)], world.is_queued(stage, lost)],
        where=where,
    )


def old_attestation(stage: Stage) -> None:
    """A proof of an attestation without a correlation id is attributed all the same, and gets the id of its item."""
    tenant, instruction = world.tenant(stage), world.name("instruction")
    with _before_the_rule(stage, "ingress_attestations", "ingress_attestations_correlation_required_new_rows_chk"):
        attestation = world.attestation(stage, tenant, instruction=instruction)
    row = stage.row(_PROOF, [attestation]) or (None, None)
    again = stage.row(_PROOF, [attestation]) or (None, None)
    item = world.queued(stage, tenant, instruction=instruction)
    stage.findings.check(
        "proof_of_an_old_attestation",
        expected=[True, True, True, True],
        observed=[row[0] == tenant, isinstance(row[1], uuid.UUID), row == again, _ids(stage, item) == {row[1]}],
        where="public.external_proofs",
    )


def _ids(stage: Stage, item: world.Item) -> set[uuid.UUID | None]:
    rows = stage.rows(
        "SELECT p.correlation_id FROM public.payment_outbox_pending AS p WHERE p.outbox_id = %(item)s UNION "
        "SELECT a.correlation_id FROM public.payment_outbox_attempts AS a WHERE a.outbox_id = %(item)s",
        {"item": item.outbox_id},
    )
    return {row[0] for row in rows}


_PROOFS, _COMPLETES = "set_external_proofs_attribution", "complete_outbox_attempt"

PROBES = (
    Probe(
        "old_tenant_setup",
        old_tenant,
        (
            Control(
                "a tenant from before is stuck, one that has a payer may lose it, and proofs need none",
                rewritten(
                    (
                        "settle_tenant_payer",
                        "AND OLD.predates_payer AND OLD.billable_client_id IS NULL",
                        "AND OLD.billable_client_id IS NOT NULL",
                    ),
                    (_PROOFS, "IF NOT FOUND OR v_payer IS NULL THEN", "IF false THEN"),
                ),
                breaks=(
                    "old_tenant_is_suspended",
                    "old_tenant_is_renamed",
                    "old_tenant_is_closed",
                    "old_tenant_keeps_the_payer_it_had",
                    "old_tenant_keeps_the_payer_it_got",
                    "proof_of_an_old_tenant",
                ),
            ),
        ),
    ),
    Probe(
        "old_payer_setup",
        old_payer,
        (
            Control(
                "a payer from before is stuck, and one that has a key may lose it",
                rewritten(
                    (
                        "settle_billable_client_key",
                        "AND OLD.predates_client_key AND OLD.client_key IS NULL",
                        "AND OLD.client_key IS NOT NULL",
                    )
                ),
                breaks=(
                    "old_payer_is_suspended",
                    "old_payer_is_renamed",
                    "old_payer_is_closed",
                    "old_payer_keeps_the_key_it_got",
                ),
            ),
        ),
    ),
    Probe(
        "old_item_setup",
        old_item,
        (
            Control(
                "an item from before is not claimed, told to have failed, healed anew each time, and no zombie",
                rewritten(
                    ("claim_outbox_batch", "WHERE p.next_attempt_at", "WHERE false AND p.next_attempt_at"),
                    (
                        _COMPLETES,
                        "SELECT v_attempt_no, v_state;",
                        "SELECT v_attempt_no, 'FAILED'::public.outbox_attempt_state;",
                    ),
                    (_COMPLETES, "v_item.correlation_id, v_item.up", "pg_catalog.uuidv7(), v_item.up"),
                    ("repair_expired_leases", "'ZOMBIE_REQUEUE' END", "'RETRYABLE' END"),
                ),
                breaks=(
                    "old_item_is_claimed",
                    "old_item_is_retried",
                    "old_item_is_healed_once",
                    "old_item_is_repaired",
                ),
            ),
        ),
    ),
    Probe(
        "old_attestation_setup",
        old_attestation,
        (
            Control(
                "a proof of an attestation from before takes an id of its own",
                rewritten((_PROOFS, "NEW.attestation_id);\n", "pg_catalog.uuidv7());\n")),
                breaks=("proof_of_an_old_attestation",),
            ),
        ),
    ),
)
