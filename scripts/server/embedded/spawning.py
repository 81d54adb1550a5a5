"""How the watcher comes to run: the bare interpreter, which is sent compiled code.

Owns: its command line, and what it is sent. Sent, and not read by it from files: where no compiled files are kept
    (PYTHONDONTWRITEBYTECODE, a folder that is read-only) it would compile each time for as long as it takes to start;
    and nothing it needs at the end can be gone by then, or be of another branch.
"""

from __future__ import annotations

import marshal
import subprocess  # noqa: TID251 - the owner
import sys
from contextlib import suppress
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path

from scripts.server.embedded import watcher

PARTS = ("watcher", "laying", "lease", "segment")
# Its last line is the watcher. An end of the pipe before that is an end of the run.
_BOOT = """
import marshal, os, sys
def take(size):
    data = b""
    while len(data) < size:
        data += os.read(0, size - len(data)) or sys.exit()
    return data
CODE = marshal.loads(take(int(take(8))))
exec(CODE["watcher"])
"""


def spawn_watcher(inherited: int) -> subprocess.Popen[bytes]:
    """Start it as a process of its own, in a session of its own: the terminal's Ctrl-C is for the run.

    Args:
        inherited: a descriptor that stays open in it, under the same number.
    """
    # -I -S: no user site, no PYTHON* variables, no packages. Errors come back as answers, so nothing is lost with
    # stderr, and the run's own stderr is not held open after it. The file's name is for those who list processes.
    process = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-I", "-S", "-B", "-c", _BOOT, watcher.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,
        pass_fds=[inherited],
        cwd="/",
        env={},
    )
    # Compiled while the interpreter starts, where it has to be.
    code = _compiled(Path(watcher.__file__).parent)
    if process.stdin is None:
        raise RuntimeError("the watcher has no pipe")
    with suppress(BrokenPipeError):  # it has ended; the first request to it tells
        left = memoryview(b"%08d" % len(code) + code)
        while left:
            left = left[process.stdin.write(left) :]
    return process


@cache
def _compiled(folder: Path) -> bytes:
    """The parts, from the compiled files where Python keeps them and they are of the sources that are there."""
    return marshal.dumps({name: SourceFileLoader(name, str(folder / f"{name}.py")).get_code(name) for name in PARTS})
