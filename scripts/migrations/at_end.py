"""What fails when all statements of a file have run: which of them brought it about, as far as the text tells.

Owns: which tables a deferred constraint is about, and the search for the statement that made the transaction read only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scripts.errors.row_data import escaped
from scripts.migrations.changers import changed_rows
from scripts.parser.statements import walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

    from scripts.migrations.files import MigrationFile
    from scripts.migrations.inner import Frame
    from scripts.parser.statements import Statement

# Whose row it was, which is not always the table that has the constraint: the key may have been taken away from it.
_REFERENTIAL = re.compile(r'(?:insert or update|update or delete) on table "(.+?)" violates .*', re.DOTALL)
_READ_ONLY = "transaction_read_only"
_TRIGGERS = b"""SELECT t.tgname, n.nspname, c.relname
  FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE t.tgfoid = pg_catalog.to_regprocedure(%s) AND t.tgdeferrable AND NOT t.tgisinternal ORDER BY 1, 2, 3"""


def deferred_facts(
    diag: Any, file: MigrationFile, frames: Sequence[Frame], conn: psycopg.Connection[Any] | None
) -> list[tuple[str, str]]:
    """What is to be said of a check that the server put off to the end of the file.

    Args:
        diag: of the driver's error; a program's own fields are not believed.
        file: all of whose statements have run.
        frames: of CONTEXT, innermost first; empty for a constraint of the server's own.
        conn: outside a transaction; asked for what earlier files made.
    """
    if frames:
        triggers = [*_made_here(file, frames[-1]), *_made_before(conn, frames[-1])]
        tables = frozenset((schema, table) for _, schema, table in triggers)
        names = "\n".join(dict.fromkeys(escaped(name) for name, _, _ in triggers))
        facts = [("constraint trigger", names)] if names else []
    else:
        tables = _tables(diag)
        facts = []
    return [
        ("checked", "at the end of the file, because the constraint is deferred"),
        *facts,
        *changed_rows(file, tables, conn),
    ]


def read_only_since(file: MigrationFile, statement: Statement | None) -> Statement | None:
    """The statement that made the file's own transaction read only; None when the text does not tell.

    Args:
        file: that ran.
        statement: the one that failed; None when all have run.
    """
    before = file.statements if statement is None else file.statements[: statement.index]
    return next((earlier for earlier in reversed(before) if _makes_read_only(earlier)), None)


def _makes_read_only(statement: Statement) -> bool:
    node = statement.node
    if statement.kind != "VariableSetStmt":
        # set_config(), be it in a body or put together.
        said = statement.text.lower()
        return statement.kind in ("SelectStmt", "DoStmt") and _READ_ONLY in said and "set" in said
    if node.name.lower() == _READ_ONLY:
        return True
    return node.name.lower() == "transaction" and any(
        wrapper.def_elem.defname == _READ_ONLY and _is_on(wrapper.def_elem.arg) for wrapper in node.args
    )


def _is_on(arg: Any) -> bool:
    return any(message.DESCRIPTOR.name == "Integer" and message.ival != 0 for message in walk(arg))


def _tables(diag: Any) -> frozenset[tuple[str, str]]:
    found = {(diag.schema_name or "", diag.table_name)} if diag.table_name else set()
    match = _REFERENTIAL.fullmatch(diag.message_primary or "")
    # The name has no schema there.
    return frozenset(found | ({("", match[1])} if match else set()))


def _made_here(file: MigrationFile, frame: Frame) -> Iterator[tuple[str, str, str]]:
    """The file's constraint triggers that call the function: name, schema and table."""
    called = frame.name.partition("(")[0].rpartition(".")[2].strip('"')
    for statement in file.statements:
        if statement.kind == "CreateTrigStmt" and statement.node.isconstraint:
            node = statement.node
            if node.funcname[-1].string.sval == called:
                yield node.trigname, node.relation.schemaname, node.relation.relname


def _made_before(conn: psycopg.Connection[Any] | None, frame: Frame) -> list[tuple[str, str, str]]:
    """Those that the database has, now that the file is rolled back."""
    import psycopg
    from psycopg.rows import tuple_row

    if conn is None or conn.closed or not frame.name or not frame.sure:
        return []
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            return [(str(a), str(b), str(c)) for a, b, c in cursor.execute(_TRIGGERS, (frame.name,), prepare=False)]
    except psycopg.Error:
        # It only makes the message richer; the failure itself is what has to be told.
        return []
