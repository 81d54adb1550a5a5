"""One connection of a stage, and what waits to be sent over it.

Owns: the messages: a statement that answers nothing (a savepoint, its rollback, a role) waits for the next question and
goes with it, so that most questions cost one message where they would cost three.
Promises: statements reach the server in the order in which they were handed in; values are put into the text by the
driver, which quotes them. What is owed when a savepoint is undone that was never sent is forgotten with it.
Never: decides what is asked, or catches an error.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import psycopg
    from psycopg.sql import SQL, Composed

# SQL text of ours, bytes of it, or text composed from names.
Query: TypeAlias = "LiteralString | bytes | SQL | Composed"
Params: TypeAlias = "Sequence[Any] | Mapping[str, Any] | None"
# Every savepoint has this name: the innermost one is meant, and it is gone before the next one out is.
_SAVE: LiteralString = "SAVEPOINT probe"
_UNDO: LiteralString = "ROLLBACK TO SAVEPOINT probe; RELEASE SAVEPOINT probe"
# On a line of its own, so that a comment at a statement's end does not hide it.
_NEXT = "\n;"


class Wire:
    """A connection inside a transaction that will be rolled back."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        from psycopg import ClientCursor
        from psycopg.rows import tuple_row

        # One for all: making a cursor takes as long as a statement. The driver's other kind of cursor sends values
        # apart, and then takes one statement a message.
        self.cursor: psycopg.Cursor[tuple[Any, ...]] = ClientCursor(conn, row_factory=tuple_row)
        self._quote = ClientCursor(conn).mogrify
        self._owed: list[str] = []
        self._names: Mapping[str, str] = {}

    @contextmanager
    def renamed(self, names: Mapping[str, str]) -> Iterator[None]:
        """Until the block ends, whoever asks about a name is understood to speak of the other."""
        self._names = names
        try:
            yield
        finally:
            self._names = {}

    def owe(self, *statements: str) -> None:
        """Statements without values whose errors may as well come with the next question."""
        self._owed += statements

    def save(self) -> None:
        """Begin a savepoint."""
        self._owed.append(_SAVE)

    def undo(self) -> None:
        """Roll the innermost savepoint back and leave it, after an error as well."""
        if _SAVE in self._owed:
            # Nothing of what came after it was sent either.
            last = len(self._owed) - 1 - self._owed[::-1].index(_SAVE)
            del self._owed[last:]
        else:
            self._owed.append(_UNDO)

    def ask(self, sql: Query, params: Params = None, *behind: str) -> list[tuple[Any, ...]]:
        """Every row of the answer to the last statement that has one; `behind` are done after it.

        Raises:
            psycopg.Error: one of the statements was refused; those behind it were not done. Where it is no SQL at all,
                nothing was done, and the way back is the savepoint around the ones that went with it.
        """
        text = self._quote(sql, params)
        for name, other in self._names.items():
            text = text.replace(name, other)
        before, self._owed = self._owed, []
        cursor = self.cursor
        try:
            cursor.execute(_NEXT.join((*before, text, *behind)).encode(), prepare=False)
        except Exception as exc:
            if _was_not_read(exc):
                self._owed = before
            raise
        if before or behind:
            cursor.set_result(-1 - len(behind))
        return cursor.fetchall() if cursor.description else []

    def forget(self) -> None:
        """What is owed belonged to a transaction that is over."""
        self._owed.clear()

    def settle(self) -> None:
        """Send what is owed, so that the connection is as if nothing had ever waited.

        Raises:
            psycopg.Error: one of the statements was refused.
        """
        if self._owed:
            before, self._owed = self._owed, []
            self.cursor.execute(_NEXT.join(before).encode(), prepare=False)


def _was_not_read(exc: Exception) -> bool:
    """Whether the message is no SQL: then the server has done none of it, not even what comes before the error."""
    diag = getattr(exc, "diag", None)
    return diag is not None and diag.source_function == "scanner_yyerror" and not diag.context
