"""What the rest of the house knows of a server: how to reach it, where it came from, what may be said of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Origin = Literal["docker", "embedded", "external"]


class Holder(Protocol):
    """What a server of our own hangs on, and what lets it outlive its run."""

    @property
    def stays(self) -> bool:
        """Whether it was let stay: the end of the run will not be its end."""

    def identity(self) -> Mapping[str, str]:
        """What it is found by later; nothing secret."""

    def out_of_room(self) -> bool:
        """Whether it has no room for its data any more, as far as can be seen without it."""

    def let_stay(self, alive: Path) -> None:
        """Let it outlive the run.

        Args:
            alive: an empty file of ours; a watcher holds a lock on it for as long as it lives.

        Raises:
            ServerError: it cannot stay; it ends with the run.
        """


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers, and the database to work on.

    `dsn` is a libpq conninfo string for the *owner* of the database: on a fresh server a role that is no superuser
    (LOGIN, CREATEROLE), which runs the migrations. `admin_dsn` is the superuser of a fresh server, None for FRESH_DB=0.
    Both hold a password, so neither appears in `repr`.
    `holder` is what a server of our own hangs on; None for a database on somebody else's.
    `facts` may be printed and put into evidence: image digest, binaries digest, data directory kind, port, …
    """

    dsn: str = field(repr=False)
    admin_dsn: str | None = field(repr=False)
    origin: Origin
    reason: str
    version: str
    facts: Mapping[str, str] = field(default_factory=dict)
    holder: Holder | None = field(default=None, repr=False, compare=False)
