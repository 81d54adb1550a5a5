"""Killed at random moments, and in a share of the cases once more while the next run is repairing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from db.killed.bench import draw

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from db.killed.bench import Bench
    from db.killed.runs import Run

MOMENTS = 200
SHARES = 8
# Of the moments; the other ones fall into the project's own files.
EVERY_KIND_SHARE = 0.5
# Of the killed runs, whose next run is killed as well.
TWICE_SHARE = 0.35


@pytest.mark.parametrize("share", range(SHARES))
def test_killed_at_random_moments(bench: Bench, tally: Callable[[str, int], None], seed: int, share: int) -> None:
    """SIGKILL from outside, whatever the engine and the server are doing: the next run makes it good."""
    numbers = range(share, MOMENTS, SHARES)
    twice = 0
    for number in numbers:
        drawn = draw(seed, "moment", number)
        folder = "every kind" if drawn.random() < EVERY_KIND_SHARE else "project"
        what = f"moment {number} of {MOMENTS} in {folder}, KILLED_SEED={seed}"
        with bench.database(folder) as database:
            killed = _killed_run(bench, folder, database, drawn)
            if drawn.random() < TWICE_SHARE:
                second = bench.zygote.run(folder, bench.cluster.dsn(database), kill=_moment(bench, folder, drawn, 0.6))
                what += f", and again in the next run:\n{second.story}"
                assert second.killed or second.first("done"), f"{what}\nafter the killed run:\n{killed.story}"
                twice += second.killed
            bench.require_recovery(folder, database, what, killed)
    tally("moments", len(numbers))
    tally("twice", twice)


def _killed_run(bench: Bench, folder: str, database: str, drawn: random.Random) -> Run:
    """A run that was killed before it ended: one that was quicker than its moment does not count."""
    for shorter in (1.0, 0.8, 0.6, 0.4, 0.2, 0.1):
        kill = _moment(bench, folder, drawn, shorter)
        run = bench.zygote.run(folder, bench.cluster.dsn(database), kill=kill)
        if run.killed:
            return run
        assert run.first("done"), f"killed {kill}, but it ended otherwise:\n{run.story}"
        bench.cluster.drop(database)
        bench.cluster.create(name=database)
    pytest.fail(f"no run of {folder} lived long enough to be killed:\n{run.story}")


def _moment(bench: Bench, folder: str, drawn: random.Random, share: float) -> dict[str, float]:
    return {"after_s": drawn.uniform(0.002, bench.undisturbed(folder).seconds * share)}
