"""Every table is exactly what was reviewed: columns, keys, references, checks, indexes, triggers, enum types.

Owns: the definitions that no other invariant is named after, so that none is without an owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.compare import Facts
from scripts.verifiers.facts.referred import EMPTIED, read_referring
from scripts.verifiers.facts.tables import ENUMS, TABLES

if TYPE_CHECKING:
    from scripts.verifiers.model import Database, Findings


def verify(database: Database, findings: Findings) -> None:
    """Compare every object of every table."""
    facts = Facts(database.facts, database.sources, findings)
    for table in TABLES.values():
        facts.whole(table)
    for name in EMPTIED:
        findings.check(
            f"{name}_referred_to",
            expected="nothing",
            observed=", ".join(read_referring(database.conn, name)) or "nothing",
            where=f"foreign keys of others onto public.{name}",
            help="DROP CONSTRAINT: completion and repair delete rows of this table; such a key refuses it or follows",
        )
    # Whoever owns a type can rename its labels under everybody's feet.
    owners = {held.owner for name, held in database.facts.held.items() if name in TABLES}
    for name, labels in ENUMS.items():
        facts.enum(name, labels, owners)
