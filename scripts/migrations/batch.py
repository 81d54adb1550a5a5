"""A whole file in one message to the server, and yet the statement that failed is known.

Owns: the only use of the driver below its cursors.
Why: 27 files are 316 statements; a round trip for each costs more than the work. The server answers every statement
with one result, so the number of results before the error is the number of the statement, and its position, when it
has one, counts from the start of the text that was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg


class BatchError(Exception):
    """A statement of the batch failed: its index, and the driver's error."""

    def __init__(self, index: int, error: psycopg.Error) -> None:
        super().__init__(index)
        self.index = index
        self.error = error


def execute_batch(conn: psycopg.Connection[Any], text: bytes) -> None:
    """Run the statements of a text, one after the other, in the transaction that is open.

    Args:
        conn: with a transaction open; otherwise the server would make one of the whole text.
        text: UTF-8 SQL without COPY to or from the client.

    Raises:
        BatchError: a statement failed; the transaction is aborted.
        psycopg.OperationalError: the connection is lost.
    """
    from psycopg import errors, generators
    from psycopg.pq import ExecStatus

    with conn.lock:
        conn.pgconn.send_query(text)
        results = conn.wait(generators.execute(conn.pgconn))
    last = results[-1]
    if last.status == ExecStatus.FATAL_ERROR:
        raise BatchError(len(results) - 1, errors.error_from_result(last, "utf-8"))
    if last.status in (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH):
        # Refused before anything ran (runnable.py); the connection cannot be used any further.
        conn.close()
        msg = "a COPY with the client reached the server"
        raise RuntimeError(msg)
