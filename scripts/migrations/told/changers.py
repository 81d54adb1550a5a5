"""Which statements of a file changed rows of a table, and which may have: read off their trees.

Owns: what runs when a file runs, and what is only made or prepared by it.
Promises: the body of a function, a rule, a PREPARE and an EXPLAIN without ANALYZE are not taken for changes. What
calls, executes or fires something that the tree does not show is told apart, as a perhaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.errors.row_data import escaped
from scripts.migrations.folder.runnable import leading_words, statement_words
from scripts.parser.statements import Positions, body_language, body_statements, option_flag, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg

    from scripts.migrations.folder.files import MigrationFile
    from scripts.parser.statements import Statement

_CHANGING = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt"})
_RUNNING = _CHANGING | {"SelectStmt", "CreateTableAsStmt", "CallStmt", "ExecuteStmt", "AlterTableStmt"}
_TOLD_MAX = 10
_NOT_KNOWN = "not known: no statement of the file changes its rows by itself; a function, a trigger or EXECUTE may"
_HARMLESS = frozenset({"", "a", "r"})
# Functions of that name are the server's own, and change no rows.
_SERVERS = b"""SELECT p.proname FROM pg_catalog.pg_proc p WHERE p.proname::pg_catalog.text = ANY (%s)
 GROUP BY 1 HAVING pg_catalog.bool_and(p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace)"""
_FIRING = b"""SELECT n.nspname, c.relname
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname::pg_catalog.text = ANY (%s)
   AND (EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
     OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1')
     OR EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.confrelid = c.oid AND f.contype = 'f'
                   AND NOT (f.confdeltype IN ('a', 'r') AND f.confupdtype IN ('a', 'r'))))"""
_Table = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Ran:
    """What ran. label: its place and first words. node: its tree, None when it could not be read."""

    label: str
    node: Any
    unseen: str = ""


def changed_rows(
    file: MigrationFile, tables: frozenset[_Table], conn: psycopg.Connection[Any] | None
) -> list[tuple[str, str]]:
    """Place and first words of every statement that changes rows of one of the tables; then of those that may have.

    Args:
        file: all of whose statements have run.
        tables: schema and name; the schema is empty where it is not known.
        conn: outside a transaction; asked which functions are the server's own, and which tables fire something.
    """
    ran = list(_ran(file))
    certain = [each.label for each in ran if tables and each.node is not None and _changes(each.node, tables)]
    fires = _firing(file, ran, conn)
    own = _servers_own(file, ran, conn)
    perhaps = [
        f"{each.label} ({reason})"
        for each in ran
        for reason in [each.unseen or _unseen(each.node, own, fires)]
        if reason and each.label not in certain
    ]
    facts = [("rows changed by", _lines(certain) or _NOT_KNOWN)]
    return facts + [("or perhaps by", _lines(perhaps))] * bool(perhaps)


def _lines(labels: list[str]) -> str:
    more = [f"… and {len(labels) - _TOLD_MAX} more"] if len(labels) > _TOLD_MAX else []
    return "\n".join([*labels[:_TOLD_MAX], *more])


def _ran(file: MigrationFile) -> Iterator[_Ran]:
    positions = Positions(file.text)
    for statement in file.statements:
        place = positions.label(file.name, statement.offset)
        if statement.kind == "DoStmt":
            yield from _in_block(statement, place, positions, file.name)
        else:
            node = _run_part(statement.node)
            if node is not None:
                yield _Ran(f"{place} {statement_words(statement)}", node)


def _in_block(statement: Statement, place: str, positions: Positions, name: str) -> Iterator[_Ran]:
    if body_language(statement.node) not in ("sql", "plpgsql"):
        yield _Ran(f"{place} DO", None, "in a language that is not read")
    for inner in run_in_block(statement):
        label = f"{positions.label(name, inner.offset)} {leading_words(inner.text) or inner.kind} in DO"
        node = None if inner.node is None else _run_part(inner.node)
        if inner.dynamic:
            yield _Ran(label, node, "of what is put together")
        elif inner.problem:
            yield _Ran(label, None, "not readable")
        elif node is not None:
            yield _Ran(label, node)


def run_in_block(statement: Statement) -> Iterator[Any]:
    """The statements of a DO block's body, and of constants that it executes; not of functions that it makes."""
    made_at: int | None = None
    for inner in body_statements(statement):
        if made_at is not None and inner.depth > made_at:
            continue
        made_at = inner.depth if inner.kind == "CreateFunctionStmt" else None
        yield inner


def _run_part(node: Any) -> Any:
    """What of a statement is run; None for what only makes, prepares or explains something."""
    kind = node.DESCRIPTOR.name
    if kind == "ExplainStmt":
        return node.query if option_flag(node.options, "analyze", default=False) else None
    if kind == "CreateTableAsStmt" and node.into.skip_data:
        return None
    return node if kind in _RUNNING else None


def _changed(node: Any) -> Iterator[Any]:
    """The names of the tables whose rows a tree changes."""
    for message in walk(node):
        kind = message.DESCRIPTOR.name
        if kind in _CHANGING and (kind != "CopyStmt" or message.is_from):
            yield message.relation


def _changes(node: Any, tables: frozenset[_Table]) -> bool:
    return any(_is_one_of(relation, tables) for relation in _changed(node))


def _is_one_of(relation: Any, tables: frozenset[_Table]) -> bool:
    return any(
        relation.relname == table and (not schema or relation.schemaname in ("", schema)) for schema, table in tables
    )


def _unseen(node: Any, own: frozenset[str], fires: frozenset[_Table]) -> str:
    """Why rows may be changed that the tree does not show; empty when they are not."""
    if any(message.DESCRIPTOR.name == "ExecuteStmt" for message in walk(node)):
        return "of what was prepared"
    called = [name for schema, name in _called(node) if schema != "pg_catalog" and name not in own]
    if called:
        return f"calls {', '.join(map(escaped, dict.fromkeys(called)))}"
    fired = [relation.relname for relation in _changed(node) if _is_one_of(relation, fires)]
    return f"fires what {', '.join(map(escaped, dict.fromkeys(fired)))} has" if fired else ""


def _called(node: Any) -> Iterator[tuple[str, str]]:
    for message in walk(node):
        if message.DESCRIPTOR.name == "FuncCall":
            names = [part.string.sval for part in message.funcname]
            yield ".".join(names[:-1]), names[-1]


def _servers_own(file: MigrationFile, ran: Iterable[_Ran], conn: psycopg.Connection[Any] | None) -> frozenset[str]:
    made = {s.node.funcname[-1].string.sval for s in file.statements if s.kind == "CreateFunctionStmt"}
    called = {name for each in ran if each.node is not None for _, name in _called(each.node)} - made
    return frozenset(str(row[0]) for row in _ask(conn, _SERVERS, called))


def _firing(file: MigrationFile, ran: Iterable[_Ran], conn: psycopg.Connection[Any] | None) -> frozenset[_Table]:
    """Tables with triggers, rules, or keys that carry a change on; those of the file are gone from the catalog."""
    found: set[_Table] = set()
    for statement in file.statements:
        node = statement.node
        if statement.kind in ("CreateTrigStmt", "RuleStmt"):
            found.add((node.relation.schemaname, node.relation.relname))
        elif statement.kind in ("CreateStmt", "AlterTableStmt"):
            found |= {
                (message.pktable.schemaname, message.pktable.relname)
                for message in walk(node)
                if message.DESCRIPTOR.name == "Constraint"
                and not {message.fk_del_action, message.fk_upd_action} <= _HARMLESS
            }
    changed = {relation.relname for each in ran if each.node is not None for relation in _changed(each.node)}
    return frozenset(found | {(str(row[0]), str(row[1])) for row in _ask(conn, _FIRING, changed)})


def _ask(conn: psycopg.Connection[Any] | None, question: bytes, names: set[str]) -> list[tuple[Any, ...]]:
    import psycopg
    from psycopg.rows import tuple_row

    if conn is None or conn.closed or not names:
        return []
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(question, (sorted(names),), prepare=False).fetchall()
    except psycopg.Error:
        # It only makes the message richer; the failure itself is what has to be told.
        return []
