"""From the driver's error to a text that may be shown anywhere.

Owns: where in the file the server stumbled, and what of its answer is kept.
Promises: DETAIL and CONTEXT are left out, because they hold rows; of a message that quotes a value (class 22), the
value is kept only when it is a string constant of the file itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scripts.errors.migration import ConnectionLostError, MigrationError, MigrationFailedError
from scripts.migrations.runnable import statement_words
from scripts.parser.statements import Positions, body_statements

if TYPE_CHECKING:
    import psycopg

    from scripts.migrations.files import MigrationFile
    from scripts.migrations.model import Applied
    from scripts.parser.statements import Statement

_QUOTED = re.compile(r'"[^"]*"')
# The server's own words; with another lc_messages there is no inner line, and nothing else is lost.
_INNER = re.compile(r"^PL/pgSQL function (.+) line (\d+) at ", re.MULTILINE)
_INLINE = "inline_code_block"
# What a second run of a no_tx statement meets when the first one did its work and was not recorded.
_ALREADY = frozenset({"42P04", "42P07", "42710"})


def failed(  # noqa: PLR0913 - each is a part of the text
    exc: psycopg.Error,
    file: MigrationFile,
    statement: Statement | None,
    applied: Applied,
    *,
    attempts: int = 1,
    blockers: str = "",
    sent_at: int | None = None,
) -> MigrationFailedError:
    """Build the error for a statement that the server refused.

    Args:
        exc: the driver's error.
        file: the file that ran.
        statement: the statement; None for the end of the transaction (deferred constraints, COMMIT).
        applied: what this run recorded before.
        attempts: how often the transaction was tried.
        blockers: sessions that may have been in the way, one a line.
        sent_at: the file's offset from which the server counted; the statement's own when None.
    """
    diag = exc.diag
    where, source = _place(exc, file, statement, sent_at)
    facts = [("source", source)] if source else []
    facts.append(("SQLSTATE", diag.sqlstate or "none"))
    inner = _inner_place(diag.context or "", file, statement)
    if inner:
        facts.append(("inside", inner))
    if diag.constraint_name:
        facts.append(("constraint", diag.constraint_name))
    if diag.table_name:
        facts.append(("table", f"{diag.schema_name}.{diag.table_name}" if diag.schema_name else diag.table_name))
    if diag.message_hint:
        facts.append(("hint", diag.message_hint))
    if attempts > 1:
        facts.append(("attempts", str(attempts)))
    if blockers:
        facts.append(("in the way", blockers))
    facts.append(("recorded", f"{applied.recorded} of {applied.total}; {_left_behind(file, statement)}"))
    error = MigrationFailedError(
        shown_message(diag.message_primary or "the server gave no message", diag.sqlstate or "", file.text),
        where=where,
        facts=facts,
        help=_help(diag.sqlstate or "", file),
        sqlstate=diag.sqlstate or "",
    )
    error.applied = applied
    return error


def lost(exc: psycopg.Error, file: MigrationFile, applied: Applied, *, in_doubt: bool) -> ConnectionLostError:
    """Build the error for a connection that broke while a file ran."""
    error = ConnectionLostError.during(
        file.name,
        recorded=applied.recorded,
        total=applied.total,
        sqlstate=exc.diag.sqlstate or "",
        in_doubt=in_doubt,
    )
    error.applied = applied
    return error


def between_files(exc: psycopg.Error, conn: psycopg.Connection[Any]) -> MigrationError:
    """Build the error for what the server refused outside any file: the lock, the ledger, the sweep of indexes."""
    sqlstate = exc.diag.sqlstate or ""
    if conn.closed or conn.broken:
        return ConnectionLostError.between_files(sqlstate=sqlstate)
    return MigrationFailedError(
        shown_message(exc.diag.message_primary or "the server gave no message", sqlstate, ""),
        where="the runner's own statements",
        facts=[("SQLSTATE", sqlstate or "none")],
        help="check the role's rights and settings on this database, and run again",
        sqlstate=sqlstate,
    )


def shown_message(message: str, sqlstate: str, text: str) -> str:
    """The server's message without values that are not in the migration.

    Args:
        message: the primary message.
        sqlstate: five characters; only class 22, data exceptions, quotes values.
        text: the file.
    """
    if not sqlstate.startswith("22"):
        return message
    return _QUOTED.sub(lambda match: match[0] if f"'{match[0][1:-1]}'" in text else '"(value withheld)"', message)


def _place(
    exc: psycopg.Error, file: MigrationFile, statement: Statement | None, sent_at: int | None
) -> tuple[str, str]:
    if statement is None:
        return file.name, ""
    positions = Positions(file.text)
    position = exc.diag.statement_position
    offset = statement.offset
    if position and position.isdigit():
        offset = (statement.offset if sent_at is None else sent_at) + int(position) - 1
    return positions.label(file.name, offset), positions.caret(offset)


def _inner_place(context: str, file: MigrationFile, statement: Statement | None) -> str:
    """The innermost PL/pgSQL line: in the file for a DO block, by name for a function."""
    match = _INNER.search(context)
    if match is None:
        return ""
    name, line = match[1], int(match[2])
    if not name.startswith(_INLINE) or statement is None:
        return f"function {name}, line {line}"
    inner = [body for body in body_statements(statement) if body.depth == 0]
    if not inner:
        return f"DO block, line {line}"
    first = _body_first_line(statement)
    return f"{file.name}:{first + line - 1} (line {line} of the DO block)"


def _body_first_line(statement: Statement) -> int:
    """The file's line in which the string of a DO begins: PL/pgSQL counts from there."""
    from scripts.parser.statements import scan_tokens

    for token in scan_tokens(statement.text):
        if token.kind in ("SCONST", "USCONST") and (token.text.startswith("$") or "begin" in token.text.lower()):
            return statement.line + statement.text.count("\n", 0, token.start)
    return statement.line


def _left_behind(file: MigrationFile, statement: Statement | None) -> str:
    if not file.no_tx:
        return f"{file.name} left nothing behind"
    if statement is None or statement.index == 0:
        return f"{file.name} is not recorded"
    return f"{file.name} is not recorded, its first {statement.index} statements stay"


def _help(sqlstate: str, file: MigrationFile) -> str:
    if sqlstate == "55P03":
        return "wait for the sessions in the way, or end them, and run again; see LOCK_TIMEOUT_MS and LOCK_ATTEMPTS"
    if sqlstate == "57014":
        return (
            "the statement ran out of time or was cancelled; STATEMENT_TIMEOUT_MS and INDEX_TIMEOUT_MS set the limits"
        )
    if sqlstate == "42501":
        return "run as a role that may do this; see DATABASE_URL"
    if file.no_tx and sqlstate in _ALREADY:
        return "an interrupted run may have made it: compare it with the file, drop it if it differs, and run again"
    if sqlstate == "25001":
        return "the target may be partitioned or have a slot: put the statement into a file marked `-- symphony:no_tx`"
    return "correct the file and run again" if not file.no_tx else "correct the file and run again; it may be repeated"


def describe(statement: Statement) -> str:
    """A statement in a few words, for progress lines."""
    return f"{statement_words(statement)} (line {statement.line})"
