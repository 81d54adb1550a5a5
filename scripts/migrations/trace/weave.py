"""The text of a file with a question woven in behind every statement that may take a lock.

Owns: where the questions stand, which result answers what, and the way back from the server's positions to the file's.
Promises: the file's own text is sent whole and in order; without questions the file's bytes are sent as they are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.migrations.trace.probe import AWAKE, CALM, NAMES_RESULTS
from scripts.migrations.trace.quiet import Quiet, builds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scripts.migrations.files import MigrationFile
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
        file: an ordinary one, parsed.
        questions: how they are put; None gives the file's own bytes.
        newest: the highest oid of a relation before the file; newer ones are not asked for.
        event_triggers: whether the database has any.
    """
    if questions is None:
        return Woven(file.data, file.statement_count, range(file.statement_count))
    statements = file.statements
    return _Loom(file.text, statements, questions, newest).woven(Quiet(statements, event_triggers=event_triggers))


class _Loom:
    """Puts the pieces together, and notes where each of them came from."""

    def __init__(self, text: str, statements: Sequence[Statement], questions: Questions, newest: int) -> None:
        self._text, self._statements, self._newest = text, statements, newest
        self._ask = questions
        self._pieces: list[str] = []
        self._length = self._results = 0
        self._sent: list[int] = []
        self._file: list[int] = []

    def woven(self, quiet: Quiet) -> Woven:
        """Every statement, and the questions."""
        statements, ask = self._statements, self._ask
        first, last = _first_question(statements), len(statements) - 1
        answers: list[int] = []
        probes: dict[int, int] = {}
        awake, toggles = False, not any(_quiets(statement) for statement in statements)
        done = 0
        for statement in statements:
            index, end = statement.index, statement.offset + len(statement.text)
            is_quiet = quiet.is_quiet(statement)
            wanted = not toggles or (awake if is_quiet and not builds(statement) else not is_quiet)
            if wanted != awake:
                self._piece(self._text[done : statement.offset], done)
                done = statement.offset
                self._insert((AWAKE if wanted else CALM) + ";\n", at=done)
                awake = wanted
            self._piece(self._text[done:end], done)
            done = end
            answers.append(self._results)
            self._results += 1
            if _quiets(statement):
                self._insert("\n;" + AWAKE, at=end)
            if index == last or (index >= first and not quiet.is_setting(statement)):
                probes[index] = self._results
                glances = is_quiet and index != last
                question = ask.glance() if glances else ask.probe(self._newest)
                self._insert("\n;" + question, at=end)
        self._insert("\n;" + ask.names(self._newest), at=done)
        self._results += NAMES_RESULTS - 1
        self._piece(self._text[done:], done)
        text = "".join(self._pieces).encode()
        return Woven(text, self._results, answers, probes, self._sent, self._file)

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
