"""The text of a file with a question woven in behind every statement that may take a lock.

Owns: where the questions stand, which result answers what, and the way back from the server's positions to the file's.
Promises: the file's own text is sent whole and in order; without questions the file's bytes are sent as they are.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.migrations.trace.probe import AWAKE, UNPREPARED

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    probes: for every question, the results' index of it and the index of the statement before it.
    """

    text: bytes
    results: int
    probes: tuple[tuple[int, int], ...] = ()
    _answers: tuple[int | None, ...] = ()
    _sent: tuple[int, ...] = (0,)
    _file: tuple[int, ...] = (0,)

    def statement_of(self, result_index: int) -> int | None:
        """The statement that a result answers; None for a question's, and for what was sent behind the file."""
        if result_index >= self.results:
            return None
        return self._answers[result_index] if self._answers else result_index

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


def weave(file: MigrationFile, questions: Questions | None, *, newest: int = 0) -> Woven:
    """Put a question behind every statement that may take a lock on a relation.

    Args:
        file: an ordinary one, parsed.
        questions: how they are put; None gives the file's own bytes.
        newest: the highest oid of a relation before the file; newer ones are not asked for.
    """
    statements = file.statements
    if questions is None:
        return Woven(file.data, len(statements))
    return _Loom(file.text, statements, questions, newest).woven()


class _Loom:
    """Puts the pieces together, and notes where each of them came from."""

    def __init__(self, text: str, statements: Sequence[Statement], questions: Questions, newest: int) -> None:
        self._text, self._statements, self._newest = text, statements, newest
        forgetful = any(_forgets_prepared(statement) for statement in statements)
        self._ask = UNPREPARED if forgetful else questions
        self._pieces: list[str] = []
        self._length = 0
        self._sent: list[int] = []
        self._file: list[int] = []
        self._answers: list[int | None] = []
        self._probes: list[tuple[int, int]] = []

    def woven(self) -> Woven:
        """Every statement, and the questions."""
        ask = self._ask
        first = _first_question(self._statements)
        self._insert(AWAKE + ";\n", at=0)
        self._answers.append(None)
        done = 0
        last = len(self._statements) - 1
        for statement in self._statements:
            end = statement.offset + len(statement.text)
            self._copy(done, end)
            done = end
            self._answers.append(statement.index)
            if _quiets(statement):
                self._insert("\n;" + AWAKE, at=end)
                self._answers.append(None)
            if statement.index == last or (statement.index >= first and may_lock(statement)):
                self._probes.append((len(self._answers), statement.index))
                self._insert("\n;" + ask.probe(self._newest, statement.index), at=end)
                self._answers.append(None)
        self._insert("\n;" + ask.names(self._newest), at=done)
        self._answers.append(None)
        self._copy(done, len(self._text))
        return Woven(
            "".join(self._pieces).encode(),
            len(self._answers),
            tuple(self._probes),
            tuple(self._answers),
            tuple(self._sent),
            tuple(self._file),
        )

    def _copy(self, start: int, end: int) -> None:
        self._piece(self._text[start:end], start)

    def _insert(self, text: str, *, at: int) -> None:
        self._piece(text, at)

    def _piece(self, text: str, offset: int) -> None:
        self._sent.append(self._length)
        self._file.append(offset)
        self._pieces.append(text)
        self._length += len(text)


def may_lock(statement: Statement) -> bool:
    """Whether a statement can take a lock on a relation, or do anything else worth a question. Settings cannot."""
    return statement.kind not in ("VariableSetStmt", "VariableShowStmt", "DeallocateStmt")


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


def _forgets_prepared(statement: Statement) -> bool:
    return statement.kind in ("DeallocateStmt", "DiscardStmt")
