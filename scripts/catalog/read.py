"""One canonical reading of a database's catalog.

Owns: `Catalog`, and the query (catalog.sql) that fills it.
Promises: one query; the same schema gives the same catalog on any server of the version, whoever migrated it and
whoever reads it; nothing is written, and the caller's transaction and settings are as before.
What counts: every definition, flag, owner and privilege (an absent ACL is spelt out as the default it stands for),
columns in their order, enum values in theirs, comments on objects, and the exact text of a function body, its comments
and white space included: the body is what runs, what a reviewer read, and what a checksum can be taken of. Privileges
on what the server brings along count where they are no longer those that initdb gave.
What does not: OIDs and the numbers of dropped columns, the order in which objects were made, statistics, data, sequence
positions, the database's own name, ACL and settings, the name and attributes of the migrating role (written <owner>),
who is a member of a role, what belongs to an extension beyond its version. docs/adr/0035 says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from scripts.digest import Json

_QUERY = Path(__file__).with_name("catalog.sql")
# The server writes names as the search path allows, and constants as these settings say.
# JIT would spend longer on compiling the query than on answering it.
_CANONICAL = b"""
SET LOCAL search_path = pg_catalog; SET LOCAL quote_all_identifiers = off; SET LOCAL "TimeZone" = 'UTC';
SET LOCAL "DateStyle" = 'ISO, MDY'; SET LOCAL "IntervalStyle" = 'postgres'; SET LOCAL extra_float_digits = 1;
SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'; SET LOCAL lc_numeric = 'C'; SET LOCAL jit = off;
SET LOCAL standard_conforming_strings = on"""


@dataclass(frozen=True, slots=True)
class CatalogObject:
    """One object: its kind (table, column, index, …), its name as SQL would write it, and its facts.

    facts: JSON values without floats; a fact at its default is absent.
    """

    kind: str
    name: str
    facts: Mapping[str, Json] = field(hash=False)

    @property
    def title(self) -> str:
        """Kind and name: what a difference is told by."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every object, sorted by kind and name as bytes."""

    objects: tuple[CatalogObject, ...]

    def as_json(self) -> list[Json]:
        """A list of {kind, name, facts}, in order."""
        return [{"kind": item.kind, "name": item.name, "facts": dict(item.facts)} for item in self.objects]


def read_catalog(conn: psycopg.Connection[Any]) -> Catalog:
    """Read the catalog as it stands in the caller's transaction, or now when there is none.

    Args:
        conn: any role; it needs no privilege on what it reads.
    """
    from psycopg.rows import tuple_row

    with conn.transaction(force_rollback=True):
        conn.execute(_CANONICAL, prepare=False)
        with conn.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(_query(), prepare=False).fetchall()
    objects = [CatalogObject(kind, name, facts) for kind, name, facts in rows]
    return Catalog(tuple(sorted(objects, key=lambda item: (item.kind.encode(), item.name.encode()))))


@cache
def _query() -> bytes:
    return _QUERY.read_bytes()
