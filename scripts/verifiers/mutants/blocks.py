"""Mutants that somebody else wrote: blocks of SQL, each behind a line `-- mutant: NAME`.

Owns: how such a file is cut, and which statements it may not hold.
Promises: a header is a comment that has its line for itself, as PostgreSQL's scanner sees it, never a line of a string
or of a body; a block that could not be undone by a rollback, or would change who asks instead of what is asked, is not
run and says why, with its line; the others are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.errors.history import HistoryError
from scripts.errors.mutants import BlockError
from scripts.parser.classify import copies_client_stream, is_transaction_control, needs_no_transaction, transaction_word
from scripts.parser.native import ParseError, scan_tokens
from scripts.parser.parse import parse_statements
from scripts.verifiers.mutants.model import Mutant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scripts.parser.parse import Statement

_HEADER = "mutant:"
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
    }
)
# Statements that change rows: a table of the server's own may be what all databases share.
_OF_ROWS = frozenset({"UpdateStmt", "InsertStmt", "DeleteStmt"})


def read_blocks(path: Path) -> tuple[Mutant, ...]:
    """The mutants of a file; CRLF and a byte order mark are read as what they are.

    Raises:
        BlockError: it cannot be read, or holds no mutant.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise BlockError.unreadable(str(path), type(exc).__name__) from exc
    return parse_blocks(text, where=path.name)


def parse_blocks(text: str, *, where: str) -> tuple[Mutant, ...]:
    """The mutants of a text, in its order; what cannot be run of them says why in `refused`, and hides no other.

    A mutant without a name, or with one that another has, is told apart by its line.

    Args:
        text: the whole file.
        where: how places name it.

    Raises:
        BlockError: there is no mutant in it.
    """
    headers = _headers(text)
    if not headers:
        raise BlockError.no_mutant(where)
    mutants = list(_before(text[: headers[0][0]], where))
    names: set[str] = set()
    for at, (start, end, said) in enumerate(headers):
        line = _line(text, start)
        name = said if said and said not in names else f"{said or 'without a name'} (line {line})"
        names.add(name)
        stop = headers[at + 1][0] if at + 1 < len(headers) else len(text)
        mutants.append(_block(name, "\n" * text.count("\n", 0, end) + text[end:stop], where, line))
    return tuple(mutants)


def _headers(text: str) -> list[tuple[int, int, str]]:
    """First and last character offset and the name of each header."""
    try:
        tokens = scan_tokens(text)
    except ParseError:
        # Somewhere a string, comment or body has no end: then only its lines can tell one block from the next.
        return [*_header_lines(text)]
    return [
        (token.start, token.end, name)
        for token in tokens
        if token.kind == "SQL_COMMENT"
        and (name := _named(token.text)) is not None
        and not text[text.rfind("\n", 0, token.start) + 1 : token.start].strip()
    ]


def _header_lines(text: str) -> Iterator[tuple[int, int, str]]:
    at = 0
    for line in text.splitlines(keepends=True):
        name = _named(line.strip())
        if name is not None:
            yield at, at + len(line.rstrip("\r\n")), name
        at += len(line)


def _named(comment: str) -> str | None:
    """The name that the comment gives a mutant, None where it is no header."""
    words = comment.removeprefix("--").lstrip()
    if not comment.startswith("--") or not words.lower().startswith(_HEADER):
        return None
    return words[len(_HEADER) :].strip()


def _before(text: str, where: str) -> Iterator[Mutant]:
    """What stands before the first header, unless it is nothing but comments."""
    try:
        if all(token.is_comment for token in scan_tokens(text)):
            return
    except ParseError:
        pass
    line = _line(text, len(text) - len(text.lstrip()))
    yield _refused("before the first mutant", BlockError.before_first(f"{where}:{line}"))


def _block(name: str, text: str, where: str, line: int) -> Mutant:
    try:
        try:
            statements = parse_statements(text, where=where)
        except HistoryError as exc:
            raise BlockError.refused(exc.what, where=exc.where) from exc
        if not statements:
            raise BlockError.empty(name, f"{where}:{line}")
        for statement in statements:
            _require_undone(statement, where)
    except BlockError as error:
        return _refused(name, error)
    return Mutant(
        object=name,
        change="",
        owners=(),
        sql=tuple(statement.text for statement in statements),
        cluster=any(_shared(statement.kind, statement.node) for statement in statements),
        given=True,
        places=tuple(f"{where}:{statement.line}" for statement in statements),
    )


def _refused(name: str, error: BlockError) -> Mutant:
    """Nothing of it runs."""
    reason = f"{error.where}: {error.what}: {error.help}"
    return Mutant(name, "", (), (), given=True, places=(error.where,), refused=reason)


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
    if kind in _OF_ROWS:
        return node.relation.schemaname == "pg_catalog" or str(node.relation.relname).startswith("pg_")
    return kind in _CLUSTER


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
