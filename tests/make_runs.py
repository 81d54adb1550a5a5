"""Runs that open a server and are then killed: each a process of its own, its files in a folder the test can search."""

from __future__ import annotations

import os
import subprocess  # noqa: TID251 - a test starts the program it kills
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from scripts.server.folders import MEMORY
from scripts.settings import ROOT

BEGAN = int(time.time())

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

# Reports each step on a line; waits to be killed. argv: the folder for its files; "fork"; a watcher of another system.
CHILD = """
import os, sys, time
from pathlib import Path
import scripts.server.folders as folders
folders.MEMORY = Path(sys.argv[1])
folders.ROOM_IN_MEMORY = 0
from scripts.server.open import open_server
from scripts.server.signals import ending_on_signals
from scripts.errors.base import Interrupted
from scripts.settings import Settings
say = lambda text: print(text, flush=True)
if sys.argv[3]:  # neither a parent-death signal nor /proc
    from scripts.server import owner
    from scripts.server.embedded import watcher
    watcher.__file__ = sys.argv[3]
    owner._place = lambda: ""
    owner._began = lambda pid: ""
try:
    with ending_on_signals():
        with open_server(Settings(server="embedded"), run_id="test", report=say) as server:
            say("ready")
            say("dsn " + server.dsn)
            if sys.argv[2] and os.fork() == 0:
                say("forked")
                time.sleep(5)  # with every pipe of its parent still open
                os._exit(0)
            time.sleep(60)
except Interrupted as interrupted:
    raise SystemExit(interrupted.exit_code)
"""


class Run:
    """A process that opens an embedded server below `folder`."""

    def __init__(
        self, folder: Path, *, user: str | None = None, fork: bool = False, watcher: Path | None = None
    ) -> None:
        self.folder = folder
        self.watchers: list[int] = []
        self.memory_before = shared_memory()
        self.process = subprocess.Popen(
            [
                sys.executable if user is None else python_for_others()[0],
                "-c",
                CHILD,
                str(folder),
                "fork" if fork else "",
                "" if watcher is None else str(watcher),
            ],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            user=user,
            group=None if user is None else "nogroup",
            extra_groups=None if user is None else [],
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": f"{ROOT}:{SITE}",
                "HOME": str(folder),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )

    def wait_for(self, word: str) -> str:
        """Read lines up to the one that starts with a word; returns it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(word):
                return line
        pytest.fail(f"the run ended before it said {word!r}: exit {self.process.wait()}")

    def rest(self) -> str:
        """What it said and was not waited for; after its end."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def end(self, signum: int) -> int:
        """Send a signal; returns the exit status as the shell would see it."""
        self.watchers = [
            pid
            for pid, parent, line in processes()
            if parent == self.process.pid and "watcher.py" in line and CHILD not in line
        ]
        self.process.send_signal(signum)
        status = self.process.wait(timeout=20)
        return status if status >= 0 else 128 - status

    def leftovers(self) -> list[str]:
        """Files below the folder, servers that name it, the watcher, POSIX shared memory that nobody uses."""
        found = [str(path) for path in self.folder.iterdir()]
        for pid, _, line in processes():
            # The run itself, and a child it forked, name the folder, too.
            if (str(self.folder) in line and CHILD not in line) or (pid in self.watchers and line):
                found.append(f"process {pid}: {line}")
        return found + sorted(unused(shared_memory() - self.memory_before))

    def close(self) -> None:
        """Kill what is left and let go of the pipe."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def require_gone(self, *, within_s: float) -> None:
        """Fail unless everything has gone in time."""
        deadline = time.monotonic() + within_s
        while self.leftovers() and time.monotonic() < deadline:
            time.sleep(0.01)
        left = self.leftovers()
        assert left == [], left


def plain_watcher(folder: Path) -> Path:
    """The watcher as a system without parent-death signals has it: a copy that does not know Linux."""
    for path in (ROOT / "scripts" / "server" / "embedded").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name == "watcher.py":
            assert text.count('sys.platform.startswith("linux")') == 1
            text = text.replace('sys.platform.startswith("linux")', "False")
        (folder / path.name).write_text(text, encoding="utf-8")
    return folder / "watcher.py"


def processes() -> list[tuple[int, int, str]]:
    """Process id, parent and command line of every process, as anybody can see them."""
    if not Path("/proc/self/cmdline").exists():  # macOS
        lines = subprocess.check_output(["ps", "-axww", "-o", "pid=,ppid=,args="], text=True).splitlines()
        rows = [line.split(None, 2) for line in lines]
        return [(int(row[0]), int(row[1]), row[2]) for row in rows if len(row) == 3]
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has just ended
                continue
            found.append((int(path.name), parent, line))
    return found


def shared_memory() -> frozenset[str]:
    """POSIX segments of any PostgreSQL; the embedded server makes none, not even in initdb."""
    return frozenset(str(path) for path in MEMORY.glob("PostgreSQL.*"))


def unused(segments: frozenset[str]) -> set[str]:
    """Those that no process has mapped: other servers on this machine come and go."""
    maps = []
    for path in Path("/proc").glob("[0-9]*/maps") if segments else ():
        try:
            maps.append(path.read_text())
        except OSError:  # it has just ended, or is somebody else's
            continue
    return {segment for segment in segments if not any(segment in text for text in maps)}


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie has no command line)."""
    return any(pid == found and line.strip() for found, _, line in processes())


def parent_of(pid: int) -> int:
    """The parent's process id, 0 when the process is gone."""
    return next((parent for found, parent, _ in processes() if found == pid), 0)


def postmaster_of(folder: Path) -> int:
    """The process id of the server below a run's folder."""
    return int(next(folder.glob("*/d/postmaster.pid")).read_text().split()[0])


def segments_of(pid: int) -> list[str]:
    """System V shared memory made by a process that the kernel still keeps."""
    table = Path("/proc/sysvipc/shm")
    if table.exists():
        header, *lines = table.read_text().splitlines()
        names = header.split()
        rows = {line: dict(zip(names, line.split(), strict=False)) for line in lines}
        # Numbers of processes come again: what was left before these tests began is not theirs.
        return [line for line, row in rows.items() if row["cpid"] == str(pid) and int(row["ctime"]) >= BEGAN]
    # macOS: … OWNER GROUP CPID LPID
    lines = [line for line in subprocess.check_output(["ipcs", "-mp"], text=True).splitlines() if line[:1] == "m"]
    return [line for line in lines if line.split()[-2] == str(pid)]


def quiet(_line: str) -> None:
    """A report that nobody reads."""


def fail_inside(opened: AbstractContextManager[object]) -> None:
    """Raise ZeroDivisionError in a `with` block."""
    with opened:
        _ = 1 / 0


def others_can_pass(path: Path) -> bool:
    """Whether every folder down to a path is open to other users, links followed."""
    path = path.resolve()
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))


def python_for_others() -> list[str]:
    """An interpreter of this version that a user without rights can start: ours may lie in a closed home."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [Path(sys.executable), Path("/usr/bin") / name, Path("/usr/local/bin") / name]
    return [str(path) for path in candidates if path.exists() and others_can_pass(path)]


SITE = Path(psycopg.__file__).parent.parent
# Root can also test as a user without rights, where that user can read the checkout and the packages at all.
AS_USERS = (
    ["nobody"]
    if os.geteuid() == 0 and python_for_others() and all(others_can_pass(path) for path in (SITE, ROOT))
    else []
)
WHY_ALONE = "needs root, and a checkout, packages and a Python that others can read (`nox -s tests-users` insists)"
# What is said of two users is not seen where there is one: skipped with that reason, and run as root by CI.
AS_OTHERS = (pytest.mark.users, pytest.mark.skipif(not AS_USERS, reason=WHY_ALONE))
AS_NOBODY = pytest.param("nobody", marks=AS_OTHERS)
