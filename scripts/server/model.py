"""What the rest of the house knows of a server: how to reach it, where it came from, what may be said of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Origin = Literal["docker", "embedded", "external"]


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers, and the database to work on.

    `dsn` is a libpq conninfo string for the *owner* of the database: on a fresh server a role that is no superuser
    (LOGIN, CREATEROLE), which runs the migrations. `admin_dsn` is the superuser of a fresh server, None for FRESH_DB=0.
    Both hold a password, so neither appears in `repr`.
    `facts` may be printed and put into evidence: image digest, binaries digest, data directory kind, port, …
    """

    dsn: str = field(repr=False)
    admin_dsn: str | None = field(repr=False)
    origin: Origin
    reason: str
    version: str
    facts: Mapping[str, str] = field(default_factory=dict)
