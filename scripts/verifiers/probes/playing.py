"""Probes and the violations that show that they can fail: played on a stage, each in a savepoint of its own.

Owns: `Probe` and `Control`, and how they are played: for an answer, and under a violation.
Promises: what a probe does is rolled back with its savepoint; a probe that cannot be set up is a failed check.
Never: knows what is asked, or what a role may do (stage.py).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from scripts.errors.unplanted import UnplantedError
from scripts.errors.verifiers import UnaskedError
from scripts.result import Planted
from scripts.verifiers.probes.stage import ACCESS_EXCLUSIVE, Stage, told
from scripts.verifiers.probes.stricter import relaxing
from scripts.verifiers.probes.surroundings import read_surroundings
from scripts.verifiers.probes.wire import NotPlanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg

    from scripts.verifiers.model import Findings
    from scripts.verifiers.probes.surroundings import Surroundings

UNCHECKED = "SET LOCAL check_function_bodies TO off"


@dataclass(frozen=True, slots=True)
class Control:
    """A violation to plant before a probe is played once more, to see that the probe would have noticed.

    `plant` acts as the owner, inside a savepoint; every check of an id in `breaks` must then fail. `on_schema`: it
    changes the row of the schema itself, which another thread may be renaming (ahead.py).
    """

    name: str
    plant: Callable[[Stage], None]
    breaks: tuple[str, ...]
    on_schema: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """A piece of behaviour: `play` asks, and keeps its checks. `id` names it when it cannot even be set up.

    Every check it makes is broken by at least one of its `controls`. Where another thread plays both, `elsewhere` waits
    for what became of the controls.
    """

    id: str
    play: Callable[[Stage], None]
    controls: tuple[Control, ...] = ()
    elsewhere: Callable[[], tuple[Planted, ...]] | None = None


def play(
    conn: psycopg.Connection[Any], findings: Findings, probes: Sequence[Probe], *, as_agreed: bool = False
) -> None:
    """Play every probe, each in its own savepoint; one that cannot be set up is a failed check of its own.

    Args:
        conn: inside the invariant's transaction.
        findings: where the checks go.
        probes: in order.
        as_agreed: whether columns that are stricter about NULL than they must be stay so (see stricter.py).

    Raises:
        UnaskedError: the verifying role may not act as the runtime roles.
        psycopg.Error: the server gave no answer.
    """
    if findings.asks == "facts":
        return
    with _set(conn, findings, as_agreed=as_agreed) as stage:
        for probe in probes:
            play_one(stage, probe)


def play_one(stage: Stage, probe: Probe) -> None:
    """Play a probe on a stage that is set; see `play`."""
    with stage.findings.playing(probe):
        play_part(stage, probe.id, probe.play)


def play_part(stage: Stage, id: str, part: Callable[[Stage], None]) -> None:  # noqa: A002 - the check's id
    """Play what a probe is, or a part of it that hides no other; `id` is checked when it cannot be set up."""
    import psycopg

    try:
        with stage.undone():
            part(stage)
    except (psycopg.Error, NotPlanted) as exc:
        stage.findings.check(id, expected="the probe can be set up", observed=told(_cause(exc)), examined=0)


def play_controls(
    conn: psycopg.Connection[Any], probes: Sequence[Probe], *, around: list[Surroundings] | None = None
) -> tuple[Planted, ...]:
    """Play every probe once more under each violation planted for it.

    Args:
        conn: inside a transaction of the invariant's.
        probes: those that were played, all green.
        around: see `Findings`.

    Raises:
        UnaskedError: the verifying role may not act as the runtime roles, or others hold a lock.
        psycopg.Error: the server gave no answer.
    """
    from scripts.verifiers.model import Findings

    with _set(conn, Findings(around=[] if around is None else around)) as stage:
        here = [control_one(stage, probe, control) for probe in probes for control in probe.controls]
    # Waited for when no lock is held.
    return (*here, *(planted for probe in probes if probe.elsewhere for planted in probe.elsewhere()))


def control_one(stage: Stage, probe: Probe, control: Control) -> Planted:
    """Plant, play, undo: what was missed."""
    import psycopg

    from scripts.verifiers.model import Findings, Settled

    name, findings = f"{probe.id}: {control.name}", Findings(wanted=frozenset(control.breaks))
    with stage.undone():
        try:
            control.plant(stage)
        except (psycopg.Error, NotPlanted) as exc:
            return Planted(name, control.breaks, trouble=f"could not be planted: {told(_cause(exc))}")
        except UnplantedError as exc:
            return Planted(name, control.breaks, trouble=exc.what)
        try:
            probe.play(replace(stage, findings=findings))
        except Settled:
            # Everything that had to fail was asked.
            pass
        except (psycopg.Error, NotPlanted) as exc:
            # What was asked before counts; what was not asked was missed.
            told(_cause(exc))
    failed = set(findings.failed())
    return Planted(name, control.breaks, tuple(one for one in control.breaks if one not in failed))


@contextmanager
def _set(conn: psycopg.Connection[Any], findings: Findings, *, as_agreed: bool = False) -> Iterator[Stage]:
    """The stage, with every role within reach and the owner on it."""
    from scripts.verifiers.probes.ceiling import overlook_ceiling

    if not findings.around:
        findings.around.append(read_surroundings(conn))
    (around,) = findings.around
    stage = Stage(conn, findings, around.home, around.keyed, around.bodies)
    with stage.settled(), stage.undone():
        if around.out_of_reach:
            raise UnaskedError.role_out_of_reach(", ".join(around.beyond), sqlstate="42501")
        stage.appear(around.beyond)
        # A violation is compiled when it is called; a test plants each with the setting on.
        stage.wire.owe(UNCHECKED)
        for table, statement in relaxing(() if as_agreed else around.stricter):
            with stage.hurried(table, ACCESS_EXCLUSIVE):
                stage.run(statement.encode())
        if around.ceiling:
            overlook_ceiling(stage)
        yield stage


def _cause(exc: psycopg.Error | NotPlanted) -> psycopg.Error:
    return exc.cause if isinstance(exc, NotPlanted) else exc
