"""Whether a published port can be reached from here: an engine's socket may lead to another network than ours.

Owns: that judgement. A container that was lent its host's engine, an engine behind a firewall: the socket answers, the
    container starts, and its port is published where this run cannot get.
Promises: told only of a server that says inside its container that it takes connections, twice, while here nobody does.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.errors.docker import DockerError

if TYPE_CHECKING:
    from scripts.server.containers.guard import Guard

LOOK_S = 1.0
CONNECT_S = 1.0
SURE = 2
# By the network, as we come; every image that speaks the official one's contract has it.
_INSIDE = ("pg_isready", "-q", "-t", "1", "-h", "127.0.0.1", "-p", "5432")
_YES = "inside it is ready"


@dataclass(slots=True)
class Reach:
    """The judgement about one container's port; `look` is called for as long as nobody answers."""

    guard: Guard
    host: str
    port: int
    looked_at: float = field(default_factory=time.monotonic)
    seen: int = 0

    def look(self) -> None:
        """Once a second: knock here, and ask in the container.

        Raises:
            DockerError: it is ready there, and cannot be reached from here.
        """
        if time.monotonic() - self.looked_at < LOOK_S:
            return
        found = self._refusal()
        ready = bool(found) and self.guard.ask("sh", "-c", f"{' '.join(_INSIDE)} && echo {_YES}").strip() == _YES
        self.seen = self.seen + 1 if ready else 0
        self.looked_at = time.monotonic()
        if self.seen >= SURE:
            raise DockerError.not_reached(self.guard.image, f"{self.host}:{self.port}", found)

    def _refusal(self) -> str:
        """Why no connection comes about, in the system's words; "" where one does, a proxy's for one."""
        try:
            socket.create_connection((self.host, self.port), CONNECT_S).close()
        except OSError as exc:
            return exc.strerror or str(exc)
        return ""
