"""One no_tx file under way: what is sent, what is noted of it, and what was found instead of done.

Owns: `Work`, and the order of journal and statement.
Promises: `started` is in the journal before anything of a statement is sent, and never for a statement of which nothing
    is sent; so an entry says that what is found under the statement's name may be ours, and no entry that it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.ledger.journal import JournalEntry, Note, done, forgotten, started
from scripts.migrations.ledger.records import NO_SUCH_PREPARED, PLAN_ONCE
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
    settings, unsaid: what goes with the runner's next message: what the session is set to, and what is to be noted.
    """

    run: Run
    file: MigrationFile
    journal: dict[int, JournalEntry]
    watching: Watching
    settings: bytes
    unsaid: list[Note] = field(default_factory=list)
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
        note = started(self.conn, self.file.name, statement.index, statement.digest, if_free=name)
        if rows_changed(self.say(note=note)[-1]) == 0:
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
        self.unsaid.append(done(self.conn, self.file.name, statement.index, statement.digest))

    def forget(self, statement: Statement) -> None:
        """Take back that a statement was begun: the server refused it, and nothing of it is left."""
        if self.journal.pop(statement.index, None) is not None:
            self.unsaid.append(forgotten(self.conn, self.file.name, statement.index))

    def say(
        self,
        text: Callable[[], bytes] | None = None,
        *,
        note: Note | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> list[PGresult]:
        """Send what is unsaid, and what else the runner has to say behind it; one message, and so one transaction.

        Args:
            text: makes SQL, which may count on what the session has prepared unless its `forgets_prepared` says no.
            note: of what is about to be sent; it is not kept where it was refused.
            meanwhile: what is done while the server does its work.

        Raises:
            RunnersOwnError: the server refused it.
        """
        notes = [*self.unsaid, *filter(None, [note])]
        if not self.settings and not notes and text is None:
            return []
        try:
            results = self._said(notes, text, meanwhile)
        except BatchError as exc:
            if exc.error.sqlstate != NO_SUCH_PREPARED or self.run.session.forgets_prepared:
                raise RunnersOwnError(exc.error) from None
            # A statement has dropped what we had prepared without saying so.
            self.run.session.forgets_prepared = True
            try:
                results = self._said(notes, text, meanwhile)
            except BatchError as again:
                raise RunnersOwnError(again.error) from None
        self.settings = b""
        self.unsaid.clear()
        return results

    def _said(
        self, notes: list[Note], text: Callable[[], bytes] | None, meanwhile: Callable[[], None] | None
    ) -> list[PGresult]:
        session = self.run.session
        # What a statement set off, an event trigger, may have made the session somebody else.
        before = (self.settings or session.own_role + b";\n") + OWN_PATH + PLAN_ONCE
        told = [note.in_full if session.forgets_prepared else note.prepared for note in notes]
        if text is not None:
            told.append(text())
        return execute_batch(self.conn, before + b";\n".join(told), meanwhile=meanwhile)

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
        self.say(note=started(self.conn, self.file.name, statement.index, statement.digest))
        self.journal[statement.index] = JournalEntry(statement.digest, done=False)
