"""Somebody in the way: a session, or a prepared transaction, that another one waits for, and how it is told.

Owns: `Blocker` and `Wait`, and their words.
Promises: no constant of another session's query is among them (waits.py), nor the name of a prepared transaction, which
its maker may have filled with data: its number finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PREPARED = 0  # what pg_blocking_pids gives for a transaction that no session has
SHOWN = 5
_LEAST_AGE_S = 1.0


@dataclass(frozen=True, slots=True)
class Blocker:
    """One session, or prepared transaction, that another one waits for.

    pid: 0 for a prepared transaction, whose `xid` is then the number in pg_prepared_xacts; empty otherwise.
    kind: the server's word, such as `client backend` or `autovacuum worker`.
    state, transaction_s, state_s, query: empty or None when the role may not see them; ages in seconds.
    holds: modes and object, when they are known. wants: what it waits for itself; empty for a head.
    direct: whether the runner waits for it, rather than for somebody behind it.
    head: whether it waits for nobody: ending it is what helps.
    """

    pid: int
    role: str
    application: str
    kind: str
    state: str
    transaction_s: float | None
    state_s: float | None
    wait_event: str
    query: str
    holds: str
    wants: str
    waits_for: tuple[int, ...]
    direct: bool
    head: bool
    xid: str = ""

    @property
    def key(self) -> tuple[int, str]:
        """What makes it the same one at the next look."""
        return self.pid, self.xid

    def __str__(self) -> str:
        if self.pid == PREPARED:
            return self._prepared()
        parts = [f"pid {self.pid}", f"role {self.role or '(none)'}", f"application {self.application or '(none)'}"]
        if self.kind not in ("client backend", ""):
            parts.append(self.kind)
        if self.state:
            parts.append(self.state + _lasting(self.state_s))
        if self.transaction_s is not None and self.transaction_s - (self.state_s or 0) >= _LEAST_AGE_S:
            parts.append(f"its transaction open{_lasting(self.transaction_s)}")
        if self.holds:
            parts.append(f"holding {self.holds}")
        if self.waits_for:
            parts.append(f"itself waiting for {self.wants} behind {_names(self.waits_for)}")
        elif not self.direct:
            parts.append("at the head of the queue")
        if self.query:
            parts.append(("running: " if self.state == "active" else "last query: ") + self.query)
        return ", ".join(parts)

    def _prepared(self) -> str:
        age = "" if self.transaction_s is None else f", prepared {self.transaction_s:.0f} s ago"
        if not self.xid:
            return "a prepared transaction: see pg_prepared_xacts"
        holding = f", holding {self.holds}" if self.holds else ""
        # Its name may be data; its number finds it: SELECT gid FROM pg_prepared_xacts WHERE transaction = '…'
        return f"prepared transaction {self.xid} (see pg_prepared_xacts), role {self.role or '(unknown)'}{age}{holding}"


@dataclass(frozen=True, slots=True)
class Wait:
    """What a session waits for, how long already in seconds, and who is in the way: heads first."""

    wants: str
    waited_s: float
    blockers: tuple[Blocker, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it the same wait at the next look."""
        return self.wants, frozenset(blocker.key for blocker in self.blockers)

    def __str__(self) -> str:
        shown = "; ".join(str(blocker) for blocker in self.blockers[:SHOWN])
        more = len(self.blockers) - SHOWN
        return f"waiting {self.waited_s:.1f} s for {self.wants}; in the way: {shown}" + (
            f"; and {more} more" if more > 0 else ""
        )


def _lasting(seconds: float | None) -> str:
    return "" if seconds is None else f" for {seconds:.0f} s"


def _names(pids: Sequence[int]) -> str:
    return " and ".join("a prepared transaction" if pid == PREPARED else f"pid {pid}" for pid in pids)
