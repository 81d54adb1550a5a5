"""Trace the ordinary files of one run.

Owns: the order of the steps: prepare the questions once, weave them into each file, read the answers, keep the picture
of the database true.
Promises: a trace never makes a migration fail: what the questions cannot find out is left out, and a file whose
questions fail is sent again without them by the caller (`Woven.is_probe`).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from scripts.migrations.batch import execute_batch
from scripts.migrations.runnable import statement_words
from scripts.migrations.trace.effects import Judge
from scripts.migrations.trace.known import READ_RELATIONS, READ_SCHEMAS, Known, relations_of, value
from scripts.migrations.trace.messages import Listener, Told
from scripts.migrations.trace.model import FileTrace, HeldLock, StatementTrace
from scripts.migrations.trace.probe import FLUSH, Questions, read_answer
from scripts.migrations.trace.weave import Woven, weave

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from psycopg.pq.abc import PGresult

    from scripts.migrations.files import MigrationFile
    from scripts.migrations.trace.probe import Answer, Seen
    from scripts.parser.statements import Statement

_numbers = itertools.count(1)
_EXCLUSIVE = "AccessExclusiveLock"
# What traffic uses by name: tables, partitioned ones, materialized and other views, foreign tables.
_ANSWERS_TRAFFIC = frozenset("rpmvf")


class Tracer:
    """Traces one file after the other on one connection: weave, begin, read, committed."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        """Read the relations that exist, prepare the questions, and listen.

        Args:
            conn: in autocommit, outside a transaction.

        Raises:
            psycopg.Error: the connection is lost.
        """
        self._conn = conn
        self._known = Known()
        self._listener = Listener()
        self._questions: Questions = Questions(f"parity trace {next(_numbers)}")
        self._file: MigrationFile | None = None
        self._read: tuple[PGresult, frozenset[int]] | None = None
        text = f"{self._questions.preparation()};{FLUSH};{READ_RELATIONS};{READ_SCHEMAS}"
        results = execute_batch(conn, text.encode())
        self._known.update(value(results[-2], 0), value(results[-1], 0))
        conn.add_notice_handler(self._listener)

    def close(self) -> None:
        """Stop listening, and take the questions back when the connection still allows it."""
        self._conn.remove_notice_handler(self._listener)
        if not self._conn.closed and self._conn.info.transaction_status.name == "IDLE":
            execute_batch(self._conn, self._questions.removal().encode())

    def weave(self, file: MigrationFile, *, probes: bool = True) -> Woven:
        """What to send for a file: with the questions, or, without `probes`, as it is."""
        return weave(file, self._questions if probes else None, newest=self._known.newest)

    def begin(self, file: MigrationFile) -> None:
        """A file is about to be sent, for the first time or again."""
        self._file, self._read = file, None
        self._listener.begin(file.text)

    def read(self, results: Sequence[PGresult], woven: Woven) -> FileTrace:
        """What the file did, from the answers to its text.

        Args:
            results: of the text that was sent; more may follow those of the file.
            woven: the text.
        """
        file = self._file
        if file is None:
            msg = "read() comes after begin()"
            raise RuntimeError(msg)
        self._listener.end()
        if not woven.probes:
            return FileTrace((), unplaced=self._listener.unplaced, complete=False)
        names = results[woven.results - 1]
        reading = _Reading(self._known, self._listener, value(names, 0))
        traced = reading.file(file, results, woven)
        self._read = (names, reading.locked)
        return traced

    def committed(self) -> None:
        """The transaction of the file that was read last is committed: what it made exists from now on."""
        if self._read is not None:
            names, locked = self._read
            self._known.update(value(names, 0), value(names, 1), locked=locked)
        else:
            self.refresh()
        self._file = self._read = None

    def refresh(self) -> None:
        """Read the relations again: statements ran that were not traced."""
        results = execute_batch(self._conn, f"{READ_RELATIONS};{READ_SCHEMAS}".encode())
        self._known = Known()
        self._known.update(value(results[0], 0), value(results[1], 0))


class _Reading:
    """One file's answers, statement by statement."""

    def __init__(self, known: Known, listener: Listener, names: bytes | None) -> None:
        self._known, self._listener = known, listener
        new = relations_of(names)
        self._new_names = frozenset(
            relation.name for oid, relation in new.items() if oid not in known.relations and relation.kind in "rmp"
        )
        self.locked: frozenset[int] = frozenset()

    def file(self, file: MigrationFile, results: Sequence[PGresult], woven: Woven) -> FileTrace:
        """Every statement, and what was held."""
        asked = {statement: result for result, statement in woven.probes}
        traces: list[StatementTrace] = []
        starts: dict[int, float] = {}
        seen: dict[int, Seen] = {}
        text: bytes | None = None
        last: Answer | None = None
        answered = [index for index in range(woven.results) if woven.statement_of(index) is not None]
        for statement, at in zip(file.statements, answered, strict=True):
            if statement.index not in asked:
                traces.append(_bare(statement))
                continue
            answer, text = read_answer(results[asked[statement.index]], (text, seen))
            starts[statement.index] = answer.sent if last is None else last.ended
            told = self._listener.told_of(statement.index)
            judge = Judge(
                self._known,
                before=seen,
                after=answer.relations,
                told=told,
                kind=statement.kind,
                new_names=self._new_names,
            )
            traces.append(_traced(statement, judge, told, answer.began - starts[statement.index], results[at]))
            seen, last = answer.relations, answer
        self.locked = frozenset(seen) & self._known.relations.keys()
        ended = last.began if last else 0.0
        return FileTrace(tuple(traces), _held(traces, starts, ended), self._listener.unplaced)


def _traced(statement: Statement, judge: Judge, told: Told, seconds: float, result: PGresult) -> StatementTrace:
    return StatementTrace(
        statement.index,
        statement.line,
        statement_words(statement),
        max(0, round(seconds * 1_000_000)),
        locks=judge.locks(),
        effect=judge.effect(),
        rewritten=judge.labels(judge.rewritten()),
        truncated=judge.labels(judge.truncated()),
        scanned=judge.labels(judge.scanned()),
        built=tuple(sorted(judge.built())),
        proved=tuple(told.proved),
        rows=judge.rows(result.command_tuples),
        notices=tuple(told.notices),
    )


def _bare(statement: Statement) -> StatementTrace:
    """A setting: it locks nothing, and its time counts with the next statement's."""
    return StatementTrace(statement.index, statement.line, statement_words(statement), None)


def _held(traces: Sequence[StatementTrace], starts: dict[int, float], ended: float) -> tuple[HeldLock, ...]:
    last = traces[-1].index if traces else 0
    return tuple(
        HeldLock(
            lock.relation,
            trace.index,
            last - trace.index,
            max(0, round((ended - starts[trace.index]) * 1_000_000)),
        )
        for trace in traces
        for lock in trace.locks
        if lock.mode == _EXCLUSIVE and lock.relkind in _ANSWERS_TRAFFIC
    )
