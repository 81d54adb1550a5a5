"""An index on the whole row, `f(t)`: how its statement is put on a twin of the table, whose rows are of another type.

Owns: which references in a CREATE INDEX mean the row, and the words that stand for it.
How: the twin gets columns of the real table's row type, one for each way in which the server writes a row: `t.*` within
an expression, `(t.*)` where it is a key by itself, `t.*::t` among the values of a ROW. What it then writes of the
columns is exchanged for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.parser.statements import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from scripts.migrations.no_tx.indexes.state import Table

# What to_regclass does not find has no columns; then the twin cannot be made either.
_COLUMNS = """
SELECT a.attname::text, a.attnum > 0, pg_catalog.format('%%I.*', c.relname), c.reltype::pg_catalog.regtype::text
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
 WHERE a.attrelid = pg_catalog.to_regclass(%s) AND NOT a.attisdropped ORDER BY a.attnum"""


@dataclass(frozen=True, slots=True)
class Row:
    """The row of a table, in the statement and on its twin.

    table: its name. columns: in order. names: theirs, and those of the server's own. written: the row, as the server
    writes it. type: its, in the same words. inside, key, value: names of the twin's columns that stand for it.
    """

    table: str
    columns: tuple[str, ...]
    names: frozenset[str]
    written: str
    type: str
    inside: str
    key: str
    value: str

    def is_meant(self, node: Any) -> bool:
        """Whether a node is a reference to the whole row: `t`, unless there is such a column, or `t.*`."""
        if not node.HasField("column_ref"):
            return False
        *_, last = node.column_ref.fields
        if last.HasField("a_star"):
            return True
        return len(node.column_ref.fields) == 1 and last.string.sval == self.table and self.table not in self.names

    def as_written(self, definition: str) -> str:
        """A definition of the twin's index, with the row in the words that the real index has for it."""
        # (t).a is read as the column from the first.
        definition = definition.replace(f"({self.inside}).", "")
        definition = definition.replace(self.value, f"{self.written}::{self.type}")
        return definition.replace(self.inside, self.written).replace(self.key, f"({self.written})")

    def columns_sql(self, table: Table) -> str:
        """The twin's columns, to stand behind LIKE."""
        return "".join(f", {name} {table.quoted}" for name in (self.inside, self.key, self.value))


def row_in(conn: psycopg.Connection[Any], node: Any, table: Table, *, twin: str) -> Row | None:
    """The row, if a CREATE INDEX means it anywhere.

    Args:
        conn: asked for the columns, when a reference looks like one to the row.
        node: the CREATE INDEX.
        table: the one that it means.
        twin: a name that is in no definition.
    """
    references = [message.fields for message in walk(node) if message.DESCRIPTOR.name == "ColumnRef"]
    # A plain name is a column's, unless it is the table's; t.f may be f(t).
    if not any(len(fields) > 1 or _says(fields, node.relation.relname) for fields in references):
        return None
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(_COLUMNS.encode(), (table.quoted,), prepare=False).fetchall()
    if not found:
        return None
    *_, written, kind = found[0]
    names = frozenset(name for name, *_ in found)
    row = Row(
        table.name,
        tuple(name for name, users, *_ in found if users),
        names,
        written,
        kind,
        inside=f"{twin}_row",
        key=f"{twin}_key",
        value=f"{twin}_value",
    )
    return row if any(row.is_meant(one) or _function_of(one, row) for one in _nodes(node)) else None


def put_row(node: Any, row: Row) -> None:
    """Change a CREATE INDEX so that the twin's columns stand where it means the row."""
    for parameter in node.index_params:
        _put_key(parameter.index_elem, row)
    for message in list(walk(node)):
        if message.DESCRIPTOR.name == "RowExpr":
            _spell_out(message, row)
    for one in list(_nodes(node)):
        function = _function_of(one, row)
        if row.is_meant(one):
            _refer(one, row.inside)
        elif function:
            one.a_indirection.indirection.add().string.sval = function
            _refer(one.a_indirection.arg, row.inside)


def _put_key(element: Any, row: Row) -> None:
    """A key that is the row, or a column of it: the server makes it a plain column."""
    if not element.HasField("expr"):
        return
    expression = element.expr
    if row.is_meant(expression):
        _refer(expression, row.key)
        return
    column = ""
    if expression.HasField("a_indirection"):
        argument, (name, *more) = expression.a_indirection.arg, expression.a_indirection.indirection
        column = name.string.sval if row.is_meant(argument) and not more else ""
    elif expression.HasField("func_call"):
        arguments, names = expression.func_call.args, expression.func_call.funcname
        if len(arguments) == len(names) == 1 and row.is_meant(arguments[0]):
            column = names[0].string.sval
    if column in row.columns:
        _refer(expression, column)


def _spell_out(message: Any, row: Row) -> None:
    """ROW(t.*) has the columns in it, ROW(t) the row."""
    arguments = []
    for argument in message.args:
        fields = argument.column_ref.fields if argument.HasField("column_ref") else ()
        if fields and fields[-1].HasField("a_star"):
            for column in row.columns:
                copy = type(argument)()
                _refer(copy, column)
                arguments.append(copy)
        else:
            copy = type(argument)()
            copy.CopyFrom(argument)
            if row.is_meant(argument):
                _refer(copy, row.value)
            arguments.append(copy)
    del message.args[:]
    message.args.extend(arguments)


def _function_of(node: Any, row: Row) -> str:
    """The function in `t.f`, where f is no column; else empty."""
    if not node.HasField("column_ref") or len(node.column_ref.fields) < 2:
        return ""
    name = str(node.column_ref.fields[-1].string.sval)
    return "" if name in row.names else name


def _nodes(message: Any) -> Iterator[Any]:
    """Every `Node` below a message: what can be made another kind of expression."""
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for below in value if hasattr(value, "append") else (value,):
                if below.DESCRIPTOR.name == "Node":
                    yield below
                yield from _nodes(below)


def _says(fields: Any, name: str) -> bool:
    return bool(fields[-1].HasField("a_star") or fields[-1].string.sval == name)


def _refer(node: Any, column: str) -> None:
    """Make a node a reference to a column."""
    node.Clear()
    node.column_ref.fields.add().string.sval = column
