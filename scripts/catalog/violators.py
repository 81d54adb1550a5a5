"""Rows that are there already and violate a constraint that is to be added: how many, in the database itself.

Owns: `Added` (a constraint, as a copy of the schema has it), what may be asked of a database on its behalf, the count.
Promises: a number leaves the database, and no value; no function is called, and no type or operator used, but those
    PostgreSQL brings along, and of its functions the immutable ones alone, whatever the files hold; each count ends
    after `COUNT_TIMEOUT_MS`, all of them soon after `ALL_TIMEOUT_S`; what cannot be counted so is told with the reason.
Why: NOT VALID spares the scan, not the rows: the next UPDATE of one that violates it fails, of whatever column. And
    without NOT VALID the file itself fails there, though it did not on a copy without rows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from scripts.parser.statements import ParseError, parse_raw, walk

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import psycopg

    from scripts.digest import Json

COUNT_TIMEOUT_MS: Final = 2_000
# After it, no further count is begun.
ALL_TIMEOUT_S: Final = 20
_FIRST_USER_OID = 16384
# Tables alone: a view, or a foreign table, would run what is somebody's. missing: what a row that is there has in it.
_ADDED = """
SELECT k.oid::bigint, pg_catalog.format('%%I.%%I', n.nspname, c.relname), n.nspname || '.' || c.relname,
       k.conname::text, k.contype::text, k.convalidated, pg_catalog.pg_get_expr(k.conbin, k.conrelid),
       CASE WHEN k.contype = 'f' AND k.confmatchtype = 's' THEN pg_catalog.format('%%I.%%I', rn.nspname, r.relname) END,
       ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS key (n, at)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = key.n ORDER BY key.at),
       ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS key (n, at)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = key.n ORDER BY key.at),
       ARRAY(SELECT pg_catalog.format_type(a.atttypid, a.atttypmod)
               FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS key (n, at)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = key.n ORDER BY key.at),
       EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
                  AND a.atttypid >= %s),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
                AND (a.atthasdef OR a.atthasmissing OR a.attidentity <> ''))
  FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_class r ON r.oid = k.confrelid LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
 WHERE k.contype IN ('c', 'n', 'f') AND k.conenforced AND c.relkind IN ('r', 'p') AND k.conislocal AND k.conparentid = 0
 ORDER BY 3, 4"""
_COLUMNS = """
SELECT a.attname::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
 WHERE c.oid = pg_catalog.to_regclass(%s) AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped"""
_VOLATILE = """
SELECT p.proname::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname = 'pg_catalog' AND p.proname = ANY (%s) AND (p.provolatile <> 'i' OR p.oid >= %s)"""
NOT_OWN: Final = "it uses a function, type or operator that is not PostgreSQL's own"


@dataclass(frozen=True, slots=True)
class Added:
    """A constraint of a copy. relation: `schema.name`; kind: c (CHECK), n (NOT NULL) or f (foreign key).

    table, parent: ready for SQL; parent is None unless it can be compared. columns and types: what it names, in order;
    defaulted: those that a row gets a value in when they are added.
    """

    oid: int
    table: str
    relation: str
    name: str
    kind: str
    validated: bool
    expression: str | None
    parent: str | None
    columns: Sequence[str]
    parent_columns: Sequence[str]
    types: Sequence[str]
    has_own_types: bool
    defaulted: Sequence[str]


@dataclass(frozen=True, slots=True)
class Violators:
    """What the database says of a constraint. rows: None when they were not counted; `why` says why."""

    relation: str
    constraint: str
    validated: bool
    rows: int | None
    why: str = ""

    def as_json(self) -> dict[str, Json]:
        """For `--json`. Numbers as text: a JSON reader may round a large one."""
        return {
            "relation": self.relation,
            "constraint": self.constraint,
            "validated": self.validated,
            "rows": None if self.rows is None else str(self.rows),
            "why": self.why,
        }


def read_constraints(conn: psycopg.Connection[Any], known: Collection[int] = ()) -> tuple[Added, ...]:
    """The constraints of tables that rows can violate, but those whose oid is known.

    Args:
        conn: to the copy, in autocommit, under a search_path of pg_catalog alone.
        known: oids.
    """
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(_ADDED.encode(), (_FIRST_USER_OID,), prepare=False).fetchall()
    return tuple(added for added in (Added(*row) for row in rows) if added.oid not in known)


def count_violators(conn: psycopg.Connection[Any], added: Sequence[Added]) -> tuple[Violators, ...]:
    """Count, for each constraint on a table that is there.

    Args:
        conn: to the database, in autocommit, of a session that cannot write, under a search_path of pg_catalog alone.
        added: as `read_constraints` found them on the copy.
    """
    found = []
    deadline = time.monotonic() + ALL_TIMEOUT_S
    for one in added:
        columns = _names(conn, _COLUMNS, (one.table,))
        if columns and time.monotonic() > deadline:
            found.append(Violators(one.relation, one.name, one.validated, None, f"{ALL_TIMEOUT_S} s are over"))
        elif columns:
            found.append(_counted(conn, one, columns))
    return tuple(found)


def _counted(conn: psycopg.Connection[Any], one: Added, columns: Collection[str]) -> Violators:
    import psycopg

    why = _why_not(conn, one, columns)
    rows: int | None = None
    if not why:
        try:
            rows = _count(conn, one, columns)
        except psycopg.errors.QueryCanceled:
            why = f"it takes longer than {COUNT_TIMEOUT_MS} ms"
        except psycopg.Error as exc:
            if conn.closed:
                raise
            why = f"SQLSTATE {exc.sqlstate}"
    return Violators(one.relation, one.name, one.validated, rows, why)


def _why_not(conn: psycopg.Connection[Any], one: Added, columns: Collection[str]) -> str:
    """Why the database is not asked; empty when it may be."""
    if any(name in one.defaulted for name in one.columns if name not in columns):
        return "a column that is added with it has a default"
    if one.has_own_types:
        return NOT_OWN
    if one.kind == "f":
        there = set(_names(conn, _COLUMNS, (one.parent,))) if one.parent is not None else set()
        return "" if set(one.parent_columns) <= there and there else "it refers to what is not there yet, or MATCH FULL"
    return "" if one.kind == "n" else _why_not_called(conn, one.expression or "")


def _why_not_called(conn: psycopg.Connection[Any], expression: str) -> str:
    """Why an expression is not for the database to evaluate; empty when it is."""
    try:
        (tree,) = parse_raw(f"SELECT {expression}")
    except (ParseError, ValueError):
        return "it cannot be read"
    called: list[str] = []
    for message in walk(tree.node):
        kind = message.DESCRIPTOR.name
        names = {"FuncCall": "funcname", "TypeName": "names", "A_Expr": "name"}.get(kind)
        parts = [part.string.sval for part in getattr(message, names)] if names else []
        if kind == "SubLink" or (len(parts) > 1 and parts[0] != "pg_catalog"):
            return NOT_OWN
        called += parts[-1:] if kind == "FuncCall" else []
    volatile = _names(conn, _VOLATILE, (called, _FIRST_USER_OID))
    return f"it calls {volatile[0]}, which is not immutable" if volatile else ""


def _count(conn: psycopg.Connection[Any], one: Added, columns: Collection[str]) -> int:
    """The count itself. Names are quoted; expression and types are the server's own words, and were looked at."""
    from psycopg import sql
    from psycopg.rows import tuple_row

    # A column that is not there yet has no value in the rows that are.
    new = [
        sql.SQL(", NULL::{} AS {}").format(sql.SQL(type_), sql.Identifier(name))
        for name, type_ in zip(one.columns, one.types, strict=True)
        if name not in columns
    ]
    rows = sql.SQL("(SELECT t.*{} FROM {} AS t) AS child").format(
        sql.Composed(new),
        sql.SQL(one.table),
    )
    keys = [sql.SQL("child.{}").format(sql.Identifier(name)) for name in one.columns]
    if one.kind == "c":
        condition: sql.Composable = sql.SQL("({}) IS FALSE").format(sql.SQL(one.expression or ""))
    elif one.kind == "n":
        condition = sql.SQL("{} IS NULL").format(keys[0])
    else:
        same = [
            sql.SQL("parent.{} = {}").format(sql.Identifier(name), key)
            for name, key in zip(one.parent_columns, keys, strict=True)
        ]
        condition = sql.SQL("{} AND NOT EXISTS (SELECT FROM {} AS parent WHERE {})").format(
            sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(key) for key in keys),
            sql.SQL(one.parent or ""),
            sql.SQL(" AND ").join(same),
        )
    query = sql.SQL("SELECT pg_catalog.count(*) FROM {} WHERE {}").format(rows, condition)
    with conn.transaction(force_rollback=True), conn.cursor(row_factory=tuple_row) as cursor:
        # A policy that hides rows is an error then, and no wrong number.
        cursor.execute(f"SET LOCAL statement_timeout = {COUNT_TIMEOUT_MS}; SET LOCAL row_security = off".encode())
        row = cursor.execute(query, prepare=False).fetchone()
    return 0 if row is None else int(row[0])


def _names(conn: psycopg.Connection[Any], query: str, values: tuple[object, ...]) -> list[str]:
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        return [row[0] for row in cursor.execute(query.encode(), values, prepare=False).fetchall()]
