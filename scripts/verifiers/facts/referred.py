"""Foreign keys of others onto a table whose rows our functions delete: with one, what is done could not be put away.

Owns: which tables those are, and the question for such keys.
Promises: a key of any action counts: one that refuses makes a completion fail, one that cascades does somebody else's
work in it. Onto other tables of ours anybody may refer.
Never: looks at the tables of ours: their keys are compared whole (compare.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.facts.ledger import RUNNER_TABLES
from scripts.verifiers.facts.tables import TABLES

if TYPE_CHECKING:
    import psycopg

EMPTIED = ("payment_outbox_pending",)
# A part of a partitioned table has the key of the whole.
_REFERRING: LiteralString = """
    SELECT pg_catalog.format('%%I.%%I (%%s)', n.nspname, c.relname, k.conname)
      FROM pg_catalog.pg_constraint AS k
      JOIN pg_catalog.pg_class AS t ON t.oid = k.confrelid
      JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE k.contype = 'f' AND k.conparentid = 0
       AND t.relnamespace = 'public'::pg_catalog.regnamespace AND t.relname = %s
       AND NOT (c.relnamespace = t.relnamespace AND c.relname = ANY (%s))
     ORDER BY 1
"""


def read_referring(conn: psycopg.Connection[Any], table: str) -> tuple[str, ...]:
    """The keys of others onto the table, each `schema.table (name)`, in order."""
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(_REFERRING, [table, [*TABLES, *RUNNER_TABLES]]).fetchall()
    return tuple(row[0] for row in rows)
