"""The text of a file with a question woven in behind every statement that may take a lock.

Owns: where the questions stand, which result answers what, and the way back from the server's positions to the file's.
Promises: the file's own text is sent whole and in order; without questions the file's bytes are sent as they are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.migrations.trace.handlers import Handlers
from scripts.migrations.trace.probe import AWAKE, CALM, END_RESULTS
from scripts.migrations.trace.quiet import Quiet, builds
from scripts.migrations.trace.words import words_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.trace.probe import Questions
    from scripts.parser.statements import Statement

# Settings that the server refuses once a query has run in the transaction.
_BEFORE_ANY_QUERY = frozenset(
    {"transaction", "transaction snapshot", "transaction_isolation", "transaction_deferrable"}
)


@dataclass(frozen=True, slots=True)
class Woven:
    """What is sent for a file.

    text: UTF-8. results: how many results answer it.
    answers: for every statement, its result's index. probes: the index of the answer to the question behind a
    statement, by the statement's.
    """

    text: bytes
    results: int
    answers: Sequence[int]
    probes: Mapping[int, int] = field(default_factory=dict)
    _sent: Sequence[int] = (0,)
    _file: Sequence[int] = (0,)

    def statement_of(self, result_index: int) -> int | None:
        """The statement that a result answers; None for a question's, and for what was sent behind the file."""
        at = bisect_left(self.answers, result_index)
        return at if at < len(self.answers) and self.answers[at] == result_index else None

    def is_probe(self, result_index: int) -> bool:
        """Whether a result answers a question of the tracer."""
        return result_index < self.results and self.statement_of(result_index) is None

    def to_file_offset(self, sent_position: int) -> int:
        """The file's character offset for one of the text that was sent, both from 0.

        A place inside a question gives the place where the question stands.
        """
        piece = bisect_right(self._sent, sent_position) - 1
        offset = self._file[piece] + sent_position - self._sent[piece]
        if piece + 1 < len(self._file):
            offset = min(offset, self._file[piece + 1])
        return offset


def weave(file: MigrationFile, questions: Questions | None, *, newest: int = 0, event_triggers: bool = False) -> Woven:
    """Put a question behind every statement that may take a lock on a relation.

    Args:
        file: an ordinary one.
        questions: how they are put; None gives the file's own bytes.
        newest: the highest oid of a relation before the file; newer ones are not asked for.
        event_triggers: whether the database has any.
    """
    if questions is None:
        return Woven(file.data, file.statement_count, range(file.statement_count))
    return Draft(file, questions, event_triggers=event_triggers).woven(newest)


class Draft:
    """A woven text, but for the highest oid: it can be made while the server is still busy with the file before.

    renames: whether relations may have other names when the file has run, as the tracer judges it. handlers: what of
        the file catches errors. words: how each statement begins.
    """

    def __init__(self, file: MigrationFile, questions: Questions, *, event_triggers: bool) -> None:
        self.file, self.questions, self.event_triggers = file, questions, event_triggers
        self.renames = False
        self.handlers = Handlers(file)
        self.words = [words_of(statement) for statement in file.statements]
        self._text, self._statements = file.text, file.statements
        self._pieces: list[str] = []
        self._length = self._results = 0
        self._sent: list[int] = []
        self._file: list[int] = []
        self._answers: list[int] = []
        # By statement: its question's result, and its piece when it holds the oid.
        self._probes: dict[int, int] = {}
        self._open: list[int] = []
        # Whether any of the statements may have locked what existed before.
        self._is_loud = False
        self._put_together(Quiet(self._statements, event_triggers=event_triggers))

    def woven(self, newest: int) -> Woven:
        """The text for a database whose newest relation has this oid."""
        for piece in self._open:
            self._pieces[piece] = "\n;" + self.questions.probe(newest)
        end = "\n;" + (self.questions.end(newest) if self._is_loud else self.questions.names(newest))
        text = "".join((*self._pieces[:-1], end, self._pieces[-1])).encode()
        return Woven(
            text,
            self._results + END_RESULTS,
            self._answers,
            self._probes,
            [*self._sent[:-1], self._sent[-1], self._sent[-1] + len(end)],
            [*self._file[:-1], self._file[-1], self._file[-1]],
        )

    def _put_together(self, quiet: Quiet) -> None:
        statements, ask = self._statements, self.questions
        first, last = _first_question(statements), len(statements) - 1
        awake, toggles = False, not any(_quiets(statement) for statement in statements)
        done = 0
        for statement in statements:
            index, end = statement.index, statement.offset + len(statement.text)
            is_quiet = quiet.is_quiet(statement)
            self._is_loud = self._is_loud or not is_quiet
            is_mute = is_quiet or quiet.tells_nothing(statement)
            wanted = not toggles or (awake if is_quiet and not builds(statement) else not is_mute)
            if wanted != awake:
                self._piece(self._text[done : statement.offset], done)
                done = statement.offset
                self._insert((AWAKE if wanted else CALM) + ";\n", at=done)
                awake = wanted
            self._piece(self._text[done:end], done)
            done = end
            self._answers.append(self._results)
            self._results += 1
            if _quiets(statement):
                self._insert("\n;" + AWAKE, at=end)
            if index == last or (index >= first and not quiet.is_setting(statement)):
                self._probes[index] = self._results
                if is_quiet or index == last:  # behind the last one, the question at the end asks for locks
                    self._insert("\n;" + ask.glance(), at=end)
                else:
                    self._open.append(len(self._pieces))
                    self._insert("\n;" + ask.probe(0), at=end)
        self._piece(self._text[done:], done)

    def _insert(self, text: str, *, at: int) -> None:
        self._piece(text, at)
        self._results += 1

    def _piece(self, text: str, offset: int) -> None:
        self._sent.append(self._length)
        self._file.append(offset)
        self._pieces.append(text)
        self._length += len(text)


def _first_question(statements: Sequence[Statement]) -> int:
    """The first statement that may be followed by a question: SET TRANSACTION must come before any query."""
    first = 0
    for statement in statements:
        if statement.kind == "VariableSetStmt" and statement.node.name.lower() in _BEFORE_ANY_QUERY:
            first = statement.index
    return first


def _quiets(statement: Statement) -> bool:
    """Whether a statement may keep the server's messages from the tracer."""
    node = statement.node
    return statement.kind == "VariableSetStmt" and node.name.lower() in ("", "client_min_messages")


def forgets_prepared(statements: Sequence[Statement]) -> bool:
    """Whether the session may have lost its prepared statements when the file has run, or while it runs."""
    return any(statement.kind in ("DeallocateStmt", "DiscardStmt") for statement in statements)
