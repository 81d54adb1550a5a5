"""SIGINT, SIGTERM and SIGHUP, turned into one exception that lets every `with` block close what it opened.

Owns: the handlers while a command runs. Python's own default for SIGTERM and SIGHUP runs no `finally` at all. Those
    before it and after it, while nothing is there that would have to be closed: Invoke makes a silent 1 of a SIGINT.
    And the end of a run whose Nox is gone: on SIGTERM Nox ends at once, and tells its child nothing.
Promises: the first signal raises `Interrupted` in the main thread, once; later ones do not disturb the cleaning up,
    except that a person who presses Ctrl-C again after five seconds is believed. Where Python drops the exception (in a
    callback of the import system, which has many, or in `__del__`), it is raised again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from scripts.errors.base import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FORCE_AFTER_S = 5.0
LOOK_S = 0.25
AGAIN_S = 0.01


# Whether a command has had its handlers in this process: what came after it has nothing to end any more.
_RUNS: list[str] = []


def end_at_once_on_signals() -> None:
    """Outside of `ending_on_signals`: say so, and end by the shell's exit status, wherever Python is just then.

    For the very beginning of the process. A signal that is ignored stays ignored.
    """
    for signum in SIGNALS:
        if signal.getsignal(signum) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(signum, _end_at_once)


def _end_at_once(signum: int, _frame: FrameType | None) -> None:
    state = "the run was over" if _RUNS else "nothing was started"
    with suppress(OSError):
        os.write(2, f"interrupted by signal {signum}: {state}\n".encode())
    # No exception: Python drops those that arise in callbacks of its import system, and there are many now.
    os._exit(128 + signum)


@contextmanager
def ending_on_signals(*, force_after_s: float = FORCE_AFTER_S) -> Iterator[None]:
    """Raise `Interrupted` on the first signal while the block runs, then put the old handlers back.

    A signal that was ignored when the block began stays ignored: `nohup` relies on that.

    Args:
        force_after_s: seconds after the first signal from which on a further SIGINT raises again.

    Raises:
        Interrupted: in the main thread, wherever it is; carries the signal.
        RuntimeError: called in another thread, where Python allows no handlers.
    """
    interruption = _Interruption(force_after_s)
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    handled = [signum for signum in SIGNALS if before[signum] is not signal.SIG_IGN]
    try:
        for signum in handled:
            signal.signal(signum, interruption.receive)
    except ValueError as exc:
        raise RuntimeError("signals are handled in the main thread; call ending_on_signals there") from exc
    hook = sys.unraisablehook
    sys.unraisablehook = lambda dropped: interruption.note_dropped(dropped) or hook(dropped)
    try:
        yield
    finally:
        interruption.over = True
        _RUNS.append("over")
        sys.unraisablehook = hook
        for signum in handled:
            # None: a handler that was not installed from Python cannot be put back; the default is the nearest.
            signal.signal(signum, before[signum] or signal.SIG_DFL)


@contextmanager
def ending_with(parent: int | None, *, signum: int = signal.SIGTERM) -> Iterator[None]:
    """Send this process a signal when its parent is not (any more) the one it is to end with.

    Args:
        parent: a process number; None for a run that ends by itself.
        signum: the signal.
    """
    if parent is None:
        yield
        return
    left = threading.Event()
    thread = threading.Thread(target=_look, args=(parent, signum, left), daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()


def _look(parent: int, signum: int, left: threading.Event) -> None:
    while os.getppid() == parent:
        if left.wait(LOOK_S):
            return
    if not left.is_set():
        os.kill(os.getpid(), signum)


class _Interruption:
    """Remembers the first signal."""

    def __init__(self, force_after_s: float) -> None:
        self._force_after_s = force_after_s
        self._first_at: float | None = None
        self.over = False

    def note_dropped(self, dropped: sys.UnraisableHookArgs) -> bool:
        """Whether it was ours that Python had to drop; the signal then comes again, a moment later."""
        exc = dropped.exc_value
        if not isinstance(exc, Interrupted):
            return False
        again = threading.Timer(AGAIN_S, self._again, [exc.signum])
        again.daemon = True
        again.start()
        return True

    def _again(self, signum: int) -> None:
        self._first_at = None
        if not self.over:
            os.kill(os.getpid(), signum)

    def receive(self, signum: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
            raise Interrupted(signum)
        if signum == signal.SIGINT and now - self._first_at >= self._force_after_s:
            raise Interrupted(signum)
