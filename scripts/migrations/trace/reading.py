"""From the answers to a woven text to a trace of its file.

Owns: which answer belongs to which statement, how long each took, and what was held while later ones ran.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.migrations.trace.effects import Judge, Names, counts_rows
from scripts.migrations.trace.known import Known, read_relations, value
from scripts.migrations.trace.messages import Listener, Told
from scripts.migrations.trace.model import FileTrace, HeldLock, StatementTrace
from scripts.migrations.trace.probe import CHANGING, Answer, clock_of, read_answer
from scripts.migrations.trace.words import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.pq.abc import PGresult

    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.trace.handlers import Handlers
    from scripts.migrations.trace.weave import Woven
    from scripts.parser.statements import Statement

_EXCLUSIVE = "AccessExclusiveLock"
# What traffic uses by name: tables, partitioned ones, materialized and other views, foreign tables.
_ANSWERS_TRAFFIC = frozenset("rpmvf")


class Reading:
    """One file's answers, statement by statement."""

    def __init__(self, known: Known, listener: Listener, names: PGresult) -> None:
        self._known, self._listener = known, listener
        self._sent = float(value(names, 2) or 0)
        self.found = read_relations(names)
        tables = {oid: relation.name for oid, relation in self.found.items() if relation.kind in "rmp"}
        there = known.relations
        self._names = Names(
            frozenset(name for oid, name in tables.items() if oid not in there),
            {oid: name for oid, name in tables.items() if oid in there and there[oid].name != name},
        )
        self.changing: frozenset[int] = frozenset()

    def file(
        self, file: MigrationFile, results: Sequence[PGresult], woven: Woven, handlers: Handlers, *, ahead: int
    ) -> FileTrace:
        """Every statement, and what was held. handlers: of the file."""
        heard, unplaced = self._listener.by_statement([(woven.answers[at], at) for at in woven.probes], ahead=ahead)
        traces: list[StatementTrace] = []
        starts: dict[int, float] = {}
        last = Answer(self._sent, self._sent)
        began = ended = self._sent
        for statement, at in zip(file.statements, woven.answers, strict=True):
            asked = woven.probes.get(statement.index)
            if asked is None:
                traces.append(_bare(statement, None))
                continue
            starts[statement.index] = ended
            told = heard.get(statement.index)
            clock = clock_of(results[asked])
            if clock is not None and told is None and not counts_rows(statement.kind):
                # Most often: the time alone, and nothing was told.
                traces.append(_bare(statement, _between(ended, clock)))
                began = ended = clock
                continue
            answer = read_answer(results[asked], last)
            duration_us = _between(ended, answer.began)
            began, ended = answer.began, answer.ended
            if not answer.changed and told is None and not counts_rows(statement.kind):
                traces.append(_bare(statement, duration_us))
            else:
                catches = handlers.catches(statement)
                judge = Judge(
                    self._known,
                    before=last,
                    after=answer,
                    told=told or Told(),
                    kind=statement.kind,
                    names=self._names,
                    catches=catches,
                    all_or_nothing=catches and handlers.all_or_nothing(statement),
                )
                traces.append(_traced(statement, judge, duration_us, results[at].command_tuples))
            last = answer
        self.changing = frozenset(oid for oid, seen in last.relations.items() if not CHANGING.isdisjoint(seen.modes))
        return FileTrace(tuple(traces), _held(traces, starts, began), unplaced)


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
        catches=judge.catches,
    )


def _between(ended: float, began: float) -> int:
    return max(0, round((began - ended) * 1_000_000))


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
        if lock.mode == _EXCLUSIVE and lock.relkind in _ANSWERS_TRAFFIC and lock.source == "measured"
    )
