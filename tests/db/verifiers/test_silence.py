"""A session that falls silent costs the invariant that asked, within a deadline of the client's own."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from db.verifiers.test_run import invariant
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from scripts.errors.verifiers import UnaskedError
from scripts.result import Outcome
from scripts.verifiers import bounds, silence
from scripts.verifiers.model import Database
from scripts.verifiers.probes.wire import Wire
from scripts.verifiers.run import select_invariants, verify_invariant
from scripts.verifiers.twin import pair, schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.verifiers.conftest import Bench

    from scripts.verifiers.model import Findings

_SILENT_S = 1.0
_ENDS_WITHIN_S = 20.0


class Line:
    """A way to the server that can be made to carry nothing more, and tells neither end."""

    def __init__(self, dsn: str) -> None:
        parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
        self._to, self._port = parts["host"], int(parts.get("port", "5432"))
        self.dead = threading.Event()
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._start(self._accept)
        self.dsn = make_conninfo(dsn, host="127.0.0.1", port=self._server.getsockname()[1])

    def _start(self, work: Any, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self._server.accept()[0]
                if self._to.startswith("/"):
                    far = socket.socket(socket.AF_UNIX)
                    far.connect(str(Path(self._to) / f".s.PGSQL.{self._port}"))
                else:
                    far = socket.create_connection((self._to, self._port))
                self._ends += [near, far]
                self._start(self._carry, near, far)
                self._start(self._carry, far, near)

    def _carry(self, here: socket.socket, there: socket.socket) -> None:
        with suppress(OSError):
            while some := here.recv(65536):
                if not self.dead.is_set():
                    there.sendall(some)

    def close(self) -> None:
        """End both ends and the threads."""
        for end in (self._server, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in [*self._threads]:
            thread.join()
        for end in (self._server, *self._ends):
            end.close()


@contextmanager
def line_to(bench: Bench) -> Iterator[Line]:
    """A line to the bench's server."""
    line = Line(bench.database.dsn)
    try:
        yield line
    finally:
        line.close()


def test_a_session_that_falls_silent_costs_one_invariant(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No timeout of the server's comes through: the question ends all the same, and the next has a new connection."""
    monkeypatch.setattr(bounds, "SILENT_S", _SILENT_S)
    (other,) = select_invariants(["outbox-mvcc-posture"])
    with line_to(bench) as line, psycopg.connect(line.dsn, autocommit=True) as conn:

        def asks(database: Database, _: Findings) -> None:
            line.dead.set()
            database.conn.execute("SELECT 1")

        database = bench.on(conn)
        began = time.monotonic()
        silent = verify_invariant(invariant(asks), database)
        took = time.monotonic() - began
        after = verify_invariant(other, database)
        database.close()

    assert silent.outcome is Outcome.ERROR
    assert silent.error.startswith("the connection to the database was lost")
    assert _SILENT_S <= took < _ENDS_WITHIN_S
    assert after.passed


def test_a_pair_of_sessions_that_falls_silent_costs_one_invariant(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sessions of the twin have a deadline, too; who asks in them keeps the connection beside them."""
    monkeypatch.setattr(schema, "SILENT_S", _SILENT_S)
    monkeypatch.setattr(schema, "CLOSING_S", _SILENT_S)
    (chosen, other) = select_invariants(["tenant-integrity", "outbox-terminal-uniqueness"])
    with line_to(bench) as line:

        def silent(*found: Any) -> pair.Pair:
            line.dead.set()
            return pair.Pair(*found)

        twin = schema.Twin(lambda: psycopg.connect(line.dsn, autocommit=True))
        database = Database(bench.owner, bench.database.connect, bench.files, twin=twin)
        began = time.monotonic()
        with monkeypatch.context() as patch:
            patch.setattr(schema, "Pair", silent)
            found = verify_invariant(chosen, database)
        took = time.monotonic() - began
        twin.close()
        database.close()
    after = bench.on(bench.owner)
    assert found.error.startswith("the connection to the database was lost")
    assert took < _ENDS_WITHIN_S
    assert bench.owner.execute("SELECT 1").fetchone() == (1,)
    assert verify_invariant(other, after).passed
    after.close()


def test_of_two_that_are_waited_for_the_one_that_is_late_is_shut(bench: Bench) -> None:
    """And not the other, though the late one's number has been given to it meanwhile."""
    with bench.database.connect() as late, silence.answering(late, _SILENT_S):
        number = late.fileno()
        late.close()
        with bench.database.connect() as other, silence.answering(other, 10 * _SILENT_S):
            assert other.fileno() == number
            time.sleep(_SILENT_S + 1)
            assert other.execute("SELECT 1").fetchone() == (1,)


def test_a_second_session_that_does_not_end_has_not_accepted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the statement nor its cancellation was answered: there is no answer."""
    monkeypatch.setattr(pair, "JOIN_S", _SILENT_S)
    with line_to(bench) as line, psycopg.connect(line.dsn, autocommit=True) as conn:
        session = pair.Session(conn, Wire(conn), "public", "", roles=frozenset(), keyed=True)
        line.dead.set()
        with silence.answering(conn, 5 * _SILENT_S):
            pending = pair.Pending(session, "SELECT 1", None, "")
            with pytest.raises(UnaskedError, match="the connection to the database was lost"):
                pending.told()
            pending._ended.wait()


def test_one_that_answers_in_time_is_left_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is the transaction's: what comes behind it on the same connection is another's."""
    monkeypatch.setattr(bounds, "SILENT_S", _SILENT_S)
    database = bench.on(bench.owner)

    def asks(database: Database, _: Findings) -> None:
        database.conn.execute("SELECT 1")

    answered = verify_invariant(invariant(asks), database)
    time.sleep(1.5 * _SILENT_S + 0.5)

    assert not answered.error
    assert bench.owner.execute("SELECT 1").fetchone() == (1,)
    database.close()


def test_the_deadline_is_behind_the_servers_own() -> None:
    """What the server says of a question that takes too long is more; and a pair is given up before what is beside."""
    assert schema.STATEMENT_TIMEOUT_MS / 1000 < schema.SILENT_S < bounds.INVARIANT_TIMEOUT_MS / 1000 < bounds.SILENT_S
