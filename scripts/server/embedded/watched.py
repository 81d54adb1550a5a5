"""An embedded server that stays: what it hangs on, whether that is still there, and how it is ended.

Owns: the watcher's identity, the judgement by the lock that it holds, its end.
Promises: a signal goes to that very watcher or to nobody; when `end_watched` returns, server and folders are gone.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.errors.residents import ResidentError
from scripts.server.embedded.layout import Layout, has_no_room
from scripts.server.embedded.leash import END_TIMEOUT_S, Leash, RefusedError
from scripts.server.embedded.sweep import sweep
from scripts.server.owner import HOST, PID, PLACE, is_of_this_boot, owner_is_gone, owner_labels
from scripts.server.standing import Standing
from scripts.server.states import ALIVE, is_locked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scripts.server.states import Resident

FOLDERS = "folders"
# No path of a server holds one (folders.py); a colon it may hold.
_BETWEEN = "\n"
KILLED_TIMEOUT_S = 3.0
_POLL_S = 0.002
# Bytes. It writes ahead in files of a megabyte, and ends where it cannot.


@dataclass(frozen=True, slots=True)
class WatchedHolder:
    """A server that hangs on a watcher."""

    leash: Leash

    @property
    def stays(self) -> bool:
        """Whether the watcher was asked to stay, and said that it does."""
        return self.leash.kept

    def identity(self) -> Mapping[str, str]:
        """The watcher as its owner's labels, and the folders that it removes."""
        return owner_labels(self.leash.pid) | {FOLDERS: _BETWEEN.join(self.leash.folders)}

    def out_of_room(self) -> bool:
        """As layout.py sees it."""
        return has_no_room(Layout(Path(self.leash.folders[0])))

    def let_stay(self, alive: Path) -> None:
        """Ask the watcher.

        Raises:
            ResidentError: the file system of the lock has no locks.
            StartError: the watcher is gone.
        """
        try:
            self.leash.keep(alive)
        except RefusedError as exc:
            raise ResidentError.no_place(str(alive), str(exc).lower()) from exc


def judge_watched(resident: Resident, state: Path) -> Standing:
    """Whether its watcher lives. The lock decides, which ends with its holder; a process number may be another's."""
    labels, here = resident.holder, owner_labels()
    locked = is_locked(state / ALIVE)
    if is_of_this_boot(labels):
        if not locked:
            return Standing("gone", "it ended")
        if labels.get(PLACE) != here[PLACE]:
            return Standing("elsewhere", "it runs in another container of this machine")
        return Standing("runs")
    if labels.get(HOST) != here[HOST]:
        return Standing("elsewhere", f"it was made on the machine {labels.get(HOST, '').partition('/')[0]}")
    if not here[PLACE]:  # a system that does not number its boots
        return Standing("runs") if locked else Standing("gone", "it ended")
    return (
        Standing("elsewhere", "its lock is held") if locked else Standing("gone", "the machine was started anew since")
    )


def end_watched(resident: Resident, state: Path, report: Callable[[str], None]) -> None:
    """End one that runs, and wait until server and folders are gone; of one that is gone remove what it left.

    Raises:
        ResidentError: something stays.
    """
    if judge_watched(resident, state).kind == "runs":
        for signum, wait_s in ((signal.SIGTERM, END_TIMEOUT_S), (signal.SIGKILL, KILLED_TIMEOUT_S)):
            # While the lock is held its holder lives, so that the number is its own; it is looked up even so.
            if not owner_is_gone(resident.holder):
                os.kill(int(resident.holder[PID]), signum)
            if _wait_until_free(state / ALIVE, wait_s):
                break
        else:
            raise ResidentError.not_ended(resident.name, f"process {resident.holder[PID]} stays", END_TIMEOUT_S)
    folders = [Path(folder) for folder in resident.holder.get(FOLDERS, "").split(_BETWEEN) if folder]
    deadline = time.monotonic() + KILLED_TIMEOUT_S
    while left := [str(folder) for folder in folders if folder.is_dir()]:
        sweep(report)  # the watcher was killed; its server, which the system ends, may need a moment
        if time.monotonic() < deadline:
            time.sleep(_POLL_S)
            continue
        raise ResidentError.not_ended(resident.name, f"{', '.join(left)} stays", KILLED_TIMEOUT_S)


def _wait_until_free(lock: Path, wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while is_locked(lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
