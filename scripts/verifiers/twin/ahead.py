"""Probes of two sessions, played ahead of the moment they are asked for, while the others are played.

Owns: the thread, its connections and its twin; who waits for which answer.
Promises: what is played here plants nothing in the schema itself, so nobody waits for anybody's lock; an answer that
did not come is an error of the one who asked for it; no thread outlives `close`.
Never: decides an outcome, or plays what takes one session.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.errors.verifiers import UnaskedError
from scripts.verifiers.bounds import INVARIANT_TIMEOUT_MS, bounded
from scripts.verifiers.model import Database, Findings
from scripts.verifiers.twin.schema import CANCEL_S, Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg

    from scripts.migrations.folder.files import MigrationFile
    from scripts.result import Check, Planted
    from scripts.verifiers.model import Invariant
    from scripts.verifiers.probes.playing import Probe
    from scripts.verifiers.probes.stage import Stage

_JOIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe found, on how many objects, and what became of its controls; none where a check failed."""

    checks: tuple[Check, ...]
    examined: int
    planted: tuple[Planted, ...]


class Ahead:
    """The probes of two sessions of some invariants, under way from the moment this is made."""

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection[Any]],
        files: Sequence[MigrationFile],
        invariants: Sequence[Invariant],
    ) -> None:
        """Begin.

        Args:
            connect: leads to the database, as its owner.
            files: the migrations that it was made from.
            invariants: in the order in which they will be settled, with controls.
        """
        self._connect = connect
        self._twin = Twin(connect, fixed=True)
        # Its connection comes with the first question: the thread's time, not the caller's.
        self._database = _Own(connect, files, self._twin)
        self._probes = {invariant.id: invariant.pairs(self._database) for invariant in invariants}
        self._answers: dict[str, Future[Answer]] = {
            probe.id: Future() for probes in self._probes.values() for probe in probes
        }
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="probes of two sessions", daemon=True)
        self._thread.start()

    def probe(self, id: str) -> Probe:  # noqa: A002 - the probe's
        """The probe as its invariant plays it: it waits, and takes over what was found here.

        Raises:
            KeyError: it is of no invariant that was named.
        """
        from scripts.verifiers.probes.playing import Probe

        answer = self._answers[id]

        def play(stage: Stage) -> None:
            found = _waited(answer)
            for check in found.checks:
                stage.findings.check(
                    check.id,
                    expected=check.expected,
                    observed=check.observed,
                    where=check.where,
                    help=check.help,
                    examined=0,
                )
            stage.findings.examined += found.examined

        return Probe(id, play, elsewhere=lambda: _waited(answer).planted)

    def close(self) -> None:
        """Give up what is not played yet, drop the twin, end the thread."""
        self._closed.set()
        self._thread.join(CANCEL_S)
        if self._thread.is_alive():
            self._twin.cancel()
            self._database.cancel()
            self._thread.join(_JOIN_S)

    def _work(self) -> None:
        try:
            for probes in self._probes.values():
                if probes and not self._closed.is_set():
                    self._play(probes)
        except BaseException as exc:  # noqa: BLE001 - told by whoever waits for the answer
            self._give_up(tuple(self._answers), exc)
        finally:
            self._give_up(tuple(self._answers), UnaskedError.connection_lost())
            self._database.close()
            self._twin.close()

    def _play(self, probes: tuple[Probe, ...]) -> None:
        """Those of one invariant; what befalls them befalls no other's."""
        from scripts.verifiers.probes.stage import Stage
        from scripts.verifiers.probes.surroundings import read_surroundings

        try:
            with bounded(self._database.conn):
                if not self._database.around:
                    self._database.around.append(read_surroundings(self._database.conn))
                (around,) = self._database.around
                stage = Stage(self._database.conn, Findings(), around.home, around.keyed, around.bodies)
                for probe in probes:
                    if self._closed.is_set():
                        break
                    self._answers[probe.id].set_result(_answer(stage, probe))
        except Exception as exc:  # noqa: BLE001 - as above
            self._give_up([probe.id for probe in probes], exc)

    def _give_up(self, ids: Sequence[str], exc: BaseException) -> None:
        for name in ids:
            if not self._answers[name].done():
                self._answers[name].set_exception(exc)


class _Own(Database):
    """The thread's: it opens its connection itself."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], files: Sequence[MigrationFile], twin: Twin
    ) -> None:
        super().__init__(None, connect, files, twin=twin)  # type: ignore[arg-type]

    @property
    def conn(self) -> psycopg.Connection[Any]:
        if self._conn is None or self._conn.closed:
            self._conn = self._connect()
        return self._conn

    def cancel(self) -> None:
        """End what the connection waits for."""
        import psycopg

        try:
            if self._conn is not None:
                self._conn.cancel_safe(timeout=CANCEL_S)
        except psycopg.Error:
            return

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()


def _answer(stage: Stage, probe: Probe) -> Answer:
    from dataclasses import replace

    from scripts.verifiers.probes.playing import control_one, play_one

    findings = Findings()
    mine = replace(stage, findings=findings)
    with mine.settled():
        play_one(mine, probe)
        planted = () if findings.failed() else tuple(control_one(mine, probe, control) for control in probe.controls)
    return Answer(tuple(findings.checks), findings.examined, planted)


def _waited(answer: Future[Answer]) -> Answer:
    try:
        return answer.result(INVARIANT_TIMEOUT_MS / 1000)
    except TimeoutError as exc:
        raise UnaskedError.connection_lost() from exc
