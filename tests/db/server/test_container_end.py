"""Containers of killed runs: whatever kills a run, and whenever, nothing of it is in the engine two seconds later."""

from __future__ import annotations

import os
import random
import secrets
import signal
import socket
import subprocess  # noqa: TID251 - a test starts the program it kills
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from make_kills import engine_variables, gone_within_s
from make_runs import processes

from scripts.server.containers.engine import Engine, find_engine
from scripts.server.containers.image import TAG, build_offline_image
from scripts.server.containers.reaper import PATIENCE_S, dismiss, removed, spawn_reaper
from scripts.server.containers.unstarted import sweep
from scripts.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.docker
# For each of `--kills`.
TIMES = 4
LATE_S = 0.7
SILENT_S = 12.0
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGHUP)
ONE_RUN = """
import sys
from pathlib import Path
from scripts.errors.base import Interrupted
from scripts.server.open import open_server
from scripts.server.signals import ending_on_signals
from scripts.server.staying_on import told_of_kept
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
    say(told_of_kept())
    sys.exit(130)
"""
# Before that: a run that creates its container, says who removes it, and never starts it.
UNSTARTED = """
import time
from scripts.server.containers import lifetime
spawn = lifetime.spawn_reaper
def told(*place, **more):
    reaper = spawn(*place, **more)
    print("reaper", reaper.pid, flush=True)
    return reaper
lifetime.spawn_reaper = told
lifetime._start = lambda *_: time.sleep(60)
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


def begin(run_id: str, cache: Path | None, program: str = ONE_RUN, *, host: str = "") -> subprocess.Popen[str]:
    """A run in a process of its own, which waits in its block."""
    docker = engine_variables()
    if host:
        docker["DOCKER_HOST"] = host
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), **docker}
    return subprocess.Popen(
        [sys.executable, "-c", program, TAG, run_id, str(cache or "")],
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


@contextmanager
def late(
    path: Path, socket_path: str, *, silent_s: float = 0, word: bytes = b"/containers/create"
) -> Iterator[threading.Event]:
    """The engine behind a door that lets a request to create a container through late; tells when one has come.

    With `silent_s` nothing at all comes through for so many seconds from that request on.
    """
    asked = threading.Event()
    opens = [0.0]
    ends: list[socket.socket] = []

    def hand_on(source: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):
            while words := source.recv(65_536):
                if words.startswith(b"POST") and word in words:
                    opens[0] = time.monotonic() + silent_s
                    asked.set()
                    time.sleep(0 if silent_s else LATE_S)
                time.sleep(max(0.0, opens[0] - time.monotonic()))
                to.sendall(words)
            to.shutdown(socket.SHUT_WR)

    def serve(door: socket.socket) -> None:
        with suppress(OSError):
            while True:
                caller, _ = door.accept()
                real = socket.socket(socket.AF_UNIX)
                real.connect(socket_path)
                ends.extend((caller, real))
                for pair in ((caller, real), (real, caller)):
                    threading.Thread(target=hand_on, args=pair, daemon=True).start()

    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen(16)
        threading.Thread(target=serve, args=(door,), daemon=True).start()
        try:
            yield asked
        finally:
            door.shutdown(socket.SHUT_RDWR)
            for end in ends:
                end.close()


def leftovers(engine: Engine, run_id: str, *, since: float | None = None) -> list[str]:
    """The states of what is there two seconds after that moment of `time.monotonic`, or after this one."""
    deadline = (since or time.monotonic()) + gone_within_s()
    while (found := containers(engine, run_id)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return [container["State"] for container in found]


def beside(engine: Engine, *, patience_s: float = 0, socket_path: Path | None = None) -> list[str]:
    """The processes beside dead runs that are there after two seconds."""
    place = str(socket_path or engine.socket)
    deadline = time.monotonic() + gone_within_s() + patience_s
    while True:
        found = [line for _, _, line in processes() if "reaper.py" in line and place in line]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def test_runs_killed_at_any_moment_leave_nothing(
    engine: Engine, tmp_path: Path, tally: Callable[[str, int], None], request: pytest.FixtureRequest
) -> None:
    """Without kept clusters, while one is made, and on a copy; containers of every state, volumes, images, networks."""
    chance = random.Random(28)  # noqa: S311 - moments, not secrets
    warm = tmp_path / "warm"

    def cache_of(kind: int) -> Path | None:
        return (None, tmp_path / secrets.token_hex(4), warm)[kind]

    how_long(warm)
    spans = [how_long(cache_of(kind)) for kind in range(3)]
    before = things(engine)
    seen: Counter[str] = Counter()
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
        seen += Counter(leftovers(engine, run_id))
    tally("containers", kills)
    assert seen == Counter()
    assert things(engine) == before
    # One may go on for its patience: whose run died in the moment of its request, which never came.
    assert len(beside(engine)) <= 1
    assert beside(engine, patience_s=PATIENCE_S) == []


def test_a_container_that_its_dead_run_never_started_is_gone(engine: Engine) -> None:
    """Between creating and starting it has no stdin yet; a process beside the run sees to it. Killed too, the sweep."""
    for both in (False, True):
        run_id = f"unstarted-{secrets.token_hex(4)}"
        with begin(run_id, None, UNSTARTED + ONE_RUN) as run:
            assert run.stdout is not None
            lines = (run.stdout.readline() for _ in range(3))
            reaper = next(int(line.split()[1]) for line in lines if line.startswith("reaper "))
            deadline = time.monotonic() + 20
            while not containers(engine, run_id) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert [found["State"] for found in containers(engine, run_id)] == ["created"]
            if both:
                os.kill(reaper, signal.SIGKILL)
            run.kill()
            run.wait()
        assert leftovers(engine, run_id) == (["created"] if both else [])
        assert beside(engine) == []
        sweep(engine)
        assert containers(engine, run_id) == []


@pytest.mark.parametrize("signum", sorted(set(SIGNALS)))
def test_an_engine_that_creates_a_container_late_keeps_none(engine: Engine, tmp_path: Path, signum: int) -> None:
    """The run is told to end while the engine is at it: it does not take the request back, and there is nothing yet."""
    assert engine.socket is not None
    path = tmp_path / "engine.sock"
    with late(path, engine.socket) as asked:
        run_id = f"late-{secrets.token_hex(4)}"
        with begin(run_id, None, host=f"unix://{path}") as run:
            assert asked.wait(20)
            assert containers(engine, run_id) == []
            run.send_signal(signum)
            run.wait()
        time.sleep(LATE_S)  # what a dead run asked for comes when the engine is done
        assert leftovers(engine, run_id) == []
        assert beside(engine, patience_s=PATIENCE_S, socket_path=path) == []


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 130), (signal.SIGKILL, -9)])
@pytest.mark.parametrize("word", [b"/containers/create", b"/start"])
def test_an_engine_that_is_silent_for_long_keeps_none_either(
    engine: Engine, tmp_path: Path, word: bytes, signum: int, status: int
) -> None:
    """The run does not wait for it to the end, and says what is perhaps left; who stands beside it does wait.

    Whoever stops a job gives it ten seconds before it is killed: then nobody would have said anything.
    """
    assert engine.socket is not None
    path = tmp_path / "engine.sock"
    with late(path, engine.socket, silent_s=SILENT_S, word=word) as asked:
        run_id = f"silent-{secrets.token_hex(4)}"
        with begin(run_id, None, host=f"unix://{path}") as run:
            assert asked.wait(20)
            began = time.monotonic()
            run.send_signal(signum)
            said = run.stdout.read() if run.stdout is not None else ""
            assert run.wait() == status
            assert time.monotonic() - began < 9.5
        assert ("perhaps the container parity-runner-" in said) == (signum == signal.SIGTERM)
        time.sleep(max(0.0, began + SILENT_S - time.monotonic()))
        assert leftovers(engine, run_id) == []
        assert beside(engine, socket_path=path, patience_s=PATIENCE_S) == []


def test_a_container_that_runs_is_not_the_reapers(engine: Engine) -> None:
    """It asks without force, for one name; a word ends it at once."""
    name = f"parity-runner-{secrets.token_hex(6)}"
    assert engine.door is not None
    made = engine.client.api.create_container(TAG, entrypoint=["sleep", "60"], name=name)
    try:
        engine.client.api.start(made["Id"])
        assert not removed(engine.door, name)
        assert not removed(engine.door, name + "0")
        began = time.monotonic()
        dismiss(spawn_reaper(engine.door, name))
        assert time.monotonic() - began < 2
        assert engine.client.api.inspect_container(name)["State"]["Running"]
    finally:
        engine.client.api.remove_container(name, force=True, v=True)
