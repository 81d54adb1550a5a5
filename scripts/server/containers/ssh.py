"""An engine on another machine, by the user's own ssh: its socket, and the ports that it publishes on its loopback.

Owns: the ssh program, and the private folder in which the tunnel's sockets are.
Promises: nobody else can use the tunnel, here or there: sockets in a folder that only this user may enter, ports that
    the other machine publishes on its loopback only. It ends with the run, however that ends: the command on the other
    side waits for the end of its stdin, which only the run holds open, and, for as long as a container of the run may
    come and is not started, the process that then removes it (reaper.py).
Never: asks for a password, accepts a host that is not known yet, or changes what the user's configuration of ssh says.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess  # noqa: TID251 - the owner of ssh
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scripts.errors.docker import DockerError
from scripts.server.containers.named import NOT_SHOWN, named_by
from scripts.server.folders import require_socket_fits

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "parity-ssh-"
CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 30.0
END_TIMEOUT_S = 2.0
USUAL_SOCKET = "/var/run/docker.sock"
_HELLO = "parity-runner "
# In whatever shell the user has there. Its engine may be elsewhere on that machine: rootless, for one.
_THERE = f"""exec sh -c 'printf "{_HELLO}%s\\n" "$DOCKER_HOST"; exec cat >/dev/null'"""
# When ssh ends, its sockets are of no use, whether or not the run is there to see it.
_HERE = 'folder=$1; shift; "$@"; rm -rf -- "$folder"'
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": str(CONNECT_TIMEOUT_S),
    "ServerAliveInterval": "15",
    "LogLevel": "ERROR",
    "RequestTTY": "no",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "ControlPersist": "no",
    # What the user's configuration may ask for, and would not fit.
    "RemoteCommand": "none",
    "PermitLocalCommand": "no",
}


@dataclass(slots=True)
class Tunnel:
    """A connection to another machine. `place` is the URL, for people; `docker` is where its engine is reached here.

    held_by: the descriptor that holds it open, for as long as anybody has it.
    """

    place: str
    folder: Path
    docker: Path
    target: tuple[str, ...]
    held_by: int
    left: bool = False

    def reach(self, port: int) -> str:
        """Where a port of that machine's loopback is reached, as conninfo.

        Raises:
            DockerError: ssh refuses.
        """
        socket = self.folder / f".s.PGSQL.{port}"  # as libpq wants it
        if not socket.exists():
            _forward(self.place, self.folder, self.target, f"{socket}:127.0.0.1:{port}")
        return f"host={self.folder} port={port}"

    def leave(self) -> None:
        """Somebody else has something to do in it: it is not waited for, and ends with whoever holds it last."""
        self.left = True


@contextmanager
def open_tunnel(place: str) -> Iterator[Tunnel]:
    """Connect.

    Args:
        place: ssh://[user@]host[:port][/path/of/the/socket].

    Raises:
        DockerError: it cannot be had, in ssh's own words.
        FolderError: the temporary folder's name is too long for a socket.
    """
    target, path = _parse(place)
    # Before there is a folder: a name as long as its own, and what ssh adds to that of its socket.
    require_socket_fits(Path(tempfile.gettempdir()) / f"{PREFIX}{'x' * 13}")
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    control = folder / "c"
    options = {**_OPTIONS, "ControlMaster": "yes", "ControlPath": str(control), "ClearAllForwardings": "yes"}
    argv = ["sh", "-c", _HERE, "sh", str(folder), "ssh", *_given(options), *target, _THERE]
    # In a session of its own: a Ctrl-C at the terminal is for the run, which still has to remove its container.
    ssh = subprocess.Popen(  # noqa: S603 - ssh, with what DOCKER_HOST names behind a "--"
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
    )
    tunnel = None
    try:
        theirs = _hello(ssh, place)
        docker = folder / "docker.sock"
        _forward(place, folder, target, f"{docker}:{path or _socket_of(theirs, place)}")
        if ssh.stdin is None:
            raise RuntimeError("ssh without pipes")
        tunnel = Tunnel(place, folder, docker, target, ssh.stdin.fileno())
        yield tunnel
    finally:
        _end(ssh, folder, wait=tunnel is None or not tunnel.left)


def _parse(place: str) -> tuple[tuple[str, ...], str]:
    """The arguments that name the target, and the socket's path there ("" for the usual)."""
    parts = urlsplit(place)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme != "ssh" or not parts.hostname or parts.password is not None or port == -1 or parts.query:
        raise DockerError.bad_host(named_by(), f"a URL of the kind ssh://, of another form {NOT_SHOWN}")
    user = ("-l", parts.username) if parts.username else ()
    return (*user, *(("-p", str(port)) if port else ()), "--", parts.hostname), parts.path.rstrip("/")


def _given(options: dict[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _hello(ssh: subprocess.Popen[bytes], place: str) -> str:
    """Wait for the first word from the other side; returns its DOCKER_HOST."""
    if ssh.stdout is None or ssh.stderr is None:
        raise RuntimeError("ssh without pipes")
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    heard = b""
    while True:
        ready, _, _ = select.select([ssh.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise DockerError.no_engine(f"{place}: no answer within {ANSWER_TIMEOUT_S:.0f} s")
        part = os.read(ssh.stdout.fileno(), 4096)
        heard += part
        # The login's own scripts may have something to say first.
        for line in heard.decode(errors="replace").splitlines(keepends=True):
            if line.startswith(_HELLO) and line.endswith("\n"):
                return line.removeprefix(_HELLO).strip()
        if not part:
            words = " ".join(ssh.stderr.read().decode(errors="replace").split())
            raise DockerError.no_engine(f"{place}: {words or 'ssh ended'}")


def _socket_of(theirs: str, place: str) -> str:
    """Where the engine of that machine listens, as its user is told."""
    if not theirs:
        return USUAL_SOCKET
    if not theirs.startswith("unix:///"):
        raise DockerError.no_engine(f"{place}: DOCKER_HOST is set there, and names no socket of that machine")
    return theirs.removeprefix("unix://")


def _forward(place: str, folder: Path, target: tuple[str, ...], what: str) -> None:
    argv = ["ssh", *_given({"ControlPath": str(folder / "c"), "LogLevel": "ERROR"}), "-O", "forward", "-L", what]
    try:
        done = subprocess.run(  # noqa: S603 - as above
            [*argv, *target], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=ANSWER_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as exc:
        raise DockerError.no_engine(f"{place}: no answer within {ANSWER_TIMEOUT_S:.0f} s") from exc
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).decode(errors="replace").split())
        raise DockerError.no_engine(f"{place}: {words or 'ssh forwards nothing'}")


def _end(ssh: subprocess.Popen[bytes], folder: Path, *, wait: bool) -> None:
    for pipe in (ssh.stdin, ssh.stdout, ssh.stderr):
        if pipe is not None:
            pipe.close()
    if not wait:
        ssh.returncode = 0  # it is the system's child soon
        return
    try:
        ssh.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        # Nobody answers there any more. Both of them: the shell waits for ssh, and would remove the folder.
        with suppress(ProcessLookupError):
            os.killpg(ssh.pid, signal.SIGKILL)
        ssh.wait()
        shutil.rmtree(folder, ignore_errors=True)
