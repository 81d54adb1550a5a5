"""`invoke`, `nox` and `pytest` with a server in a container, killed: two seconds later the engine has nothing of it.

What kills a run in the moments between two requests to the engine is in test_container_end.py; here the programs are
those that a person starts, with all that is between them and the run.
"""

from __future__ import annotations

import io
import random
import secrets
import shutil
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from make_kills import Place, end, gone_within_s, kill

from scripts.server.containers.engine import Engine, find_engine
from scripts.server.containers.image import TAG, build_offline_image
from scripts.server.containers.reaper import PATIENCE_S

if TYPE_CHECKING:
    import subprocess  # noqa: TID251 - what a test's place starts
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.docker
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGHUP)
KINDS = ("invoke", "nox", "pytest")
# How long a run works with its server, at least.
WORK_S = 1.0
START_S = 60.0


@dataclass(frozen=True)
class There:
    """Where the programs run and what they leave: files and processes in the place, containers in the engine.

    image: one of the test's own, so that only its own containers are counted.
    """

    place: Place
    engine: Engine
    image: str

    def begin(self, kind: str, *, cache: bool = True) -> subprocess.Popen[bytes]:
        """Start one, and wait until it has a container, of whatever state; fails where it ends before that."""
        run = self.place.begin(kind, cache=cache, image=self.image)
        deadline = time.monotonic() + START_S
        while not self.states():
            assert run.poll() is None, f"over before it had a container: exit {run.returncode}"
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return run

    def states(self) -> list[str]:
        """Of the containers that were made of the image."""
        api = self.engine.client.api
        found: list[dict[str, Any]] = api.containers(all=True, filters={"ancestor": self.image})
        return [one["State"] for one in found]

    def left(self) -> list[str]:
        """What is there when the time since the signal is over.

        The process beside a run whose request was on its way may go on for its patience; it is waited for.
        """
        deadline = time.monotonic() + gone_within_s()
        while True:
            found = [f"container: {state}" for state in self.states()]
            found += [line for line in self.place.left() if "reaper.py" not in line]
            if not found or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        deadline = time.monotonic() + PATIENCE_S
        while (beside := self.place.left()) and not found and time.monotonic() < deadline:
            time.sleep(0.1)
        return found or beside


@pytest.fixture
def there() -> Iterator[There]:
    """The engine with the offline image, and a place."""
    folder = Path(tempfile.mkdtemp(prefix="k-"))
    name = f"killed-{secrets.token_hex(4)}"
    with find_engine() as engine:
        build_offline_image(engine)
        dockerfile = f"FROM {TAG}\nLABEL killed={name}\n".encode()
        engine.client.images.build(fileobj=io.BytesIO(dockerfile), tag=name, rm=True)
        try:
            yield There(Place(folder), engine, name)
        finally:
            engine.client.api.remove_image(name)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How many of each kind."""
    return max(2, int(request.config.getoption("--kills")) // 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_killed_leaves_nothing_in_the_engine(
    there: There, kind: str, kills: int, tally: Callable[[str, int], None]
) -> None:
    """By any signal, from the first moment of its container on; while a cluster is made, and on a kept one."""
    chance = random.Random(kind)  # noqa: S311 - moments, not secrets
    seen: Counter[str] = Counter()
    for turn in range(kills):
        run = there.begin(kind, cache=turn % 3 != 2)
        try:
            time.sleep(WORK_S * chance.random() ** 2)
            signum = SIGNALS[(turn + len(kind)) % len(SIGNALS)]
            assert kill(there.place, run, signum), f"over before it was killed: exit {run.returncode}"
            seen += Counter(there.left())
        finally:
            end(run)
    tally("containers", kills)
    assert seen == Counter()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_counted_is_there_while_the_run_lives(there: There, kind: str) -> None:
    """A count that saw nothing of a living run would see nothing of a dead one either."""
    run = there.begin(kind)
    try:
        there.place.note(run.pid)
        assert there.place.left() != []
        assert there.states() in (["created"], ["running"])
        assert kill(there.place, run, signal.SIGKILL)
        assert there.left() == []
    finally:
        end(run)
