"""The process that removes a container whose run died between creating and starting it: it has no stdin yet to end it.

Owns: that one request, at the engine's door, as the run itself reaches it: a Unix socket, also one at this end of the
    run's tunnel, which this process holds open; or an address, with or without TLS. Runs alone:
    `python -I -S reaper.py NAME SECONDS DOOR`, whose last is one word or more, as `Door` has them.
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
    from collections.abc import Iterable
    from typing import TypeAlias

    Reaper = subprocess.Popen[bytes]
    # ("unix", path), ("tcp", host, port) or ("tls", host, port, authority, certificate, key, "verify" or "").
    # Files, empty where there is none; an empty authority means the system's.
    Door: TypeAlias = tuple[str, ...]

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


def spawn_reaper(door: Door, name: str, *, patience_s: float = PATIENCE_S, hold: Iterable[int] = ()) -> Reaper:
    """Start this file as a process of its own; whoever closes its stdin without a word is dead.

    Args:
        door: where the engine is asked.
        name: the container's, which nobody else has.
        patience_s: for how many seconds an engine that answers may still be at it.
        hold: descriptors that it is to keep open.
    """
    import subprocess  # noqa: TID251 - the owner; and not needed when this file runs alone

    return subprocess.Popen(  # noqa: S603 - our own file
        [sys.executable, "-I", "-S", "-B", __file__, name, str(patience_s), *door],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=tuple(hold),
        cwd="/",
        env={},
    )


def tell(reaper: Reaper | None, word: bytes) -> None:
    """Say how far the run is: ASKED before the request to create the container, ANSWERED after it."""
    if reaper is not None and reaper.stdin is not None and not reaper.stdin.closed:
        with contextlib.suppress(OSError, ValueError):  # closed by the thread that starts the container, meanwhile
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


def removed(door: Door, name: str) -> bool:
    """Ask for the removal of a container that does not run; whether the engine did it.

    Raises:
        OSError: nobody answers there.
    """
    return _answer(door, name) == _REMOVED


def _answer(door: Door, name: str) -> int:
    with _entered(door) as engine:
        engine.sendall(
            f"DELETE /containers/{name}?v=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        status = b"".join(engine.recv(64).split(b" ")[1:2])
        return int(status) if status.isdigit() else 0


def _entered(door: Door) -> socket.socket:
    """A connection to the engine; whatever is done over it ends in time."""
    if door[0] == "unix":
        local = socket.socket(socket.AF_UNIX)
        local.settimeout(REQUEST_S)
        try:
            local.connect(door[1])
        except BaseException:
            local.close()
            raise
        return local
    try:
        plain = socket.create_connection((door[1], int(door[2])), REQUEST_S)
    except TimeoutError as exc:
        raise ConnectionError from exc  # it is not reached; one that is silent takes connections
    if door[0] == "tcp":
        return plain
    import ssl  # takes as long as the rest of this file

    authority, certificate, key, verify = door[3:7]
    with plain:
        context = ssl.create_default_context(cafile=authority or None)
        if not verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(certificate, key or None)
        return context.wrap_socket(plain, server_hostname=door[1])


def main() -> None:
    """Wait for a word or for the end of the run; then remove what it left."""
    name, left_s, door = sys.argv[1], float(sys.argv[2]), tuple(sys.argv[3:])
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
            if _answer(door, name) in final:
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
