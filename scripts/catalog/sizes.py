"""How much the tables of a database hold: the planner's estimate of rows, and bytes.

Owns: `TableSize`, and the query behind it. No row is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

    from scripts.digest import Json

# Below oid 16384 lies what initdb made. A table that was never analysed has -1 rows for the planner.
_SIZES = b"""
SELECT n.nspname || '.' || c.relname, c.relkind::text, nullif(c.reltuples, -1)::int8,
       pg_catalog.pg_total_relation_size(c.oid)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid >= 16384 AND c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_(toast|temp)' ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table or materialized view: `schema.name`, one letter as in pg_class, and how much it holds.

    rows: the planner's estimate; None when the table was never analysed. size: bytes, indexes and TOAST included.
    """

    relation: str
    relkind: str
    rows: int | None
    size: int

    def as_json(self) -> dict[str, Json]:
        """For `--json`. Numbers as text: a JSON reader may round a large one."""
        return {
            "relation": self.relation,
            "relkind": self.relkind,
            "rows": None if self.rows is None else str(self.rows),
            "size": str(self.size),
        }


def read_sizes(conn: psycopg.Connection[Any]) -> tuple[TableSize, ...]:
    """Every table and materialized view of the user's schemas, by name.

    Args:
        conn: any role; it waits for tables that are locked exclusively.
    """
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        return tuple(TableSize(*row) for row in cursor.execute(_SIZES, prepare=False).fetchall())
