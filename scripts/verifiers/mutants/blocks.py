"""Mutants that somebody else wrote: blocks of SQL, each behind a line `-- mutant: NAME`.

Owns: how such a file is cut, and which statements it may not hold.
Promises: a header is a comment at the beginning of a line, as PostgreSQL's scanner sees it, never a line of a string or
of a body; what could not be undone by a rollback, or would change who asks instead of what is asked, is refused with
its line before anything runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.errors.history import HistoryError
from scripts.errors.mutants import BlockError
from scripts.parser.classify import copies_client_stream, is_transaction_control, needs_no_transaction, transaction_word
from scripts.parser.native import ParseError, scan_tokens
from scripts.parser.parse import parse_statements
from scripts.parser.positions import Positions
from scripts.verifiers.mutants.model import Mutant

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.parser.parse import Statement

_HEADER = "-- mutant:"
# Statements that change the session, not the schema.
_OF_THE_SESSION = {
    "VariableSetStmt": "SET",
    "DiscardStmt": "DISCARD",
    "LoadStmt": "LOAD",
    "PrepareStmt": "PREPARE",
    "ListenStmt": "LISTEN",
    "UnlistenStmt": "UNLISTEN",
    "CheckPointStmt": "CHECKPOINT",
}
# What all databases of a server share, or what may do anything.
_CLUSTER = frozenset(
    {
        "CreateRoleStmt",
        "AlterRoleStmt",
        "AlterRoleSetStmt",
        "DropRoleStmt",
        "GrantRoleStmt",
        "AlterDatabaseStmt",
        "AlterDatabaseSetStmt",
        "DropOwnedStmt",
        "ReassignOwnedStmt",
        "RenameStmt",
        "DoStmt",
        "CallStmt",
        "SelectStmt",
        "UpdateStmt",
        "InsertStmt",
        "DeleteStmt",
    }
)


def read_blocks(path: Path) -> tuple[Mutant, ...]:
    """The mutants of a file.

    Raises:
        BlockError: it cannot be read, cut or used; with file:line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise BlockError.unreadable(str(path), type(exc).__name__) from exc
    return parse_blocks(text, where=path.name)


def parse_blocks(text: str, *, where: str) -> tuple[Mutant, ...]:
    """The mutants of a text, in its order.

    Args:
        text: the whole file.
        where: how errors name it.

    Raises:
        BlockError: see read_blocks.
    """
    headers = _headers(text, where)
    if not headers:
        raise BlockError.no_mutant(where)
    before = text[: headers[0][0]]
    if any(not token.is_comment for token in scan_tokens(before)):
        raise BlockError.before_first(f"{where}:{_line(text, len(before) - len(before.lstrip()))}")
    lines: dict[str, int] = {}
    mutants = []
    for at, (start, end, name) in enumerate(headers):
        line = _line(text, start)
        if not name:
            raise BlockError.nameless(f"{where}:{line}")
        if name in lines:
            raise BlockError.twice(name, f"{where}:{line}", f"{where}:{lines[name]}")
        lines[name] = line
        stop = headers[at + 1][0] if at + 1 < len(headers) else len(text)
        mutants.append(_block(name, "\n" * text.count("\n", 0, end) + text[end:stop], where, line))
    return tuple(mutants)


def _headers(text: str, where: str) -> list[tuple[int, int, str]]:
    """First and last character offset and the name of each header."""
    try:
        tokens = scan_tokens(text)
    except ParseError as exc:
        at = len(text) if exc.offset is None else exc.offset
        raise BlockError.refused(exc.message, where=Positions(text).label(where, at)) from exc
    return [
        (token.start, token.end, token.text[len(_HEADER) :].strip())
        for token in tokens
        if token.kind == "SQL_COMMENT"
        and token.text.startswith(_HEADER)
        and (token.start == 0 or text[token.start - 1] == "\n")
    ]


def _block(name: str, text: str, where: str, line: int) -> Mutant:
    try:
        statements = parse_statements(text, where=where)
    except HistoryError as exc:
        raise BlockError.refused(exc.what, where=exc.where) from exc
    if not statements:
        raise BlockError.empty(name, f"{where}:{line}")
    for statement in statements:
        _require_undone(statement, where)
    return Mutant(
        object=name,
        change="",
        owners=(),
        sql=tuple(statement.text for statement in statements),
        cluster=any(_shared(statement.kind, statement.node) for statement in statements),
        given=True,
        places=tuple(f"{where}:{statement.line}" for statement in statements),
    )


def _require_undone(statement: Statement, where: str) -> None:
    place = f"{where}:{statement.line}:{statement.column}"
    if is_transaction_control(statement):
        raise BlockError.transaction(transaction_word(statement.node), place)
    copied = copies_client_stream(statement)
    if copied is not None:
        raise BlockError.outside(f"COPY {copied}", place)
    if statement.kind == "CopyStmt" and (statement.node.filename or statement.node.is_program):
        raise BlockError.outside("COPY with a file or a program", place)
    if statement.kind in _OF_THE_SESSION:
        raise BlockError.session(_OF_THE_SESSION[statement.kind], place)
    reason = needs_no_transaction(statement)
    if reason is not None:
        raise BlockError.not_undone(reason, place)


def _shared(kind: str, node: Any) -> bool:
    if kind == "GrantStmt":
        name = node.DESCRIPTOR.fields_by_name["objtype"].enum_type.values_by_number[node.objtype].name
        return str(name) in ("OBJECT_PARAMETER_ACL", "OBJECT_DATABASE", "OBJECT_TABLESPACE")
    return kind in _CLUSTER


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
