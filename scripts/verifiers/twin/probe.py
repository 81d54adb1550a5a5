"""Probes that take two sessions.

Owns: what a probe says when there is no twin to play in, and that its violations are planted in the twin alone.
Never: knows a promise (scripts/verifiers/probes).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, cast

from scripts.verifiers.probes.playing import Probe
from scripts.verifiers.twin.mapping import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scripts.verifiers.model import Database
    from scripts.verifiers.probes.playing import Control
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.twin.pair import Pair

Plant: TypeAlias = "Callable[[Stage], None]"
Ask: TypeAlias = "Callable[[Stage, Pair], None]"


def two_sessions(database: Database, id: str, ask: Ask, controls: Sequence[Control] = ()) -> Probe:  # noqa: A002
    """A probe that is played by two sessions on the twin, here or ahead of this moment in another thread.

    Args:
        database: whose twin.
        id: names it when it cannot be set up.
        ask: asks; its checks go to the stage.
        controls: see `Probe`.
    """
    if database.ahead is not None:
        return database.ahead.probe(id)

    def play(stage: Stage) -> None:
        try:
            with database.twin.pair(stage) as pair:
                ask(stage, pair)
        except TwinError as exc:
            stage.findings.check(id, expected="a twin that two sessions see", observed=exc.what, examined=0)

    play.__doc__ = ask.__doc__
    return Probe(id, play, tuple(replace(one, plant=_in_the_twin(database, one.plant)) for one in controls))


class _Planter:
    """Takes the stage's place while a violation is planted: it is read from the schema, and planted in the twin."""

    def __init__(self, stage: Stage, database: Database) -> None:
        self.rows, self.bodies, self.undone, self.wire = stage.rows, stage.bodies, stage.undone, stage.wire
        self.redefine = database.twin.redefine


def _in_the_twin(database: Database, plant: Plant) -> Plant:
    return lambda stage: plant(cast("Stage", _Planter(stage, database)))
