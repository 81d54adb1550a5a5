"""The database that mutants are derived from: the verifiers' own reading of it, and what that leaves out.

Owns: `Subject`, and the questions for names that no definition shows: owners, NOT NULL constraints, dependents of a
column, functions as the server writes them.
Never: knows any table of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.facts.reading import Reading, read_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

_NOT_NULLS: LiteralString = """
    SELECT c.relname, a.attname, k.conname
      FROM pg_catalog.pg_constraint AS k
      JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND k.conkey = ARRAY[a.attnum]
     WHERE k.contype = 'n' AND c.relnamespace = 'public'::pg_catalog.regnamespace
"""
# What keeps ALTER COLUMN TYPE from being tried: a key or reference, an expression, a trigger that names the column.
_BOUND: LiteralString = """
    SELECT DISTINCT c.relname, a.attname
      FROM pg_catalog.pg_depend AS d
      JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid AND c.relkind = 'r'
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
     WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0
       AND c.relnamespace = 'public'::pg_catalog.regnamespace
"""
_FUNCTIONS: LiteralString = """
    SELECT p.proname, p.oid::pg_catalog.regprocedure::text, pg_catalog.pg_get_functiondef(p.oid), p.prosrc,
           p.prosqlbody IS NOT NULL, pg_catalog.format_type(p.prorettype, NULL), p.proretset,
           ARRAY(SELECT pg_catalog.format_type(t, NULL)
                   FROM ROWS FROM (pg_catalog.unnest(p.proallargtypes), pg_catalog.unnest(p.proargmodes))
                        WITH ORDINALITY AS u (t, m, n)
                  WHERE m IN ('o', 'b', 't') ORDER BY n)
      FROM pg_catalog.pg_proc AS p
     WHERE p.pronamespace = 'public'::pg_catalog.regnamespace AND p.prokind = 'f'
     ORDER BY p.oid::pg_catalog.regprocedure::text COLLATE "C"
"""
_SUPPLIED: LiteralString = """
    SELECT pg_catalog.array_agg(r.rolname::text ORDER BY r.rolname COLLATE "C")
      FROM pg_catalog.pg_roles AS r WHERE r.rolname LIKE 'pg\\_%'
"""
_CANONICAL = (
    b"SET LOCAL search_path TO pg_catalog; SET LOCAL quote_all_identifiers TO off; "
    b"SET LOCAL standard_conforming_strings TO on"
)


@dataclass(frozen=True, slots=True)
class Source:
    """A function as the server writes it.

    definition: CREATE OR REPLACE FUNCTION, whole. body: what stands between its dollar quotes. parsed: it has none, the
    server keeps a tree (RETURN, BEGIN ATOMIC). result: its type; rows: whether it returns several; columns: their types
    when it returns a table.
    """

    name: str
    signature: str
    definition: str
    body: str
    parsed: bool
    result: str
    rows: bool
    columns: tuple[str, ...]

    def with_body(self, body: str) -> str:
        """The definition with another body.

        Raises:
            RuntimeError: the server wrote the body otherwise than it keeps it.
        """
        head, found, tail = self.definition.rpartition(self.body)
        if self.parsed or not found or self.body in head:
            msg = f"the body of {self.signature} is not where it should be"
            raise RuntimeError(msg)
        return head + body + tail


@dataclass(frozen=True, slots=True)
class Subject:
    """The database as it stands before anything is changed.

    not_nulls: (table, column) → name of the constraint. bound: (table, column) of columns that something refers to.
    recorded: names of the files in the ledger. supplied: the roles that came with the server.
    """

    reading: Reading
    roles: tuple[str, ...]
    owner: str = ""
    supplied: tuple[str, ...] = ()
    not_nulls: Mapping[tuple[str, str], str] = field(default_factory=dict)
    bound: frozenset[tuple[str, str]] = frozenset()
    sources: tuple[Source, ...] = ()
    recorded: tuple[str, ...] = ()
    records: int = 0


def read_subject(conn: psycopg.Connection[Any], roles: Sequence[str], tables: Sequence[str]) -> Subject:
    """Read everything that derivation asks for.

    Args:
        conn: outside a transaction, as the schema's owner.
        roles: the roles of the schema.
        tables: its tables.
    """
    from psycopg.rows import tuple_row

    reading = read_facts(conn, roles, tables)
    with conn.transaction(force_rollback=True), conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(_CANONICAL, prepare=False)
        not_nulls = cursor.execute(_NOT_NULLS).fetchall()
        bound = cursor.execute(_BOUND).fetchall()
        functions = cursor.execute(_FUNCTIONS).fetchall()
        ((supplied,),) = cursor.execute(_SUPPLIED).fetchall()
        recorded = cursor.execute("SELECT version FROM public.schema_migrations ORDER BY version").fetchall()
        ((records,),) = cursor.execute("SELECT pg_catalog.count(*) FROM public.schema_migrations_history").fetchall()
    return Subject(
        reading=reading,
        roles=tuple(roles),
        owner=next((held.owner for name, held in reading.held.items() if name in tables), reading.reader),
        supplied=tuple(supplied),
        not_nulls={(table, column): name for table, column, name in not_nulls},
        bound=frozenset((table, column) for table, column in bound),
        sources=tuple(Source(a, b, c, d, e, f, g, tuple(h or ())) for a, b, c, d, e, f, g, h in functions),
        recorded=tuple(version for (version,) in recorded),
        records=records,
    )
