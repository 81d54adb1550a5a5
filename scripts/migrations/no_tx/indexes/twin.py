"""What a CREATE INDEX would build, in the server's own words, to be compared with what is there.

Owns: that comparison's one side.
How: the statement is run, without CONCURRENTLY, on an empty table made LIKE the real one, in a transaction that is
rolled back; the server then writes the definition as it writes that of the real index.
Promises: nothing of it stays; it waits for the table no longer than a lock may be waited for.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from scripts.migrations.batch import BatchError, cells, execute_batch, literals
from scripts.migrations.no_tx.indexes.state import Table, shape_of
from scripts.migrations.no_tx.indexes.whole_row import put_row, row_in
from scripts.parser.statements import deparse, walk

if TYPE_CHECKING:
    import psycopg

    from scripts.migrations.no_tx.indexes.whole_row import Row

_WRITTEN = """
SELECT pg_catalog.pg_get_indexdef(pg_catalog.to_regclass(%b)), pg_catalog.format('%%I.%%I', %b, %b),
       pg_catalog.format('CREATE %%sINDEX %%I ON %%I.%%I USING ', %b, %b, %b, %b)"""


def wanted_shape(conn: psycopg.Connection[Any], node: Any, table: Table, *, lock_timeout_ms: int) -> tuple[str, str]:
    """What the statement would build, as the server writes it: (shape, definition with the real names).

    Args:
        conn: in autocommit, outside a transaction.
        node: a CREATE INDEX; it is not changed.
        table: the one that it means.
        lock_timeout_ms: longest wait for a lock.

    Raises:
        psycopg.Error: no twin of the table, or no such index of it, can be made.
    """
    twin = Table(table.schema, f"twin_{secrets.token_hex(8)}")
    row = row_in(conn, node, table, twin=twin.name)
    index = Table(twin.schema, f"{twin.name}_idx")
    unique = "UNIQUE " if node.unique else ""
    values = (index.quoted, table.schema, twin.name, unique, node.idxname, table.schema, table.name)
    written = _WRITTEN.encode() % tuple(literals(conn, values))
    text = (
        f"BEGIN;SET LOCAL lock_timeout = {int(lock_timeout_ms)};CREATE TABLE {twin.quoted}"
        f" (LIKE {table.quoted}{'' if row is None else row.columns_sql(table)});"
        f"{deparse(_on_twin(node, twin, index.name, row))};"
    ).encode()
    try:
        *_, answer, _ = execute_batch(conn, text + written + b";ROLLBACK")
    except BatchError as exc:
        conn.rollback()
        raise exc.error from None
    ((definition, place, head),) = cells(answer)
    shape = shape_of(definition, place, unique=node.unique)
    if row is not None:
        shape = row.as_written(shape)
    return shape, head + shape.removeprefix("UNIQUE ")


def _on_twin(node: Any, twin: Table, index: str, row: Row | None) -> Any:
    copy = type(node)()
    copy.CopyFrom(node)
    copy.concurrent = copy.if_not_exists = False
    copy.idxname, copy.table_space = index, ""
    copy.relation.catalogname, copy.relation.schemaname, copy.relation.relname = "", twin.schema, twin.name
    if row is not None:
        put_row(copy, row)
    for message in walk(copy):
        if message.DESCRIPTOR.name == "ColumnRef":
            # t.a and s.t.a mean a: the table has another name here.
            del message.fields[:-1]
    return copy
