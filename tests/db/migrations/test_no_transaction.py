"""The classification of statements, held against the server: 25001 in a transaction exactly where we say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from scripts.parser.statements import needs_no_transaction, parse_statements

if TYPE_CHECKING:
    from fix_database import ScratchDatabase

SETUP = """
CREATE TABLE public.t (a int); CREATE INDEX i ON public.t (a); CREATE TYPE public.e AS ENUM ('a');
CREATE TABLE public.p (a int) PARTITION BY LIST (a); CREATE TABLE public.c PARTITION OF public.p FOR VALUES IN (1);
CREATE MATERIALIZED VIEW public.m AS SELECT 1 AS a; CREATE UNIQUE INDEX m_a ON public.m (a);
CREATE SCHEMA s; CREATE PUBLICATION pub;
CREATE SUBSCRIPTION sub CONNECTION 'dbname=nowhere' PUBLICATION pub WITH (connect = false, slot_name = NONE)
"""
STATEMENTS = [
    "CREATE INDEX CONCURRENTLY n ON t (a)",
    "CREATE INDEX n ON t (a)",
    "DROP INDEX CONCURRENTLY i",
    "DROP INDEX i",
    "REINDEX INDEX CONCURRENTLY i",
    "REINDEX (CONCURRENTLY) TABLE t",
    "REINDEX (CONCURRENTLY false) TABLE t",
    "REINDEX TABLE t",
    "REINDEX SCHEMA s",
    "REINDEX DATABASE {database}",
    "REINDEX SYSTEM {database}",
    "VACUUM t",
    "VACUUM (FULL, ANALYZE) t",
    "ANALYZE t",
    "CREATE DATABASE n",
    "DROP DATABASE template1",
    "ALTER DATABASE {database} SET TABLESPACE pg_default",
    "ALTER DATABASE {database} SET work_mem = '1MB'",
    "CREATE TABLESPACE n LOCATION '/nowhere'",
    "DROP TABLESPACE n",
    "ALTER SYSTEM SET work_mem = '1MB'",
    "CLUSTER",
    "CLUSTER t USING i",
    "ALTER TABLE p DETACH PARTITION c CONCURRENTLY",
    "ALTER TABLE p DETACH PARTITION c",
    "CREATE SUBSCRIPTION n CONNECTION 'dbname=nowhere' PUBLICATION pub",
    "CREATE SUBSCRIPTION n CONNECTION 'dbname=nowhere' PUBLICATION pub WITH (connect = false)",
    "ALTER SUBSCRIPTION sub SET PUBLICATION pub WITH (refresh = false)",
    "ALTER SUBSCRIPTION sub DISABLE",
    "DROP SUBSCRIPTION sub",
    "ALTER TYPE e ADD VALUE 'x'",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
]


@pytest.mark.parametrize("template", STATEMENTS)
def test_the_server_agrees(empty_database: ScratchDatabase, template: str) -> None:
    """Refused in a transaction with 25001, or not refused for that reason."""
    sql = template.format(database=empty_database.name)
    (statement,) = parse_statements(sql, where="f")
    with empty_database.connect_admin() as conn:
        conn.execute(SETUP.encode())
        sqlstate: str | None = None
        try:
            with conn.transaction(force_rollback=True):
                conn.execute(sql.encode())
        except psycopg.Error as exc:
            sqlstate = exc.sqlstate
        conn.execute("ALTER SUBSCRIPTION sub DISABLE; ALTER SUBSCRIPTION sub SET (slot_name = NONE)")
        conn.execute("DROP SUBSCRIPTION sub")
    assert (sqlstate == "25001") == (needs_no_transaction(statement) is not None), sqlstate
