"""From the answers to a woven text to a trace of its file.

Owns: which answer belongs to which statement, how long each took, and what was held while later ones ran.
How: answers are read as they come, because the server is idle from the last one until the record is sent. What the last
    answer decides about waits for it: when the file began, and which table a message means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scripts.migrations.trace.effects import Judge, Names, is_weighed, only_locks
from scripts.migrations.trace.known import Known, read_names, read_relations, value
from scripts.migrations.trace.messages import Listener, Told
from scripts.migrations.trace.model import FileTrace, HeldLock, StatementTrace
from scripts.migrations.trace.probe import CHANGING, Answer, read_answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg.pq.abc import PGresult

    from scripts.migrations.trace.known import Relation
    from scripts.migrations.trace.model import LockTaken
    from scripts.migrations.trace.weave import Draft, Woven
    from scripts.parser.statements import Statement

_EXCLUSIVE = "AccessExclusiveLock"
# What traffic uses by name: tables, partitioned ones, materialized and other views, foreign tables.
_ANSWERS_TRAFFIC = frozenset("rpmvf")
_TABLES = frozenset("rmp")


class _Evidence(NamedTuple):
    """What a statement is judged by that has to wait.

    began: when the question before it was answered. before, after: the answers around it. told: by the server. tagged:
    the number in its command tag. locks: what it took, when it surely did nothing else.
    """

    statement: Statement
    began: float
    before: Answer
    after: Answer
    told: Told | None
    tagged: int | None
    locks: tuple[LockTaken, ...] | None


class Reading:
    """One file's answers, statement by statement.

    found, changing: as its end has them, for `Known.update`. is_stale: whether that leaves something out.
    """

    def __init__(self, known: Known, listener: Listener, draft: Draft, woven: Woven, *, ahead: int) -> None:
        """Nothing is read yet.

        Args:
            known: the relations before the file.
            listener: hears what the server tells.
            draft: of the file, and what was found out of it ahead.
            woven: the text that was made of it.
            ahead: how many results come before the text's first.
        """
        self._known, self._listener, self._draft = known, listener, draft
        self._woven, self._ahead = woven, ahead
        # How many results the driver holds when the last statement that was read tells something.
        self._held = -1
        # By place in the file; None for one that has to wait.
        self._traces: list[StatementTrace | None] = []
        self._waiting: list[_Evidence] = []
        # When each statement began that a question stands behind; of the first one it is known at the end.
        self._starts: dict[int, float] = {}
        # The last answer that says more than the time; and when the last one of all was asked for and had been given.
        self._last = Answer(0.0, 0.0)
        self._began = self._ended = 0.0
        self.found: Mapping[int, Relation] = {}
        self.changing: frozenset[int] = frozenset()
        self.is_stale = False

    def take(self, results: Sequence[PGresult], *, skip: int = 0) -> None:
        """Read on as far as there are answers, but for the last statement's: what it locked stands at the end.

        Args:
            results: all so far, none of them an error; what was read of them is not looked at again.
            skip: how many of them come before the text's first.
        """
        traces, words, probes, there = self._traces, self._draft.words, self._woven.probes, len(results) - skip
        statements = self._draft.file.statements
        for index in range(len(traces), len(statements) - 1):
            statement = statements[index]
            asked = probes.get(index)
            if asked is None:  # a setting
                traces.append(StatementTrace(index, statement.line, words[index], None))
                continue
            if asked >= there:
                return
            text = results[asked + skip].get_value(0, 0) or b""
            told = self._told(index)
            if self._starts and told is None and b"|" not in text and not is_weighed(statement.kind):
                # Most often: the time alone, and nothing was told.
                began = self._starts[index] = self._ended
                self._began = self._ended = float(text)
                traces.append(StatementTrace(index, statement.line, words[index], _between(began, self._ended)))
            else:
                tagged = results[self._woven.answers[index] + skip].command_tuples
                traces.append(self._read(statement, text.decode(), told, tagged))

    def _read(self, statement: Statement, text: str, told: Told | None, tagged: int | None) -> StatementTrace | None:
        """What a statement did; None when that has to wait."""
        is_first, began, before = not self._starts, self._ended, self._last
        after = self._last = read_answer(text, before)
        self._starts[statement.index], self._began, self._ended = began, after.began, after.ended
        is_more = told is not None or is_weighed(statement.kind)
        locks = None if is_more else only_locks(self._known, before=before, after=after)
        evidence = _Evidence(statement, began, before, after, told, tagged, locks)
        if is_first or locks is None:
            self._waiting.append(evidence)
            return None
        return self._judged(evidence, Names(frozenset(), {}))

    def _told(self, index: int) -> Told | None:
        """What a statement told: it is heard when the answer to the question behind it is there."""
        before, self._held = self._held, self._woven.answers[index] + self._ahead
        return self._listener.told(before, self._held)

    def finished(self, results: Sequence[PGresult]) -> FileTrace:
        """Every statement, and what was held. results: of the whole text."""
        self.take(results)
        end = results[self._woven.results - 1]
        last = self._draft.file.statements[-1]
        clock, locks = results[self._woven.probes[last.index]].get_value(0, 0) or b"", value(end, 3) or b""
        text, tagged = b"%b|%b||%b" % (clock, locks, clock), results[self._woven.answers[last.index]].command_tuples
        self._traces.append(self._read(last, text.decode(), self._told(last.index), tagged))
        names = self._names(end)
        first = self._waiting[0]._replace(began=float(value(end, 2) or 0))
        self._starts[first.statement.index] = first.began
        for evidence in (first, *self._waiting[1:]):
            self._traces[evidence.statement.index] = self._judged(evidence, names)
        traces = tuple(trace for trace in self._traces if trace is not None)
        relations = self._last.relations
        self.changing = frozenset(oid for oid, seen in relations.items() if not CHANGING.isdisjoint(seen.modes))
        unplaced = self._listener.told_behind(self._held)
        return FileTrace(traces, _held(traces, self._starts, self._began), unplaced)

    def _names(self, end: PGresult) -> Names:
        """What the file made, and what became of what it locked; one that nobody knew of is left to a look at all."""
        there, made, later = self._known.relations, read_relations(end), read_names(end)
        self.found = made | {
            oid: there[oid]._replace(schema=schema, name=name, filenode=self._last.relations[oid].filenode)
            for oid, (schema, name) in later.items()
            if oid in there
        }
        self.is_stale = any(oid not in there and schema != "pg_toast" for oid, (schema, _) in later.items())
        return Names(
            frozenset(relation.name for relation in made.values() if relation.kind in _TABLES),
            {
                oid: name
                for oid, (_, name) in later.items()
                if oid in there and there[oid].kind in _TABLES and there[oid].name != name
            },
        )

    def _judged(self, evidence: _Evidence, names: Names) -> StatementTrace:
        statement, told = evidence.statement, evidence.told or Told()
        words, duration_us = self._draft.words[statement.index], _between(evidence.began, evidence.after.began)
        if evidence.locks is not None:
            return StatementTrace(statement.index, statement.line, words, duration_us, evidence.locks)
        catches = self._draft.handlers.catches(statement)
        judge = Judge(
            self._known,
            before=evidence.before,
            after=evidence.after,
            told=told,
            kind=statement.kind,
            names=names,
            catches=catches,
            all_or_nothing=catches and self._draft.handlers.all_or_nothing(statement),
        )
        return StatementTrace(
            statement.index,
            statement.line,
            words,
            duration_us,
            locks=judge.locks(),
            effect=judge.effect(),
            rewritten=judge.labels(judge.rewritten),
            truncated=judge.labels(judge.truncated),
            scanned=judge.labels(judge.scanned),
            built=tuple(sorted(judge.built)),
            proved=tuple(told.proved),
            rows=judge.rows(evidence.tagged),
            notices=tuple(told.notices),
            catches=judge.catches,
        )


def _between(ended: float, began: float) -> int:
    return max(0, round((began - ended) * 1_000_000))


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
