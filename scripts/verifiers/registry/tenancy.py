"""Whose rows are whose: tenants, members, clients."""

from __future__ import annotations

from scripts.verifiers.guarantees import tenancy, tenant_member_hooks
from scripts.verifiers.model import Invariant
from scripts.verifiers.registry.tasks import FOUNDATION

TENANCY = (
    Invariant(
        id="tenant-member-hooks",
        check_id="DB-TENANT-MEMBER-HOOKS",
        stem="tenant_member_hooks",
        invariant_ids=("INV-062", "INV-063", "INV-064", "INV-065", "INV-066"),
        promise="ingress and outbox rows are attributed to tenants and their members",
        held_by=("tenants", "tenant_clients", "tenant_members", "ingress_attestations"),
        verify=tenant_member_hooks.verify,
        severity="P1",
        answers=("D-08",),
        failure_signature="P0.TENANT.ATTRIBUTION_MISSING",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="tenant-integrity",
        check_id="DB-TENANT-INTEGRITY",
        stem="tenant_integrity",
        invariant_ids=("INV-063", "INV-064", "INV-066"),
        promise="no row names another tenant's member or client, and no tenant its own descendant",
        held_by=(
            "enforce_member_tenant_match",
            "enforce_client_tenant_match",
            "deny_tenant_change",
            "deny_tenant_cycle",
        ),
        verify=tenancy.verify_integrity,
        pairs=tenancy.integrity_pairs,
        answers=("D-15", "D-37"),
        failure_signature="P0.TENANT.ROW_OF_ANOTHER_TENANT",
        origin_task_id=FOUNDATION,
    ),
)
