"""The indexes of a no_tx file, as the catalog has them: never as IF NOT EXISTS would have it.

Owns: the state of an index, what is left of a definition without names, the removal of unfinished remains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.migrations.batch import literals
from scripts.migrations.no_tx.indexes.builders import Builder, builder_of, builder_sql
from scripts.parser.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from scripts.migrations.no_tx.work import Work

_FIND = """
SELECT c.oid::bigint, c.relkind::text, i.indisvalid, i.indisready, n.nspname::text, t.relname::text, i.indisunique,
       pg_catalog.pg_get_indexdef(i.indexrelid), pg_catalog.format('%%I.%%I', n.nspname, coalesce(t.relname, '')),
       CASE WHEN NOT i.indisvalid THEN {builder} END,
       (SELECT pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k
         WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x') LIMIT 1)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
  LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
 WHERE c.relname = %s AND n.nspname = %s""".replace("{builder}", builder_sql(index="c.oid", table="i.indrelid"))
_CLOSELY = """
SELECT n.nspname::text, c.relname::text, x.oid::bigint, x.relkind::text, i.indisvalid, i.indisready, t.relname::text,
       i.indisunique, pg_catalog.pg_get_indexdef(i.indexrelid),
       pg_catalog.format('%%I.%%I', n.nspname, coalesce(t.relname, '')),
       (SELECT pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k
         WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x') LIMIT 1)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_class x ON x.relname = %s AND x.relnamespace = c.relnamespace
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = x.oid
  LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
 WHERE c.oid = pg_catalog.to_regclass(%s)"""
# The same where the schema is written: what bears a known name is found without a join, for half the price of planning.
_CLOSELY_NAMED = """
SELECT x.oid::bigint, x.relkind::text, i.indisvalid, i.indisready,
       (SELECT t.relname::text FROM pg_catalog.pg_class t WHERE t.oid = i.indrelid), i.indisunique,
       pg_catalog.pg_get_indexdef(i.indexrelid),
       (SELECT pg_catalog.format('%%I.%%I', %s::text, t.relname) FROM pg_catalog.pg_class t WHERE t.oid = i.indrelid),
       (SELECT pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k
         WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x') LIMIT 1)
  FROM pg_catalog.pg_class x LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = x.oid
 WHERE x.oid = pg_catalog.to_regclass(%s) AND pg_catalog.to_regclass(%s) IS NOT NULL"""
# The commonest case by itself, for a fifth of that: an index that is all it should be, on the very table. One that is
# not unique and excludes nothing belongs to no constraint.
_USABLE = """
SELECT pg_catalog.pg_get_indexdef(i.indexrelid), pg_catalog.format('%%I.%%I', %s::text, %s::text)
  FROM pg_catalog.pg_index i
 WHERE i.indexrelid = pg_catalog.to_regclass(%s) AND i.indrelid = pg_catalog.to_regclass(%s)
   AND i.indisvalid AND i.indisready AND i.indislive AND NOT i.indisunique AND NOT i.indisexclusion"""
_LOOK = """
SELECT n.nspname::text, c.relname::text,
       EXISTS (SELECT FROM pg_catalog.pg_class x WHERE x.relname = %s AND x.relnamespace = c.relnamespace)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = pg_catalog.to_regclass(%s)"""
# Goes with the message that records a file; what is not proved so divides by zero, and is looked at more closely.
_PROVED = """
SELECT 1 / CASE WHEN pg_catalog.count(*) = {0} THEN 1 ELSE 0 END FROM pg_catalog.pg_index i
 WHERE i.indexrelid = ANY ({1}) AND i.indisvalid AND i.indisready"""
_PROVED_NAME = '"parity proof"'
PREPARATION = f"PREPARE {_PROVED_NAME} (bigint, oid[]) AS {_PROVED.format('$1', '$2')}".encode()
NOT_PROVED = "22012"
_PROVE = """
SELECT x.relkind::text, i.indisvalid AND i.indisready
  FROM ROWS FROM (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[])) WITH ORDINALITY
       AS declared (relation, name, number)
  LEFT JOIN pg_catalog.pg_class t ON t.oid = pg_catalog.to_regclass(declared.relation)
  LEFT JOIN pg_catalog.pg_class x ON x.relname = declared.name AND x.relnamespace = t.relnamespace
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = x.oid
 ORDER BY declared.number"""
_KEYS = """
SELECT pg_catalog.array_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k, false) ORDER BY k), i.indnullsnotdistinct,
       pg_catalog.pg_get_expr(i.indpred, i.indrelid)
  FROM pg_catalog.pg_index i, pg_catalog.generate_series(1, i.indnkeyatts) AS k
 WHERE i.indexrelid = %s GROUP BY i.indexrelid, i.indnullsnotdistinct, i.indpred, i.indrelid"""
_TABLESPACE = """
SELECT s.spcname::text FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
  JOIN pg_catalog.pg_tablespace s ON s.oid = coalesce(nullif(c.reltablespace, 0::oid), d.dattablespace)
 WHERE c.oid = %s"""
RELKINDS = {
    "r": "a table",
    "p": "a partitioned table",
    "v": "a view",
    "m": "a materialized view",
    "S": "a sequence",
    "f": "a foreign table",
    "c": "a composite type",
    "t": "a TOAST table",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table that exists: its schema and its name."""

    schema: str
    name: str

    @property
    def quoted(self) -> str:
        """Ready for SQL."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"


@dataclass(frozen=True, slots=True)
class Found:
    """What has the name of an index.

    relkind: i or I for an index. `table` and `definition` are empty for anything else.
    builder: another session that works on it while it is not valid; None when nobody does.
    shape: the definition from USING on, with UNIQUE before it: what remains when the names are left out.
    """

    oid: int
    relkind: str
    valid: bool
    ready: bool
    table: Table
    definition: str
    shape: str
    builder: Builder | None

    @property
    def is_index(self) -> bool:
        """Whether it is an index at all."""
        return self.relkind in ("i", "I")


def qualified(relation: Any) -> str:
    """A RangeVar as it was written, every part in quotes."""
    return ".".join(quoted(part) for part in (relation.schemaname, relation.relname) if part)


def free_name(node: Any) -> str:
    """The name that a CREATE INDEX gives, quoted and qualified; empty when only a closer look tells its schema."""
    schema = node.relation.schemaname
    return f"{quoted(schema)}.{quoted(node.idxname)}" if schema else ""


def is_free(conn: psycopg.Connection[Any], name: str) -> bool:
    """Whether surely no relation has this name, quoted and qualified."""
    row = _one(conn, "SELECT pg_catalog.to_regclass(%s) IS NULL", (name,))
    return row is not None and bool(row[0])


def usable_shape(conn: psycopg.Connection[Any], node: Any) -> str:
    """The shape of the index that has the name of a CREATE INDEX, is on its table, and is valid, ready and live.

    Empty where there is none, where it may belong to a constraint, and where only a closer look tells the schema.
    """
    name, relation = free_name(node), node.relation
    if not name or relation.schemaname.startswith("pg_temp"):  # a schema with two names
        return ""
    row = _one(conn, _USABLE, (relation.schemaname, relation.relname, name, qualified(relation)))
    return "" if row is None else shape_of(row[0], row[1], unique=False)


def look_closely(conn: psycopg.Connection[Any], node: Any) -> tuple[Table, Found | None] | None:
    """The table that a CREATE INDEX means in this session, and what has the index's name in its schema.

    None when there is no such table. Who builds the index is not asked: `find_index` tells, of one that is not valid.
    """
    row = _named(conn, node) or _one(conn, _CLOSELY, (node.idxname, qualified(node.relation)))
    if row is None:
        return None
    schema, name, oid, relkind, valid, ready, indexed, unique, definition, place, constraint = row
    table = Table(schema, name)
    if oid is None:
        return table, None
    if definition is None:
        return table, _no_index(oid, relkind, schema)
    definition, shape = _shape(definition, place, constraint, unique=unique)
    return table, Found(oid, relkind, valid, ready, Table(schema, indexed), definition, shape, None)


def look(conn: psycopg.Connection[Any], node: Any) -> tuple[Table, bool] | None:
    """The table that a CREATE INDEX means in this session, and whether its schema has anything of the index's name.

    None when there is no such table.
    """
    row = _one(conn, _LOOK, (node.idxname, qualified(node.relation)))
    return None if row is None else (Table(row[0], row[1]), row[2])


def proof_sql(conn: psycopg.Connection[Any], names: Sequence[str], *, prepared: bool) -> bytes:
    """A statement that the server refuses with `NOT_PROVED` unless every one of these is an index, valid and ready.

    Args:
        conn: for its quoting.
        names: quoted and qualified.
        prepared: whether what `PREPARATION` made still stands.
    """
    asked = ", ".join(f"pg_catalog.to_regclass({name.decode()})" for name in literals(conn, names))
    values = (str(len(set(names))), f"ARRAY[{asked}]::oid[]")
    return (f"EXECUTE {_PROVED_NAME} ({', '.join(values)})" if prepared else _PROVED.format(*values)).encode()


def unproved_indexes(conn: psycopg.Connection[Any], declared: Sequence[tuple[str, str]]) -> list[tuple[int, str]]:
    """Which of the declared indexes are not there, valid and ready: (number in the list, what is found instead).

    Args:
        conn: in autocommit.
        declared: (quoted name of the table, name of the index).
    """
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        values = ([table for table, _ in declared], [name for _, name in declared])
        rows = cursor.execute(_PROVE.encode(), values, prepare=False).fetchall()
    return [
        (number, "nothing" if kind is None else "no index" if usable is None else "an index that is not valid")
        for number, (kind, usable) in enumerate(rows)
        if not usable
    ]


def find_index(conn: psycopg.Connection[Any], schema: str, name: str) -> Found | None:
    """Whatever relation has that name in the schema."""
    row = _one(conn, _FIND, (name, schema))
    if row is None:
        return None
    oid, relkind, valid, ready, schema, table, unique, definition, place, builder, constraint = row
    if definition is None:
        return _no_index(oid, relkind, schema)
    definition, shape = _shape(definition, place, constraint, unique=unique)
    return Found(oid, relkind, valid, ready, Table(schema, table), definition, shape, builder_of(builder))


def tablespace_of(conn: psycopg.Connection[Any], oid: int) -> str:
    """Where a relation's data is, by name: the database's own tablespace unless it has another."""
    row = _one(conn, _TABLESPACE, (oid,))
    return str(row[0]) if row else ""


def drop_concurrently(work: Work, schema: str, name: str) -> None:
    """Remove an index without stopping writers."""
    work.send(f"DROP INDEX CONCURRENTLY {quoted(schema)}.{quoted(name)}")


def duplicates_query(conn: psycopg.Connection[Any], found: Found) -> tuple[str, str]:
    """Two queries for a unique index that cannot be built: one lists the duplicate keys, one counts them."""
    row = _one(conn, _KEYS, (found.oid,))
    keys, nulls_not_distinct, predicate = row or ([], False, None)
    conditions = [f"({predicate})"] if predicate else []
    if not nulls_not_distinct:
        conditions += [f"({key}) IS NOT NULL" for key in keys]
    listed = ", ".join(keys)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    source = f"FROM {found.table.quoted}{where} GROUP BY {listed} HAVING count(*) > 1"
    # Every part was written by the server itself, from its catalog.
    counting = f"SELECT count(*) FROM (SELECT 1 {source}) AS duplicates"  # noqa: S608 - see above
    return f"SELECT {listed}, count(*) {source};", counting


def _named(conn: psycopg.Connection[Any], node: Any) -> tuple[Any, ...] | None:
    """What `_CLOSELY` answers, where the schema is written and something has the index's name; else None."""
    schema, table, name = node.relation.schemaname, qualified(node.relation), free_name(node)
    if not name or schema.startswith("pg_temp"):  # a schema with two names
        return None
    row = _one(conn, _CLOSELY_NAMED, (schema, name, table))
    return None if row is None else (schema, node.relation.relname, *row)


def _no_index(oid: int, relkind: str, schema: str) -> Found:
    return Found(oid, relkind, valid=False, ready=False, table=Table(schema, ""), definition="", shape="", builder=None)


def _shape(definition: str, place: str, constraint: str | None, *, unique: bool) -> tuple[str, str]:
    """A definition as it is told, and its shape. place: the table as the server quotes it."""
    shape = shape_of(definition, place, unique=unique)
    if constraint is None:
        return definition, shape
    # The index of a constraint is another thing: dropped with it, perhaps deferrable, perhaps an exclusion.
    return f"{definition} -- of a constraint: {constraint}", f"{shape} {constraint}"


def shape_of(definition: str, place: str, *, unique: bool) -> str:
    """What remains of a definition without the names.

    Args:
        definition: as the server writes it.
        place: the table as the server quotes it: a name may hold " USING " itself.
        unique: whether it is.
    """
    prefix = f" ON {place} USING "
    return ("UNIQUE " if unique else "") + definition.partition(prefix if prefix in definition else " USING ")[2]


def _one(conn: psycopg.Connection[Any], query: str, values: tuple[object, ...]) -> Any:
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query.encode(), values, prepare=False).fetchone()
