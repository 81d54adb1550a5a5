"""INV-031: the claim finds due rows by an index on exactly the columns it sorts and filters by, in that order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.compare import Facts
from scripts.verifiers.facts.tables import TABLES

if TYPE_CHECKING:
    from scripts.digest import Json
    from scripts.verifiers.model import Database, Findings

_PENDING = TABLES["payment_outbox_pending"]
_NAME = "idx_payment_outbox_pending_due_claim"


def verify(database: Database, findings: Findings) -> None:
    """Compare the index."""
    Facts(database.facts, database.sources, findings).index(_PENDING, _NAME)
    table = database.facts.tables.get(_PENDING.name)
    found = next((index for index in table.indexes if index.name == _NAME), None) if table else None
    keys: list[Json] = [*found.keys] if found else []
    expected: list[Json] = [*_PENDING.index(_NAME).keys]
    failed: list[Json] = [*findings.failed()]
    findings.details.update(
        checked_objects=[f"public.{_PENDING.name}"],
        expected_index=_NAME,
        expected_columns=expected,
        index_name=_NAME if found else None,
        index_columns=keys,
        index_definition=found.text if found else None,
        errors=failed,
    )
