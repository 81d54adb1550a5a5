"""What a probe would leave behind: another catalog, rows, sequence positions, sessions' leftovers.

Owns: the snapshot taken before the verifiers and after them.
Never: counts rows of a database that others write to at the same time; there the catalog alone is compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from scripts.digest import Json

TABLES = """
SELECT n.nspname, c.relname, c.relkind::text
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'S')
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 ORDER BY 1, 2
"""


def read_traces(conn: psycopg.Connection[Any], *, count_rows: bool) -> Mapping[str, Json]:
    """Take the snapshot.

    Args:
        conn: autocommit; dead twins of other runs are dropped first.
        count_rows: whether to count the rows of every table and read every sequence.

    Returns:
        What is looked at → its state: the catalog's fingerprint, `rows of schema.table`, `position of schema.sequence`
        (numbers as text: they may not fit a JSON number).
    """
    from scripts.catalog.fingerprint import fingerprint
    from scripts.run.seen import read_seen

    found: dict[str, Json] = {"catalog": fingerprint(read_seen(conn))}
    if not count_rows:
        return found
    for schema, name, kind in conn.execute(TABLES).fetchall():
        target = sql.Identifier(schema, name)
        question = "SELECT count(*)::text FROM {}" if kind == "r" else "SELECT last_value || ' ' || is_called FROM {}"
        row = conn.execute(sql.SQL(question).format(target)).fetchone()
        found[f"{'rows' if kind == 'r' else 'position'} of {schema}.{name}"] = row[0] if row else None
    return found
