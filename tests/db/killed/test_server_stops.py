"""The server stopped at once, with nothing finished and no checkpoint, and started again on the same data."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from db.killed.bench import draw

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from db.killed.bench import Bench
    from db.killed.runs import Run

STOPS = 50
SHARES = 5
EVERY_KIND_SHARE = 0.6


@pytest.mark.parametrize("share", range(SHARES))
def test_server_stopped_at_random_moments(
    bench: Bench, tally: Callable[[str, int], None], seed: int, share: int
) -> None:
    """The run that was cut off says that the connection is lost, and the next one makes everything good."""
    numbers = range(share, STOPS, SHARES)
    for number in numbers:
        drawn = draw(seed, "stop", number)
        folder = "every kind" if drawn.random() < EVERY_KIND_SHARE else "project"
        what = f"server stop {number} of {STOPS} in {folder}, KILLED_SEED={seed}"
        with bench.database(folder) as database:
            cut = _cut_run(bench, folder, database, drawn)
            error = cut.first("error")
            assert error is not None, f"{what}: the run ended without an error of the engine:\n{cut.story}"
            assert error["kind"] == "ConnectionLostError", f"{what}:\n{cut.story}"
            assert error["exit_code"] == 3, f"{what}:\n{cut.story}"
            bench.require_recovery(folder, database, what, cut)
    tally("stops", len(numbers))


def _cut_run(bench: Bench, folder: str, database: str, drawn: random.Random) -> Run:
    """A run that was under way when the server stopped; the server is up again."""
    for shorter in (0.9, 0.7, 0.5, 0.3, 0.1):
        run = bench.zygote.start(folder, bench.cluster.dsn(database))
        run.wait_for_start()
        time.sleep(drawn.uniform(0, bench.undisturbed(folder).seconds * shorter))
        bench.cluster.stop_at_once()
        run.wait()
        bench.cluster.start()
        if not run.first("done"):
            return run
        bench.cluster.drop(database)
        bench.cluster.create(name=database)
    pytest.fail(f"no run of {folder} was still under way when the server stopped:\n{run.story}")
