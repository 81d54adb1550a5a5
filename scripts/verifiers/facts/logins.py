"""Logins that may act as a role of the schema, and what else each of them may become.

Owns: what makes such a login legal: it may act as exactly one of the roles, and has no power beside; and the question
    for these logins alone, in the words in which the whole catalog is asked (reading.py).
Promises: what counts is what a login can reach through any chain of memberships, whatever each of them is good for
(INHERIT, SET, ADMIN). The owner of the database or of its tables is not asked, nor whoever made the roles and only
administers them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.verifiers.facts.planned import Planned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg

LEGAL = "each acts as one role, without any power beside"
_QUERY = Path(__file__).with_name("logins.sql")
# What logins.sql asks of relations is whose they are.
_ALONE = """WITH relation AS (
    SELECT c.relname, c.relowner FROM pg_catalog.pg_class AS c
     WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
), {}
SELECT l.rows::text FROM logins AS l"""


@dataclass(frozen=True, slots=True)
class Login:
    """A login that can reach a role of the schema.

    acts_as: the roles of the schema that it can reach. beside: other roles that it must not: the server's own, the
    owner. powers: attributes of its own, and of the roles that it can become. hands_on: the roles of the schema whose
    membership it can give away.
    """

    name: str
    acts_as: tuple[str, ...]
    beside: tuple[str, ...] = ()
    powers: tuple[str, ...] = ()
    hands_on: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What it has beyond one role, one line; empty when it is legal."""
        more = [*(self.acts_as if len(self.acts_as) > 1 else ()), *self.beside, *(p.upper() for p in self.powers)]
        more += [f"hands {role} on" for role in self.hands_on]
        return f"{self.name}: {', '.join(more)}" if more else ""


def read_logins(conn: psycopg.Connection[Any], roles: Iterable[str], tables: Iterable[str] = ()) -> tuple[Login, ...]:
    """The logins alone, as a reading of the whole catalog would tell of them.

    Args:
        conn: any role that may read the catalogs.
        roles: see `read_facts`.
        tables: see `read_facts`.
    """
    from psycopg.rows import tuple_row

    with conn.transaction(force_rollback=True), conn.cursor(row_factory=tuple_row) as cursor:
        ((rows,),) = _question().ask(cursor, roles, tables)
    return logins_of(json.loads(rows or "null"))


@cache
def _question() -> Planned:
    return Planned(_ALONE.format(_QUERY.read_text(encoding="utf-8")), parameters=2)


def logins_of(rows: Iterable[Mapping[str, Any]] | None) -> tuple[Login, ...]:
    """Logins from the catalog's rows, in order of their names."""
    found = (
        Login(row["name"], *(tuple(sorted(row[key] or ())) for key in ("acts_as", "beside", "powers", "hands_on")))
        for row in rows or ()
    )
    return tuple(sorted(found, key=lambda one: one.name))


def beyond_one_role(logins: Iterable[Login], role: str = "") -> str:
    """The logins that are more than one role of the schema, one line.

    Args:
        logins: all of them.
        role: only those that may act as this one; everybody when empty.
    """
    return "; ".join(one.text for one in logins if one.text and (not role or role in one.acts_as)) or LEGAL
