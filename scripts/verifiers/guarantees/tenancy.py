"""D-15, D-36, D-37: tenant integrity, and usage events that bill the right payer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.compare import Facts
from scripts.verifiers.facts.functions import FUNCTIONS
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.probes import at_once_tenancy, borders
from scripts.verifiers.probes.playing import play
from scripts.verifiers.probes.tenancy import TENANCY_PROBES, USAGE_PROBES

if TYPE_CHECKING:
    from scripts.verifiers.model import Database, Findings
    from scripts.verifiers.probes.playing import Probe

_GUARDS = {
    "ingress_attestations": ("trg_ingress_member_tenant_match", "trg_ingress_client_tenant_match"),
    "payment_outbox_attempts": ("trg_attempts_member_tenant_match",),
    "tenant_members": ("trg_deny_tenant_members_tenant_change",),
    "tenant_clients": ("trg_deny_tenant_clients_tenant_change",),
    "tenants": ("trg_deny_tenant_cycle",),
}
_FUNCTIONS = ("enforce_member_tenant_match", "enforce_client_tenant_match", "deny_tenant_change", "deny_tenant_cycle")


def integrity_pairs(database: Database) -> tuple[Probe, ...]:
    """Of `verify_integrity`."""
    return (*borders.tree_probes(database), *at_once_tenancy.tenancy_probes(database))


def verify_integrity(database: Database, findings: Findings) -> None:
    """The guards and their functions, the foreign keys, then rows that name what is not theirs."""
    facts = Facts(database.facts, database.sources, findings)
    for name in _FUNCTIONS:
        facts.function(FUNCTIONS[name])
    for table, triggers in _GUARDS.items():
        for trigger in triggers:
            facts.trigger(TABLES[table], trigger)
    for table in ("ingress_attestations", "payment_outbox_attempts", "payment_outbox_pending"):
        for constraint in TABLES[table].constraints:
            if constraint.kind == "f":
                facts.constraint(TABLES[table], constraint)
    twins = integrity_pairs(database)
    play(database.conn, findings, (*TENANCY_PROBES, *borders.BORDER_PROBES, *twins))


def usage_pairs(database: Database) -> tuple[Probe, ...]:
    """Of `verify_usage`."""
    return at_once_tenancy.usage_probes(database)


def verify_usage(database: Database, findings: Findings) -> None:
    """The guard, its function, the index of keys; then events that bill the wrong party."""
    facts = Facts(database.facts, database.sources, findings)
    events = TABLES["billing_usage_events"]
    facts.function(FUNCTIONS["enforce_usage_event_parties"])
    facts.trigger(events, "trg_billing_usage_events_parties")
    facts.index(events, "ux_billing_usage_events_idempotency")
    for constraint in events.constraints:
        facts.constraint(events, constraint)
    play(database.conn, findings, (*USAGE_PROBES, *borders.PARTY_PROBES, *usage_pairs(database)))
