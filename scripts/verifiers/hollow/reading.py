"""Ask the facts of an invariant on the database as it is after everything they are about was broken on purpose.

Owns: when the violations are planted, and which checks of facts noticed.
Promises: all is planted in one transaction that is rolled back; it is planted and read once for all invariants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.result import Planted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.verifiers.model import Database, Invariant


def hollow_facts(invariant: Invariant, database: Database, facts: Sequence[str]) -> Planted:
    """Which of the invariant's facts were noticed to be false.

    Args:
        invariant: whose facts.
        database: inside a bounded transaction.
        facts: ids of its checks that no probe made.
    """
    del invariant, database
    return Planted("every fact made false", tuple(facts), trouble="nothing is planted yet")
