"""A container whose first process does what this run says on its stdin, and ends when nobody is left to say anything.

Owns: that process (a shell), its words, and what a container is made of. Its beginning and its end: lifetime.py.
Promises: it ends with whoever holds the other end of the stdin; unless it was told to stay, and said that it does: it
    then ends with its server. Nothing that is said goes through the engine's records: `docker inspect` and the
    container's log show no secret, and no file of ours is on any disk.
Never: knows what the server in it is for.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.errors.docker import ContainerEndedError, DockerError
from scripts.errors.room import DiskFullError
from scripts.server.containers.words import one_line
from scripts.server.embedded.layout import DISK_FULL
from scripts.server.owner import LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scripts.server.aside import Aside
    from scripts.server.containers.engine import Engine

PORT = "5432/tcp"
# Of major 18: the declared volume is the parent, the data a folder named after the version. In memory, all of it.
VOLUME = "/var/lib/postgresql"
PGDATA = f"{VOLUME}/18/docker"
SAID = "parity-runner:"
LOG_LINES = 30
LOOK_S = 0.2
LISTEN_S = 0.002
PUBLISH_S = 5.0
STOP_S = 30.0
STAY_S = 10.0
KEPT_AS = f"{LABEL}.kept-as"
# Its words, each a line on stdin, `file` and `tree` with so many bytes behind it. A server that fails, or a word that
# does, leaves the container standing, so that its log can still be read: with AutoRemove it would vanish. The image's
# own entry point is used unchanged; when this shell ends, the kernel ends the rest. Errors go where all else does: the
# engine collects two streams each by itself, and the word that a server ended could overtake why.
GUARD = f"""
exec 3<&0 </dev/null 2>&1
trap 'exit 0' TERM INT
failed() {{ echo "{SAID} $1 failed"; exec cat <&3 >/dev/null; }}
while read -r word size path <&3; do
    case $word in
    file) mkdir -p "${{path%/*}}" && head -c "$size" <&3 >"$path" || failed "$word" ;;
    tree) mkdir -p "$path" && head -c "$size" <&3 | tar -x -p -f - -C "$path" || failed "$word" ;;
    copy) cp -R -p "$size" "$path" || failed "$word" ;;
    serve) (docker-entrypoint.sh "$@" 3<&-; echo "{SAID} server $size ended with status $?") & server=$! ;;
    stay) stay=1; echo "{SAID} stays" ;;
    heard) echo "{SAID} heard $size" ;;
    *) failed "$word" ;;
    esac
done
while [ -n "$stay" ] && kill -0 "$server" 2>/dev/null; do wait "$server"; done
"""
# By `exec`, whose output the engine keeps in no log. The file goes last of all when a server has shut down.
NO_TAR = 3
SHUT_DOWN = f"""
command -v tar >/dev/null || exit {NO_TAR}
kill -INT "$(head -n 1 "$PGDATA/postmaster.pid")"
while [ -e "$PGDATA/postmaster.pid" ]; do sleep 0.01; done
exec tar -c -f - -C "$PGDATA" .
"""


@dataclass(frozen=True, slots=True)
class MakeUp:
    """What a container is made of; nothing in it is secret, since `docker inspect` shows all of it.

    `image` is the name, for people; `image_id` is what runs, whatever the name means by then. `environment` is the
    entry point's, `command` its arguments; `run_id` goes into a label, and so does `keep_as`: the name under which it
    may be told to stay, "" where it may not. `data_mb`: how much of its machine's memory the data may take.
    """

    image: str
    image_id: str
    run_id: str
    environment: Mapping[str, str]
    command: list[str]
    keep_as: str = ""
    data_mb: int = 2_048


@dataclass(slots=True)
class Guard:
    """One container of ours. `image` is its name, for people."""

    engine: Engine
    image: str
    id: str
    stdin: Any
    starting: Aside[None]
    servers: int = 0
    signs: int = 0
    stays: bool = False
    looked_at: float = field(default_factory=time.monotonic)

    def put_file(self, path: str, content: bytes) -> None:
        """Write a file that every user in the container may read."""
        self._say(f"file {len(content)} {path}\n".encode() + content)

    def put_tree(self, path: str, archive: bytes) -> None:
        """Unpack a tar archive in a folder."""
        self._say(f"tree {len(archive)} {path}\n".encode())
        self._say(archive)

    def copy_tree(self, source: str, to: str) -> None:
        """Copy a folder with all that is in it; `to` is not there yet. No path of ours has a blank."""
        self._say(f"copy {source} {to}\n".encode())

    def serve(self) -> None:
        """Start the image's entry point. One server at a time."""
        self.servers += 1
        self._say(f"serve {self.servers} -\n".encode())

    def ask_for_a_sign(self) -> None:
        """Have it say when all that was said until now has been done."""
        self.signs += 1
        self._say(f"heard {self.signs} -\n".encode())

    def wait_for_the_sign(self, deadline: float) -> bool:
        """Wait until it says so; False when the time is over.

        Args:
            deadline: a moment of `time.monotonic`, in seconds.

        Raises:
            DiskFullError: something was not done, for want of room.
            ContainerEndedError: for another reason, in the log's own words.
        """
        while f"{SAID} heard {self.signs}" not in (log := self.log()).splitlines():
            self._judge(log)
            if time.monotonic() > deadline:
                return False
            time.sleep(LISTEN_S)
        return True

    def let_stay(self) -> None:
        """Tell it that the end of its stdin is not its end, and wait until it says so.

        Raises:
            DockerError: it does not.
        """
        self._say(b"stay - -\n")
        deadline = time.monotonic() + STAY_S
        while not self.stays:
            self.stays = f"{SAID} stays" in self.log().splitlines()
            if not self.stays and time.monotonic() > deadline:
                raise DockerError.refused("let the container stay", self.image, f"no word of it after {STAY_S:.0f} s")

    def _say(self, words: bytes) -> None:
        try:
            self.stdin.sendall(words)
        except OSError as exc:
            self.starting.finish()  # why there is nobody to listen
            self.require_alive(at_once=True)
            raise DockerError.refused("talk to the container", self.image, one_line(exc)) from exc

    def address(self) -> str:
        """Where the published port is, as conninfo. The engine fills it in a moment after the start.

        Raises:
            DockerError: it never does.
        """
        self.starting.finish()
        deadline = time.monotonic() + PUBLISH_S
        while True:
            settings = self.engine.client.api.inspect_container(self.id)["NetworkSettings"]
            bindings = (settings["Ports"] or {}).get(PORT)
            if bindings:
                # Podman writes "5432/tcp" in places; one entry an address family, all on the same port or IPv4 first.
                return self.engine.reach(int(str(bindings[0]["HostPort"]).split("/")[0]))
            self.require_alive()
            if time.monotonic() > deadline:
                # A network that the engine does not have is listed all the same; only the container has no end in it.
                networks = settings.get("Networks") or {}
                joined = ", ".join(name for name in sorted(networks) if networks[name].get("EndpointID"))
                raise DockerError.no_port(self.image, joined, PUBLISH_S)
            time.sleep(0.01)

    def log(self) -> str:
        """The last lines that were written in it."""
        return str(self.engine.client.api.logs(self.id, tail=LOG_LINES).decode(errors="replace")).strip()

    def require_alive(self, *, at_once: bool = False) -> None:
        """Look at the log, five times a second at most unless told, for a word or a server that failed.

        Raises:
            DiskFullError: for want of room.
            ContainerEndedError: for another reason, in the log's own words.
        """
        if not at_once and time.monotonic() - self.looked_at < LOOK_S:
            return
        self.looked_at = time.monotonic()
        self._judge(self.log())

    def _judge(self, log: str) -> None:
        ended = re.search(rf"{SAID} (?:server {self.servers} ended with status (\d+)|(\w+) failed)", log)
        if ended is None:
            return
        if any(words in log for words in DISK_FULL):
            raise DiskFullError.in_container("the start of the container", self.image)
        status = f"exit status {ended[1]}" if ended[1] else f"the step {ended[2]!r} failed"
        raise ContainerEndedError.with_log(self.image, status, log[: ended.start()].strip())

    def ask(self, *command: str) -> str:
        """What a program of the image writes; "" where it has no such program."""
        import docker.errors

        try:
            created = self.engine.client.api.exec_create(self.id, list(command))
            said, _ = _output_of(self.engine, created["Id"])
        except docker.errors.APIError:
            return ""
        return said.decode(errors="replace")

    def shut_down(self) -> bytes | None:
        """Shut the server down and take its data along, as a tar archive; another may be started after.

        Returns:
            None, and the server goes on, where the image has no tar.

        Raises:
            DockerError: it cannot be shut down.
        """
        api = self.engine.client.api
        command = api.exec_create(self.id, ["sh", "-c", SHUT_DOWN])
        archive, said = _output_of(self.engine, command["Id"])
        status = api.exec_inspect(command)["ExitCode"]
        if status == NO_TAR:
            return None
        clean = f"{SAID} server {self.servers} ended with status 0"
        deadline = time.monotonic() + STOP_S
        while clean not in self.log():
            if status or time.monotonic() > deadline:
                reason = said.decode(errors="replace") or f"exit status {status}"
                raise DockerError.refused("shut the server in the container down", self.image, one_line_of(reason))
            time.sleep(0.005)
        return archive


def _output_of(engine: Engine, command: str) -> tuple[bytes, bytes]:
    """Run a command that was created; returns what it wrote to its output and to its errors.

    Asked without an upgrade of the connection: where the SDK asks for one it skips what came with the answer's head,
    waits without a deadline, and joins thirty megabytes in twenty seconds.
    """
    api = engine.client.api
    url = api._url("/exec/{0}/start", command)  # noqa: SLF001 - as above
    response = api._post_json(url, data={"Tty": False, "Detach": False}, stream=True)  # noqa: SLF001
    streams: dict[int, list[bytes]] = {1: [], 2: []}
    try:
        api._raise_for_status(response)  # noqa: SLF001
        # Frames: the stream's number, three zeros, the size (four bytes, big-endian), so many bytes.
        while len(head := response.raw.read(8)) == 8:
            streams[head[0]].append(response.raw.read(int.from_bytes(head[4:])))
    finally:
        response.close()
    return b"".join(streams[1]), b"".join(streams[2])


def one_line_of(text: str) -> str:
    """Without line breaks."""
    return " ".join(text.split())
