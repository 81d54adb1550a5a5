"""Indexes that are not valid, and nobody's work any more: what a REINDEX left, and the sweep at the end of a run.

Owns: which of them count, and which are the rest of which.
Promises: one that somebody works on is none of them (builders.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.migrations.no_tx.indexes.builders import builder_sql

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGresult

_BUILDER = builder_sql(index="i.indexrelid", table="i.indrelid")
_INVALID = """
SELECT pg_catalog.format('%I.%I on %I.%I', n.nspname, c.relname, tn.nspname, t.relname)
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
 WHERE NOT (i.indisvalid AND i.indisready AND i.indislive)
   AND c.relkind = 'i'  -- a partitioned index made ON ONLY is meant to be invalid until its parts are attached
   AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast_)?temp_'
   AND BUILDER IS NULL
 ORDER BY 1""".replace("BUILDER", _BUILDER)
# A rest has the name of the index it was to replace, cut to fit where that is long, and its definition: an index that
# somebody named so, or that is of another definition, is none, whatever state it is in.
_LEFTOVERS = """
WITH named AS (
    SELECT x.indexrelid, coalesce(x.indrelid, asked.oid) AS oid
      FROM (SELECT pg_catalog.to_regclass(%(name)s)::oid AS oid) asked
      LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = asked.oid)
SELECT n.nspname::text, c.relname::text FROM named, pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  -- REINDEX TABLE rebuilds the index of the table's TOAST data as well
  LEFT JOIN pg_catalog.pg_class o ON o.reltoastrelid = i.indrelid
 WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relname ~ '_cc(new|old)[0-9]*$'
   AND n.nspname !~ '^pg_(toast_)?temp_'
   AND (named.oid IS NULL OR coalesce(o.oid, i.indrelid) = named.oid
        -- and, of a partitioned table, those of its partitions
        OR coalesce(o.oid, i.indrelid) IN (SELECT t.relid FROM pg_catalog.pg_partition_tree(named.oid) t))
   AND EXISTS (
        SELECT FROM pg_catalog.pg_index k JOIN pg_catalog.pg_class kc ON kc.oid = k.indexrelid,
               pg_catalog.regexp_replace(c.relname::text, '_cc(new|old)[0-9]*$', '') AS base
         WHERE k.indrelid = i.indrelid AND k.indexrelid <> i.indexrelid AND kc.relam = c.relam
           AND (kc.relname::text = base OR pg_catalog.octet_length(c.relname::text) >= 60
                AND pg_catalog.starts_with(kc.relname::text, base))
           AND (named.indexrelid IS NULL OR k.indexrelid = named.indexrelid
                OR k.indexrelid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree(named.indexrelid) t))
           AND (k.indisunique, k.indnullsnotdistinct, k.indnkeyatts, k.indkey::text, k.indclass::text,
                k.indcollation::text, k.indoption::text)
             = (i.indisunique, i.indnullsnotdistinct, i.indnkeyatts, i.indkey::text, i.indclass::text,
                i.indcollation::text, i.indoption::text)
           AND pg_catalog.pg_get_expr(k.indexprs, k.indrelid) IS NOT DISTINCT FROM
               pg_catalog.pg_get_expr(i.indexprs, i.indrelid)
           AND pg_catalog.pg_get_expr(k.indpred, k.indrelid) IS NOT DISTINCT FROM
               pg_catalog.pg_get_expr(i.indpred, i.indrelid))
   AND BUILDER IS NULL""".replace("BUILDER", _BUILDER)
# Most often there is none at all; who builds what is asked when there is.
ANY_INVALID = b"SELECT EXISTS (SELECT FROM pg_catalog.pg_index WHERE NOT indisvalid OR NOT indisready OR NOT indislive)"


def reindex_leftovers(conn: psycopg.Connection[Any], name: str) -> list[tuple[str, str]]:
    """Invalid `_ccnew` and `_ccold` twins that an interrupted REINDEX CONCURRENTLY left: (schema, name).

    Args:
        conn: in autocommit.
        name: quoted name of the index, whose twins alone are meant, or of the table; a name of neither means the whole
            database.
    """
    return [(row[0], row[1]) for row in _twice(conn, _LEFTOVERS, {"name": name})]


def invalid_indexes(conn: psycopg.Connection[Any], answer: PGresult | None = None) -> tuple[str, ...]:
    """Every index of a user's schema that is not valid, ready and live, and that nobody works on.

    Args:
        conn: in autocommit.
        answer: to `ANY_INVALID`, where it was asked with something else.
    """
    if answer is None:
        answer = conn.execute(ANY_INVALID, prepare=False).pgresult
    if answer is not None and answer.get_value(0, 0) == b"f":
        return ()
    return tuple(row[0] for row in _twice(conn, _INVALID, None))


def _twice(conn: psycopg.Connection[Any], query: str, values: dict[str, object] | None) -> list[tuple[Any, ...]]:
    """The rows of a second look, where the first has any.

    A look sees the catalog as of its beginning and the locks a moment later: a build that ends in between is an index
    that is not valid and nobody's.
    """
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(query.encode(), values, prepare=False).fetchall()
        return cursor.execute(query.encode(), values, prepare=False).fetchall() if rows else []
