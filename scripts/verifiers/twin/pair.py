"""Two sessions on the twin: what one does while the other's transaction is open, and whether it waits.

Owns: the second session's thread, its deadline, and what is seen of a wait.
Promises: that one waits for the other is read from the server (pg_blocking_pids), never guessed from time that passes;
no thread and no open transaction outlives the pair; of an error only SQLSTATE and constraint are kept.
Never: knows what a row of ours looks like.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from scripts.errors.verifiers import UnaskedError
from scripts.verifiers.probes.stage import ACCEPTED, told
from scripts.verifiers.twin.mapping import TWIN, mapped
from scripts.verifiers.twin.reading import COPIED, KEPT

if TYPE_CHECKING:
    import psycopg

    from scripts.digest import Json
    from scripts.verifiers.probes.wire import Params, Wire

# Longer than the server lets the statement run; only a connection that hangs gets here.
JOIN_S = 10.0
_POLL_S = 0.0005
_BLOCKED: LiteralString = "SELECT %s = ANY (pg_catalog.pg_blocking_pids(%s))"
# What a probe of two sessions may well ask for: an old snapshot, a deadlock.
SNAPSHOT, DEADLOCK = "40001", "40P01"


class Session:
    """One session. What it is told to do speaks of schema public and is done in the twin."""

    def __init__(  # noqa: PLR0913 - what there is to know of a session, mostly by keyword
        self,
        conn: psycopg.Connection[Any],
        wire: Wire,
        twin: str,
        home: str,
        *,
        roles: frozenset[str],
        keyed: bool,
    ) -> None:
        self.conn = conn
        self.keyed = keyed
        self.pid = conn.info.backend_pid
        self._wire = wire
        self._twin = twin
        self._home = home
        self._roles = roles

    def begin(self, level: LiteralString = "READ COMMITTED") -> None:
        """Open a transaction; without one each statement is its own."""
        self._wire.owe(f"BEGIN ISOLATION LEVEL {level}")

    def commit(self) -> None:
        """Commit it."""
        self._wire.ask("COMMIT")

    def rollback(self) -> None:
        """Roll it back, also after an error."""
        self._wire.forget()
        self.conn.rollback()

    def run(self, sql: LiteralString, params: Params = None) -> None:
        """Do it as the owner."""
        self.rows(sql, params)

    # At once: without a transaction each statement is one of its own, and the other session is to see it.
    plant = run

    def value(self, sql: LiteralString, params: Params = None, *, role: str = "") -> Any:
        """The first column of the first row, None without one."""
        rows = self.rows(sql, params, role=role)
        return rows[0][0] if rows else None

    def rows(self, sql: LiteralString, params: Params = None, *, role: str = "") -> list[tuple[Any, ...]]:
        """Every row; as `role` where the login may act as it, else as the owner.

        The role's right to call is another invariant's question; that a role is out of reach here is none.
        """
        text = _moved(sql).replace(TWIN, self._twin).encode()
        if role not in self._roles:
            return self._wire.ask(text, params)
        # In one message, so in one transaction: where it fails, its rollback gives the role back.
        self._wire.owe(_role(role))
        return self._wire.ask(text, params, _role(self._home))

    def answer(self, sql: LiteralString, params: Params = None, *, role: str = "") -> str:
        """Do it and tell what happened: `accepted`, or SQLSTATE and the constraint's name."""
        return Pending(self, sql, params, role).told()


class Pending:
    """A statement under way in a thread of its own."""

    def __init__(self, session: Session, sql: LiteralString, params: Params, role: str) -> None:
        self._session = session
        self._rows: list[tuple[Any, ...]] = []
        self._error: Exception | None = None
        # Not `join`: once it was interrupted it says of a thread that goes on that it has ended (CPython up to 3.12).
        self._ended = threading.Event()
        threading.Thread(target=self._run, args=(sql, params, role), daemon=True).start()

    def _run(self, sql: LiteralString, params: Params, role: str) -> None:
        try:
            self._rows = self._session.rows(sql, params, role=role)
        except Exception as exc:  # noqa: BLE001 - raised again where the answer is asked for
            self._error = exc
        finally:
            self._ended.set()

    def waits_for(self, other: Session, watch: psycopg.Connection[Any]) -> bool:
        """Whether the server says that it waits for the other; False once it has ended without."""
        from psycopg.rows import scalar_row

        with watch.cursor(row_factory=scalar_row) as cursor:
            while not self._ended.is_set():
                if cursor.execute(_BLOCKED, [other.pid, self._session.pid], prepare=False).fetchone():
                    return True
                time.sleep(_POLL_S)
        return False

    def rows(self) -> list[tuple[Any, ...]]:
        """What it returned; nothing when it was refused."""
        self._join()
        return self._rows

    def told(self) -> str:
        """`accepted`, or SQLSTATE and constraint of its error.

        Raises:
            psycopg.Error: the server gave no answer.
            UnaskedError: the session is silent.
        """
        import psycopg

        self._join()
        if self._error is None:
            return ACCEPTED
        if isinstance(self._error, psycopg.Error):
            state = self._error.sqlstate or ""
            return state if state in (SNAPSHOT, DEADLOCK) else told(self._error)
        raise self._error

    def end(self) -> None:
        """See to it that the thread ends, by cancelling the statement when it will not."""
        import psycopg

        if not self._ended.is_set():
            with suppress(psycopg.Error):  # the way to the server may be silent, too
                self._session.conn.cancel_safe(timeout=JOIN_S)
            self._ended.wait(JOIN_S)

    def _join(self) -> None:
        self._ended.wait(JOIN_S)
        self.end()
        if not self._ended.is_set():
            raise UnaskedError.connection_lost()


class Race(NamedTuple):
    """Whether the second waited, and `accepted` or SQLSTATE and constraint; the first row that it returned."""

    end: list[Json]
    row: tuple[Any, ...]


class Pair:
    """Two sessions and who watches them."""

    def __init__(self, first: Session, second: Session, watch: psycopg.Connection[Any]) -> None:
        self.first = first
        self.second = second
        self._watch = watch
        self._pending: list[Pending] = []

    def empty_queue(self) -> None:
        """Take every item off the queue: what is planted next is all there is."""
        self.first.run("DELETE FROM public.payment_outbox_pending")

    def meanwhile(self, sql: LiteralString, params: Params = None, *, role: str = "") -> tuple[bool, Pending]:
        """Let the second session do it; whether it waits for the first, and what will come of it."""
        pending = Pending(self.second, sql, params, role)
        self._pending.append(pending)
        return pending.waits_for(self.first, self._watch), pending

    def race(
        self,
        mine: LiteralString,
        first: Params,
        theirs: LiteralString,
        second: Params,
        *,
        level: LiteralString = "READ COMMITTED",
    ) -> Race:
        """The first session does it in a transaction, the second meanwhile, the first commits.

        What the second does is rolled back, and so is everything where nobody waited: what a violation let through must
        not outlive it.

        Args:
            mine: what the first does, and with which values.
            first: see `mine`.
            theirs: what the second does, and with which values.
            second: see `theirs`.
            level: of the second's transaction; its snapshot, if it keeps one, is from before the first began.
        """
        self.second.begin(level)
        if level != "READ COMMITTED":
            self.second.run("SELECT FROM public.tenants LIMIT 1")
        self.first.begin()
        self.first.run(mine, first)
        waited, pending = self.meanwhile(theirs, second)
        if waited:
            self.first.commit()
        race = Race([waited, pending.told()], (pending.rows() or [()])[0])
        self.first.rollback()
        self.second.rollback()
        return race

    def end(self) -> None:
        """Give up whatever is under way or open."""
        self.first.rollback()
        for pending in self._pending:
            pending.end()
        self.second.rollback()


@cache
def _role(name: str) -> str:
    from psycopg import sql

    return f"SET ROLE {sql.Identifier(name).as_string()}"


@lru_cache(maxsize=256)
def _moved(sql: str) -> str:
    return mapped(sql, COPIED, KEPT, frozenset(), body=False)
