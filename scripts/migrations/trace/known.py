"""The relations that a database holds before a file runs, by oid.

Owns: reading them once for a run, and keeping the picture true after every file without reading them all again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.migrations.trace.model import LockTaken
from scripts.migrations.trace.probe import FIRST_USER_OID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from psycopg.pq.abc import PGresult

    from scripts.migrations.trace.model import Source


class Relation(NamedTuple):
    """A relation.

    schema: its name. kind: one letter, as in pg_class. table: the oid of an index's table, else 0.
    filenode: its file on disk, 0 for none.
    """

    schema: str
    name: str
    kind: str
    table: int
    filenode: int


class Known:
    """The relations before the file at hand. `newest`: the highest oid among them."""

    def __init__(self) -> None:
        self.relations: dict[int, Relation] = {}
        self.newest = FIRST_USER_OID - 1

    def update(self, found: Mapping[int, Relation], *, asked: Iterable[int] = ()) -> None:
        """Take in what was read.

        Args:
            found: by oid.
            asked: oids that were asked for; one that is not among `found` is gone.
        """
        for oid in asked:
            if oid not in found:
                self.relations.pop(oid, None)
        self.relations.update(found)
        self.newest = max(self.newest, max(found, default=0))

    def label(self, oid: int) -> str:
        """`schema.name`."""
        relation = self.relations[oid]
        return f"{relation.schema}.{relation.name}"

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
        found = {row.schema: oid for oid, row in self.relations.items() if row.name == name}
        if schema:
            return found.get(schema, 0)
        return next(iter(found.values())) if len(found) == 1 else found.get("public", 0)

    def table_of(self, oid: int) -> int:
        """The table of an index; 0 for what stands for itself."""
        return self.relations[oid].table


def read_relations(answer: PGresult) -> dict[int, Relation]:
    """Relations by oid, from the first column of an answer."""
    found: dict[int, Relation] = {}
    for line in _lines(answer, 0):
        oid, kind, filenode, table, names = line.split(" ", 4)
        schema, name = json.loads(names)
        # As the server quotes it.
        plain = schema[1:-1].replace('""', '"') if schema.startswith('"') else schema
        found[int(oid)] = Relation(plain, name, kind, int(table or 0), int(filenode))
    return found


def read_names(answer: PGresult) -> dict[int, tuple[str, str]]:
    """Schema and name of relations that may have others now, by oid, from the second column; without those gone."""
    found: dict[int, tuple[str, str]] = {}
    for line in _lines(answer, 1):
        oid, _, names = line.partition(" ")
        if names:
            schema, name = json.loads(names)
            found[int(oid)] = schema, name
    return found


def _lines(answer: PGresult, column: int) -> list[str]:
    text = (value(answer, column) or b"").decode()
    return text.split("\n") if text else []


def value(result: PGresult, column: int) -> bytes | None:
    """One column of a result's only row."""
    found: Any = result.get_value(0, column)
    return None if found is None else bytes(found)
