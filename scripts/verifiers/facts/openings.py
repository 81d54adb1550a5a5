"""Ways around the grants of our tables, in any schema: views, rules, and what runs with the rights of somebody else.

Owns: the question for them, in `openings.sql`, about all roles at once.
Promises: a view counts for whoever may look at it and could not see the same without it, also a role that nobody
knows; what runs with somebody's rights (a function, a trigger, a referential action, what a refresh or an index
computes) counts for the schema's roles and every login that may act as one, where those rights are worth borrowing.
What opens nothing does not count: a view of other tables, one that asks as its reader, what belongs to somebody without
any power of his own or of others, a schema that cannot be used.
Never: judges anything; follows what was copied out of a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.verifiers.facts.functions import FUNCTIONS
from scripts.verifiers.facts.ledger import RUNNER_TABLES
from scripts.verifiers.facts.planned import Planned
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.facts.sessions import Power, powers_of
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.twin.names import COMMENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

_QUERY = Path(__file__).with_name("openings.sql")
OPENINGS_NAMES = (ROLES, (*TABLES, *RUNNER_TABLES), tuple(FUNCTIONS), (COMMENT,))


@dataclass(frozen=True, slots=True)
class Openings:
    """Who gets at our tables, and by what. What everybody has is told of PUBLIC alone.

    views: and rules. functions: and whatever else runs with its owner's rights. schemas: other than
    public, to make things in.
    """

    views: tuple[Power, ...] = ()
    functions: tuple[Power, ...] = ()
    schemas: tuple[Power, ...] = ()


def read_openings(conn: psycopg.Connection[Any]) -> Openings:
    """Every way around, of every role.

    Args:
        conn: any role that may read the catalogs, in a transaction.
    """
    from psycopg.rows import tuple_row

    with conn.transaction(force_rollback=True), conn.cursor(row_factory=tuple_row) as cursor:
        return openings_of(openings_question().ask(cursor, *OPENINGS_NAMES))


def openings_of(rows: Iterable[Sequence[str]]) -> Openings:
    """What the answer to the question says."""
    found: dict[str, list[tuple[str, str]]] = {"view": [], "function": [], "schema": []}
    for way, who, privilege, what in rows:
        found[way].append(("PUBLIC" if who == "public" else who, f"{privilege} on {what}"))
    return Openings(*map(powers_of, found.values()))


@cache
def openings_question() -> Planned:
    """The question; what it is asked of is `OPENINGS_NAMES`."""
    return Planned(_QUERY.read_text(encoding="utf-8"), parameters=4)
