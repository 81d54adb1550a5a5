"""INV-033: pages of the hot queue keep room for in-page updates of the lease columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.tables import TABLES

if TYPE_CHECKING:
    from scripts.digest import Json
    from scripts.verifiers.model import Database, Findings

_PENDING = TABLES["payment_outbox_pending"]


def verify(database: Database, findings: Findings) -> None:
    """Compare the storage parameters, all of them."""
    table = database.facts.tables.get(_PENDING.name)
    expected: list[Json] = [*_PENDING.options]
    observed: list[Json] = [*table.options] if table else []
    findings.check(
        "payment_outbox_pending_storage",
        expected=expected,
        observed=observed,
        where=f"public.{_PENDING.name}",
        examined=int(table is not None),
    )
    findings.details.update(expected_fillfactor=80, reloptions=observed)
