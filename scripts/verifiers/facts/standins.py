"""What could be meant where ours is, though ours is as it was: names found earlier, operators and casts chosen by type.

Owns: the question for it, in `standins.sql`.
Promises: only what our own names, or expressions of our types and the server's, could come to counts; what an installed
extension brings for types of its own does not. An object's membership excuses none of its effects.
Never: judges anything; looks at the server's own objects, which a superuser could have changed.
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
from scripts.verifiers.facts.tables import ENUMS, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

_QUERY = Path(__file__).with_name("standins.sql")
STAND_INS_NAMES = (ROLES, (*TABLES, *RUNNER_TABLES), tuple(FUNCTIONS), tuple(ENUMS))


@dataclass(frozen=True, slots=True)
class StandIns:
    """Objects by kind, each as the server identifies it, in alphabetical order.

    functions: not those of `public` that no extension brought, which the reading holds. operators: with operator
    classes and entries of the server's families. names: tables, views, sequences and types that are found before ours.
    """

    functions: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    casts: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def read_stand_ins(conn: psycopg.Connection[Any]) -> StandIns:
    """Everything that could be meant instead.

    Args:
        conn: any role that may read the catalogs, in a transaction.
    """
    from psycopg.rows import tuple_row

    with conn.transaction(force_rollback=True), conn.cursor(row_factory=tuple_row) as cursor:
        return stand_ins_of(stand_ins_question().ask(cursor, *STAND_INS_NAMES))


def stand_ins_of(rows: Iterable[Sequence[str]]) -> StandIns:
    """What the answer to the question says."""
    found: dict[str, list[str]] = {"function": [], "operator": [], "cast": [], "name": []}
    for kind, what in sorted(tuple(row) for row in rows):
        found[kind].append(what)
    return StandIns(*(tuple(one) for one in found.values()))


@cache
def stand_ins_question() -> Planned:
    """The question; what it is asked of is `STAND_INS_NAMES`."""
    return Planned(_QUERY.read_text(encoding="utf-8"), parameters=4)
