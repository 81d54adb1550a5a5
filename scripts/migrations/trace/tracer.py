"""Trace the files of one run.

Owns: the order of the steps: prepare the questions once, weave them into each file, read the answers, keep the picture
of the database true.
Promises: a trace never makes a migration fail: what the questions cannot find out is left out, and a file whose
questions fail is sent again without them by the caller (`Woven.is_probe`).
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from scripts.errors.base import ProjectError
from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.trace.known import Known, read_relations, value
from scripts.migrations.trace.messages import Listener
from scripts.migrations.trace.model import FileTrace
from scripts.migrations.trace.phases import Onlooker, PhaseWatch
from scripts.migrations.trace.probe import FILES, FLUSH, HAS_EVENT_TRIGGERS, UNPREPARED, Questions
from scripts.migrations.trace.reading import Reading
from scripts.migrations.trace.renames import renames_unlocked
from scripts.migrations.trace.touched import CHOOSING, read_files, touched_between
from scripts.migrations.trace.weave import Draft, Woven, forgets_prepared, weave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg
    from psycopg.pq.abc import PGresult

    from scripts.migrations.batch import Watch
    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.trace.touched import Files
    from scripts.parser.statements import Statement

_numbers = itertools.count(1)
# Statements outside a transaction that give a relation another file, name or owner, or take it away.
_NEW_FILES = frozenset({"ReindexStmt", "VacuumStmt", "ClusterStmt", "DropStmt", "AlterTableStmt"})


class Tracer:
    """Traces one file after the other on one connection: weave, begin, read, committed."""

    def __init__(self, conn: psycopg.Connection[Any], files: Sequence[MigrationFile] = ()) -> None:
        """Read the relations that exist, prepare the questions, and listen.

        Args:
            conn: in autocommit, outside a transaction.
            files: those that will run, in order; the first one is prepared while the server answers.

        Raises:
            psycopg.Error: the connection is lost.
        """
        import psycopg

        self._conn = conn
        self._known = Known()
        self._listener = Listener()
        self._prepared = self._questions = Questions(f"parity trace {next(_numbers)}")
        self._file: MigrationFile | None = None
        # Of the file at hand, and of the one behind it.
        self._draft: Draft | None = None
        self._following: Draft | None = None
        self._ahead = 0
        self._results: list[PGresult] = []
        self._read: Reading | None = None
        self._event_triggers = self._stale = self._closed = False
        self._onlooker = Onlooker(conn)
        # Where the server lets nobody ask, files are sent as they are.
        self._blind = False
        try:
            begin = partial(self.ahead, files[0]) if files else lambda: None
            self.refresh(first=f"{self._prepared.preparation()};{FLUSH};", meanwhile=begin)
        except psycopg.Error:
            if conn.closed or conn.broken:
                raise
            self._blind = True
        conn.add_notice_handler(self._listener)

    def close(self, *, removes: bool = True) -> None:
        """Stop listening, and take the questions back when the connection still allows it.

        Args:
            removes: False where the session is about to drop all that it has prepared.
        """
        self._onlooker.close()
        if self._closed:
            return
        self._closed = True
        self._conn.remove_notice_handler(self._listener)
        if removes and not self._conn.closed and self._conn.info.transaction_status.name == "IDLE":
            with suppress(BatchError):  # a file may have dropped them
                execute_batch(self._conn, self._prepared.removal().encode())

    def weave(self, file: MigrationFile, *, probes: bool = True) -> Woven:
        """What to send for a file: with the questions, or, without `probes`, as it is.

        Without, because the questions failed: the session may have lost them, and they are put in full from now on.
        """
        if not probes or forgets_prepared(file.statements):
            self.forget_prepared()
        draft, self._following = self._following, None
        if not probes or self._blind:
            self._draft = None
            return weave(file, None)
        if draft is None or (draft.file, draft.questions, draft.event_triggers) != self._wanted(file):
            draft = self._drafted(file)
        self._draft = draft
        return draft.woven(self._known.newest)

    def ahead(self, following: MigrationFile | None) -> None:
        """Prepare the text of the next file, if any, while the server is busy with something else."""
        if following is None or self._blind:
            return
        with suppress(ProjectError):  # what is wrong with a file is said when its turn comes
            if following.no_tx:
                return
            self._following = self._drafted(following)

    def _drafted(self, file: MigrationFile) -> Draft:
        draft = Draft(file, self._questions, event_triggers=self._event_triggers)
        draft.renames = renames_unlocked(file)
        draft.handlers.prepare()
        return draft

    def _wanted(self, file: MigrationFile) -> tuple[MigrationFile, Questions, bool]:
        return file, self._questions, self._event_triggers

    def begin(self, file: MigrationFile, *, ahead: int = 0) -> list[PGresult]:
        """A file is about to be sent, for the first time or again.

        Args:
            file: it.
            ahead: how many statements are sent in one message before its text, such as BEGIN.

        Returns:
            An empty list, for `execute_batch(into=…)`: by what it holds a message of the server finds its statement.
        """
        self._file, self._read, self._ahead = file, None, ahead
        self._results = []
        self._listener.begin(file.text, self._results)
        return self._results

    def look(self, woven: Woven) -> None:
        """Read the answers that have come, while the server is busy with the rest; none of them is an error's.

        Args:
            woven: the text that was sent.
        """
        if self._draft is not None:
            self._reading(self._draft, woven).take(self._results, skip=self._ahead)

    def _reading(self, draft: Draft, woven: Woven) -> Reading:
        if self._read is None:
            self._read = Reading(self._known, self._listener, draft, woven, ahead=self._ahead)
        return self._read

    def read(self, results: Sequence[PGresult], woven: Woven) -> FileTrace:
        """What the file did, from the answers to its text.

        Args:
            results: of the text that was sent; more may follow those of the file.
            woven: the text.
        """
        if self._file is None:
            msg = "read() comes after begin()"
            raise RuntimeError(msg)
        self._listener.end()
        draft = self._draft
        if draft is None or not woven.probes:
            self._stale = True
            return FileTrace((), unplaced=self._listener.notices, complete=False)
        reading = self._reading(draft, woven)
        trace = reading.finished(results)
        self._stale = self._stale or draft.renames or reading.is_stale
        return trace

    def committed(self) -> None:
        """The transaction of the file that was read last is committed: what it made exists from now on."""
        if self._read is not None:
            self._known.update(self._read.found, asked=self._read.changing)
        elif not (self._stale or self._blind):  # a no_tx file that changed nothing we know, but may have made an index
            self._known.update(read_relations(self._ask_names()[-1]))
        if self._stale and not self._blind:
            self.refresh()
        self._file = self._read = None

    @contextmanager
    def phase_watch(self, statement: Statement, *, beside: Watch | None = None) -> Iterator[PhaseWatch]:
        """Look on while a statement of a no_tx file runs.

        Args:
            statement: of the file.
            beside: another one who looks on; it is asked at its own pace.

        Yields:
            The watch, for `execute_batch`; its `trace()` is the statement's record afterwards.
        """
        self._stale = self._stale or statement.kind in _NEW_FILES
        before = self._files() if statement.kind in CHOOSING else None
        self._listener.begin(statement.text)
        watch = PhaseWatch(statement, self._known, self._onlooker, beside)
        try:
            yield watch
        finally:
            watch.end(self._listener.notices)
            self._listener.end()
        after = None if before is None else self._files()
        if before is not None and after is not None:
            watch.found(touched_between(before, after))

    def _files(self) -> Files | None:
        """The relations and their files as they are now; None where the server lets nobody ask."""
        import psycopg

        try:
            return read_files(self._ask(FILES)[-1])
        except psycopg.Error:
            return None

    def forget_prepared(self) -> None:
        """The session's prepared statements are gone, or will be after every file: put the questions in full."""
        self._questions = UNPREPARED

    def refresh(self, *, first: str = "", meanwhile: Callable[[], None] | None = None) -> None:
        """Read all relations again: statements ran that were not traced, or that give them all another name.

        Args:
            first: SQL that is sent before the question.
            meanwhile: what is done while the server answers.
        """
        self._known, self._stale = Known(), False
        *_, names, event_triggers = self._ask_names(first=first, last=f";{HAS_EVENT_TRIGGERS}", meanwhile=meanwhile)
        self._known.update(read_relations(names))
        self._event_triggers = value(event_triggers, 0) == b"t"

    def _ask_names(
        self, *, first: str = "", last: str = "", meanwhile: Callable[[], None] | None = None
    ) -> list[PGresult]:
        """The answers to the question for names, and to what is sent with it, as the tracer's own message."""
        import psycopg

        try:
            return self._ask(f"{first}{self._questions.names(self._known.newest)}{last}", meanwhile)
        except psycopg.errors.InvalidSqlStatementName:
            # An event trigger, or a function of an earlier run, has dropped them.
            self.forget_prepared()
            return self._ask(f"{self._questions.names(self._known.newest)}{last}")

    def _ask(self, message: str, meanwhile: Callable[[], None] | None = None) -> list[PGresult]:
        try:
            return execute_batch(self._conn, message.encode(), meanwhile=meanwhile)
        except BatchError as exc:
            raise exc.error from None
