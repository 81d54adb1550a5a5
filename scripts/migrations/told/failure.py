"""From the driver's error to a text that may be shown anywhere.

Owns: where in the file the server stumbled, and what of its answer is kept.
Promises: DETAIL and CONTEXT are left out, because they hold rows; of a message, hint or name only what the server or
the file's author wrote (shown.py). The rest goes into `row_data`, which is in no text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from scripts.errors.migration import ConnectionLostError, MigrationError, MigrationFailedError
from scripts.errors.row_data import RowData, escaped
from scripts.migrations.folder.runnable import statement_words
from scripts.migrations.told.at_end import deferred_facts, read_only_since
from scripts.migrations.told.inner import Frame, Internal, frames_of, inner_places
from scripts.migrations.told.named import catalog_names
from scripts.migrations.told.shown import WITHHELD, Author, author, shown_message, shown_raised
from scripts.parser.statements import Positions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg

    from scripts.migrations.folder.files import MigrationFile
    from scripts.parser.statements import Statement

# What a second run of a no_tx statement meets when the first one did its work and was not recorded.
_ALREADY = frozenset({"42P07", "42710"})
_RAISING = frozenset({"exec_stmt_raise", "exec_stmt_assert"})
# What the runner's own statements name.
_LEDGER = "schema_migrations schema_migrations_history schema_migrations_journal public"
_READ_ONLY = "25006"
_UNRECORDABLE = "the file makes its own transaction read only, and what it did cannot be recorded in it"
_NO_MESSAGE = "the server gave no message"


class Recorded(Protocol):
    """What a run recorded before, as far as a text tells of it: how many files, and of how many."""

    @property
    def recorded(self) -> int:
        """How many files the ledger records now."""

    @property
    def total(self) -> int:
        """How many files the folder has."""


def failed(  # noqa: PLR0913 - each is a part of the text
    exc: psycopg.Error,
    file: MigrationFile,
    statement: Statement | None,
    applied: Recorded,
    *,
    attempts: int = 1,
    blockers: str = "",
    place: Callable[[int], int] | None = None,
    conn: psycopg.Connection[Any] | None = None,
    settling: bool = False,
) -> MigrationFailedError:
    """Build the error for a statement that the server refused.

    Args:
        exc: the driver's error.
        file: the file that ran.
        statement: the statement; None for the end of the transaction (deferred constraints, COMMIT).
        applied: what this run recorded before.
        attempts: how often the transaction was tried.
        blockers: sessions that may have been in the way, one a line.
        place: the file's offset, from 0, of a position in what was sent; counted from the statement when None.
        conn: outside a transaction; asked for the source of a function that raised and is not the file's, and for the
            names of objects.
        settling: whether it was what the file had put off to its end that failed.
    """
    diag = exc.diag
    frames = frames_of(diag.context or "")
    internal = _internal(diag)
    wrote = author(file.text, _source_elsewhere(conn, frames))
    asked = _asked(conn, diag, wrote)
    sqlstate = diag.sqlstate or "none"
    since = read_only_since(file, statement) if sqlstate == _READ_ONLY and not file.no_tx else None
    if statement is None and since is not None:
        facts = [("source", Positions(file.text).caret(since.offset)), ("SQLSTATE", sqlstate)]
    else:
        facts = [*_place_facts(exc, file, statement, place), ("SQLSTATE", sqlstate)]
        if since is not None:
            facts.append(("read only since", f"{_label(file, since)} {statement_words(since)}"))
    inside = inner_places(frames, internal, file, statement)
    if inside:
        facts.append(("inside", inside))
    facts += _object_facts(diag, wrote, asked)
    if settling:
        facts += deferred_facts(diag, file, frames, conn)
    if diag.message_detail:
        facts.append(("detail", WITHHELD))
    if attempts > 1:
        facts.append(("attempts", str(attempts)))
    if blockers:
        facts.append(("in the way", blockers))
    facts.append(("recorded", f"{applied.recorded} of {applied.total}; {_left_behind(file, statement)}"))
    error = MigrationFailedError(
        _UNRECORDABLE if statement is None and since is not None else _message(diag, wrote, asked),
        where=_label(file, since) if statement is None and since is not None else _where(exc, file, statement, place),
        facts=facts,
        help=_help(diag, file, read_only=since is not None),
        sqlstate=diag.sqlstate or "",
    )
    error.applied = applied
    error.row_data = row_data_of(exc)
    return error


def lost(exc: psycopg.Error, file: MigrationFile, applied: Recorded, *, in_doubt: bool) -> ConnectionLostError:
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
        _message(exc.diag, author(_LEDGER)),
        where="the runner's own statements",
        facts=[("SQLSTATE", sqlstate or "none")],
        help="check the role's rights and settings on this database, and run again",
        sqlstate=sqlstate,
    )


def is_raised(diag: Any) -> bool:
    """Whether a program made the message up, in PL/pgSQL or in another procedural language."""
    name = (diag.source_file or "").rpartition("/")[2]
    if name == "pl_exec.c":
        return diag.source_function in _RAISING
    # plpy_elog.c, plperl.c, pltcl.c, plv8.cc; pl_gram.y and its like complain about the program itself.
    return not name or (name.startswith("pl") and not name.startswith("pl_"))


def shown_words(diags: Sequence[Any], text: str, conn: psycopg.Connection[Any]) -> list[str]:
    """Messages of the server that are no errors, as much of each as may be shown.

    Args:
        diags: as the driver's.
        text: of the file that ran.
        conn: outside a transaction; asked for the source of a function that raised and is not the file's, and for the
            names of objects.
    """
    own = [diag.message_primary for diag in diags if not is_raised(diag)]
    asked = catalog_names(conn, own, author(text), frozenset().union(*map(object_names, diags)))
    return [_message(diag, _author_of(diag, text, conn), asked) for diag in diags]


def _author_of(diag: Any, text: str, conn: psycopg.Connection[Any]) -> Author:
    return author(text, _source_elsewhere(conn, frames_of(diag.context or "")) if is_raised(diag) else "")


def _asked(conn: psycopg.Connection[Any] | None, diag: Any, wrote: Author) -> frozenset[str]:
    """The words of message and hint that name objects, as the catalog says; none when a program made them up."""
    if is_raised(diag):
        return frozenset()
    return catalog_names(conn, (diag.message_primary, diag.message_hint), wrote, object_names(diag))


def _message(diag: Any, wrote: Author, asked: frozenset[str] = frozenset()) -> str:
    message = diag.message_primary or _NO_MESSAGE
    if is_raised(diag) and diag.message_primary:
        return shown_raised(message, {*wrote.texts, "assertion failed"})
    return shown_message(message, wrote, object_names(diag), asked)


def object_names(diag: Any) -> frozenset[str]:
    """Names of the catalog's objects that the server gave apart from its message; none when a program gave them."""
    if is_raised(diag):
        return frozenset()
    fields = (diag.schema_name, diag.table_name, diag.column_name, diag.datatype_name, diag.constraint_name)
    return frozenset(filter(None, fields))


def _internal(diag: Any) -> Internal | None:
    position = diag.internal_position or ""
    return Internal(diag.internal_query or "", int(position) - 1) if position.isdigit() else None


def _object_facts(diag: Any, wrote: Author, asked: frozenset[str]) -> list[tuple[str, str]]:
    """Names of objects, and the hint; those that a RAISE made up pass the same sieve as its message."""
    table = f"{diag.schema_name}.{diag.table_name}" if diag.schema_name and diag.table_name else diag.table_name
    named = [
        ("constraint", diag.constraint_name),
        ("table", table),
        ("column", diag.column_name),
        ("type", diag.datatype_name),
    ]
    if is_raised(diag):
        facts = [(label, shown_raised(value, wrote.texts)) for label, value in named if value]
        return facts + [("hint", shown_raised(hint, wrote.texts)) for hint in [diag.message_hint] if hint]
    facts = [(label, escaped(value)) for label, value in named if value]
    names = object_names(diag)
    return facts + [("hint", shown_message(hint, wrote, names, asked)) for hint in [diag.message_hint] if hint]


def row_data_of(exc: psycopg.Error) -> RowData:
    """All that the server said, rows included; for `--show-row-data` alone."""
    diag = exc.diag
    said = (
        ("message", diag.message_primary),
        ("detail", diag.message_detail),
        ("hint", diag.message_hint),
        ("context", diag.context),
    )
    return RowData(tuple((label, text) for label, text in said if text))


def _source_elsewhere(conn: psycopg.Connection[Any] | None, frames: tuple[Frame, ...]) -> str:
    """The body of the innermost function as the database has it, for the words its author wrote."""
    import psycopg
    from psycopg.rows import tuple_row

    if conn is None or conn.closed or not frames or not frames[0].name:
        return ""
    ask = b"SELECT prosrc FROM pg_catalog.pg_proc WHERE oid = pg_catalog.to_regprocedure(%s)"
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(ask, (frames[0].name,), prepare=False).fetchone()
    except psycopg.Error:
        # It only makes the message richer; the failure itself is what has to be told.
        return ""
    return "" if row is None else str(row[0])


def _where(
    exc: psycopg.Error, file: MigrationFile, statement: Statement | None, place: Callable[[int], int] | None
) -> str:
    if statement is None:
        return file.name
    return Positions(file.text).label(file.name, _offset(exc, statement, place))


def _label(file: MigrationFile, statement: Statement) -> str:
    return Positions(file.text).label(file.name, statement.offset)


def _place_facts(
    exc: psycopg.Error, file: MigrationFile, statement: Statement | None, place: Callable[[int], int] | None
) -> list[tuple[str, str]]:
    """The line with a caret; and where the statement begins, when the caret is not there."""
    if statement is None:
        return []
    positions = Positions(file.text)
    offset = _offset(exc, statement, place)
    facts = [("source", positions.caret(offset))]
    if offset != statement.offset:
        begins = f"{positions.label(file.name, statement.offset)} {statement_words(statement)}"
        facts.append(("statement", begins))
    return facts


def _offset(exc: psycopg.Error, statement: Statement, place: Callable[[int], int] | None) -> int:
    position = exc.diag.statement_position
    if not position or not position.isdigit():
        return statement.offset
    sent = int(position) - 1
    return statement.offset + sent if place is None else place(sent)


def _left_behind(file: MigrationFile, statement: Statement | None) -> str:
    if not file.no_tx:
        return f"{file.name} left nothing behind"
    if statement is None or statement.index == 0:
        return f"{file.name} is not recorded"
    return f"{file.name} is not recorded, its first {statement.index} statements stay"


_HELPS = {
    "55P03": "wait for the sessions in the way, or end them, and run again; see LOCK_TIMEOUT_MS and LOCK_ATTEMPTS",
    "57014": "the statement ran out of time or was cancelled; STATEMENT_TIMEOUT_MS and INDEX_TIMEOUT_MS set the limits",
    "42501": "run as a role that may do this; see DATABASE_URL and MIGRATE_ROLE",
    "P7004": (
        "roles belong to the whole server: making or mending one needs CREATEROLE (ALTER ROLE … CREATEROLE for whoever"
        " migrates), or a superuser does it; see the hint, DATABASE_URL and MIGRATE_ROLE"
    ),
    "25001": "the target may be partitioned or have a slot: put the statement into a file marked `-- symphony:no_tx`",
    "55006": (
        "the table has triggers or a cursor waiting in this transaction: SET CONSTRAINTS ALL IMMEDIATE before the"
        " statement, or a file of its own for it"
    ),
    "55P04": "a new enum value can be used once it is committed: move ADD VALUE into an earlier file",
    "25006": "the transaction is read only: by what the file calls, or because the server is a standby",
}
_CACHED_PLAN = "cached plan must not change result type"


def _help(diag: Any, file: MigrationFile, *, read_only: bool) -> str:
    sqlstate = diag.sqlstate or ""
    if read_only:
        return "a file and its record are one transaction: take that setting out of the file"
    if sqlstate in _HELPS:
        return _HELPS[sqlstate]
    if sqlstate == "0A000" and (diag.message_primary or "").startswith(_CACHED_PLAN):
        return "a statement prepared before the table changed is run after it: DEALLOCATE it, or name its columns"
    if sqlstate == "42P04":
        return (
            "it was there before the statement was begun, so it is not the runner's: drop or rename it, and run again"
        )
    if file.no_tx and sqlstate in _ALREADY:
        return "an interrupted run may have made it: compare it with the file, drop it if it differs, and run again"
    return "correct the file and run again" if not file.no_tx else "correct the file and run again; it may be repeated"
