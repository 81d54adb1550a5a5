"""A whole file in one message to the server, and yet the statement that failed is known.

Owns: the only use of the driver below its cursors.
Why: 27 files are 316 statements; a round trip for each costs more than the work. The server answers every statement
with one result, so the number of results before the error is the number of the statement, and its position, when it
has one, counts from the start of the text that was sent.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    import psycopg
    from psycopg.pq.abc import PGconn, PGresult
    from psycopg.waiting import Ready, Wait

# How often a wait for the server looks up, so that a signal is noticed.
_INTERVAL_S = 0.1


class Watch(Protocol):
    """Somebody who looks on, from another connection, while a message is under way.

    interval_s: how often; nothing is looked at when the message is answered sooner.
    """

    @property
    def interval_s(self) -> float:
        """Seconds between two looks."""
        ...

    def look(self) -> None:
        """Look once. Raises nothing: whoever looks on never harms what is looked at."""
        ...


class BatchError(Exception):
    """A statement of the batch failed.

    results: of the statements before it, in order; their number is the failed one's index. error: the driver's.
    """

    def __init__(self, results: Sequence[PGresult], error: psycopg.Error) -> None:
        super().__init__(len(results))
        self.results = results
        self.error = error

    @property
    def index(self) -> int:
        """Which statement of the batch failed, from 0."""
        return len(self.results)


class _Aside(NamedTuple):
    """Work of our own beside a message, as `execute_batch` takes it."""

    meanwhile: Callable[[], None] | None
    spare: Callable[[], bool] | None
    between: Callable[[], None] | None


def execute_batch(  # noqa: PLR0913 - what may be done while the server works
    conn: psycopg.Connection[Any],
    text: bytes,
    *,
    watch: Watch | None = None,
    meanwhile: Callable[[], None] | None = None,
    spare: Callable[[], bool] | None = None,
    between: Callable[[], None] | None = None,
    into: list[PGresult] | None = None,
) -> list[PGresult]:
    """Run the statements of a text, one after the other, as one simple query.

    Args:
        conn: with a transaction open (else the server makes one of the whole text), or for a single statement.
        text: UTF-8 SQL without COPY to or from the client.
        watch: asked to look, again and again, while the server has not answered.
        meanwhile: work of our own that is done while the server does its.
        spare: likewise, a small piece a call, and only as long as the server has not answered; False when there is no
            more of it.
        between: called whenever all results that have come are taken and more are to come; not once a statement failed.
        into: where the results are put as they come. A message of the server that arrives when it holds n results was
            told by statement n: libpq hands messages on in their place among the results.

    Returns:
        One result for each statement.

    Raises:
        BatchError: a statement failed; an open transaction is aborted.
        psycopg.OperationalError: the connection is lost.
    """
    from psycopg import errors
    from psycopg.pq import ExecStatus

    results: list[PGresult] = [] if into is None else into
    with conn.lock:
        conn.pgconn.send_query(text)
        interval = _INTERVAL_S if watch is None else watch.interval_s
        conn.wait(_answers(conn.pgconn, results, watch, _Aside(meanwhile, spare, between)), interval=interval)
    last = results[-1]
    if last.status == ExecStatus.FATAL_ERROR:
        raise BatchError(results[:-1], errors.error_from_result(last, "utf-8"))
    if last.status in (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH):
        # Refused before anything ran (folder/runnable.py); the connection cannot be used any further.
        conn.close()
        msg = "a COPY with the client reached the server"
        raise RuntimeError(msg)
    return results


def literals(conn: psycopg.Connection[Any], values: Iterable[object]) -> list[bytes]:
    """Values as the connection's quoted literals: the driver's own way takes ten times as long.

    Args:
        conn: whose encoding is UTF-8.
        values: each is written as its text.
    """
    from psycopg.pq import Escaping

    quote = Escaping(conn.pgconn).escape_literal
    return [bytes(quote(str(value).encode())) for value in values]


def cells(result: PGresult) -> list[tuple[str, ...]]:
    """Every row of a result as text, in UTF-8; what is NULL as an empty text."""
    return [
        tuple((result.get_value(row, column) or b"").decode() for column in range(result.nfields))
        for row in range(result.ntuples)
    ]


def _answers(
    pgconn: PGconn,
    results: list[PGresult],
    watch: Watch | None,
    aside: _Aside,
) -> Generator[Wait, Ready | int | None, None]:
    """Send what is not sent yet, then take every result; yields what has to be waited for, is sent what is ready."""
    from psycopg import errors
    from psycopg.pq import ExecStatus
    from psycopg.waiting import Ready, Wait

    while pgconn.flush() != 0:
        # None: the driver begins to wait anew, after an interruption that it has cancelled the statement for.
        while (ready := (yield Wait.RW)) is None:
            pass
        if ready & Ready.R:
            pgconn.consume_input()
    if aside.meanwhile is not None:
        aside.meanwhile()
    if aside.spare is not None:
        answered = select.poll()
        answered.register(pgconn.socket, select.POLLIN)
        while not answered.poll(0) and aside.spare():
            pass
    try:
        yield from _take(pgconn, results, watch, aside.between)
    except errors.DatabaseError:
        # The server said why it closes the connection before it did; that is the better error.
        if not results or results[-1].status != ExecStatus.FATAL_ERROR:
            raise


def _take(
    pgconn: PGconn, results: list[PGresult], watch: Watch | None, between: Callable[[], None] | None
) -> Generator[Wait, Ready | int | None, None]:
    from psycopg.pq import ExecStatus
    from psycopg.waiting import Ready, Wait

    while True:
        while pgconn.is_busy():
            if between is not None and results and results[-1].status != ExecStatus.FATAL_ERROR:
                between()
            while (ready := (yield Wait.R)) is None:
                pass
            if ready & Ready.R:
                pgconn.consume_input()
            elif watch is not None:
                watch.look()
        result = pgconn.get_result()
        if result is None:
            return
        results.append(result)
        if result.status in (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH):
            return  # libpq would give a result of this kind again and again
