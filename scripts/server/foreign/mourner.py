"""The process that drops a killed run's throw-away database, which else stays until the next run of that login looks.

Owns: the wait for the run's end, and the patience afterwards. Runs alone: `python -I -S mourner.py`, a dozen megabytes;
    what it needs to connect is loaded when its run is dead.
Promises: what is dropped is the database of its own run, with the proof that strays.py asks for; and, as the run itself
    does at its end, with everybody in it: what the dead run had begun would else go on in there. The URL reaches it by
    its stdin, so no argument and no variable holds a password. Told that the database is gone it ends, and nothing
    else dismisses it; so it does a few seconds after the run where there is no such database, and a minute after it
    where it cannot be dropped.
Never: says anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess  # noqa: TID251 - the owner
    from collections.abc import Iterator

POLL_S = 0.5
# CREATE DATABASE may still be under way on the server when the run dies, and is seen only when it is done.
PATIENCE_S = 5.0
# A session in there that this login may not end, a server that starts anew: whoever is in the way may go.
LONGEST_S = 60.0
PAUSE_S = 0.1
# How long a run waits for the end of one that it has dismissed.
DISMISSED_S = 5.0


class Mourner:
    """The run's end of the pipe to the process beside it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def tell(self, url: str, database: str) -> None:
        """Whose database it is to drop, and how to reach it."""
        told = {"path": [os.path.abspath(path) for path in sys.path], "url": url, "database": database}  # noqa: PTH100 - "" too
        self._write(json.dumps(told).encode() + b"\n")

    def dismiss(self) -> None:
        """The database is gone, or was never made: tell it, and wait for its end. Once more does no harm."""
        from subprocess import TimeoutExpired  # noqa: TID251 - as above

        if self._process.returncode is None:
            self._write(b".")
            with contextlib.suppress(TimeoutExpired):  # it finds nothing to drop, and ends later
                self._process.wait(timeout=DISMISSED_S)

    def leave(self) -> None:
        """Whoever was not dismissed has work to do when this process is gone: it is not waited for."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._process.returncode is None:
            self._process.returncode = 0  # it is the system's child soon

    def _write(self, words: bytes) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                os.write(self._process.stdin.fileno(), words)


@contextmanager
def mourning(url: str, database: str) -> Iterator[Mourner]:
    """Have a process stand beside the block; whoever dies, or leaves without dismissing it, has the database dropped.

    Args:
        url: the login that creates it.
        database: its name; nothing is dropped under another name.
    """
    import subprocess  # noqa: TID251 - the owner; and not needed when this file runs alone

    mourner = Mourner(
        subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-I", "-S", "-B", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    )
    try:
        mourner.tell(url, database)
        yield mourner
    finally:
        mourner.leave()


def main() -> None:
    """Wait for a word or for the end of the run; then look for what it left."""
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(signum, signal.SIG_IGN)
    run = os.getppid()
    heard = b""
    while b"\n" not in heard:
        part = os.read(0, 1 << 16)
        if not part:
            return
        heard += part
    told_first, _, words = heard.partition(b"\n")
    if words:  # one, or one more by a run that was interrupted while it waited for our end
        return
    # A child that the run forked may still hold the pipe; the parent's death is what counts.
    while os.getppid() == run:
        ready, _, _ = select.select([0], [], [], POLL_S)
        if ready:
            if os.read(0, 1):
                return
            break
    told = json.loads(told_first)
    sys.path[:] = told["path"]
    _drop(told["url"], told["database"])


def _drop(url: str, database: str) -> None:
    import psycopg

    from scripts.errors.base import ProjectError
    from scripts.server.foreign.strays import drop_own, is_there
    from scripts.server.readiness import connect

    began = time.monotonic()
    while (passed := time.monotonic() - began) < LONGEST_S:
        with contextlib.suppress(psycopg.Error, ProjectError), connect(url) as conn:
            if drop_own(conn, database) or (passed > PATIENCE_S and not is_there(conn, database)):
                return
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
