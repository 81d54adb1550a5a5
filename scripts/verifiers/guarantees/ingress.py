"""INV-035, INV-118: attestations are append-only and found by index on every hot path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.compare import Facts
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.guarantees.append_only import verify_tables

if TYPE_CHECKING:
    from scripts.verifiers.model import Database, Findings

_INGRESS = TABLES["ingress_attestations"]
HOT_PATHS = (
    "ux_ingress_attestations_tenant_instruction",
    "idx_ingress_attestations_tenant_received",
    "idx_ingress_attestations_tenant_correlation",
    "idx_ingress_attestations_correlation_id",
)


def verify_attestation(database: Database, findings: Findings) -> None:
    """The table, its two plain indexes, its guards; then attacks on an attestation."""
    facts = Facts(database.facts, database.sources, findings)
    for name in ("idx_ingress_attestations_instruction", "idx_ingress_attestations_received_at"):
        facts.index(_INGRESS, name)
    verify_tables(database, findings, (_INGRESS,))
    holds = {check.id: check.holds for check in findings.checks}
    findings.details.update(
        table_exists=_INGRESS.name in database.facts.tables,
        index_instruction_id=holds["idx_ingress_attestations_instruction"],
        index_received_at=holds["idx_ingress_attestations_received_at"],
        append_only_trigger=holds["trg_deny_ingress_attestations_mutation"],
    )


def verify_hot_paths(database: Database, findings: Findings) -> None:
    """The four indexes by definition."""
    facts = Facts(database.facts, database.sources, findings)
    for name in HOT_PATHS:
        facts.index(_INGRESS, name)
