"""Settle one invariant: its own transaction, its own deadline, and whatever happens becomes a Result.

Owns: the words for a question that could not be answered. The transaction around the questions is bounds.py's.
Promises: nothing an invariant does outlives it, and no failure of one keeps another from being asked; an answer that
did not come is an ERROR, never a pass; no row data in any text.
Never: decides an outcome (scripts/result), or knows any table of ours.
"""

from __future__ import annotations

import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.clock import utc_now
from scripts.errors.base import ProjectError
from scripts.errors.settings import UsageError
from scripts.errors.unfit import wants
from scripts.errors.verifiers import LockBusyError, UnaskedError
from scripts.result import Result
from scripts.verifiers.bounds import bounded
from scripts.verifiers.model import Findings, Settled
from scripts.verifiers.registry import INVARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    import psycopg

    from scripts.result import Planted
    from scripts.verifiers.model import Database, Invariant

# A strong lock is waited for so shortly that nobody notices (probes/stage.py), so whoever has the table for a moment, a
# vacuum above all, would be in the way. After each of these pauses everything is asked again; then it is an ERROR.
BUSY_PAUSES_S = (0.2, 0.4, 0.8)
_DEADLOCK = "40P01"


def select_invariants(only: Sequence[str]) -> tuple[Invariant, ...]:
    """The invariants of these names, in the registry's order.

    Args:
        only: ids, evidence names or check ids, in any letter case and with either dash or underscore.

    Raises:
        UsageError: an unknown name, or none at all.
    """
    names = {_folded(name): inv for inv in INVARIANTS for name in (inv.id, inv.stem, inv.check_id)}
    unknown = [name for name in only if _folded(name) not in names]
    if unknown:
        raise UsageError.unknown_selection([name or "(an empty name)" for name in unknown], [i.id for i in INVARIANTS])
    chosen = {names[_folded(name)].id for name in only}
    if not chosen:
        raise UsageError.empty_selection()
    return tuple(invariant for invariant in INVARIANTS if invariant.id in chosen)


def verify_invariant(
    invariant: Invariant,
    database: Database,
    *,
    controls: bool = False,
    until_red: bool = False,
    now: Callable[[], datetime] = utc_now,
) -> Result:
    """Ask every question of one invariant and undo everything; all of it again where others held a table for a moment.

    Args:
        invariant: which.
        database: where; its connection is replaced when it is found lost.
        controls: whether, once every check holds, each is seen to fail under a violation planted for it.
        until_red: whether the first check that does not hold is enough. The result says that it was cut short, and is
            no evidence; its `details` are what they were at that moment. Not together with `controls`.
        now: the clock, read before and after what is asked of this invariant.
    """
    return Verification(invariant, database, controls=controls, until_red=until_red, now=now).result()


class Verification:
    """One invariant, asked when this is made; what its facts came to in the hollow schema is waited for at the end.

    See `verify_invariant`. That wait is no time of this invariant's: it ended when its own last question was answered.
    """

    def __init__(
        self,
        invariant: Invariant,
        database: Database,
        *,
        controls: bool = False,
        until_red: bool = False,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Ask."""
        if controls and until_red:
            msg = "what is cut short proves nothing, so it needs no controls"
            raise RuntimeError(msg)
        self._invariant, self._database, self._now = invariant, database, now
        self._started_at = now()
        self._asked = _again_while_busy(lambda: _asked(invariant, database, controls=controls, until_red=until_red))
        self._ended_at = now()

    @property
    def waits(self) -> bool:
        """Whether `result` would wait for another thread."""
        ahead = self._database.ahead
        return bool(self._asked.facts or self._asked.postponed) and ahead is not None and ahead.hollowing

    def result(self) -> Result:
        """What became of it."""
        asked, late = self._asked, list[_Asked]()
        ahead = self._database.ahead
        if self.waits and ahead is not None:
            ahead.hollow()
        again_at = self._now()
        if asked.facts:
            late.append(
                _again_while_busy(lambda: _hollowed(self._invariant, self._database, asked.findings, asked.facts))
            )
        if asked.postponed and not (late and late[0].error):
            late.append(_again_while_busy(lambda: _postponed(self._database, asked.findings)))
        if late:
            asked.error = late[-1].error
            found = tuple(planted for one in (*late, asked) for planted in one.planted or ())
            asked.planted = None if asked.error else found
            asked.facts, asked.postponed = (), False
            self._ended_at += self._now() - again_at
        return Result(
            gate=self._invariant.id,
            started_at=self._started_at,
            finished_at=self._ended_at,
            checks=tuple(asked.findings.checks),
            examined=asked.findings.examined,
            error=asked.error,
            details=dict(asked.findings.details),
            controls=asked.planted,
            cut_short=asked.cut_short,
        )


@dataclass(slots=True)
class _Asked:
    """One attempt.

    facts: ids of checks that the hollow schema is still to be asked for; postponed: the probes' controls, which change
    what another thread has moved aside; error: why there is no answer; busy: because others held what was asked for.
    """

    findings: Findings
    planted: tuple[Planted, ...] | None = None
    facts: tuple[str, ...] = ()
    postponed: bool = False
    error: str = ""
    cut_short: bool = False
    busy: bool = False


def _again_while_busy(ask: Callable[[], _Asked]) -> _Asked:
    asked = ask()
    for pause_s in BUSY_PAUSES_S:
        if not asked.busy:
            break
        time.sleep(pause_s)
        asked = ask()
    return asked


def _asked(invariant: Invariant, database: Database, *, controls: bool, until_red: bool) -> _Asked:
    asked = _Asked(Findings(until_red=until_red, around=database.around))
    with _told(asked, database):
        with bounded(database.conn):
            invariant.verify(database, asked.findings)
            if controls and asked.findings.facts():
                _ = database.facts  # the hollow schema is made from them
        # A check that fails needs nobody to show that it can.
        if controls and not asked.findings.failed():
            postponed = _must_wait(database, asked.findings)
            asked.planted = () if postponed else _controls(database, asked.findings)
            # Behind what may raise: an error is not asked further.
            asked.facts, asked.postponed = asked.findings.facts(), postponed
    return asked


def _must_wait(database: Database, findings: Findings) -> bool:
    on_schema = any(control.on_schema for probe in findings.probes for control in probe.controls)
    return on_schema and database.ahead is not None and database.ahead.hollowing


def _postponed(database: Database, findings: Findings) -> _Asked:
    asked = _Asked(findings)
    with _told(asked, database):
        asked.planted = _controls(database, findings)
    return asked


def _hollowed(invariant: Invariant, database: Database, findings: Findings, facts: Sequence[str]) -> _Asked:
    from scripts.verifiers.hollow.reading import hollow_facts

    asked = _Asked(findings)
    with _told(asked, database):
        asked.planted = hollow_facts(invariant, database, facts)
    return asked


def _controls(database: Database, findings: Findings) -> tuple[Planted, ...]:
    from scripts.verifiers.probes.playing import play_controls

    if not findings.probes:
        return ()
    with bounded(database.conn):
        return play_controls(database.conn, findings.probes, around=database.around)


@contextmanager
def _told(asked: _Asked, database: Database) -> Iterator[None]:
    """Whatever keeps the block from its answer is told in `asked`; only what stops the whole run is raised."""
    import psycopg

    try:
        yield
    except Settled:
        asked.cut_short = True
    except psycopg.errors.InvalidSchemaName as exc:
        if _is_there(database, "public"):
            asked.error = _unasked(exc, database).sentence
        else:
            with suppress(Settled):
                asked.findings.check(
                    "schema_public",
                    expected="there",
                    observed="absent",
                    where="schema public",
                    help="it was dropped or renamed; what could not be asked without it was not",
                )
    except psycopg.Error as exc:
        if wants(exc.sqlstate or "", exc.diag.message_primary or ""):
            raise  # the machine's, which stops the whole run
        # Locks of ours and of another run's that met the wrong way round: the server ended one of the two.
        asked.error, asked.busy = _unasked(exc, database).sentence, exc.sqlstate == _DEADLOCK
    except ProjectError as exc:
        asked.error, asked.busy = exc.sentence, isinstance(exc, LockBusyError)
    except Exception as exc:  # noqa: BLE001 - a fault of one invariant must not keep the others from being asked
        asked.error = UnaskedError.own_fault(type(exc).__name__, _place_of(exc)).sentence


def _is_there(database: Database, schema: str) -> bool:
    """Whether the schema is, after a question that did not find one."""
    row = database.conn.execute("SELECT pg_catalog.to_regnamespace(%s) IS NOT NULL", [schema]).fetchone()
    return row is None or bool(row[0])


def _unasked(exc: psycopg.Error, database: Database) -> UnaskedError:
    from psycopg import errors

    if database.closed or exc.sqlstate is None:
        return UnaskedError.connection_lost()
    if isinstance(exc, errors.InsufficientPrivilege):
        # Of the verifying role itself: a role that a probe plays is refused inside the probe.
        return UnaskedError.no_right(database.conn.info.user, sqlstate=exc.sqlstate)
    try:
        name = errors.lookup(exc.sqlstate).__name__
    except KeyError:
        name = ""
    return UnaskedError.refused(sqlstate=exc.sqlstate, name=name)


def _place_of(exc: Exception) -> str:
    """The last line of ours that the fault came through; never its message, which may quote a row."""
    places = [frame for frame in traceback.extract_tb(exc.__traceback__) if "verifiers" in frame.filename]
    return f"{Path(places[-1].filename).name}:{places[-1].lineno}" if places else "an unknown place"


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")
