"""The process that removes a container whose run died between creating and starting it: it has no stdin yet to end it.

Owns: that one request, over the engine's Unix socket. Runs alone: `python -I -S reaper.py SOCKET NAME SECONDS`.
Promises: only the container of that name is removed, and never by force, so that one which runs, or stays, is left to
    its guard. Told that it is not needed any more it ends; so it does when its run is dead and nothing can come any
    more: nothing was asked for, or the engine has answered that request and now says that it is gone, or runs. A minute
    it goes on where the request to create it may still be under way, or the engine cannot be reached; and for as long
    as there is an engine that takes connections and is silent: what it was asked for it does when it goes on.
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

    Reaper = subprocess.Popen[bytes]

POLL_S = 0.5
# A request to create it may still be under way in the engine when the run dies: as long as a run waits for one.
PATIENCE_S = 60.0
# However silent an engine is.
LONGEST_S = 3_600.0
PAUSE_S, LATER_PAUSE_S = 0.05, 0.25
EAGER_S = 2.0
REQUEST_S = 2.0
# What the run says of its request to create the container, each a byte; and that the container is its own affair.
ASKED, ANSWERED, DISMISSED = b"c", b"a", b"."
_REMOVED, _NOT_THERE, _NOT_WITHOUT_FORCE = 204, 404, 409
_NAME = re.compile(r"[a-z0-9-]+")


def spawn_reaper(engine_socket: str, name: str, *, patience_s: float = PATIENCE_S) -> Reaper:
    """Start this file as a process of its own; whoever closes its stdin without a word is dead.

    Args:
        engine_socket: the path of the engine's Unix socket.
        name: the container's, which nobody else has.
        patience_s: for how many seconds an engine that answers may still be at it.
    """
    import subprocess  # noqa: TID251 - the owner; and not needed when this file runs alone

    return subprocess.Popen(  # noqa: S603 - our own file
        [sys.executable, "-I", "-S", "-B", __file__, engine_socket, name, str(patience_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env={},
    )


def tell(reaper: Reaper | None, word: bytes) -> None:
    """Say how far the run is: ASKED before the request to create the container, ANSWERED after it."""
    if reaper is not None and reaper.stdin is not None and not reaper.stdin.closed:
        with contextlib.suppress(OSError):
            os.write(reaper.stdin.fileno(), word)


def dismiss(reaper: Reaper) -> None:
    """It is not needed: the container has started, or is gone. Wait for its end; once more does nothing."""
    if reaper.stdin is None or reaper.stdin.closed:
        return
    tell(reaper, DISMISSED)
    with contextlib.suppress(OSError):
        reaper.stdin.close()
    reaper.wait()


def leave(reaper: Reaper) -> None:
    """Let it do its work: whether the container is gone is not known. It is not waited for."""
    if reaper.stdin is None or reaper.stdin.closed:
        return
    with contextlib.suppress(OSError):
        reaper.stdin.close()
    reaper.returncode = 0  # it is the system's child soon


def removed(engine_socket: str, name: str) -> bool:
    """Ask for the removal of a container that does not run; whether the engine did it.

    Raises:
        OSError: nobody answers there.
    """
    return _answer(engine_socket, name) == _REMOVED


def _answer(engine_socket: str, name: str) -> int:
    with socket.socket(socket.AF_UNIX) as engine:
        engine.settimeout(REQUEST_S)
        engine.connect(engine_socket)
        engine.sendall(
            f"DELETE /containers/{name}?v=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        status = b"".join(engine.recv(64).split(b" ")[1:2])
        return int(status) if status.isdigit() else 0


def main() -> None:
    """Wait for a word or for the end of the run; then remove what it left."""
    engine_socket, name, left_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(signum, signal.SIG_IGN)
    if not _NAME.fullmatch(name):
        return
    heard = _listen()
    if DISMISSED in heard or ASKED not in heard:
        return
    final = (_REMOVED, _NOT_WITHOUT_FORCE, *((_NOT_THERE,) if ANSWERED in heard else ()))
    began = time.monotonic()
    while left_s > 0 and (waited_s := time.monotonic() - began) < LONGEST_S:
        asked_at = time.monotonic()
        silent = False
        try:
            if _answer(engine_socket, name) in final:
                return
        except TimeoutError:
            silent = True
        except OSError:
            pass
        time.sleep(PAUSE_S if waited_s < EAGER_S else LATER_PAUSE_S)
        left_s -= 0 if silent else time.monotonic() - asked_at


def _listen() -> bytes:
    """What the run said until it dismissed us or died."""
    run = os.getppid()
    heard = b""
    while DISMISSED not in heard:
        # A child that the run forked may still hold the pipe; the parent's death is what counts. What was said is read.
        dead = os.getppid() != run
        if select.select([0], [], [], 0 if dead else POLL_S)[0]:
            words = os.read(0, 64)
            if not words:
                break
            heard += words
        elif dead:
            break
    return heard


if __name__ == "__main__":
    main()
