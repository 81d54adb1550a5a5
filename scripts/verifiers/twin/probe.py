"""Probes that take two sessions.

Owns: what a probe says when there is no twin to play in.
Never: knows a promise (scripts/verifiers/probes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from scripts.verifiers.probes.stage import Probe
from scripts.verifiers.twin.mapping import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scripts.verifiers.model import Database
    from scripts.verifiers.probes.stage import Control, Stage
    from scripts.verifiers.twin.pair import Pair

Ask: TypeAlias = "Callable[[Stage, Pair], None]"


def two_sessions(database: Database, id: str, ask: Ask, controls: Sequence[Control] = ()) -> Probe:  # noqa: A002
    """A probe that is played by two sessions on the twin.

    Args:
        database: whose twin.
        id: names it when it cannot be set up.
        ask: asks; its checks go to the stage.
        controls: see `Probe`.
    """

    def play(stage: Stage) -> None:
        try:
            with database.twin.pair(stage) as pair:
                ask(stage, pair)
        except TwinError as exc:
            stage.findings.check(id, expected="a twin that two sessions see", observed=exc.what, examined=0)

    return Probe(id, play, tuple(controls))
