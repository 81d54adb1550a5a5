"""Sessions that hold a concurrent statement in one of its waiting phases, and the look that says it is there.

Owns: who has to hold what, and when, for each phase. PostgreSQL waits for writers before a build and before its
validation, for old snapshots after it, and for readers before an index is marked dead and before it is dropped.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_S = 30.0
STRANGER = 1000
_PHASE = """
SELECT coalesce((SELECT phase FROM pg_catalog.pg_stat_progress_create_index p WHERE p.pid = a.pid), 'no progress'),
       coalesce(a.wait_event, '')
  FROM pg_catalog.pg_stat_activity a WHERE a.pid = %s"""
# DROP INDEX and DETACH show no progress; what they have committed so far does.
_DROPPING = "SELECT NOT indisvalid AND indislive FROM pg_catalog.pg_index WHERE indexrelid = 'things_old'::regclass"
_DEAD = "SELECT NOT indislive FROM pg_catalog.pg_index WHERE indexrelid = 'things_old'::regclass"
_DETACHING = "SELECT inhdetachpending FROM pg_catalog.pg_inherits WHERE inhrelid = 'parts_2'::regclass"

# Two writers must not wait for each other in the unique index: each has a key of its own.
WRITE = f"INSERT INTO public.things VALUES ({STRANGER} + pg_catalog.pg_backend_pid(), 0)"
READ = "SELECT FROM public.things LIMIT 1"
WRITE_PAPERS = f"INSERT INTO public.papers VALUES ({STRANGER}, '')"
READ_PARTS = "SELECT FROM public.parts LIMIT 1"


@dataclass
class Holders:
    """Sessions of strangers on one database."""

    dsn: str
    opened: dict[str, psycopg.Connection[Any]] = field(default_factory=dict)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn, autocommit=True, options=f"-c statement_timeout={WAIT_S:.0f}s")

    def begin(self, name: str, query: str, *, snapshot: bool = False) -> None:
        """Open a transaction and leave it open. The simple protocol: a portal left open would hold a snapshot."""
        conn = self.opened[name] = self._connect()
        conn.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ" if snapshot else b"BEGIN")
        result = conn.pgconn.exec_(query.encode())
        assert not result.error_message, result.error_message

    def end(self, name: str, *, commit: bool = False) -> None:
        """End one of them."""
        conn = self.opened.pop(name)
        conn.execute(b"COMMIT" if commit else b"ROLLBACK")
        conn.close()

    def lock_slowly(self) -> None:
        """Whoever evaluates `slowly` waits from now on."""
        conn = self.opened["slowly"] = self._connect()
        conn.execute("SELECT pg_catalog.pg_advisory_lock(4711)")

    def let_go(self) -> None:
        """End all of them, on a server that may be gone."""
        while self.opened:
            self.opened.popitem()[1].close()


class Backend:
    """The session that builds, looked at from another."""

    def __init__(self, dsn: str, pid: int) -> None:
        self.pid = pid
        self._conn = psycopg.connect(dsn, autocommit=True)

    @property
    def seen(self) -> str:
        """Its phase and what it waits for; empty when it is gone."""
        row = self._conn.execute(_PHASE, (self.pid,), prepare=False).fetchone()
        return "" if row is None else f"{row[0]}, waits for {row[1] or 'nothing'}"

    def value(self, query: str) -> Any:
        """The first column of the first row; None when there is none."""
        row = self._conn.execute(query.encode(), prepare=False).fetchone()
        return None if row is None else row[0]

    def wait_for_phase(self, phase: str) -> None:
        """Until the progress view shows it, and the backend waits there."""
        self.wait_for(lambda: self.seen.startswith(phase) and not self.seen.endswith("nothing"), phase)

    def wait_for_fact(self, query: str) -> None:
        """Until the catalog shows how far it is, and it waits for a transaction."""
        self.wait_for(lambda: self.value(query) and self.seen.endswith("virtualxid"), query)

    def wait_for(self, condition: Callable[[], Any], what: str) -> None:
        """Until something is so."""
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, f"the backend does not reach: {what}; seen: {self.seen or 'gone'}"
            time.sleep(0.003)

    def end(self) -> None:
        """Terminate it and wait until it is gone."""
        self.value(f"SELECT pg_catalog.pg_terminate_backend({self.pid})")
        self.wait_for(lambda: not self.seen, "its end")

    def close(self) -> None:
        """Look no longer."""
        self._conn.close()


@dataclass(frozen=True)
class Phase:
    """One waiting phase of one statement.

    number: of the file that holds the statement. before: what is held when the run starts. reach: leads the backend
    into the phase. leftover: a query that is true when a backend that ends there leaves something to be made good.
    """

    name: str
    number: int
    before: Callable[[Holders], None]
    reach: Callable[[Holders, Backend], None]
    leftover: str


def _wait(phase: str) -> Callable[[Holders, Backend], None]:
    return lambda _, backend: backend.wait_for_phase(phase)


def _before_validation(holders: Holders, backend: Backend) -> None:
    backend.wait_for_phase("waiting for writers before build")
    # It waits for those who were there; a later one is met at the next wait.
    holders.begin("later writer", WRITE)
    holders.end("writer")
    backend.wait_for_phase("waiting for writers before validation")


def _in_validation(holders: Holders, backend: Backend) -> None:
    _before_validation(holders, backend)
    holders.lock_slowly()
    # Its row is not in the index yet: validation will put it in, and evaluates `slowly` for that.
    holders.end("later writer", commit=True)
    backend.wait_for_phase("index validation")


def _before_dropping(holders: Holders, backend: Backend) -> None:
    backend.wait_for_phase("waiting for readers before marking dead")
    holders.begin("later reader", READ)
    holders.end("reader")
    backend.wait_for_phase("waiting for readers before dropping")


def _dead(holders: Holders, backend: Backend) -> None:
    backend.wait_for_fact(_DROPPING)
    holders.begin("later reader", READ)
    holders.end("reader")
    backend.wait_for_fact(_DEAD)


def _writer(holders: Holders) -> None:
    holders.begin("writer", WRITE)


def _reader(holders: Holders) -> None:
    holders.begin("reader", READ)


def _snapshot(holders: Holders) -> None:
    holders.begin("snapshot", "SELECT 1", snapshot=True)


_INVALID = "SELECT NOT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = to_regclass('public.things_a')"
_CC = "SELECT true FROM pg_catalog.pg_class WHERE relname ~ '^things_again_cc{}$'"
_NEW, _OLD = _CC.format("new"), _CC.format("old")
_NEW_OF_TABLE = "SELECT true FROM pg_catalog.pg_class WHERE relname ~ '^papers_pkey_ccnew$'"

PHASES = (
    Phase("build, before it", 2, _writer, _wait("waiting for writers before build"), _INVALID),
    Phase("build, in it", 2, Holders.lock_slowly, _wait("building index"), _INVALID),
    Phase("build, before validation", 2, _writer, _before_validation, _INVALID),
    Phase("build, in validation", 2, _writer, _in_validation, _INVALID),
    Phase("build, old snapshots", 2, _snapshot, _wait("waiting for old snapshots"), _INVALID),
    Phase("reindex, before build", 3, _writer, _wait("waiting for writers before build"), _NEW),
    Phase("reindex, before validation", 3, _writer, _before_validation, _NEW),
    Phase("reindex, old snapshots", 3, _snapshot, _wait("waiting for old snapshots"), _NEW),
    Phase("reindex, before marking dead", 3, _reader, _wait("waiting for readers before marking dead"), _OLD),
    Phase("reindex, before dropping", 3, _reader, _before_dropping, _OLD),
    Phase("drop, before marking dead", 4, _reader, lambda _, backend: backend.wait_for_fact(_DROPPING), _DROPPING),
    Phase("drop, before dropping", 4, _reader, _dead, _DEAD),
    Phase(
        "detach, between its transactions",
        5,
        lambda holders: holders.begin("reader", READ_PARTS),
        lambda _, backend: backend.wait_for_fact(_DETACHING),
        _DETACHING,
    ),
    Phase(
        "reindex of a table, before build",
        6,
        lambda holders: holders.begin("writer", WRITE_PAPERS),
        _wait("waiting for writers before build"),
        _NEW_OF_TABLE,
    ),
)
