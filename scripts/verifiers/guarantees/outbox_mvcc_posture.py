"""INV-033: pages of the hot queue keep room for in-page updates of the lease columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.tables import TABLES

if TYPE_CHECKING:
    from scripts.digest import Json
    from scripts.verifiers.model import Database, Findings

_PENDING = TABLES["payment_outbox_pending"]
_VACUUM_SWITCHES = ("autovacuum_enabled", "vacuum_index_cleanup")
_ON = ("on", "true", "yes", "1", "auto")


def verify(database: Database, findings: Findings) -> None:
    """Compare the storage parameters; how often the queue is vacuumed is for whoever runs it, never whether."""
    table = database.facts.tables.get(_PENDING.name)
    expected: list[Json] = [*_PENDING.options]
    observed: list[Json] = [option for option in table.options if not _is_tuning(option)] if table else []
    findings.check(
        "payment_outbox_pending_storage",
        expected=expected,
        observed=observed,
        where=f"public.{_PENDING.name}",
        examined=int(table is not None),
    )
    findings.details.update(expected_fillfactor=80, reloptions=[*table.options] if table else [])


def _is_tuning(option: str) -> bool:
    """Whether it says when and how thoroughly vacuum works. Off is no tuning: the room would never be given back."""
    name, _, value = option.partition("=")
    if name in _VACUUM_SWITCHES:
        return value.lower() in _ON
    return name.startswith(("autovacuum_", "log_autovacuum_", "vacuum_"))
