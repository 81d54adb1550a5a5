"""Every table of the schema by name."""

from __future__ import annotations

from scripts.verifiers.facts.business import BUSINESS_TABLES
from scripts.verifiers.facts.ledger import RUNNER_TABLES
from scripts.verifiers.facts.outbox import OUTBOX_TABLES
from scripts.verifiers.facts.tenancy import TENANCY_TABLES

TABLES = {table.name: table for table in (*OUTBOX_TABLES, *TENANCY_TABLES, *BUSINESS_TABLES)}
# With those that the runner makes for itself.
REVIEWED = TABLES | RUNNER_TABLES
ENUMS = {
    "outbox_attempt_state": ("DISPATCHING", "DISPATCHED", "RETRYABLE", "FAILED", "ZOMBIE_REQUEUE"),
    "policy_version_status": ("ACTIVE", "GRACE", "RETIRED"),
}
