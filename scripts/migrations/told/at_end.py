"""What fails when all statements of a file have run: which of them brought it about, as far as the text tells.

Owns: which tables a deferred constraint is about, and the search for the statement that made the transaction read only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scripts.errors.row_data import escaped
from scripts.migrations.folder.budgets import constant_text
from scripts.migrations.told.changers import changed_rows, run_in_block
from scripts.parser.statements import walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.told.inner import Frame
    from scripts.parser.statements import Statement

# Whose row it was, which is not always the table that has the constraint: the key may have been taken away from it.
_REFERENTIAL = re.compile(r'(?:insert or update|update or delete) on table "(.+?)" violates .*', re.DOTALL)
_READ_ONLY = "transaction_read_only"
# Of a block's statements, those that run one after the other; the rest of them are SQL.
_STRAIGHT = frozenset({"DECLARE", "PERFORM", "NULL", "RAISE", "ASSIGN", "EXECUTE"})
_PLAIN_SELECT = frozenset({"target_list", "limit_option", "op"})
_ARGUMENTS = 3
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
    """The statement that made the file's own transaction read only; None when the text does not prove it.

    Args:
        file: that ran.
        statement: the one that failed; None when all have run.
    """
    since = None
    for earlier in file.statements if statement is None else file.statements[: statement.index]:
        made = _made_read_only(earlier)
        if made is not None:
            since = since or earlier if made else None
    return since


def _made_read_only(statement: Statement) -> bool | None:
    """Whether the transaction is read only behind a statement; None when it is as before, or cannot be known."""
    if statement.kind != "DoStmt":
        return _says_read_only(statement.node)
    said: bool | None = None
    straight = True
    for inner in run_in_block(statement):
        straight = straight and (inner.kind in _STRAIGHT or inner.kind.endswith("Stmt"))
        says = None if inner.node is None else _says_read_only(inner.node)
        said = said if says is None else says
    # What stands behind an IF, or where errors are caught, may not have run: it proves nothing.
    return said if straight else None


def _says_read_only(node: Any) -> bool | None:
    kind = node.DESCRIPTOR.name
    if kind == "SelectStmt":
        return _calls_set_config(node)
    if kind != "VariableSetStmt":
        return None
    name = node.name.lower()
    if name == _READ_ONLY:
        return _truth(constant_text(node.args[0])) if node.args else False
    says = None
    if name == "transaction":
        for wrapper in node.args:
            if wrapper.def_elem.defname == _READ_ONLY:
                says = any(message.DESCRIPTOR.name == "Integer" and message.ival for message in walk(wrapper))
    return says


def _calls_set_config(node: Any) -> bool | None:
    """Of `SELECT set_config('transaction_read_only', 'on', …)` and nothing that could keep it from running."""
    if {field.name for field, _ in node.ListFields()} - _PLAIN_SELECT:
        return None
    says = None
    for target in node.target_list:
        value = target.res_target.val
        call = value.func_call
        if value.WhichOneof("node") != "func_call" or len(call.args) != _ARGUMENTS:
            continue
        if [part.string.sval for part in call.funcname][-1] == "set_config":
            setting, wanted = map(constant_text, call.args[:2])
            if (setting or "").lower() == _READ_ONLY:
                says = _truth(wanted)
    return says


def _truth(text: str | None) -> bool | None:
    """A boolean as the server reads it in a setting, abbreviations included; None for anything else."""
    word = (text or "").lower()
    if word in ("on", "1") or (word and ("true".startswith(word) or "yes".startswith(word))):
        return True
    if word in ("of", "off", "0") or (word and ("false".startswith(word) or "no".startswith(word))):
        return False
    return None


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
