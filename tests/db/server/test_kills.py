"""A run is killed, whoever it belongs to and whenever: what it made is gone two seconds later.

`--kills N` sets the number of kills of each kind (a hundred were counted for docs/adr/0027); the suite does fewer.
"""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from make_kills import COMMANDS, Place, end, kill

from scripts.server.embedded import sweep as sweeps
from scripts.server.embedded.sweep import sweep
from scripts.server.folders import MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# How long a run starts, and how long it works with its server, at least.
BEFORE_S = 0.6
AFTER_S = 1.0


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Short, on a memory file system, open to the server's user."""
    folder = Path(tempfile.mkdtemp(prefix="k-", dir=MEMORY if MEMORY.is_dir() else None))
    folder.chmod(0o711)
    place = Place(folder)
    monkeypatch.setattr(sweeps, "places", lambda: [place.data])
    yield place
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How many of each kind."""
    return int(request.config.getoption("--kills"))


def kill_many(place: Place, kind: str, number: int, tally: Callable[[str, int], None], *, victims: str = "run") -> None:
    """Cold, warm and without a cache in turn; every signal in turn; moments drawn from one seed."""
    chance = random.Random(f"{kind} {victims}")  # noqa: S311 - moments, not secrets
    hit = 0
    for turn in range(number * 3):
        if hit == number:
            break
        if turn % 3 == 0:
            place.forget_clusters()
        if turn % 3 == 1:
            place.keep_cluster()
        run = place.begin(kind, cache=turn % 3 != 2)
        try:
            # One of four at any moment from its start; the others once the server's folder is there, early ones more
            # often: a copy is laid out in a twentieth of a second.
            if victims == "run" and turn % 4 == 3:
                time.sleep(chance.uniform(0, BEFORE_S))
            else:
                place.wait_for_folder(run)
                time.sleep(AFTER_S * chance.random() ** 2)
            signum = SIGNALS[(turn + len(kind)) % 4] if victims == "run" else signal.SIGKILL
            struck = kill(place, run, signum, victims=victims)
            hit += struck
            if struck and victims == "both":
                # The folder waits for the next start; the server does not.
                left = place.what_stays()
                assert all(line.startswith(str(place.data)) for line in left), left
                sweep(lambda _: None)
            assert place.what_stays() == [], f"turn {turn}: {signal.Signals(signum).name} of {victims}"
        finally:
            end(run)
    assert hit == number
    tally("runs", hit)


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_run_that_is_killed_leaves_nothing(
    place: Place, kills: int, kind: str, tally: Callable[[str, int], None]
) -> None:
    """By any signal, at any moment: before there is a server, while a cluster is made or copied, while it works."""
    kill_many(place, kind, kills, tally)


@pytest.mark.parametrize("signum", SIGNALS)
@pytest.mark.parametrize("kind", ["pytest of two workers", "nox of two workers"])
def test_workers_in_the_middle_of_a_test_end_with_their_run(place: Place, kind: str, signum: signal.Signals) -> None:
    """Left alone, a worker gives its test five seconds, and its server as many."""
    run = place.begin(kind)
    try:
        place.wait_for_work(run)
        assert kill(place, run, signum)
        assert place.what_stays() == []
    finally:
        end(run)


@pytest.mark.parametrize("victims", ["watcher", "both"])
def test_a_watcher_that_is_killed_leaves_nothing_for_long(
    place: Place, kills: int, victims: str, tally: Callable[[str, int], None]
) -> None:
    """Alone: the run removes what it had made. Together with its run: the next start does."""
    kill_many(place, "invoke", kills, tally, victims=victims)


def test_an_interrupt_of_nox_alone_is_obeyed_and_is_no_success(place: Place) -> None:
    """Nox takes it for a terminal's, which its child would have got, too; here the child has not."""
    run = place.begin("nox")
    try:
        place.wait_for_folder(run)
        assert kill(place, run, signal.SIGINT)
        assert place.what_stays() == []
        assert run.wait(timeout=30) == 128 + signal.SIGINT
    finally:
        end(run)
