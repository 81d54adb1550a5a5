"""Containers of killed runs: whatever kills a run, and whenever, nothing of it is in the engine two seconds later."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess  # noqa: TID251 - a test starts the program it kills
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from scripts.server.containers.engine import Engine, find_engine
from scripts.server.containers.image import TAG, build_offline_image
from scripts.server.containers.unstarted import sweep
from scripts.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.docker
GONE_WITHIN_S = 2.0
# For each of `--kills`.
TIMES = 4
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGHUP)
ONE_RUN = """
import sys
from pathlib import Path
from scripts.errors.base import Interrupted
from scripts.server.open import open_server
from scripts.server.signals import ending_on_signals
from scripts.settings import Settings
say = lambda text: print(text, flush=True)
try:
    with ending_on_signals():
        say("begun")
        cache = Path(sys.argv[3]) if sys.argv[3] else None
        settings = Settings(server="docker", pg_image=sys.argv[1], cluster_cache=cache)
        with open_server(settings, run_id=sys.argv[2], report=say):
            say("ready")
            sys.stdin.read()
except Interrupted:
    sys.exit(130)
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The engine, with the offline image."""
    with find_engine() as found:
        build_offline_image(found)
        yield found


def things(engine: Engine) -> dict[str, set[str]]:
    """All that an engine can be left with."""
    api = engine.client.api
    return {
        "images": {image["Id"] for image in api.images(all=True)},
        "volumes": {volume["Name"] for volume in api.volumes()["Volumes"] or []},
        "networks": {network["Id"] for network in api.networks()},
    }


def containers(engine: Engine, run_id: str) -> list[Any]:
    """A run's, in whatever state."""
    found: list[Any] = engine.client.api.containers(all=True, filters={"label": f"parity-runner.run-id={run_id}"})
    return found


def begin(run_id: str, cache: Path | None) -> subprocess.Popen[str]:
    """A run in a process of its own, which waits in its block."""
    docker = {name: value for name, value in os.environ.items() if name.startswith("DOCKER")}  # noqa: TID251 - this engine
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), **docker}
    return subprocess.Popen(
        [sys.executable, "-c", ONE_RUN, TAG, run_id, str(cache or "")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def how_long(cache: Path | None) -> float:
    """Seconds from the run's first word to its last before it waits, on this machine, now."""
    with begin("measured", cache) as run:
        assert run.stdout is not None
        began = ended = 0.0
        for line in run.stdout:
            if line == "begun\n":
                began = time.monotonic()
            elif line == "ready\n":
                ended = time.monotonic()
                run.send_signal(signal.SIGTERM)
    assert began < ended
    return ended - began


def leftovers(engine: Engine, run_id: str) -> list[str]:
    """The states of what is there after two seconds."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while (found := containers(engine, run_id)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return [container["State"] for container in found]


def test_runs_killed_at_any_moment_leave_nothing(
    engine: Engine, tmp_path: Path, tally: Callable[[str, int], None], request: pytest.FixtureRequest
) -> None:
    """Without kept clusters, while one is made, and on a copy; containers, volumes, images and networks.

    A container that was created and never started has no stdin that could end: it waits for the next run's sweep.
    """
    chance = random.Random(28)  # noqa: S311 - moments, not secrets
    warm = tmp_path / "warm"

    def cache_of(kind: int) -> Path | None:
        return (None, tmp_path / secrets.token_hex(4), warm)[kind]

    how_long(warm)
    spans = [how_long(cache_of(kind)) for kind in range(3)]
    before = things(engine)
    seen: Counter[str] = Counter()
    waiting = 0
    kills = TIMES * int(request.config.getoption("--kills"))
    for number in range(kills):
        kind = number % len(spans)
        signum = SIGNALS[number % len(SIGNALS)]
        run_id = f"killed-{secrets.token_hex(4)}"
        with begin(run_id, cache_of(kind)) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == "begun\n"
            time.sleep(chance.uniform(0, 1.2 * spans[kind]))
            run.send_signal(signum)
            run.wait()
        states = Counter(leftovers(engine, run_id))
        waiting += states.pop("created", 0)
        seen += states
    tally("containers", kills)
    tally("created", waiting)
    assert seen == Counter()
    sweep(engine)  # as the next run does
    there = engine.client.api.containers(all=True, filters={"label": "parity-runner=1"})
    assert [found for found in there if found["State"] == "created"] == []
    assert things(engine) == before
