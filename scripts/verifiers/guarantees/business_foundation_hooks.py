"""INV-090…096, 102…104: the objects that make new rows billable and stitchable, and what they do (AC1, AC2, AC3, AC5).

The first seventy-five checks keep the ids that the predecessor gave them; each compares a definition, where the
predecessor looked a name up. The checks after them are behaviour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.compare import Facts
from scripts.verifiers.facts.functions import FUNCTIONS
from scripts.verifiers.facts.privileges import public_privileges
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.guarantees.legacy_details import name_list
from scripts.verifiers.probes import at_once_tenancy, edges, packs
from scripts.verifiers.probes.new_rows import PROBES
from scripts.verifiers.probes.playing import play

if TYPE_CHECKING:
    from scripts.verifiers.model import Database, Findings
    from scripts.verifiers.probes.playing import Probe

BUSINESS_TABLES = (
    "participants",
    "billable_clients",
    "billing_usage_events",
    "external_proofs",
    "evidence_packs",
    "evidence_pack_items",
)
_INGRESS, _PENDING, _ATTEMPTS = (
    TABLES[name] for name in ("ingress_attestations", "payment_outbox_pending", "payment_outbox_attempts")
)
_HOPS = {"ingress": _INGRESS, "pending": _PENDING, "attempts": _ATTEMPTS}
_REFS = ("upstream_ref", "downstream_ref", "nfs_sequence_ref")
_TENANTS, _PAYERS, _EVENTS, _PROOFS, _PACKS = (
    TABLES[name]
    for name in ("tenants", "billable_clients", "billing_usage_events", "external_proofs", "evidence_packs")
)


def pairs(database: Database) -> tuple[Probe, ...]:
    """Of `verify`."""
    return at_once_tenancy.payer_probes(database)


def verify(database: Database, findings: Findings) -> None:
    """Compare the seventy-five objects, then see new rows made."""
    facts = Facts(database.facts, database.sources, findings)
    for name in BUSINESS_TABLES:
        facts.table(TABLES[name])
    _tenants_and_payers(facts)
    _signatures(facts)
    _correlation(facts)
    for name in ("billing_usage_events", "external_proofs", "evidence_packs", "evidence_pack_items"):
        facts.trigger(TABLES[name], f"trg_deny_{name}_mutation")
    for rule in ("subject_zero_or_one_chk", "member_requires_tenant_chk"):
        facts.constraint(_EVENTS, _EVENTS.constraint(f"billing_usage_events_{rule}"), id=f"billing_{rule}")
    _proofs(facts)
    _packs_and_events(facts)
    for name in BUSINESS_TABLES:
        held = database.facts.held.get(name)
        findings.check(
            f"public_no_privs_{name}",
            expected="none",
            observed=public_privileges(held) if held else "absent",
            where=f"public.{name}",
            examined=int(held is not None),
        )
    name_list(findings)
    for name in ("settle_tenant_payer", "settle_billable_client_key", "set_correlation_id_if_null"):
        facts.function(FUNCTIONS[name])
    facts.trigger(_TENANTS, "trg_settle_tenant_payer")
    facts.trigger(_PAYERS, "trg_settle_billable_client_key")
    play(database.conn, findings, (*PROBES, *edges.AMONG_PROBES, *packs.PACK_PROBES, *pairs(database)))


def _tenants_and_payers(facts: Facts) -> None:
    facts.column(_TENANTS, "billable_client_id", id="tenants_billable_client_col")
    facts.column(_TENANTS, "parent_tenant_id", id="tenants_parent_tenant_col")
    for name in ("tenants_billable_client_fk", "tenants_parent_tenant_fk"):
        facts.constraint(_TENANTS, _TENANTS.constraint(name))
    for name in ("idx_tenants_billable_client_id", "idx_tenants_parent_tenant_id"):
        facts.index(_TENANTS, name)
    facts.constraint(_TENANTS, _TENANTS.constraint("tenants_billable_client_required_new_rows_chk"))
    facts.column(_PAYERS, "client_key", id="billable_clients_client_key_col")
    facts.constraint(_PAYERS, _PAYERS.constraint("billable_clients_client_key_required_new_rows_chk"))
    facts.index(_PAYERS, "ux_billable_clients_client_key")


def _signatures(facts: Facts) -> None:
    expected = _INGRESS.column("signatures")
    found = facts.found_column(_INGRESS, "signatures")
    there, where = int(found is not None), "public.ingress_attestations.signatures"
    for name, wanted, observed in (
        ("ingress_signatures_col", expected.type, found.type if found else "absent"),
        ("ingress_signatures_not_null", "NOT NULL", "NOT NULL" if found and found.not_null else "NULL"),
        ("ingress_signatures_default", expected.default, (found.default if found else None) or "no default"),
    ):
        facts.findings.check(name, expected=wanted, observed=observed, where=where, examined=there)


def _correlation(facts: Facts) -> None:
    for hop, table in _HOPS.items():
        facts.column(table, "correlation_id", id=f"{hop}_correlation_col")
    for table in _HOPS.values():
        facts.trigger(table, f"trg_set_corr_id_{table.name}")
    for table in _HOPS.values():
        facts.constraint(table, table.constraint(f"{table.name}_correlation_required_new_rows_chk"))
    for hop, table in _HOPS.items():
        for ref in _REFS:
            facts.column(table, ref, id=f"{hop}_{ref}_col")
    for table in _HOPS.values():
        for what in ("tenant_correlation", "correlation_id"):
            facts.index(table, f"idx_{table.name}_{what}")


def _proofs(facts: Facts) -> None:
    for name in ("tenant_id", "billable_client_id", "subject_member_id"):
        facts.column(_PROOFS, name, id=f"external_proofs_{name}_col")
    for name in ("tenant_fk", "billable_client_fk", "subject_member_fk"):
        facts.constraint(_PROOFS, _PROOFS.constraint(f"external_proofs_{name}"))
    facts.trigger(_PROOFS, "trg_set_external_proofs_attribution")
    for name in ("tenant_required_new_rows_chk", "billable_client_required_new_rows_chk"):
        facts.constraint(_PROOFS, _PROOFS.constraint(f"external_proofs_{name}"))


def _packs_and_events(facts: Facts) -> None:
    for name in (
        "signer_participant_id", "signature_alg", "signature", "signed_at", "anchor_type", "anchor_ref", "anchored_at",
    ):  # fmt: skip
        facts.column(_PACKS, name, id=f"evidence_packs_{name}_col")
    facts.index(_PACKS, "idx_evidence_packs_anchor_ref")
    for name in ("created_at", "idempotency_key"):
        facts.column(_EVENTS, name, id=f"billing_usage_events_{name}_col")
    facts.index(_EVENTS, "ux_billing_usage_events_idempotency")
