"""What a file's statements must be for the runner to take it: decided before anything runs.

Owns: the rules between the no_tx marker and the statements, and the statements no migration may hold (writes to the
    ledger: ledger_writes.py).
Promises: a file that passes can be run as one transaction, or, marked, statement by statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.errors.base import ProjectError
from scripts.errors.history import FileTextError
from scripts.errors.sql_text import CopyStreamError, MarkerError, TransactionControlError
from scripts.migrations.folder.ledger_writes import require_no_ledger_write
from scripts.parser.statements import (
    Positions,
    Statement,
    body_statements,
    body_text,
    copies_client_stream,
    is_plain,
    is_transaction_control,
    may_need_no_transaction,
    needs_no_transaction,
    scan_tokens,
    transaction_word,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scripts.migrations.folder.files import MigrationFile

# Files of so many bytes together keep their trees from the check to the run; of those beyond, the few that need them
# again (no_tx files, files that fail or are traced) are parsed twice.
KEPT_BYTES = 256 * 1024


def require_all_runnable(files: Iterable[MigrationFile]) -> None:
    """Check every statement of every file, before the first one runs, in memory that does not grow with their number.

    Raises:
        HistoryError: the first statement that may not stand there, by its line.
    """
    check = FolderCheck(files)
    check.finish()


class FolderCheck:
    """The same check in pieces of a file each, for whoever has to wait for something else meanwhile.

    What is refused is told at the end. A check that was not finished has passed nothing, and a file whose check was
    interrupted is checked again.
    """

    def __init__(self, files: Iterable[MigrationFile]) -> None:
        self._files = iter(files)
        self._file: MigrationFile | None = None
        self._kept = 0
        self._refused: ProjectError | None = None

    def piece(self) -> bool:
        """Check the next file; whether there may be more to check."""
        if self._refused is not None:
            return False
        file = self._file = self._file or next(self._files, None)
        if file is None:
            return False
        try:
            require_runnable(file)
        except ProjectError as exc:
            self._refused = exc
            return False
        self._kept += len(file.data)
        if self._kept > KEPT_BYTES:
            file.release()
        self._file = None
        return True

    def finish(self) -> None:
        """Check what is left.

        Raises:
            HistoryError: the first statement that may not stand there, by its line.
        """
        while self.piece():
            pass
        if self._refused is not None:
            raise self._refused


def require_runnable(file: MigrationFile) -> None:
    """Check every statement of the file.

    Raises:
        HistoryError: the first statement that may not stand there, by its line.
    """
    if not file.excerpts:
        raise FileTextError.empty(file.name)
    require_no_ledger_write(file)
    if file.no_tx:
        for statement in file.statements:
            _require_no_client(file, statement)
            _require_fit_for_no_tx(file, statement)
        if not any(_earns_marker(statement) for statement in file.statements):
            raise MarkerError.useless(where=file.name)
        return
    for excerpt in file.excerpts:
        if is_plain(excerpt.text):
            continue  # nine of ten: no tree is made of them
        statement = excerpt.parsed(where=file.name)
        _require_no_client(file, statement)
        reason = needs_no_transaction(statement)
        if reason is not None:
            raise MarkerError.missing(reason, **_place(file, statement.offset))


# Behind these the word that names the kind of object is still to come.
UNSAID = frozenset({
    "ACCESS", "CONSTRAINT", "DATA", "DEFAULT", "EVENT", "FOREIGN", "LARGE", "MATERIALIZED", "OPERATOR", "OR", "OWNED",
    "PROCEDURAL", "RECURSIVE", "REPLACE", "SEARCH", "TEMP", "TEMPORARY", "TEXT", "TRUSTED", "UNIQUE", "UNLOGGED",
})  # fmt: skip
_WORDS_MAX = 6


def statement_words(statement: Statement) -> str:
    """How the statement begins, for an error text: CREATE TABLE, INSERT INTO and so on."""
    return leading_words(statement.text) or statement.kind


def leading_words(text: str) -> str:
    """The keywords that a text begins with, in capitals; comments between them are left out.

    Two, or more where the second does not say yet what the statement is about: CREATE UNIQUE INDEX.
    """
    words: list[str] = []
    for token in scan_tokens(text):
        if token.is_comment:
            continue
        said = len(words) > 1 and words[-1] not in UNSAID
        if not token.text.isalpha() or token.kind == "IDENT" or said or len(words) == _WORDS_MAX:
            break
        words.append(token.text.upper())
    return " ".join(words)


def _require_no_client(file: MigrationFile, statement: Statement) -> None:
    """Nothing that belongs to whoever holds the connection: its transaction, its stream."""
    _require_no_transaction_control(file, statement)
    stream = copies_client_stream(statement)
    if stream is not None:
        raise CopyStreamError.of(stream, **_place(file, statement.offset))


def _require_no_transaction_control(file: MigrationFile, statement: Statement) -> None:
    if is_transaction_control(statement):
        word = transaction_word(statement.node)
        raise TransactionControlError.of(word, **_place(file, statement.offset))
    if statement.kind != "DoStmt":
        # A procedure may COMMIT when it is called from elsewhere; inside our transaction the server refuses it.
        return
    # A body without the words cannot end a transaction; to cut and parse it would cost more than all the other checks.
    body = (body_text(statement.node) or "").lower()
    if "commit" not in body and "rollback" not in body:
        return
    found = body_statements(statement)
    for inner in found:
        if inner.depth == 0 and inner.kind in ("COMMIT", "ROLLBACK"):
            raise TransactionControlError.of(f"{inner.kind} in DO", **_place(file, inner.offset))
    if not found:
        # U&'…' with escapes: a body that is hidden from us is not given the benefit of the doubt.
        word = "COMMIT" if "commit" in body else "ROLLBACK"
        raise TransactionControlError.of(f"{word} in DO", **_place(file, statement.offset))


def _require_fit_for_no_tx(file: MigrationFile, statement: Statement) -> None:
    if may_need_no_transaction(statement) is None:
        raise MarkerError.mixed(statement_words(statement), **_place(file, statement.offset))
    if statement.kind == "IndexStmt" and not statement.node.idxname:
        raise MarkerError.unnamed_index(**_place(file, statement.offset))


def _earns_marker(statement: Statement) -> bool:
    return statement.kind != "VariableSetStmt" and may_need_no_transaction(statement) is not None


def _place(file: MigrationFile, offset: int) -> dict[str, str]:
    positions = Positions(file.text)
    return {"where": positions.label(file.name, offset), "source": positions.caret(offset)}
