"""A whole file in one message to the server, and yet the statement that failed is known.

Owns: the only use of the driver below its cursors.
Why: 27 files are 316 statements; a round trip for each costs more than the work. The server answers every statement
with one result, so the number of results before the error is the number of the statement, and its position, when it
has one, counts from the start of the text that was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import psycopg
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGresult


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


def execute_batch(conn: psycopg.Connection[Any], text: bytes, *, watch: Watch | None = None) -> list[PGresult]:
    """Run the statements of a text, one after the other, as one simple query.

    Args:
        conn: with a transaction open (else the server makes one of the whole text), or for a single statement.
        text: UTF-8 SQL without COPY to or from the client.
        watch: asked to look, again and again, while the server has not answered.

    Returns:
        One result for each statement.

    Raises:
        BatchError: a statement failed; an open transaction is aborted.
        psycopg.OperationalError: the connection is lost.
    """
    from psycopg import errors, generators
    from psycopg.pq import ExecStatus

    with conn.lock:
        conn.pgconn.send_query(text)
        answering = generators.execute(conn.pgconn)
        if watch is None:
            results: list[PGresult] = conn.wait(answering)
        else:
            results = conn.wait(_watched(answering, watch), interval=watch.interval_s)
    last = results[-1]
    if last.status == ExecStatus.FATAL_ERROR:
        raise BatchError(results[:-1], errors.error_from_result(last, "utf-8"))
    if last.status in (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH):
        # Refused before anything ran (runnable.py); the connection cannot be used any further.
        conn.close()
        msg = "a COPY with the client reached the server"
        raise RuntimeError(msg)
    return results


def _watched(answering: PQGen[list[PGresult]], watch: Watch) -> Generator[Any, Any, list[PGresult]]:
    """The same generator, with a look at every time-out of the wait."""
    from psycopg.waiting import Ready

    try:
        wanted = next(answering)
        while True:
            ready = yield wanted
            if ready == Ready.NONE:
                watch.look()
            else:
                wanted = answering.send(ready)
    except StopIteration as done:
        results: list[PGresult] = done.value
        return results
