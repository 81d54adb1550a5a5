"""The ledger, `public.schema_migrations`: one row for every file that ran.

Owns: its shape, its making, the reading of it and the writing of a row.
Promises: it is read in one query; it is made only by a caller who holds the runner lock; a table of that name with
another shape is never taken for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.errors.history import LedgerShapeError
from scripts.errors.migration import LedgerAccessError
from scripts.settings import ROOT

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from scripts.migrations.files import MigrationFile

LEDGER_SQL = ROOT / "schema" / "ledger.sql"
SHAPE = "version text not null, checksum text not null, applied_at timestamp with time zone not null; key (version)"

_READ = "SELECT version, checksum, applied_at FROM public.schema_migrations"
_SHAPE = """
SELECT (SELECT string_agg(format('%s %s%s', attname, format_type(atttypid, atttypmod),
                                 CASE WHEN attnotnull THEN ' not null' ELSE '' END), ', ' ORDER BY attnum)
          FROM pg_catalog.pg_attribute WHERE attrelid = ledger AND attnum > 0 AND NOT attisdropped)
       || coalesce((SELECT format('; key (%s)', string_agg(a.attname, ', ' ORDER BY k.n))
                      FROM pg_catalog.pg_index i,
                           unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
                      JOIN pg_catalog.pg_attribute a ON a.attrelid = ledger AND a.attnum = k.attnum
                     WHERE i.indrelid = ledger AND i.indisprimary HAVING count(*) > 0), '')
  FROM pg_catalog.to_regclass('public.schema_migrations') AS ledger WHERE ledger IS NOT NULL"""
_WRITE = "INSERT INTO public.schema_migrations (version, checksum) VALUES (%s, %s)"


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One applied file: `version` is its name with `.sql`, `checksum` the sha256 of the bytes that ran."""

    version: str
    checksum: str
    applied_at: datetime


def read_ledger(conn: psycopg.Connection[Any]) -> tuple[LedgerRow, ...]:
    """Every row; nothing when there is no ledger yet.

    Args:
        conn: in autocommit, outside a transaction.

    Raises:
        LedgerShapeError: a table of that name without these columns.
        LedgerAccessError: it may not be read.
    """
    from psycopg import errors
    from psycopg.rows import class_row

    try:
        with conn.cursor(row_factory=class_row(LedgerRow)) as cursor:
            rows = cursor.execute(_READ, prepare=False).fetchall()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return ()
    except (errors.UndefinedColumn, errors.WrongObjectType) as exc:
        raise LedgerShapeError.of(expected=SHAPE, found=ledger_shape(conn) or "something that is no table") from exc
    except errors.InsufficientPrivilege as exc:
        raise LedgerAccessError.not_read(role=conn.info.user) from exc
    return tuple(rows)


def ledger_shape(conn: psycopg.Connection[Any]) -> str | None:
    """Columns, types and key as the catalog has them; None when there is no table of that name."""
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_SHAPE.encode(), prepare=False).fetchone()
    return None if row is None else str(row[0])


def require_ledger(conn: psycopg.Connection[Any]) -> None:
    """Make the ledger when there is none. The caller holds the runner lock.

    Raises:
        LedgerShapeError: a table of that name with another shape.
        LedgerAccessError: it may not be made.
    """
    from psycopg import errors

    shape = ledger_shape(conn)
    if shape is None:
        try:
            with conn.transaction():
                conn.execute(LEDGER_SQL.read_bytes(), prepare=False)
        except errors.InsufficientPrivilege as exc:
            raise LedgerAccessError.not_made(role=conn.info.user) from exc
        except errors.InvalidSchemaName as exc:
            raise LedgerAccessError.no_schema() from exc
    elif shape != SHAPE:
        raise LedgerShapeError.of(expected=SHAPE, found=shape)


def write_row(conn: psycopg.Connection[Any], file: MigrationFile) -> None:
    """Record a file: in its transaction, or, for a no_tx file, after everything in it is proved to be there."""
    conn.execute(_WRITE, (file.name, file.checksum), prepare=False)
