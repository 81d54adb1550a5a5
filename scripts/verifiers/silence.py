"""A session that is silent: its backend was stopped, or the way to it broke, and no timeout of the server's comes.

Owns: the client's own deadline of a transaction, and the one thread that looks at it.
Promises: a connection on which a block has not ended in time is shut, so that whoever waits for it is told that it was
lost; nothing else is touched, and no other session is ended.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

_LOOKED_AT_S = 0.5


class _Watch:
    """Which connections are waited for, and until when; looked at while there is one."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._due: dict[object, tuple[float, socket.socket]] = {}
        self._thread: threading.Thread | None = None

    def add(self, key: object, due: float, line: socket.socket) -> None:
        with self._lock:
            self._due[key] = (due, line)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._look, name="silence", daemon=True)
                self._thread.start()
            elif len(self._due) == 1:
                self._lock.notify()

    def drop(self, key: object) -> None:
        with self._lock:
            self._due.pop(key, None)

    def _look(self) -> None:
        while True:
            with self._lock:
                while not self._due:
                    self._lock.wait()
                now = time.monotonic()
                for key, (due, line) in [*self._due.items()]:
                    if due <= now:
                        del self._due[key]
                        with suppress(OSError):
                            line.shutdown(socket.SHUT_RDWR)
            time.sleep(_LOOKED_AT_S)


_WATCH = _Watch()
# A child that was forked has no thread, and what its parent waits for is none of its business.
os.register_at_fork(after_in_child=_WATCH.__init__)  # type: ignore[misc]


@contextmanager
def answering(conn: psycopg.Connection[Any], within_s: float) -> Iterator[None]:
    """A block whose questions end: when it has not after so many seconds, the connection is shut under it.

    Args:
        conn: on which the block asks; it reads as lost from then on.
        within_s: longer than the server's own deadline, which says more.

    Raises:
        psycopg.OperationalError: it is lost already.
    """
    # A descriptor of our own: that of the connection may be another's by the time the deadline comes.
    with socket.socket(fileno=os.dup(conn.fileno())) as line:
        key = object()
        _WATCH.add(key, time.monotonic() + within_s, line)
        try:
            yield
        finally:
            _WATCH.drop(key)
