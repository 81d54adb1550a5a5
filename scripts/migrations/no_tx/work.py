"""One no_tx file under way: what is sent, what is noted of it, and what was found instead of done.

Owns: `Work`, and the order of journal and statement.
Promises: `started` is in the journal before anything of a statement is sent, and never for a statement of which nothing
    is sent; so an entry says that what is found under the statement's name may be ours, and no entry that it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.ledger.journal import JournalEntry, done_sql, forget_sql, started_sql
from scripts.migrations.ledger.table import OWN_PATH
from scripts.migrations.model import rows_changed
from scripts.migrations.told.warned import Warnings
from scripts.parser.statements import Positions

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from psycopg.pq.abc import PGresult

    from scripts.migrations.batch import Watch
    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.model import Run
    from scripts.migrations.trace.model import StatementTrace
    from scripts.migrations.waiting.observer import Watching
    from scripts.parser.statements import Statement
    from scripts.settings import Settings


class RunnersOwnError(Exception):
    """The server refused what the runner said of itself: no statement of the file is to blame."""

    def __init__(self, error: psycopg.Error) -> None:
        super().__init__()
        self.error = error


@dataclass
class Work:
    """One no_tx file under way.

    journal: what an earlier run noted of its statements, and what this one has. notes: what was found instead of done.
    watching: the one who looks on while a statement runs. statement: the one at hand.
    settings, unsaid: SQL of the runner's own that goes with its next message: what the session is set to, and the rest.
    """

    run: Run
    file: MigrationFile
    journal: dict[int, JournalEntry]
    watching: Watching
    settings: bytes
    unsaid: bytes = b""
    statement: Statement | None = None
    notes: list[str] = field(default_factory=list)
    traces: list[StatementTrace] = field(default_factory=list)
    attempts: int = 1

    @property
    def conn(self) -> psycopg.Connection[Any]:
        """The connection that runs the statements."""
        return self.run.conn

    @property
    def budgets(self) -> Settings:
        """How long locks, statements and builds may take, and how often is tried."""
        return self.run.settings

    def note(self, text: str) -> None:
        """Keep and tell."""
        self.notes.append(text)
        self.run.report(f"{self.file.name}: {text}")

    def where(self, statement: Statement) -> str:
        """file:line:column."""
        return Positions(self.file.text).label(self.file.name, statement.offset)

    def was_begun(self, statement: Statement) -> bool:
        """Whether an earlier run, or an earlier try of this one, has sent this very statement."""
        entry = self.journal.get(statement.index)
        return entry is not None and entry.digest == statement.digest

    def was_done(self, statement: Statement) -> bool:
        """Whether the journal says that this very statement has ended."""
        entry = self.journal.get(statement.index)
        return entry is not None and entry.done and entry.digest == statement.digest

    def begin_if_free(self, statement: Statement, name: str) -> bool:
        """Note that a statement will be sent, unless something has the name that it gives; whether it was noted.

        Args:
            statement: of which nothing was noted yet.
            name: quoted and qualified.
        """
        text = started_sql(self.conn, self.file.name, statement.index, statement.digest, if_free=name)
        if rows_changed(self.say(text)[-1]) == 0:
            return False
        self.journal[statement.index] = JournalEntry(statement.digest, done=False)
        return True

    def send(self, text: str) -> None:
        """Run one statement of the runner's own, on behalf of the one at hand; its errors are the driver's."""
        self._begin()
        self._execute(text, self.watching)

    def send_traced(self, statement: Statement, text: str | None = None) -> None:
        """Run a statement of the file, watched and, if so wished, traced.

        Args:
            statement: of the file.
            text: what is sent, when it is not the statement's own text.
        """
        sent = statement.text if text is None else text
        if self.run.tracer is None:
            self.send(sent)
            return
        self._begin()
        with self.run.tracer.phase_watch(statement, beside=self.watching) as watch:
            self._execute(sent, watch)
        self.traces.append(watch.trace())

    def done(self, statement: Statement) -> None:
        """Note that a statement is done; it is said with the next message."""
        self.journal[statement.index] = JournalEntry(statement.digest, done=True)
        self.unsaid += done_sql(self.conn, self.file.name, statement.index, statement.digest) + b";\n"

    def forget(self, statement: Statement) -> None:
        """Take back that a statement was begun: the server refused it, and nothing of it is left."""
        if self.journal.pop(statement.index, None) is not None:
            self.unsaid += forget_sql(self.conn, self.file.name, statement.index) + b";\n"

    def say(self, text: bytes = b"", *, meanwhile: Callable[[], None] | None = None) -> list[PGresult]:
        """Send what is unsaid, and a text of the runner's own behind it; one message, and so one transaction.

        Args:
            text: may be empty; then only what is unsaid is sent.
            meanwhile: what is done while the server does its work.

        Raises:
            RunnersOwnError: the server refused it.
        """
        if not self.settings and not self.unsaid and not text:
            return []
        try:
            # What a statement set off, an event trigger, may have made the session somebody else.
            before = self.settings or self.run.session.own_role + b";\n"
            results = execute_batch(self.conn, before + OWN_PATH + self.unsaid + text, meanwhile=meanwhile)
        except BatchError as exc:
            raise RunnersOwnError(exc.error) from None
        self.settings = self.unsaid = b""
        return results

    def _execute(self, text: str, watch: Watch) -> None:
        """Send a statement, and note what the server warns of meanwhile."""
        warnings = Warnings()
        try:
            with warnings.heard_on(self.conn):
                execute_batch(self.conn, text.encode(), watch=watch)
        except BatchError as exc:
            raise exc.error from None
        finally:
            line = "" if self.statement is None else f"line {self.statement.line}: "
            for note in warnings.notes(self.conn, self.file.text):
                self.note(line + note)

    def _begin(self) -> None:
        statement = self.statement
        if statement is None or self.was_begun(statement):
            # Nothing new to note; but the session may not be what a build needs yet.
            self.say()
            return
        self.say(started_sql(self.conn, self.file.name, statement.index, statement.digest))
        self.journal[statement.index] = JournalEntry(statement.digest, done=False)
