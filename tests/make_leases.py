"""Folders with a lease whose maker was killed, or is killed at a given step."""

from __future__ import annotations

import json
import signal
import subprocess  # noqa: TID251 - a test starts the program it kills
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.server.embedded.layout import PREFIX
from scripts.server.embedded.lease import LEASE
from scripts.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

# argv: the base, the prefix, the verb, and after how many changes to the file system it is killed with -9.
MAKER = """
import fcntl, os, shutil, signal, sys
from pathlib import Path
from scripts.server.embedded import lease
from scripts.server.owner import owner_labels
base, prefix, verb, steps = *sys.argv[1:4], int(sys.argv[4])
done = 0
def counted(function):
    def step(*args, **kwargs):
        global done
        if done == steps:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return function(*args, **kwargs)
    return step
def count():
    for module, name in ((os, "mkdir"), (os, "open"), (fcntl, "flock"), (os, "write"), (os, "rename"), (os, "unlink"),
                         (os, "rmdir")):
        setattr(module, name, counted(getattr(module, name)))
owner = owner_labels()
if verb == "make":
    count()
path, _ = lease.make_folder(base, prefix, owner, [])
if verb == "remove":
    (Path(path) / "d" / "base").mkdir(parents=True)
    for name in ("log", "d/PG_VERSION", "d/base/1"):
        (Path(path) / name).write_text("18")
    count()
    lease.remove_folder(path)
print(path, done, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def run_maker(base: Path, verb: str, steps: int = 1_000) -> tuple[str, int]:
    """A process makes a folder (and removes it, if the verb is that), and is killed at the latest at its end.

    Returns:
        The path, and how many changes to the file system were made; ("", steps) when it was killed before.
    """
    argv = [sys.executable, "-c", MAKER, str(base), PREFIX, verb, str(steps)]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    path, _, number = done.stdout.strip().partition(" ")
    return path, int(number) if number else steps


def dead_folder(base: Path) -> Path:
    """A whole folder with the lease of a process that is dead."""
    return Path(run_maker(base, "make")[0])


def every_step(base: Path, verb: str) -> Iterator[int]:
    """Kill the maker before each of its steps; yields the number of steps done, once for each."""
    _, steps = run_maker(base, verb)
    for number in range(steps):
        run_maker(base, verb, number)
        yield number


def labels_of(folder: Path) -> dict[str, str]:
    """What a lease says."""
    labels: dict[str, str] = json.loads((folder / LEASE).read_text())
    return labels


def change_labels(folder: Path, **changes: str) -> None:
    """Write something else into a lease; it stays the same file."""
    (folder / LEASE).write_text(json.dumps(labels_of(folder) | changes))
