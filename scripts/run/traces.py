"""What a probe would leave behind: another catalog, rows, sequence positions, sessions' leftovers.

Owns: the snapshot taken before the verifiers and after them.
Promises: a sequence that numbers the rows of our tables is told when it moved, and not judged: what a probe's row was
given is not given back with it, and on a database at work others take numbers too.
Never: counts rows of a database that others write to at the same time; there the catalog is compared. Sets a sequence.
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
# By identity, by ownership (serial), or by a column's default.
_NUMBERING = """
SELECT n.nspname::text, s.relname::text, pg_catalog.pg_sequence_last_value(s.oid)::text
  FROM pg_catalog.pg_class AS s
  JOIN pg_catalog.pg_namespace AS n ON n.oid = s.relnamespace
 WHERE s.relkind = 'S'
   AND s.oid IN (SELECT d.objid FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')
                    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = ANY (%(ours)s)
                  UNION ALL
                 SELECT d.refobjid FROM pg_catalog.pg_attrdef AS a
                   JOIN pg_catalog.pg_depend AS d
                        ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = a.oid
                  WHERE a.adrelid = ANY (%(ours)s) AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)
 ORDER BY 1, 2
"""
_OURS = """
SELECT c.oid FROM pg_catalog.pg_class AS c
 WHERE c.relnamespace = pg_catalog.to_regnamespace('public') AND c.relname = ANY (%s) AND c.relkind IN ('r', 'p')
"""


def read_numbering(conn: psycopg.Connection[Any]) -> Mapping[str, str | None]:
    """Sequences that number rows of our tables → the last number given; None for none, or one that we may not read."""
    from scripts.verifiers.facts.tables import TABLES as OURS

    ours = [row[0] for row in conn.execute(_OURS, [list(OURS)]).fetchall()]
    return {f"{schema}.{name}": last for schema, name, last in conn.execute(_NUMBERING, {"ours": ours}).fetchall()}


def read_traces(conn: psycopg.Connection[Any], *, count_rows: bool) -> Mapping[str, Json]:
    """Take the snapshot.

    Args:
        conn: autocommit; dead twins of other runs are dropped first.
        count_rows: whether to count the rows of every table and read every sequence.

    Returns:
        What is looked at → its state: the catalog's fingerprint, `rows of schema.table`, `position of schema.sequence`
        (numbers as text: they may not fit a JSON number). Sequences that number our tables' rows are not in it.
    """
    from scripts.catalog.fingerprint import fingerprint
    from scripts.run.seen import read_seen

    found: dict[str, Json] = {"catalog": fingerprint(read_seen(conn))}
    if not count_rows:
        return found
    numbering = read_numbering(conn)
    for schema, name, kind in conn.execute(TABLES).fetchall():
        if kind == "S" and f"{schema}.{name}" in numbering:
            continue
        target = sql.Identifier(schema, name)
        question = "SELECT count(*)::text FROM {}" if kind == "r" else "SELECT last_value || ' ' || is_called FROM {}"
        row = conn.execute(sql.SQL(question).format(target)).fetchone()
        found[f"{'rows' if kind == 'r' else 'position'} of {schema}.{name}"] = row[0] if row else None
    return found
