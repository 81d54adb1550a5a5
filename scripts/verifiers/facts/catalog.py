"""The whole catalog as the fact checks ask for it, read once, in one query.

Owns: how the four questions are put as one.
Promises: what comes back is what each question would have said by itself, all of one moment. Each is its own module's
to write and to understand; whoever needs one of them alone asks that one.
Never: judges anything.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.verifiers.facts.openings import OPENINGS_NAMES, openings_of, openings_question
from scripts.verifiers.facts.planned import Planned
from scripts.verifiers.facts.reach import reach_of, reach_question
from scripts.verifiers.facts.reading import reading_names, reading_of, reading_question
from scripts.verifiers.facts.roles import BOZ_ROLE, ROLES
from scripts.verifiers.facts.standins import STAND_INS_NAMES, stand_ins_of, stand_ins_question
from scripts.verifiers.facts.tables import REVIEWED, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from scripts.verifiers.facts.openings import Openings
    from scripts.verifiers.facts.reach import Reach
    from scripts.verifiers.facts.reading import Reading
    from scripts.verifiers.facts.standins import StandIns

_PARAMETER = re.compile(r"\$(\d+)")


class Catalog(NamedTuple):
    """What is there, who gets around its grants, what could be meant instead, and what the regulator's seat reaches."""

    reading: Reading
    openings: Openings
    stand_ins: StandIns
    reach: Reach


def read_catalog(conn: psycopg.Connection[Any]) -> Catalog:
    """Everything, as of one moment.

    Args:
        conn: any role that may read the catalogs.
    """
    from psycopg.rows import tuple_row

    with conn.transaction(force_rollback=True), conn.cursor(row_factory=tuple_row) as cursor:
        rows = _question().ask(cursor, *_names())
    told: dict[str, list[Any]] = {"reading": [], "opening": [], "stand-in": [], "reach": []}
    for part, kind, text in rows:
        told[part].append((kind, text) if part == "reading" else json.loads(text))
    return Catalog(
        reading_of(told["reading"]),
        openings_of(told["opening"]),
        stand_ins_of(told["stand-in"]),
        reach_of(told["reach"]),
    )


def _names() -> tuple[Iterable[str], ...]:
    return (*reading_names(ROLES, TABLES, REVIEWED), *OPENINGS_NAMES, *STAND_INS_NAMES, [BOZ_ROLE])


@cache
def _question() -> Planned:
    """The four, one behind the other, their parameters numbered through."""
    parts: list[str] = []
    parameters = 0
    for part, question, columns, kind, text in (
        ("reading", reading_question(), "kind, body", "kind", "body"),
        ("opening", openings_question(), "way, who, privilege, what", "''", _array("way, who, privilege, what")),
        ("stand-in", stand_ins_question(), "kind, what", "''", _array("kind, what")),
        ("reach", reach_question(), "what, privileges", "''", _array("what, privileges")),
    ):
        query = _PARAMETER.sub(lambda found, by=parameters: f"${int(found[1]) + by}", question.query)  # type: ignore[misc]
        parts.append(f"SELECT '{part}', {kind}, {text} FROM ({query}\n) AS one ({columns})")  # noqa: S608 - our own texts
        parameters += question.parameters
    return Planned("\nUNION ALL\n".join(parts), parameters)


def _array(columns: str) -> str:
    return f"json_build_array({columns})::text"
