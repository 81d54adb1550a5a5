"""Everything one role can get at, wherever it lies: tables, views, sequences, functions, schemas.

Owns: the question for it, in `reach.sql`.
Promises: what the role has through PUBLIC, through ownership or through another role counts; what lies in a schema that
it may not use does not. Of what came with the server or an extension only what was granted since counts.
Never: judges what it should be.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from scripts.verifiers.facts.planned import Planned
from scripts.verifiers.facts.roles import BOZ_ROLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import psycopg

_QUERY = Path(__file__).with_name("reach.sql")
Reach: TypeAlias = "Mapping[str, tuple[str, ...]]"


def read_reach(conn: psycopg.Connection[Any], role: str = BOZ_ROLE) -> Reach:
    """What the role may do, by object; nothing when there is no such role.

    Returns:
        `schema.relation`, `schema.function(arguments)` or `schema name` → privileges in alphabetical order. A schema is
        there when the role may create in it, or was itself granted the use of it.
    """
    from psycopg.rows import tuple_row

    with conn.transaction(force_rollback=True), conn.cursor(row_factory=tuple_row) as cursor:
        return reach_of(reach_question().ask(cursor, [role]))


def reach_of(rows: Iterable[Sequence[Any]]) -> Reach:
    """What the answer to the question says."""
    return {name: tuple(privileges) for name, privileges in sorted(rows, key=lambda row: str(row[0]))}


@cache
def reach_question() -> Planned:
    """The question, of one role."""
    return Planned(_QUERY.read_text(encoding="utf-8"), parameters=1)
