"""Columns that are stricter about NULL than they must be, in tables whose rows come from outside the schema.

Who writes there may agree on more than the schema asks: a payer's reference, a member's hashes. Probes know nothing of
such agreements and leave those columns empty, so the agreement rests while they play, until the rollback.

Owns: which columns these are.
Never: touches a column that the schema's own functions leave empty (it must be allowed to be), or one without which
rows from before are upserted: there NOT NULL breaks a promise, and the probes show it. Where probes plant rows from
before without a correlation id they see to it themselves (legacy.py, derived.py).
"""

from __future__ import annotations

from scripts.verifiers.facts.tables import TABLES

_WRITTEN_BY_OTHERS = (
    "tenants",
    "tenant_members",
    "billable_clients",
    "ingress_attestations",
    "revoked_client_certs",
    "revoked_tokens",
    "billing_usage_events",
    "external_proofs",
    "evidence_packs",
    "evidence_pack_items",
    "evidence_pack_signatures",
)
# Rows from before 0026 have these empty.
_EMPTY_ON_OLD_ROWS = {
    ("tenants", "billable_client_id"),
    ("billable_clients", "client_key"),
    ("ingress_attestations", "correlation_id"),
    ("external_proofs", "tenant_id"),
    ("external_proofs", "billable_client_id"),
    ("external_proofs", "correlation_id"),
}
# Of the ledger that the schema writes, what each of its functions fills; who imports attempts may leave it out.
_FILLED = {("payment_outbox_attempts", "completed_at"), ("payment_outbox_attempts", "worker_id")}
RELAXED = frozenset(
    (table, column.name)
    for table in _WRITTEN_BY_OTHERS
    for column in TABLES[table].columns
    if not column.not_null and column.generated is None and (table, column.name) not in _EMPTY_ON_OLD_ROWS
).union(_FILLED)
# `table.column`, as the query of the surroundings takes them.
NAMES = tuple(sorted(f"{table}.{column}" for table, column in RELAXED))


def relaxing(stricter: tuple[str, ...]) -> list[tuple[str, str]]:
    """For each table among the names, the statement that lets its columns be empty again.

    Args:
        stricter: some of NAMES.

    Returns:
        Pairs of table and statement, in order.
    """
    tables: dict[str, list[str]] = {}
    for name in stricter:
        table, _, column = name.partition(".")
        tables.setdefault(table, []).append(f"ALTER COLUMN {column} DROP NOT NULL")
    return [(f"public.{table}", f"ALTER TABLE public.{table} {', '.join(parts)}") for table, parts in tables.items()]
