"""INV-062…066: tenants, clients and members exist; ingress and outbox rows are attributed to them, consistently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.compare import Facts
from scripts.verifiers.facts.functions import FUNCTIONS
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.guarantees.legacy_details import name_list

if TYPE_CHECKING:
    from scripts.verifiers.model import Database, Findings

_INGRESS = TABLES["ingress_attestations"]
_INGRESS_COLUMNS = {
    "ingress_client_id_col": "client_id",
    "ingress_client_id_hash_col": "client_id_hash",
    "ingress_member_id_col": "member_id",
    "ingress_participant_id_col": "participant_id",
    "ingress_cert_fingerprint_col": "cert_fingerprint_sha256",
    "ingress_token_jti_hash_col": "token_jti_hash",
}


def verify(database: Database, findings: Findings) -> None:
    """Compare the eighteen objects by definition."""
    facts = Facts(database.facts, database.sources, findings)
    for name in ("tenants", "tenant_clients", "tenant_members"):
        facts.table(TABLES[name])
    tenant_id = _INGRESS.column("tenant_id")
    found = facts.found_column(_INGRESS, "tenant_id")
    there = int(found is not None)
    where = "public.ingress_attestations.tenant_id"
    facts.column(_INGRESS, "tenant_id", id="ingress_tenant_id_col")
    findings.check(
        "ingress_tenant_id_uuid",
        expected=tenant_id.type,
        observed=found.type if found else "absent",
        where=where,
        examined=there,
    )
    findings.check(
        "ingress_tenant_id_not_null",
        expected=True,
        observed=found is not None and found.not_null,
        where=where,
        examined=there,
    )
    for check, column in _INGRESS_COLUMNS.items():
        facts.column(_INGRESS, column, id=check)
    facts.index(_INGRESS, "ux_ingress_attestations_tenant_instruction", id="ingress_tenant_instruction_unique")
    facts.function(FUNCTIONS["enforce_member_tenant_match"], id="member_tenant_match_fn")
    facts.trigger(_INGRESS, "trg_ingress_member_tenant_match", id="member_tenant_match_trigger")
    facts.column(TABLES["payment_outbox_pending"], "tenant_id", id="outbox_pending_tenant_id_col")
    facts.column(TABLES["payment_outbox_attempts"], "tenant_id", id="outbox_attempts_tenant_id_col")
    facts.column(TABLES["payment_outbox_attempts"], "member_id", id="outbox_attempts_member_id_col")
    name_list(findings)
