"""The process that removes a container whose run died between creating and starting it: it has no stdin yet to end it.

Owns: that one request, over the engine's Unix socket. Runs alone: `python -I -S reaper.py SOCKET NAME`.
Promises: only the container of that name is removed, and never by force, so that one which runs, or stays, is left to
    its guard. Told that it is not needed any more it ends; so it does a few seconds after the run in any case.
Never: imports any package, or is told a secret.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess  # noqa: TID251 - the owner

POLL_S = 0.5
# A request to create it may still be under way in the engine when the run dies.
PATIENCE_S = 10.0
PAUSE_S, LATER_PAUSE_S = 0.05, 0.25
EAGER_S = 2.0
REQUEST_S = 2.0
_REMOVED = b"204"
_NAME = re.compile(r"[a-z0-9-]+")


def spawn_reaper(engine_socket: str, name: str) -> subprocess.Popen[bytes]:
    """Start this file as a process of its own; whoever closes its stdin without a word is dead.

    Args:
        engine_socket: the path of the engine's Unix socket.
        name: the container's, which nobody else has.
    """
    import subprocess  # noqa: TID251 - the owner; and not needed when this file runs alone

    return subprocess.Popen(  # noqa: S603 - our own file
        [sys.executable, "-I", "-S", "-B", __file__, engine_socket, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env={},
    )


def dismiss(reaper: subprocess.Popen[bytes]) -> None:
    """It is not needed: tell it, and wait for its end. Once more does nothing."""
    if reaper.stdin is None or reaper.stdin.closed:
        return
    with contextlib.suppress(OSError):
        reaper.stdin.write(b".")
        reaper.stdin.flush()
    with contextlib.suppress(OSError):
        reaper.stdin.close()
    reaper.wait()


def removed(engine_socket: str, name: str) -> bool:
    """Ask for the removal of a container that does not run; whether the engine did it.

    Raises:
        OSError: nobody answers there.
    """
    with socket.socket(socket.AF_UNIX) as engine:
        engine.settimeout(REQUEST_S)
        engine.connect(engine_socket)
        engine.sendall(
            f"DELETE /containers/{name}?v=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        return engine.recv(64).split(b" ")[1:2] == [_REMOVED]


def main() -> None:
    """Wait for a word or for the end of the run; then remove what it left."""
    engine_socket, name = sys.argv[1:3]
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(signum, signal.SIG_IGN)
    if not _NAME.fullmatch(name):
        return
    run = os.getppid()
    # A child that the run forked may still hold the pipe; the parent's death is what counts.
    while os.getppid() == run:
        ready, _, _ = select.select([0], [], [], POLL_S)
        if ready:
            if os.read(0, 1):
                return
            break
    began = time.monotonic()
    while (waited_s := time.monotonic() - began) < PATIENCE_S:
        with contextlib.suppress(OSError):
            if removed(engine_socket, name):
                return
        time.sleep(PAUSE_S if waited_s < EAGER_S else LATER_PAUSE_S)


if __name__ == "__main__":
    main()
