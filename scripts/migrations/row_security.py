"""A backfill that changed nothing because row security hid the rows.

Owns: which statements are suspected, and how a suspicion is worded.
Promises: it only reports; a run as superuser, and a file without a suspect, costs nothing. With FORCE ROW LEVEL
SECURITY and no policy for the owner, UPDATE, DELETE, MERGE and INSERT … SELECT succeed with 0 rows.
Limits: rows behind a view, and SQL that is made at run time, are not seen; a file that sets its own role is judged by
the run's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.migrations.batch import BatchError, cells, execute_batch
from scripts.migrations.ledger.table import OWN_PATH
from scripts.parser.statements import Positions, Statement, body_statements, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg
    from psycopg.pq.abc import PGresult

    from scripts.migrations.folder.files import MigrationFile

_WORDS = {"UpdateStmt": "UPDATE", "DeleteStmt": "DELETE", "MergeStmt": "MERGE", "InsertStmt": "INSERT … SELECT"}
# How a statement begins that changes rows itself, and one that may hide a change in a body or under WITH.
_CHANGING_WORDS = ("update", "delete", "merge", "insert", "with")
_HIDING_WORDS = ("do", "select", "with", "(")
_CALLING_WORDS = (*_CHANGING_WORDS, *_HIDING_WORDS, "call", "values")
_CALLERS = frozenset({"SelectStmt", "CallStmt", "DoStmt", *_WORDS})
# What a body must say before it is taken apart: a word of its own, which a comment may hold as well.
_CHANGES = re.compile(r"\b(?:update|delete|merge|insert)\b")
# What is made and has no body of its own, whatever words stand in it.
_BODILESS = ("create trigger", "create table", "create index", "create unique")
# Tables that hide rows from the role that asks, and have something to hide. A partitioned table has the size of its
# partitions.
_HIDING = """
SELECT n.nspname, c.relname, current_user, c.relforcerowsecurity::int
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relrowsecurity AND c.relkind IN ('r', 'p') AND pg_catalog.row_security_active(c.oid)
   AND CASE WHEN c.relkind = 'r' THEN pg_catalog.pg_relation_size(c.oid) > 0
            ELSE EXISTS (SELECT 1 FROM pg_catalog.pg_partition_tree(c.oid) t
                          WHERE t.isleaf AND pg_catalog.pg_relation_size(t.relid) > 0) END
 ORDER BY 1, 2"""
_HINT = b"SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relrowsecurity)"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A change of rows that may have been kept from them.

    offset: in the file. inside: "a DO block" or "a function"; empty for a statement of the file, which is known to
        have changed 0 rows.
    """

    node: Any
    offset: int
    inside: str = ""

    @property
    def word(self) -> str:
        """UPDATE and so on."""
        return _WORDS[self.node.DESCRIPTOR.name]


@dataclass(frozen=True, slots=True)
class _Hiding:
    schema: str
    name: str
    role: str
    forced: bool


def hiding_hint(conn: psycopg.Connection[Any], file: MigrationFile, counts: Sequence[int | None]) -> bytes:
    """A question whether any table may hide rows from anybody, one statement; empty when there is nothing to ask.

    Most databases have no such table, and the whole question costs ten times as much to plan.

    Args:
        conn: in the file's transaction, back at the baseline, where the question is to be put.
        file: what has run.
        counts: for each statement the rows it changed; None where its command tag has no number.
    """
    return b"" if _sees_all(conn) or not _may_be_suspect(file, counts) else _HINT


def hidden_rows(
    conn: psycopg.Connection[Any], hint: PGresult, file: MigrationFile, counts: Sequence[int | None]
) -> tuple[str, ...]:
    """Say which changes of the file row security may have brought to nothing.

    Args:
        conn: in autocommit, back at the baseline: the file is committed, and nothing that is asked can change that.
        hint: the answer to `hiding_hint`.
        file: what has run.
        counts: as `hiding_hint` takes them.

    Returns:
        One text each: file:line:column, table, role, and what to do.
    """
    if hint.get_value(0, 0) != b"t":
        return ()
    try:
        answer = execute_batch(conn, OWN_PATH + _HIDING.encode())[-1]
    except BatchError as exc:
        why = f"SQLSTATE {exc.error.sqlstate}"
        return (f"{file.name}: whether row security hid rows from it could not be asked ({why})",)
    tables = [_Hiding(schema, name, role, forced == "1") for schema, name, role, forced in cells(answer)]
    if not tables:
        return ()
    positions = Positions(file.text)
    return tuple(
        _text(positions.label(file.name, suspect.offset), suspect, table)
        for suspect in suspects(file.statements, counts)
        for table in tables
        if _concerns(suspect.node, table)
    )


def suspects(statements: Sequence[Statement], counts: Sequence[int | None]) -> Iterator[Suspect]:
    """Every change that brought nothing, or of which it is not known what it brought.

    Args:
        statements: of a file.
        counts: as `hiding_hint` takes them.
    """
    called = _called_names(statements)
    for statement, count in zip(statements, counts, strict=True):
        if _reads_and_changes(statement.node) and count == 0:
            yield Suspect(statement.node, statement.offset)
        elif statement.kind == "SelectStmt":
            # WITH changed AS (UPDATE …) SELECT …: the tag counts what was selected.
            for wrapper in statement.node.with_clause.ctes:
                query = wrapper.common_table_expr.ctequery
                inner = getattr(query, query.WhichOneof("node"))
                if _reads_and_changes(inner):
                    yield Suspect(inner, statement.offset, "WITH")
        elif statement.kind == "DoStmt" or _made_and_called(statement, called):
            where = "a DO block" if statement.kind == "DoStmt" else "a function"
            for body in body_statements(statement):
                if body.node is not None and _reads_and_changes(body.node):
                    yield Suspect(body.node, body.offset, where)


def _may_be_suspect(file: MigrationFile, counts: Sequence[int | None]) -> bool:
    """The cheap question, asked of every file, by its words alone: most files never need a tree."""
    texts = [excerpt.text.lower() for excerpt in file.excerpts]
    # A function that the file makes and does not call has changed nothing.
    calls = any(text.startswith(_CALLING_WORDS) for text in texts)
    for text, count in zip(texts, counts, strict=True):
        if count == 0 and text.startswith(_CHANGING_WORDS):
            return True
        hides = text.startswith(_HIDING_WORDS) or (
            calls and text.startswith("create") and not text.startswith(_BODILESS)
        )
        if hides and _CHANGES.search(text):
            return True
    return False


def _sees_all(conn: psycopg.Connection[Any]) -> bool:
    return conn.info.parameter_status("is_superuser") == "on"


def _reads_and_changes(node: Any) -> bool:
    kind = node.DESCRIPTOR.name
    if kind != "InsertStmt":
        return kind in _WORDS
    return bool(node.HasField("select_stmt") and not node.select_stmt.select_stmt.values_lists)


def _concerns(node: Any, table: _Hiding) -> bool:
    """Whether the statement reads the table; what INSERT only writes to is not looked at by a policy's USING."""
    target = node.relation if node.DESCRIPTOR.name == "InsertStmt" else None
    seen = [message for message in walk(node) if message.DESCRIPTOR.name == "RangeVar"]
    if target is not None:
        seen.remove(target)
    # A name without a schema is any schema's: the file may have set its own search_path.
    return any(name.relname == table.name and name.schemaname in ("", table.schema) for name in seen)


def _called_names(statements: Sequence[Statement]) -> frozenset[str]:
    """Functions and procedures that the file itself calls."""
    if not any(statement.kind == "CreateFunctionStmt" for statement in statements):
        return frozenset()
    return frozenset(
        message.funcname[-1].string.sval
        for statement in statements
        if statement.kind in _CALLERS
        for node in (statement.node, *(body.node for body in body_statements(statement) if body.node is not None))
        for message in walk(node)
        if message.DESCRIPTOR.name == "FuncCall" and message.funcname
    )


def _made_and_called(statement: Statement, called: frozenset[str]) -> bool:
    return statement.kind == "CreateFunctionStmt" and statement.node.funcname[-1].string.sval in called


def _text(where: str, suspect: Suspect, table: _Hiding) -> str:
    name = f"{table.schema}.{table.name}"
    rule = "FORCE ROW LEVEL SECURITY" if table.forced else "ROW LEVEL SECURITY"
    if not suspect.inside:
        found = f"{suspect.word} changed 0 rows, and {rule} hides rows of {name} from {table.role}"
    elif suspect.inside == "WITH":
        found = f"{suspect.word} in WITH may have changed nothing: {rule} hides rows of {name} from {table.role}"
    else:
        found = (
            f"{suspect.word} inside {suspect.inside} may have changed nothing: {rule} hides rows of {name} from"
            f" {table.role}"
        )
    return f"{where}: {found}; if it was to change some, give {table.role} a policy on {name} before it"
