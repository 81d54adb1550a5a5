"""The engine's second connection: it looks on while the first one waits, and says who is in the way.

Owns: when that connection is opened, how long it may take to answer, and when it is given up.
Promises: it is in autocommit and idle between looks, so no concurrent build ever waits for it longer than a look;
whatever happens to it, the statement that it looks at is not harmed. What cannot be seen is said once.
Why at all: after a lock timeout (55P03) nobody knows any more who held the lock.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from scripts.migrations.waiting.beside import ask, connect_beside
from scripts.migrations.waiting.waits import blockers_query, read_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    from scripts.migrations.waiting.blockers import Blocker, Wait

FIRST_LOOK_S, _LONGEST_PAUSE_S = 0.1, 2.0
# A look that meets a lock itself must give up before the server's deadlock detection (1 s) ends what is looked at.
_SETTINGS = (
    b"SET client_encoding = 'UTF8'; SET lock_timeout = 300; SET statement_timeout = 800; SET idle_session_timeout = 0;"
    b" SET default_transaction_isolation = 'read committed'; SET role = 'none'"
)


class Observer:
    """Looks at one backend from another connection, opened at the first look.

    Args:
        conn: the connection looked at.
        backend_pid: of its backend; as the driver knows it when None (a pooler gives the driver a number of its own:
            `runner_lock` yields the right one).
        connect: makes the second connection; `connect_beside` when None.
        lock_timeout_ms: of the statements looked at: the first look comes before a third of it has passed.
    """

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        *,
        backend_pid: int | None = None,
        connect: Callable[[], psycopg.Connection[Any]] | None = None,
        lock_timeout_ms: int | None = None,
    ) -> None:
        self.backend_pid = conn.info.backend_pid if backend_pid is None else backend_pid
        self._connect = connect or (lambda: connect_beside(conn))
        self._second: psycopg.Connection[Any] | None = None
        self._blind = False
        self._said_blind = False
        self._told: set[tuple[object, ...]] = set()
        self.first_look_s = (
            FIRST_LOOK_S if lock_timeout_ms is None else max(0.01, min(FIRST_LOOK_S, lock_timeout_ms / 3000))
        )

    @contextmanager
    def watching(self, label: str, report: Callable[[str], None]) -> Iterator[Watching]:
        """A watch for `execute_batch`, for one file or statement.

        Args:
            label: what is running, such as `0026_x.sql` or `0027_y.sql:12`.
            report: told each new set of blockers once.
        """
        yield Watching(self, label, report)

    def blockers(self) -> tuple[Blocker, ...]:
        """Who is in the way at this moment: heads first; empty when the backend does not wait for a lock.

        Raises:
            psycopg.Error: the second connection fails.
        """
        wait = self.look()
        return () if wait is None else wait.blockers

    def look(self) -> Wait | None:
        """What the backend waits for at this moment, None when it does not wait for a lock.

        Raises:
            psycopg.Error: the second connection fails.
        """
        answer = json.loads(self.ask(blockers_query(self.backend_pid)) or "{}")
        return read_wait(self.backend_pid, answer)

    def ask(self, query: bytes) -> str:
        """The first value of a query's answer over the second connection, as text; empty for NULL or no row.

        Raises:
            psycopg.Error: the connection cannot be had, is lost, the server refuses, or does not answer in time.
        """
        return ask(self._opened(), query)

    def look_quietly(self, report: Callable[[str], None]) -> Wait | None:
        """`look`, but a failure means None and is said once; a connection that is gone is not asked again."""
        if self._blind:
            return None
        import psycopg

        try:
            return self.look()
        except (psycopg.Error, ValueError, KeyError, TypeError) as exc:
            # A server's refusal (its own lock timeout, say) may pass; a connection that is gone is tried no more.
            self._blind = self._second is None or self._second.closed
            if not self._said_blind:
                self._said_blind = True
                sqlstate = getattr(exc, "sqlstate", None)
                why = f"SQLSTATE {sqlstate}" if sqlstate else type(exc).__name__
                report(f"who is in the way cannot be seen from a second connection ({why}); going on without")
            return None

    def is_new(self, label: str, wait: Wait) -> bool:
        """Whether this wait has not been told before; a file that is tried again meets the same ones again."""
        key = (label, *wait.key)
        if key in self._told:
            return False
        self._told.add(key)
        return True

    def close(self) -> None:
        """Close the second connection, if there is one."""
        if self._second is not None:
            self._second.close()

    def __enter__(self) -> Self:
        """For `with`: closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _opened(self) -> psycopg.Connection[Any]:
        if self._second is None:
            self._second = self._connect()
            ask(self._second, _SETTINGS)
        return self._second


class Watching:
    """One statement or file being looked at; a `Watch` of scripts/migrations/batch.py.

    seen: who was in the way at the last look that saw a wait; kept for the error of a statement that failed waiting.
    """

    def __init__(self, observer: Observer, label: str, report: Callable[[str], None]) -> None:
        self._observer = observer
        self._label = label
        self._report = report
        self._began = time.monotonic()
        self._next = 0.0
        self._empty_looks = 0
        self.wait: Wait | None = None

    @property
    def interval_s(self) -> float:
        """Seconds between two looks."""
        return self._observer.first_look_s

    @property
    def seen(self) -> tuple[Blocker, ...]:
        """Who was in the way, heads first."""
        return () if self.wait is None else self.wait.blockers

    @property
    def seen_text(self) -> str:
        """`seen`, one a line; empty when nobody was seen."""
        return "\n".join(str(blocker) for blocker in self.seen)

    def look(self) -> None:
        """Look, if it is time. Raises nothing but what ends the process."""
        now = time.monotonic()
        if now < self._next:
            return
        # A long build is looked at less and less often: each look takes every partition of the lock table for a moment.
        self._next = now + min(max(0.0, (now - self._began) / 10), _LONGEST_PAUSE_S)
        # Whoever looks on never harms; what can fail here is the report itself (a closed stderr).
        with suppress(Exception):
            self._take(self._observer.look_quietly(self._report))

    def _take(self, wait: Wait | None) -> None:
        if wait is None:
            # The first empty look may be the one that came just after the statement gave up.
            self._empty_looks += 1
            if self._empty_looks > 1:
                self.wait = None
            return
        self._empty_looks = 0
        self.wait = wait
        if self._observer.is_new(self._label, wait):
            self._report(f"{self._label}: {wait}")
