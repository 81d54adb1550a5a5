"""Work that goes on beside the main thread, which may do something else meanwhile, or be interrupted.

Promises: an interruption of whoever waits for it does not cut the work off: what became of it can still be known.
    That is why nobody joins the thread: a `Thread.join` that an exception interrupts leaves a thread that is said to
    have ended, though it goes on (CPython up to 3.12).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Aside(Generic[T]):
    """One such piece of work, under way from the moment it is made. `failed` is what it raised, once it has ended."""

    def __init__(self, name: str, work: Callable[[], T]) -> None:
        self._work = work
        self._ended = threading.Event()
        self._result: T | None = None
        self.failed: BaseException | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as exc:  # noqa: BLE001 - raised by `finish`, in the thread that can do something about it
            self.failed = exc
        finally:
            self._ended.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end, so many seconds; whether it has ended."""
        return self._ended.wait(timeout_s)

    def finish(self) -> T:
        """Wait for it; returns what it returned, and raises what it raised."""
        self._ended.wait()
        if self.failed is not None:
            raise self.failed
        return cast("T", self._result)
