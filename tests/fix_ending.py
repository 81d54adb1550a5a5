"""A run of pytest ends whole and at once: with its Nox, and its pytest-xdist workers with it.

Owns: whom each process of a run ends with, and the end of workers whose run is interrupted. A worker whose run is gone,
    or was interrupted, works on for five seconds by itself, and keeps its server for as long.
Never: ends a process but those that this one started and has not waited for.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from scripts.server.signals import ending_with
from scripts.settings import parent_to_end_with

if TYPE_CHECKING:
    import subprocess  # noqa: TID251 - the workers are processes that are waited for
    from collections.abc import Iterable

# What pytest-xdist hands to a worker, under a name of ours.
PARENT = "parity_parent"
# For the finalisers of an interrupted worker, which end its server; its watcher needs no more than the rest of two.
FINALISERS_S = 0.6
_WORKERS: list[subprocess.Popen[bytes]] = []


def pytest_configure(config: pytest.Config) -> None:
    """End with Nox: killed, it tells nobody. SIGTERM ends pytest at once, and the servers' watchers do the rest.

    A worker ends with the run. By SIGKILL: the test that it is in may have made SIGTERM an exception, and live on.
    """
    following = ExitStack()
    parent = getattr(config, "workerinput", {}).get(PARENT)
    if parent is None:
        following.enter_context(ending_with(parent_to_end_with()))
    else:
        following.enter_context(ending_with(parent, signum=signal.SIGKILL))
    config.add_cleanup(following.close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker whose it is, lest it take who adopted it for its parent; and remember it."""
    node.workerinput[PARENT] = os.getpid()
    _WORKERS.append(node.gateway._io.popen)


def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """End the workers before pytest-xdist asks them to end, and waits. Not for `-x`, which comes here as well."""
    if excinfo.type is KeyboardInterrupt:
        end_workers(_WORKERS, told=_terminal_told_all())


def end_workers(
    workers: Iterable[subprocess.Popen[bytes]], *, told: bool, within_s: float = FINALISERS_S
) -> threading.Timer:
    """Interrupt each, and kill what is still there a little later; meanwhile pytest-xdist asks them to end.

    Args:
        workers: processes that this one started.
        told: they have been interrupted already; once more would cut their finalisers short.
        within_s: how long they have.

    Returns:
        What kills them.
    """
    running = [worker for worker in workers if worker.poll() is None]
    for worker in running if not told else ():
        worker.send_signal(signal.SIGINT)
    late = threading.Timer(within_s, _kill, [running])
    late.daemon = True
    late.start()
    return late


def _kill(workers: Iterable[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        worker.kill()  # which does nothing to one that has been waited for


def _terminal_told_all() -> bool:
    """Whether Ctrl-C reaches this process and its workers alike."""
    try:
        return os.tcgetpgrp(sys.__stderr__.fileno() if sys.__stderr__ else 2) == os.getpgrp()
    except (OSError, ValueError):
        return False
