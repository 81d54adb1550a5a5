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
EVERY_KIND_SHARE = 0.6
# Of the killed runs, whose next run is killed as well; or whose next run has been waiting for it.
TWICE_SHARE = 0.5
WAITING_SHARE = 0.25
# Of the runs that do not trace; and of those whose server ends a statement soon after its client is gone.
UNTRACED_SHARE = 0.3
NOTICED_SHARE = 0.4


@pytest.mark.parametrize("share", range(SHARES))
def test_killed_at_random_moments(bench: Bench, tally: Callable[[str, int], None], seed: int, share: int) -> None:
    """SIGKILL from outside, whatever the engine and the server are doing: the next run makes it good."""
    numbers = range(share, MOMENTS, SHARES)
    counts = {"moments": len(numbers), "twice": 0, "waiting": 0}
    for number in numbers:
        drawn = draw(seed, "moment", number)
        folder = "every kind" if drawn.random() < EVERY_KIND_SHARE else "project"
        what = f"moment {number} of {MOMENTS} in {folder}, KILLED_SEED={seed}"
        with bench.database(folder) as database:
            attempt = Attempt(bench, folder, database, drawn)
            killed = attempt.killed_run()
            waiting = attempt.waiting
            if waiting is not None:
                counts["waiting"] += 1
                waiting.wait()
                bench.require_recovered(folder, database, f"{what}, with the next run waiting", killed, waiting)
                continue
            if drawn.random() < TWICE_SHARE:
                second = attempt.run(0.4).wait()
                what += f", and again in the next run:\n{second.story}"
                assert second.killed or second.first("done"), f"{what}\nafter the killed run:\n{killed.story}"
                counts["twice"] += second.killed
            bench.require_recovery(folder, database, what, killed)
    for kind, count in counts.items():
        tally(kind, count)


class Attempt:
    """One moment: how its runs are made, and, sometimes, a second run that waits while the first is killed."""

    def __init__(self, bench: Bench, folder: str, database: str, drawn: random.Random) -> None:
        self.bench = bench
        self.folder = folder
        self.database = database
        self.drawn = drawn
        self.settings = {"migrate_trace": drawn.random() >= UNTRACED_SHARE}
        self.dsn = bench.cluster.dsn(database)
        if drawn.random() < NOTICED_SHARE:
            self.dsn += " options='-c client_connection_check_interval=20ms'"
        self.waits = drawn.random() < WAITING_SHARE
        self.waiting: Run | None = None

    def run(self, share: float) -> Run:
        """Start a run that is to be killed within a share of its usual time."""
        after_s = self.drawn.uniform(0.002, self.bench.undisturbed(self.folder).seconds * share)
        return self.bench.zygote.start(self.folder, self.dsn, kill={"after_s": after_s}, settings=self.settings)

    def killed_run(self) -> Run:
        """A run that was killed before it ended: one that was quicker than its moment does not count."""
        for share in (1.0, 0.8, 0.6, 0.4, 0.2, 0.1):
            run = self.run(share)
            if self.waits:
                run.wait_for_connection()
                self.waiting = self.bench.zygote.start(self.folder, self.dsn, settings=self.settings)
            run.wait()
            if run.killed:
                return run
            assert run.first("done"), f"it was not killed, and ended otherwise:\n{run.story}"
            if self.waiting is not None:
                self.waiting.wait()
            self.bench.cluster.drop(self.database)
            self.bench.cluster.create(name=self.database)
        pytest.fail(f"no run of {self.folder} lived long enough to be killed:\n{run.story}")
