"""Real runs — `invoke`, `nox`, `pytest` — in a place of their own, killed at any moment; and what they leave, counted.

Owns: the place (its memory, temporary folder, caches, evidence), so that only what its own runs made is counted.
"""

from __future__ import annotations

import os
import signal
import subprocess  # noqa: TID251 - a test starts the program it kills
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from make_runs import processes, segments_of

from scripts.server.cluster.cache import SUFFIX
from scripts.server.embedded.origin import open_embedded
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

# Read by every Python process of the run before anything else: the data goes below the place, and not to /dev/shm.
SITE = """
import scripts.server.folders as folders
from pathlib import Path
folders.MEMORY = Path({place!r})
folders.ROOM_IN_MEMORY = 0
"""
TEST = """
import pytest
from pathlib import Path

@pytest.mark.parametrize("turn", range(2))
def test_the_server_answers(server, turn):
    import psycopg
    Path(__file__).with_name(f"working-{turn}").touch()
    with psycopg.connect(server.dsn) as conn:
        conn.execute("SELECT pg_sleep(20)")
"""
# The same with a server in a container.
CONTAINED = """
import pytest
from scripts.server.open import open_server
from scripts.settings import read_settings

@pytest.fixture(scope="session")
def server():
    with open_server(read_settings(), run_id="test", report=print) as opened:
        yield opened
"""
BIN = Path(sys.executable).parent
# The sessions' own environments are not made: what is installed here serves.
NOX = (str(BIN / "nox"), "--no-venv", "--no-install", "--session")
# Without a plug-in that is no part of the run: Hypothesis loads itself when a run is over, which takes a second and
# a half where Python may write down nothing that it compiles, as here.
PYTEST = (
    *("-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"),
    *("-p", "fix_server", "-p", "fix_ending", "--rootdir", "."),
)
WORKERS = ("-n", "2")
# Those that run pytest are given the test of their place.
COMMANDS: Mapping[str, list[str]] = {
    "invoke": [str(BIN / "invoke"), "pre-ci"],
    "nox": [*NOX, "verify"],
    "pytest": [str(BIN / "pytest"), *PYTEST],
    "pytest of two workers": [str(BIN / "pytest"), *PYTEST, *WORKERS],
    "nox of two workers": [*NOX, "tests", "--", *PYTEST, *WORKERS],
}
GONE_WITHIN_S = 2.0


def gone_within_s() -> float:
    """Two seconds of a machine's own time: more where more want to run than can, for as long as they take turns."""
    return GONE_WITHIN_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@dataclass
class Place:
    """A folder that runs of one test share, and the processes that were seen to be theirs."""

    folder: Path
    seen: dict[int, str] = field(default_factory=dict)
    struck_at: float | None = None
    ending: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        for name in ("data", "tmp", "site", "evidence", "cache", "test"):
            (self.folder / name).mkdir()
        (self.folder / "data").chmod(0o1777)
        (self.folder / "cache").chmod(0o700)
        (self.folder / "site" / "sitecustomize.py").write_text(SITE.format(place=str(self.data)))
        (self.folder / "test" / "test_server.py").write_text(TEST)
        (self.folder / "test" / "pytest.ini").write_text("[pytest]\n")

    @property
    def data(self) -> Path:
        """Where the servers' folders go."""
        return self.folder / "data"

    def begin(self, kind: str, *, cache: bool = True, image: str = "") -> subprocess.Popen[bytes]:
        """Start a run in a process group of its own; with an image its server is in a container."""
        if image:
            (self.folder / "test" / "test_server.py").write_text(CONTAINED + TEST)
        command = [*COMMANDS[kind], *([str(self.folder / "test")] if "fix_server" in COMMANDS[kind] else [])]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={
                "PATH": f"{BIN}:/usr/bin:/bin",
                "PYTHONPATH": f"{self.folder / 'site'}:{ROOT}:{ROOT / 'tests'}",
                "PYTHONDONTWRITEBYTECODE": "1",
                "HOME": str(self.folder),
                "TMPDIR": str(self.folder / "tmp"),
                **({"SERVER": "docker", "PG_IMAGE": image, **engine_variables()} if image else {"SERVER": "embedded"}),
                "CLUSTER_CACHE": "1" if cache else "0",
                "PARITY_CACHE_DIR": str(self.folder / "cache"),
                "EVIDENCE_ROOT": str(self.folder / "evidence"),
            },
        )

    def wait_for_folder(self, run: subprocess.Popen[bytes]) -> None:
        """Until the run's server has a folder, or the run is over."""
        while run.poll() is None and not any(self.data.iterdir()):
            time.sleep(0.005)

    def wait_for_work(self, run: subprocess.Popen[bytes]) -> None:
        """Until two workers are each in a test, on a server of their own; they stay there for longer than is waited."""
        deadline = time.monotonic() + 60
        while len(list((self.folder / "test").glob("working-*"))) < 2:
            assert run.poll() is None, f"over before it worked: exit {run.returncode}"
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def forget_clusters(self) -> None:
        """The next run makes its cluster anew."""
        for path in (self.folder / "cache").iterdir():
            path.unlink()

    def keep_cluster(self) -> None:
        """The next run starts on a copy, whatever became of the runs before it."""
        if not any((self.folder / "cache").glob(f"*{SUFFIX}")):
            with open_embedded(Settings(cluster_cache=self.folder / "cache"), reason=""):
                pass

    def note(self, root: int) -> list[tuple[int, str]]:
        """Process numbers and command lines of a run and all below it, as they are now; they are remembered."""
        table = processes()
        family, grown = {root}, True
        while grown:
            more = {pid for pid, parent, _ in table if parent in family} - family
            family |= more
            grown = bool(more)
        self.seen |= (found := {pid: line for pid, _, line in table if pid in family})
        return list(found.items())

    def left(self) -> list[str]:
        """Folders of servers, processes of these runs, memory that their servers had."""
        if self.ending is not None:
            self.ending.poll()  # who has ended and was not asked for its status has no memory, but a number
        found = [str(path) for path in self.data.iterdir()]
        found += [str(path) for path in (self.folder / "tmp").glob("parity-*") if "runner" not in path.name]
        for pid, _, line in processes():
            if str(self.folder) in line or (pid in self.seen and line.strip()):
                self.seen[pid] = line
                found.append(f"process {pid}: {line}")
        return found + [f"memory of {name}: {line}" for pid, name in self.seen.items() for line in segments_of(pid)]

    def what_stays(self) -> list[str]:
        """What is still there when the time since the last signal is over; ends as soon as nothing is."""
        deadline = (self.struck_at or time.monotonic()) + gone_within_s()
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left


def engine_variables() -> dict[str, str]:
    """What says which engine it is."""
    return {name: value for name, value in os.environ.items() if name.startswith("DOCKER")}  # noqa: TID251 - this engine


def kill(place: Place, run: subprocess.Popen[bytes], signum: int, *, victims: str = "run") -> bool:
    """Send it. The time within which all must be gone, the run's own processes too, begins with the signal.

    But where the watcher alone is killed: nobody has told the run to end. It loses its server, says so, and removes
    what there was when it ends; so its end is waited for, and the time begins there.

    Args:
        place: where it runs.
        run: what was begun.
        signum: the signal.
        victims: "run", "watcher", or "both".

    Returns:
        Whether anything was hit. A run may be over by itself, or have no watcher yet: then it is told to end.
    """
    family = place.note(run.pid)
    watchers = [pid for pid, line in family if "watcher.py" in line and "-I" in line]
    targets = (watchers if victims in ("watcher", "both") else []) + ([run.pid] if victims in ("run", "both") else [])
    if run.poll() is not None or (victims != "run" and not watchers):
        run.terminate()
        run.wait(timeout=30)
        place.struck_at = time.monotonic()
        return False
    for pid in targets:
        os.kill(pid, signum)
    place.struck_at = time.monotonic()
    place.note(run.pid)
    if victims == "watcher":
        run.wait(timeout=30)
        place.struck_at = time.monotonic()
    else:
        place.ending = run
    return True


def end(run: subprocess.Popen[bytes]) -> None:
    """Kill a run that is still there, with all of its group."""
    if run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
