"""A statement outside a transaction, seen from a second session while it runs.

Owns: that session, how often it looks, and the record of what it saw.
Why: a concurrent build is several transactions. Its locks come and go, and its own session cannot ask for them.
Promises: looking harms nothing: without a second session, or when the statement is over before the first look, the
trace says so, and gives the documented modes as documented.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from scripts.migrations.session.lock import holder_pid_sql
from scripts.migrations.trace.documented import expected_effect, expected_locks
from scripts.migrations.trace.model import LockTaken, Notice, PhaseSeen, StatementTrace, strength
from scripts.migrations.trace.probe import PREDICATE_LOCK
from scripts.migrations.trace.words import words_of
from scripts.migrations.waiting.beside import ask, ask_in_time, connect_beside

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from scripts.migrations.batch import Watch
    from scripts.migrations.trace.known import Known
    from scripts.migrations.trace.model import Source
    from scripts.migrations.trace.touched import Touched
    from scripts.parser.statements import Statement

_APPLICATION = "parity trace"
# How long a statement has run, and how often it is looked at until then; at most twice a second after that.
_PACE = ((1.0, 0.005), (10.0, 0.05), (60.0, 0.25))
_SLOWEST_S = 0.5
_SAMPLE = """
SELECT coalesce((SELECT p.phase FROM pg_catalog.pg_stat_progress_create_index p WHERE p.pid = $1),
                (SELECT p.phase FROM pg_catalog.pg_stat_progress_cluster p WHERE p.pid = $1),
                (SELECT p.phase FROM pg_catalog.pg_stat_progress_vacuum p WHERE p.pid = $1), ''),
       pg_catalog.string_agg(pg_catalog.concat_ws(' ', l.relation, l.mode, l.granted), ',')
  FROM pg_catalog.pg_lock_status() l
 WHERE l.pid = $1 AND l.locktype = 'relation' AND l.relation >= 16384
   -- CREATE DATABASE locks the relations of two others, which have the numbers of ours
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())"""


@dataclass(frozen=True, slots=True)
class _State:
    """What a look may find: a phase without a lock has relation 0."""

    phase: str
    relation: int
    mode: str
    granted: bool


class Onlooker:
    """The second session. It is opened at the first look, because most statements are over before."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._watched = conn
        self._pid = conn.info.backend_pid  # as far as the driver knows
        self._conn: psycopg.Connection[Any] | None = None
        self._blind = False

    def look(self) -> tuple[str, str] | None:
        """The phase, and the locks as one text; None when it cannot be seen."""
        import psycopg

        if self._blind:
            return None
        try:
            result = ask_in_time(self._session(), f'EXECUTE "parity look" ({self._pid})'.encode())
        except psycopg.Error:
            # No connection is left, or the role may not have a second one: the statement goes on unseen.
            self._blind = True
            self.close()
            return None
        phase, locks = result.get_value(0, 0), result.get_value(0, 1)
        return (phase or b"").decode(), (locks or b"").decode()

    def close(self) -> None:
        """End the session, if there is one."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def _session(self) -> psycopg.Connection[Any]:
        if self._conn is None:
            self._conn = connect_beside(self._watched, application=_APPLICATION)
            # A pooler gives the driver a number of its own; who holds the runner lock is the session that we look at.
            self._pid = int(ask(self._conn, holder_pid_sql().encode()) or self._watched.info.backend_pid)
            ask(self._conn, f'PREPARE "parity look" (integer) AS {_SAMPLE}'.encode())
        return self._conn


class PhaseWatch:
    """Looks on while one statement runs; `trace` is its record afterwards.

    It is a `Watch`: `beside` is another one, which is asked to look at its own pace.
    """

    interval_s = _PACE[0][1]

    def __init__(self, statement: Statement, known: Known, onlooker: Onlooker, beside: Watch | None) -> None:
        self._statement, self._known, self._onlooker, self._beside = statement, known, onlooker, beside
        self._touched: Touched | None = None
        self._seen: dict[_State, PhaseSeen] = {}
        self._notices: tuple[Notice, ...] = ()
        self._samples = 0
        self._started = self._looked = self._looked_beside = time.monotonic()
        self._ended: float | None = None

    def look(self) -> None:
        """Look once, if it is time."""
        now = time.monotonic()
        if self._beside is not None and now - self._looked_beside >= self._beside.interval_s:
            self._looked_beside = now
            self._beside.look()
        if now - self._looked < _pace_s(now - self._started):
            return
        self._looked = now
        found = self._onlooker.look()
        if found is not None:
            self._take(*found, at_us=round((time.monotonic() - self._started) * 1_000_000))

    def end(self, notices: tuple[Notice, ...]) -> None:
        """The statement is over, or has failed. notices: what the server told meanwhile."""
        self._ended = time.monotonic()
        self._notices = notices

    def found(self, touched: Touched) -> None:
        """What the statement turned out to have touched."""
        self._touched = touched

    def trace(self) -> StatementTrace:
        """What the statement did, as far as it was seen, and what it is known to do."""
        statement = self._statement
        ended = time.monotonic() if self._ended is None else self._ended
        effect = expected_effect(statement, self._touched)
        return StatementTrace(
            statement.index,
            statement.line,
            words_of(statement),
            round((ended - self._started) * 1_000_000),
            locks=self._locks(),
            effect=effect,
            rewritten=self._names(self._touched.tables if self._touched else ()),
            scanned=self._names(self._touched.vacuumed if self._touched else ()),
            built=self._built(),
            notices=self._notices,
            source=self._source(),
            phases=tuple(sorted(self._seen.values(), key=lambda seen: (seen.first_us, seen.relation, seen.mode))),
            samples=self._samples,
        )

    def _source(self) -> Source:
        """What the effect rests on: the files on disk, or looks from a second session, or the manual."""
        if self._touched is not None:
            return "measured"
        return "sampled" if self._samples else "documented"

    def _take(self, phase: str, locks: str, *, at_us: int) -> None:
        self._samples += 1
        states = [_State(phase, 0, "", granted=True)]
        for line in locks.split(",") if locks else ():
            oid, mode, granted = line.split(" ")
            if int(oid) in self._known.relations and mode != PREDICATE_LOCK:
                states.append(_State(phase, int(oid), mode, granted=granted == "t"))
        for state in states if len(states) == 1 else states[1:]:
            earlier = self._seen.get(state)
            if earlier is None:
                name = self._known.label(state.relation) if state.relation else ""
                self._seen[state] = PhaseSeen(phase, name, state.mode, state.granted, at_us, at_us, 1)
            else:
                self._seen[state] = replace(earlier, last_us=at_us, samples=earlier.samples + 1)

    def _locks(self) -> tuple[LockTaken, ...]:
        found: dict[tuple[int, str], LockTaken] = {}
        for state in self._seen:
            if state.relation and state.granted:
                found[state.relation, state.mode] = self._known.lock(state.relation, state.mode, source="sampled")
        for oid, mode in expected_locks(self._statement, self._known, self._touched):
            found.setdefault((oid, mode), self._known.lock(oid, mode, source="documented"))
        return tuple(sorted(found.values(), key=lambda lock: (-strength(lock.mode), lock.relation)))

    def _built(self) -> tuple[str, ...]:
        if self._touched is not None:
            return self._names(self._touched.indexes)
        if self._statement.kind != "IndexStmt":
            return ()
        node = self._statement.node
        table = self._known.find(node.relation.schemaname, node.relation.relname)
        return (f"{self._known.relations[table].schema}.{node.idxname}",) if table else ()

    def _names(self, oids: Iterable[int]) -> tuple[str, ...]:
        """Of relations that were there before the file."""
        names = self._touched.names if self._touched else {}
        return tuple(sorted(names[oid] for oid in oids if oid in self._known.relations))


def _pace_s(age_s: float) -> float:
    return next((pace for until, pace in _PACE if age_s < until), _SLOWEST_S)
