"""INV-033: pages of the hot queue keep room for in-page updates of the lease columns, and vacuum gives it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.facts.upkeep import COMES, what_keeps_vacuum_away

if TYPE_CHECKING:
    from scripts.digest import Json
    from scripts.verifiers.facts.reading import Held
    from scripts.verifiers.facts.shape import Table
    from scripts.verifiers.model import Database, Findings

_PENDING = TABLES["payment_outbox_pending"]
_VACUUM_SWITCHES = ("autovacuum_enabled", "vacuum_index_cleanup")
_ON = ("on", "true", "yes", "1", "auto")


def verify(database: Database, findings: Findings) -> None:
    """Compare the storage parameters; how often the queue is vacuumed is for whoever runs it, never whether it is."""
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
    held = database.facts.held.get(_PENDING.name)
    findings.check(
        f"{_PENDING.name}_vacuumed",
        expected=COMES,
        observed=_vacuumed(database, table, held) if table and held else "absent",
        where=f"public.{_PENDING.name}",
        help="RESET what is named, of the table, of its long values (toast.…), of the role or the database, or of the "
        "server: otherwise the room of dead rows is never given back",
        examined=int(held is not None),
    )
    findings.details.update(expected_fillfactor=80, reloptions=[*table.options] if table else [])


def _vacuumed(database: Database, table: Table, held: Held) -> str:
    """When vacuum comes to the queue, or what keeps it away."""
    if held.kind != "r":
        return f"never: relation kind {held.kind}"
    away = what_keeps_vacuum_away(table.options, held.toast_options, database.facts.settings, database.server)
    return f"never, or late: {'; '.join(away)}" if away else COMES


def _is_tuning(option: str) -> bool:
    """Whether it says when and how thoroughly vacuum works. Off is no tuning: the room would never be given back."""
    name, _, value = option.partition("=")
    if name in _VACUUM_SWITCHES:
        return value.lower() in _ON
    return name.startswith(("autovacuum_", "log_autovacuum_", "vacuum_"))
