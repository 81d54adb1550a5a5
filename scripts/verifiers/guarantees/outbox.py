"""The outbox: INV-011…013, INV-015, INV-023, INV-032, INV-034 — facts of what holds each promise, then behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.compare import Facts
from scripts.verifiers.facts.functions import FUNCTIONS
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.probes import (
    at_once,
    at_once_leases,
    at_once_tenancy,
    attempts,
    chain,
    claims,
    derived,
    keys,
    legacy,
    limits,
    notify,
    one_id,
    order,
    outcomes,
    proofs,
    replay,
    several,
)
from scripts.verifiers.probes.playing import play

if TYPE_CHECKING:
    from scripts.verifiers.model import Database, Findings
    from scripts.verifiers.probes.playing import Probe

_PENDING, _ATTEMPTS, _PROOFS, _TENANTS, _PAYERS, _INGRESS = (
    TABLES[name]
    for name in (
        "payment_outbox_pending",
        "payment_outbox_attempts",
        "external_proofs",
        "tenants",
        "billable_clients",
        "ingress_attestations",
    )
)


def _facts(database: Database, findings: Findings, *functions: str) -> Facts:
    facts = Facts(database.facts, database.sources, findings)
    for name in functions:
        facts.function(FUNCTIONS[name])
    return facts


def terminal_pairs(database: Database) -> tuple[Probe, ...]:
    """Of `verify_terminal`."""
    return at_once_leases.terminal_probes(database)


def verify_terminal(database: Database, findings: Findings) -> None:
    """INV-032: one terminal attempt an item."""
    facts = _facts(database, findings)
    facts.index(_ATTEMPTS, "ux_outbox_attempts_one_terminal_per_outbox")
    play(database.conn, findings, (*attempts.TERMINAL_PROBES, *terminal_pairs(database)))
    refused = next((c.observed for c in findings.checks if c.id == "second_terminal_failed"), "not asked")
    findings.details["terminal_uniqueness_result"] = refused


def verify_notify(database: Database, findings: Findings) -> None:
    """INV-034: workers are woken when an item becomes due without anybody looking."""
    _facts(database, findings, *notify.NOTIFIERS)
    play(database.conn, findings, notify.PROBES)
    findings.details["notify_result"] = next(
        (c.observed for c in findings.checks if c.id == "enqueue_notifies"), "not asked"
    )


def replay_pairs(database: Database) -> tuple[Probe, ...]:
    """Of `verify_replay`."""
    return (
        *several.several_probes(database),
        *at_once.replay_probes(database),
        *order.enqueue_order_probes(database),
    )


def verify_replay(database: Database, findings: Findings) -> None:
    """INV-011, INV-023, D-13: one request, one item, whatever is repeated and whoever died on the way."""
    facts = _facts(
        database,
        findings,
        "enqueue_payment_outbox",
        "repair_expired_leases",
        "payment_request_sha256",
        "outbox_item_of_key",
    )
    facts.constraint(_PENDING, _PENDING.constraint("ux_pending_idempotency"))
    play(database.conn, findings, (*replay.REPLAY_PROBES, *keys.KEY_PROBES, *replay_pairs(database)))


def claim_pairs(database: Database) -> tuple[Probe, ...]:
    """Of `verify_claims`."""
    return (*limits.limit_probes(database), *at_once.claim_probes(database))


def verify_claims(database: Database, findings: Findings) -> None:
    """INV-012: claims."""
    _facts(database, findings, "claim_outbox_batch", "outbox_claim_limit")
    claims.skips_locked(database, findings)
    play(database.conn, findings, (*claims.CLAIM_PROBES, *outcomes.LIMIT_PROBES, *claim_pairs(database)))


def fencing_pairs(database: Database) -> tuple[Probe, ...]:
    """Of `verify_fencing`."""
    return (*at_once_leases.fencing_probes(database), *order.completion_order_probes(database))


def verify_fencing(database: Database, findings: Findings) -> None:
    """INV-013: leases."""
    _facts(database, findings, "complete_outbox_attempt")
    probes = (*claims.FENCING_PROBES, *outcomes.COMPLETION_PROBES, *fencing_pairs(database))
    play(database.conn, findings, probes)


def verify_ceiling(database: Database, findings: Findings) -> None:
    """INV-015, D-01, D-07: retrying ends, on every path."""
    _facts(database, findings, "outbox_retry_ceiling", "repair_expired_leases", "outbox_claim_limit")
    play(database.conn, findings, (*attempts.CEILING_PROBES, *outcomes.SETTING_PROBES))


def correlation_pairs(database: Database) -> tuple[Probe, ...]:
    """Of `verify_correlation`."""
    return one_id.order_probes(database)


def verify_correlation(database: Database, findings: Findings) -> None:
    """INV-092, D-03: one id from the attestation to the proof."""
    facts = _facts(database, findings, "set_correlation_id_if_null", "outbox_correlation")
    facts.constraint(_PROOFS, _PROOFS.constraint("external_proofs_correlation_required_new_rows_chk"))
    alone = (*chain.PROBES, *one_id.ID_PROBES, *limits.FIRST_PROBES)
    play(database.conn, findings, (*alone, *correlation_pairs(database)))


def attribution_pairs(database: Database) -> tuple[Probe, ...]:
    """Of `verify_attribution`."""
    return (*derived.derivation_probes(database), *at_once_tenancy.attribution_probes(database))


def verify_attribution(database: Database, findings: Findings) -> None:
    """INV-091, AC3, D-16, D-42: who pays for a proof."""
    facts = _facts(database, findings, "set_external_proofs_attribution")
    facts.trigger(_PROOFS, "trg_set_external_proofs_attribution")
    facts.only_triggers(_PROOFS)
    twins = attribution_pairs(database)
    play(database.conn, findings, (*proofs.PROBES, *derived.STRANGER_PROBES, *twins))


def legacy_pairs(database: Database) -> tuple[Probe, ...]:
    """Of `verify_legacy`."""
    return at_once_tenancy.legacy_probes(database)


def verify_legacy(database: Database, findings: Findings) -> None:
    """AC6, D-02: old rows."""
    facts = _facts(
        database, findings, "set_correlation_id_if_null", "settle_tenant_payer", "settle_billable_client_key"
    )
    facts.trigger(_TENANTS, "trg_settle_tenant_payer")
    facts.trigger(_PAYERS, "trg_settle_billable_client_key")
    facts.trigger(_PENDING, "trg_set_corr_id_payment_outbox_pending")
    for table, rule in (
        (_TENANTS, "tenants_billable_client_required_new_rows_chk"),
        (_PAYERS, "billable_clients_client_key_required_new_rows_chk"),
    ):
        facts.constraint(table, table.constraint(rule))
    play(database.conn, findings, (*legacy.PROBES, *legacy_pairs(database)))
