"""From the request to create a container to its end, whatever happens in between.

Owns: creating, starting and removing a container of ours.
Promises: nothing is left behind, not even when the run is killed with -9: only this run holds the other end of the
    stdin, and the engine removes the container when its first process ends (guard.py); before it has a stdin, a process
    beside the run sees to it (reaper.py). A run that is interrupted while the engine creates its container waits for
    that: the engine does not take a request back because nobody reads the answer, and what is not there yet cannot be
    removed.
"""

from __future__ import annotations

import secrets
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.clock import iso_utc, utc_now
from scripts.errors.docker import DockerError
from scripts.server.aside import Aside
from scripts.server.containers.engine import PROBE_TIMEOUT_S
from scripts.server.containers.guard import GUARD, KEPT_AS, PORT, VOLUME, Guard
from scripts.server.containers.reaper import ANSWERED, ASKED, dismiss, leave, spawn_reaper, tell
from scripts.server.owner import LABEL, owner_labels
from scripts.server.staying_on import always, note_kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.server.containers.engine import Engine
    from scripts.server.containers.guard import MakeUp
    from scripts.server.containers.reaper import Reaper

TMPFS = "rw,size={}m"
REMOVE_TIMEOUT_S = 15.0
# How long a run that ends waits for the answer to a request that is under way. Whoever ends it may have no more
# patience than ten seconds in all, and who stands beside the run has more.
ANSWER_S = 4.0
# So many questions in a row without an answer, and an engine is not asked any more.
SILENT = 3
# A request whose answer was not waited for any longer: the process beside the run goes on after that.
LATE_S = 3.0


@dataclass(slots=True)
class _Making:
    """A container that is being made, as far as this run knows of it; `reaper` is who removes it if the run cannot."""

    engine: Engine
    name: str
    reaper: Reaper | None
    creating: Aside[str] | None = None
    stream: Any = None
    starting: Aside[None] | None = None
    guard: Guard | None = None


@contextmanager
def open_guard(engine: Engine, make_up: MakeUp) -> Iterator[Guard]:
    """Create a container and begin to start it; it is gone when the block is left, unless it was let stay.

    Args:
        engine: one that answers and has the image.
        make_up: what the container is.

    Raises:
        DockerError: it stays though it should not, and nothing else went wrong before that.
    """
    import requests

    name = f"{LABEL}-{secrets.token_hex(6)}"
    # Until it has started it has no stdin whose end could end it.
    making = _Making(engine, name, _stand_by(engine, name))
    try:
        making.creating = Aside("container-create", lambda: _create(engine, name, make_up, making.reaper))
        container = making.creating.finish()
        making.stream = engine.client.api.attach_socket(container, params={"stdin": 1, "stream": 1})
        stdin = getattr(making.stream, "_sock", making.stream)
        # A fifth of a second, while the run reads, checks and loads what it will send.
        making.starting = Aside("container-start", lambda: _start(engine, container, stdin, making.reaper))
        making.guard = Guard(engine, make_up.image, container, stdin, making.starting)
        yield making.guard
    except Exception:
        # What went wrong is told; but that the engine is not there any more is what it was a part of.
        with suppress(DockerError):
            _end(making)
        raise
    except BaseException:
        # Why the run ends is what it says and how it exits, whatever becomes of its container.
        with suppress(DockerError, requests.RequestException):
            _end(making)
        raise
    _end(making)


def _stand_by(engine: Engine, name: str) -> Reaper | None:
    """The process beside the run, which keeps the run's tunnel open for as long as it has something to do."""
    if engine.door is None:
        return None
    return spawn_reaper(engine.door, name, hold=() if engine.tunnel is None else (engine.tunnel.held_by,))


def _end(making: _Making) -> None:
    """Let go of it, have it removed, and send away who stands beside the run, where it is known to be gone."""
    engine, stream, settled = making.engine, making.stream, False
    if stream is not None:
        _let_go(getattr(stream, "_sock", stream))
        # The SDK hands out one layer of three; the connection stays open until all are closed.
        for layer in (getattr(stream, "_response", None), stream, getattr(stream, "_sock", None)):
            if layer is not None:
                layer.close()
    # An engine that is silent is not waited for at each question as long as one that is to start something.
    before, engine.client.api.timeout = engine.client.api.timeout, PROBE_TIMEOUT_S
    try:
        if not _was_answered(making.creating):
            settled = _removed_when_it_comes(engine, making.name)
        else:
            answers = True
            if making.starting is not None:
                answers = making.starting.wait(ANSWER_S)
            if making.guard is None or not making.guard.stays:
                remove_container(engine, making.name, silent=SILENT if answers else 1)
            settled = True
    finally:
        engine.client.api.timeout = before
        if making.reaper is not None:
            (dismiss if settled else leave)(making.reaper)
            if not settled and engine.tunnel is not None:
                engine.tunnel.leave()
        if not settled:
            note_kept(f"perhaps the container {making.name}", f"docker rm -f {making.name}", always)


def _was_answered(creating: Aside[str] | None) -> bool:
    """Whether the engine has said what became of the request to create it: nothing can come later then."""
    import docker.errors

    if creating is None:  # or this run does not know of it
        return False
    ended = creating.wait(ANSWER_S)
    return ended and (creating.failed is None or isinstance(creating.failed, docker.errors.APIError))


def _removed_when_it_comes(engine: Engine, name: str) -> bool:
    """Whether a container came that the engine did not say anything about in time, and is gone."""
    import docker.errors
    import requests

    deadline = time.monotonic() + LATE_S
    while time.monotonic() < deadline:
        try:
            engine.client.api.remove_container(name, force=True, v=True)
        except requests.Timeout:
            continue
        except docker.errors.APIError:
            time.sleep(0.02)
        else:
            remove_container(engine, name)
            return True
    return False


def _start(engine: Engine, container: str, stdin: Any, reaper: Reaper | None) -> None:
    try:
        engine.client.api.start(container)
        if reaper is not None:
            dismiss(reaper)
    except BaseException:
        _let_go(stdin)  # who waits for the container to listen is woken: it never will
        raise


def _let_go(stdin: Any) -> None:
    with suppress(OSError):
        stdin.shutdown(socket.SHUT_RDWR)


def _create(engine: Engine, name: str, make_up: MakeUp, reaper: Reaper | None) -> str:
    api = engine.client.api
    # A port of the engine's choice.
    host_config = api.create_host_config(
        auto_remove=True,
        port_bindings={PORT: None if engine.publish_on is None else (engine.publish_on, None)},
        tmpfs={VOLUME: TMPFS.format(make_up.data_mb)},
    )
    tell(reaper, ASKED)
    created = api.create_container(
        make_up.image_id,
        entrypoint=["sh", "-c", GUARD, "sh"],
        command=make_up.command,
        name=name,
        environment=dict(make_up.environment),
        ports=["5432"],
        host_config=host_config,
        stdin_open=True,  # with StdinOnce: the engine closes it when our connection ends
        labels={
            LABEL: "1",
            f"{LABEL}.run-id": make_up.run_id,
            **({KEPT_AS: make_up.keep_as} if make_up.keep_as else {}),
            **owner_labels(),
            f"{LABEL}.started-at": iso_utc(utc_now()),
        },
    )
    tell(reaper, ANSWERED)
    return str(created["Id"])


def remove_container(engine: Engine, name: str, *, silent: int = SILENT) -> None:
    """Remove a container of ours and wait until it is gone; AutoRemove may be at it already.

    Args:
        engine: the one it is in.
        name: its random name, or its id.
        silent: after how many questions without an answer it is given up.

    Raises:
        DockerError: it stays.
    """
    import docker.errors
    import requests

    began = time.monotonic()
    unanswered = 0
    while time.monotonic() < began + REMOVE_TIMEOUT_S and unanswered < silent:
        try:
            with suppress(docker.errors.APIError):
                engine.client.api.remove_container(name, force=True, v=True)
            engine.client.api.inspect_container(name)
        except docker.errors.NotFound:
            return
        except requests.Timeout:
            unanswered += 1
        else:
            unanswered = 0
        time.sleep(0.02)
    reason = "no answer for" if unanswered else "it is still there after"
    raise DockerError.refused("remove the container", name, f"{reason} {time.monotonic() - began:.0f} s")
