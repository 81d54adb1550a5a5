"""One connection of a stage, and what waits to be sent over it.

Owns: the messages: a statement whose answer nobody needs (a savepoint, its rollback, a role, a planted row) waits for
the next question and goes with it, so that most questions cost one message where they would cost several.
Promises: statements reach the server in the order in which they were handed in; values are put into the text by the
driver, which quotes them. What is owed when a savepoint is undone that was never sent is forgotten with it. A planted
row that was refused is never taken for an answer to the question that it travelled with.
Never: decides what is asked, or what an error means.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple, TypeAlias

from scripts.verifiers.probes.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import psycopg
    from psycopg.pq.abc import PGresult
    from psycopg.sql import SQL, Composed

# SQL text of ours, bytes of it, or text composed from names.
Query: TypeAlias = "LiteralString | bytes | SQL | Composed"
Params: TypeAlias = "Sequence[Any] | Mapping[str, Any] | None"
# Every savepoint has this name: the innermost one is meant, and it is gone before the next one out is.
_SAVE: LiteralString = "SAVEPOINT probe"
_UNDO: LiteralString = "ROLLBACK TO SAVEPOINT probe; RELEASE SAVEPOINT probe"
# On a line of its own, so that a comment at a statement's end does not hide it.
_NEXT = "\n;"


class NotPlanted(Exception):  # noqa: N818 - what it means is decided by whoever planted; `cause` is the error
    """A row that a question needs was refused, or the server gave no answer while it was planted."""

    def __init__(self, cause: psycopg.Error) -> None:
        super().__init__(type(cause).__name__)
        self.cause = cause


class _Owed(NamedTuple):
    """What waits; of how many statements, each of which has a result of its own; whether it is a planted row."""

    text: str
    statements: int = 1
    planted: bool = False


_SAVED = _Owed(_SAVE)
_UNDONE = _Owed(_UNDO, statements=2)


class Wire:
    """A connection inside a transaction that will be rolled back."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        from psycopg import ClientCursor
        from psycopg.adapt import Transformer
        from psycopg.rows import tuple_row

        self.conn = conn
        # One for all: making a cursor takes as long as a statement. The driver's other kind of cursor sends values
        # apart, and then takes one statement a message.
        self.cursor: psycopg.Cursor[tuple[Any, ...]] = ClientCursor(conn, row_factory=tuple_row)
        self._values = Values(conn)
        self._rows = Transformer.from_context(conn)
        self._owed: list[_Owed] = []
        self._names: Mapping[str, str] = {}
        self._first: Callable[[], None] | None = None

    def first(self, do: Callable[[], None] | None) -> None:
        """Have this done before anything else is handed in or sent; nothing, if it was not done yet."""
        self._first = do

    @contextmanager
    def renamed(self, names: Mapping[str, str]) -> Iterator[None]:
        """Until the block ends, whoever asks about a name is understood to speak of the other."""
        self.let()
        self._names = names
        try:
            yield
            self.let()
        finally:
            self._names = {}

    def owe(self, *statements: str) -> None:
        """Single statements without values whose errors may as well come with the next question."""
        self.let()
        self._owed += map(_Owed, statements)

    def plant(self, sql: Query, params: Params = None) -> None:
        """A single statement that makes what the next question needs: it raises `NotPlanted` where this is refused."""
        self.let()
        self._owed.append(_Owed(self.text(sql, params), planted=True))

    def save(self) -> None:
        """Begin a savepoint."""
        self.let()
        self._owed.append(_SAVED)

    def undo(self) -> None:
        """Roll the innermost savepoint back and leave it, after an error as well."""
        self.let()
        if _SAVED in self._owed:
            # Nothing of what came after it was sent either.
            last = len(self._owed) - 1 - self._owed[::-1].index(_SAVED)
            del self._owed[last:]
        else:
            # What was owed since would be undone with the rest; only the ends of savepoints further in are missed.
            self._owed = [one for one in self._owed if one is _UNDONE]
            self._owed.append(_UNDONE)

    def ask(self, sql: Query, params: Params = None, *behind: str) -> list[tuple[Any, ...]]:
        """Every row of the answer to the last statement that has one; `behind` are done after it, single statements.

        Raises:
            NotPlanted: a row that was planted before was refused.
            psycopg.Error: one of the statements was refused; those behind it were not done. Where it is no SQL at all,
                nothing was done, and the way back is the savepoint around the ones that went with it.
        """
        from psycopg.pq import ExecStatus

        self.let()
        answer = self._send(self.text(sql, params), *behind)[-1 - len(behind)]
        if answer.status != ExecStatus.TUPLES_OK:
            return []
        self._rows.set_pgresult(answer)
        return self._rows.load_rows(0, answer.ntuples, tuple)

    def forget(self) -> None:
        """What is owed belonged to a transaction that is over."""
        self._first = None
        self._owed.clear()

    def settle(self) -> None:
        """Send what is owed, so that the connection is as if nothing had ever waited.

        Raises:
            NotPlanted: a row that was planted was refused.
            psycopg.Error: one of the statements was refused.
        """
        self.let()
        if self._owed:
            self._send()

    def let(self) -> None:
        """Do what was to be done first; see `first`."""
        do, self._first = self._first, None
        if do is not None:
            do()

    def text(self, sql: Query, params: Params) -> str:
        """The statement with its values in it, of the objects that are meant."""
        text = sql if isinstance(sql, str) else sql.decode() if isinstance(sql, bytes) else sql.as_string(self.conn)
        if params is not None:
            text = self._values.put(text, params)
        for name, other in self._names.items():
            text = text.replace(name, other)
        return text

    def _send(self, *statements: str) -> list[PGresult]:
        """The results of what is owed and of these, one for each statement."""
        from psycopg import errors
        from psycopg.generators import execute
        from psycopg.pq import ExecStatus

        before, self._owed = self._owed, []
        message = _NEXT.join((*(one.text for one in before), *statements)).encode()
        # Neither kind of cursor keeps the results that came before an error, and they tell which statement it was.
        with self.conn.lock:
            self.conn.pgconn.send_query(message)
            results: list[PGresult] = self.conn.wait(execute(self.conn.pgconn))
        if results[-1].status != ExecStatus.FATAL_ERROR:
            return results
        error = errors.error_from_result(results[-1], self.conn.info.encoding)
        # Where a statement was answered it was read: then it is the body of a function that is no PL/pgSQL.
        if len(results) == 1 and _was_not_read(error):
            self._owed = before
            raise error
        refused = _owed_at(before, len(results) - 1)
        # A savepoint that was not reached is still to be left: as one that was never sent.
        self._owed = before[refused:] if before[refused:][:1] == [_SAVED] else before[refused + 1 :]
        if refused < len(before) and before[refused].planted:
            raise NotPlanted(error) from error
        raise error


def _owed_at(owed: Sequence[_Owed], at: int) -> int:
    """Which of these has the statement with that many before it; their number where it is of none."""
    for number, one in enumerate(owed):
        if at < one.statements:
            return number
        at -= one.statements
    return len(owed)


def _was_not_read(exc: psycopg.Error) -> bool:
    """Whether the message is no SQL: then the server has done none of it, not even what comes before the error."""
    return exc.diag.source_function == "scanner_yyerror" and not exc.diag.context
