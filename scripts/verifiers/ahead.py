"""What another thread does ahead of the moment it is asked for: probes of two sessions, then the hollow schema.

Owns: the thread, its connections and the twin; who waits for which answer.
Promises: probes that are played here plant nothing in the schema itself, so nobody waits for anybody's lock; an answer
of theirs that did not come is an error of the one who asked for it. The hollow schema (hollow/) moves ours aside in a
transaction that nobody sees; whatever else changes that schema's own row is planted when that is over (run.py). What it
is asked that does not come is asked by the first thread again. No thread outlives `close`.
Never: decides an outcome, or plays what takes one session.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from scripts.errors.verifiers import UnaskedError
from scripts.verifiers.bounds import INVARIANT_TIMEOUT_MS, bounded
from scripts.verifiers.model import Database, Findings
from scripts.verifiers.twin.schema import CANCEL_S, Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg

    from scripts.migrations.folder.files import MigrationFile
    from scripts.result import Check, Planted
    from scripts.verifiers.hollow.reading import Hollow
    from scripts.verifiers.model import Invariant
    from scripts.verifiers.probes.playing import Probe
    from scripts.verifiers.probes.stage import Stage

_T = TypeVar("_T")
_JOIN_S = 10.0
THREAD = "verifiers ahead"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe found, on how many objects, and what became of its controls; none where a check failed."""

    checks: tuple[Check, ...]
    examined: int
    planted: tuple[Planted, ...]


class Ahead:
    """The probes of two sessions of some invariants, under way from the moment this is made.

    Behind them, where facts were read meanwhile, the same connection asks the hollow schema. One thread is enough: with
    the one that settles it keeps two processors at work, and a third lane only makes both wait for their turn.
    """

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
        self._invariants = tuple(invariants)
        self._hollow: Future[Hollow] | None = None
        self._stalled = False
        self._twin = Twin(connect, fixed=True)
        # Its connection comes with the first question: the thread's time, not the caller's.
        self._database = _Own(connect, files, self._twin)
        self._probes = {invariant.id: invariant.pairs(self._database) for invariant in invariants}
        self._answers: dict[str, Future[Answer]] = {
            probe.id: Future() for probes in self._probes.values() for probe in probes
        }
        self._closed, self._handed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name=THREAD, daemon=True)
        self._thread.start()

    def probe(self, id: str) -> Probe:  # noqa: A002 - the probe's
        """The probe as its invariant plays it: it waits, and takes over what was found here.

        Raises:
            KeyError: it is of no invariant that was named.
        """
        from scripts.verifiers.probes.playing import Probe

        answer = self._answers[id]

        def play(stage: Stage) -> None:
            found = self._answered(answer)
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

        return Probe(id, play, elsewhere=lambda: self._answered(answer).planted)

    def hand(self, database: Database) -> None:
        """Its facts have been read, from which it follows what is planted in the hollow schema."""
        if self._hollow is None and not self._closed.is_set():
            self._database.take(database)
            self._hollow = Future()
            self._handed.set()

    @property
    def hollowing(self) -> bool:
        """Whether the hollow schema is being asked, here, and still waited for."""
        return self._hollow is not None and not self._hollow.done() and not self._stalled

    def hollow(self) -> Hollow | None:
        """What the facts came to in the hollow schema, once that is known; None where it could not be had here."""
        if self._hollow is None:
            return None
        try:
            return self._result(self._hollow)
        except Exception:  # noqa: BLE001 - whatever it was, who asks it in the first thread tells it
            return None

    def _result(self, future: Future[_T]) -> _T:
        """What comes of it. A thread that was waited for in vain once is not waited for again.

        Raises:
            TimeoutError: it does not come.
            Exception: why it did not.
        """
        try:
            return future.result(0 if self._stalled else INVARIANT_TIMEOUT_MS / 1000)
        except TimeoutError:
            if not self._stalled:
                self._stalled = True
                self._twin.cancel()
                self._database.cancel()
            raise

    def _answered(self, answer: Future[Answer]) -> Answer:
        try:
            return self._result(answer)
        except TimeoutError as exc:
            raise UnaskedError.connection_lost() from exc

    def close(self) -> None:
        """Give up what is not done yet, drop the twin, end the thread."""
        self._closed.set()
        self._handed.set()
        self._thread.join(CANCEL_S)
        if self._thread.is_alive():
            self._twin.cancel()
            self._database.cancel()
            self._thread.join(_JOIN_S)

    def _work(self) -> None:
        try:
            self._play_all()
            self._handed.wait()
            self._hollow_out()
        finally:
            if self._hollow is not None and not self._hollow.done():
                self._hollow.set_exception(UnaskedError.connection_lost())
            self._database.close()

    def _play_all(self) -> None:
        try:
            for probes in self._probes.values():
                if probes and not self._closed.is_set():
                    self._play(probes)
        except BaseException as exc:  # noqa: BLE001 - told by whoever waits for the answer
            self._give_up(tuple(self._answers), exc)
        finally:
            self._give_up(tuple(self._answers), UnaskedError.connection_lost())
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

    def _hollow_out(self) -> None:
        """Where nobody handed anything over before the end, there is nothing to do."""
        from scripts.verifiers.hollow.reading import read_hollow

        if self._hollow is None:
            return
        if self._closed.is_set():
            self._hollow.set_exception(UnaskedError.connection_lost())
            return
        try:
            with bounded(self._database.conn):
                hollow = read_hollow(self._database, self._invariants)
        except BaseException as exc:  # noqa: BLE001 - see `hollow`
            self._hollow.set_exception(exc)
            return
        if self._stalled:  # and was cancelled: what it came to is of no use
            self._hollow.set_exception(UnaskedError.connection_lost())
        else:
            self._hollow.set_result(hollow)

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

    def take(self, other: Database) -> None:
        """What the other thread has read and was told is not to be read and told again."""
        self._facts, self._sources, self.seeded = other.facts, other.sources, other.seeded

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
