"""Trace the ordinary files of one run.

Owns: the order of the steps: prepare the questions once, weave them into each file, read the answers, keep the picture
of the database true.
Promises: a trace never makes a migration fail: what the questions cannot find out is left out, and a file whose
questions fail is sent again without them by the caller (`Woven.is_probe`).
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.trace.effects import Judge, counts_rows
from scripts.migrations.trace.known import READ, Known, relations_of, value
from scripts.migrations.trace.messages import Listener, Told
from scripts.migrations.trace.model import FileTrace, HeldLock, StatementTrace
from scripts.migrations.trace.probe import FLUSH, UNPREPARED, Answer, Questions, read_answer
from scripts.migrations.trace.weave import Woven, weave
from scripts.migrations.trace.words import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from psycopg.pq.abc import PGresult

    from scripts.migrations.files import MigrationFile
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
        self._event_triggers = False
        text = f"{self._questions.preparation()};{FLUSH};{READ}"
        self._take(execute_batch(conn, text.encode())[-1], frozenset())
        conn.add_notice_handler(self._listener)

    def close(self) -> None:
        """Stop listening, and take the questions back when the connection still allows it."""
        self._conn.remove_notice_handler(self._listener)
        if not self._conn.closed and self._conn.info.transaction_status.name == "IDLE":
            with suppress(BatchError):  # a file may have dropped them
                execute_batch(self._conn, self._questions.removal().encode())

    def weave(self, file: MigrationFile, *, probes: bool = True) -> Woven:
        """What to send for a file: with the questions, or, without `probes`, as it is."""
        questions = self._questions if probes else None
        return weave(file, questions, newest=self._known.newest, event_triggers=self._event_triggers)

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
        reading = _Reading(self._known, self._listener, names)
        traced = reading.file(file, results, woven)
        self._read = (names, reading.locked)
        return traced

    def committed(self) -> None:
        """The transaction of the file that was read last is committed: what it made exists from now on."""
        if self._read is not None:
            names, locked = self._read
            self._take(names, locked)
        else:
            self.refresh()
        self._file = self._read = None

    def forget_prepared(self) -> None:
        """The session's prepared statements are gone, or will be after every file: put the questions in full."""
        self._questions = UNPREPARED

    def _take(self, names: PGresult, locked: frozenset[int]) -> None:
        self._known.update(value(names, 0), value(names, 1), locked=locked)
        self._event_triggers = value(names, 3) == b"t"

    def refresh(self) -> None:
        """Read all relations again: statements ran that were not traced."""
        results = execute_batch(self._conn, READ.encode())
        self._known = Known()
        self._take(results[-1], frozenset())


class _Reading:
    """One file's answers, statement by statement."""

    def __init__(self, known: Known, listener: Listener, names: PGresult) -> None:
        self._known, self._listener = known, listener
        self._sent = float(value(names, 2) or 0)
        new = relations_of(value(names, 0))
        self._new_names = frozenset(
            relation.name for oid, relation in new.items() if oid not in known.relations and relation.kind in "rmp"
        )
        self.locked: frozenset[int] = frozenset()

    def file(self, file: MigrationFile, results: Sequence[PGresult], woven: Woven) -> FileTrace:
        """Every statement, and what was held."""
        traces: list[StatementTrace] = []
        starts: dict[int, float] = {}
        last = Answer(self._sent, self._sent)
        for statement, at in zip(file.statements, woven.answers, strict=True):
            asked = woven.probes.get(statement.index)
            if asked is None:
                traces.append(_bare(statement, None))
                continue
            answer = read_answer(results[asked], last)
            starts[statement.index] = last.ended
            duration_us = max(0, round((answer.began - last.ended) * 1_000_000))
            told = self._listener.told_of(statement.index)
            if not answer.changed and told is None and not counts_rows(statement.kind):
                traces.append(_bare(statement, duration_us))
            else:
                judge = Judge(
                    self._known,
                    before=last,
                    after=answer,
                    told=told or Told(),
                    kind=statement.kind,
                    new_names=self._new_names,
                )
                traces.append(_traced(statement, judge, duration_us, results[at].command_tuples))
            last = answer
        self.locked = frozenset(last.relations) & self._known.relations.keys()
        return FileTrace(tuple(traces), _held(traces, starts, last.began), self._listener.unplaced)


def _traced(statement: Statement, judge: Judge, duration_us: int, tagged: int | None) -> StatementTrace:
    return StatementTrace(
        statement.index,
        statement.line,
        words_of(statement),
        duration_us,
        locks=judge.locks(),
        effect=judge.effect(),
        rewritten=judge.labels(judge.rewritten),
        truncated=judge.labels(judge.truncated),
        scanned=judge.labels(judge.scanned),
        built=tuple(sorted(judge.built)),
        proved=tuple(judge.told.proved),
        rows=judge.rows(tagged),
        notices=tuple(judge.told.notices),
    )


def _bare(statement: Statement, duration_us: int | None) -> StatementTrace:
    """One that locked nothing and of which nothing was told. None: a setting."""
    return StatementTrace(statement.index, statement.line, words_of(statement), duration_us)


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
