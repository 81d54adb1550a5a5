"""The relations that a database holds before a file runs, by oid.

Owns: reading them once for a run, and keeping the picture true after every file without reading them all again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.migrations.trace.model import LockTaken
from scripts.migrations.trace.probe import FIRST_USER_OID, UNPREPARED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg.pq.abc import PGresult

    from scripts.migrations.trace.model import Source

READ = UNPREPARED.names(FIRST_USER_OID - 1)
_TOAST = "pg_toast_"


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation.

    kind: one letter, as in pg_class. table: the oid of an index's table, else 0. filenode: 0 for none.
    """

    schema: int
    name: str
    kind: str
    table: int
    filenode: int


class Known:
    """The relations before the file at hand. `newest`: the highest oid among them."""

    def __init__(self) -> None:
        self.relations: dict[int, Relation] = {}
        self.schemas: dict[int, str] = {}
        self.newest = FIRST_USER_OID - 1

    def update(self, relations: str | bytes | None, schemas: str | bytes | None, *, locked: Iterable[int] = ()) -> None:
        """Take in what was read.

        Args:
            relations: JSON, as the queries give it; None for none.
            schemas: the same.
            locked: oids that were asked for; one that is not among `relations` is gone.
        """
        found = relations_of(relations)
        for oid in locked:
            if oid not in found:
                self.relations.pop(oid, None)
        self.relations.update(found)
        self.newest = max(self.newest, max(found, default=0))
        self.schemas.update(json.loads(schemas or "[]"))

    def label(self, oid: int) -> str:
        """`schema.name`."""
        relation = self.relations[oid]
        return f"{self.schemas.get(relation.schema, '?')}.{relation.name}"

    def lock(self, oid: int, mode: str, *, source: Source = "measured") -> LockTaken:
        """A lock of this relation, for a trace."""
        table = self.table_of(oid)
        on = self.label(table) if table in self.relations else ""
        return LockTaken(self.label(oid), self.relations[oid].kind, mode, on, source)

    def find(self, schema: str, name: str) -> int:
        """The oid of a relation by its name as a file gives it, 0 for none.

        Args:
            schema: empty for an unqualified name: then public's, or the only one of that name.
            name: without the schema.
        """
        found = {self.schemas.get(row.schema, ""): oid for oid, row in self.relations.items() if row.name == name}
        if schema:
            return found.get(schema, 0)
        return next(iter(found.values())) if len(found) == 1 else found.get("public", 0)

    def table_of(self, oid: int) -> int:
        """The table of an index, or of TOAST data and its index; 0 when it stands for itself."""
        relation = self.relations[oid]
        name = relation.name
        if name.startswith(_TOAST) and relation.kind in ("t", "i"):
            # The server names TOAST tables by the oid of the table they belong to.
            owner = name[len(_TOAST) :].removesuffix("_index")
            return int(owner) if owner.isdigit() and int(owner) in self.relations else relation.table
        return relation.table


def relations_of(document: str | bytes | None) -> dict[int, Relation]:
    """Relations by oid, from the JSON of a question."""
    return {row[0]: Relation(*row[1:]) for row in json.loads(document or "[]")}


def value(result: PGresult, column: int) -> bytes | None:
    """One column of a result's only row."""
    found: Any = result.get_value(0, column)
    return None if found is None else bytes(found)
