"""Folders that a run and its watcher left when both were killed with -9: the next start removes them.

Owns: which folders may be looked at, the proof that one is dead and ours, and its removal.
Promises: a folder goes only if its name is exactly of our form, it is a real folder of this very user, its lease is a
    plain file of this user's that is readable and not locked by anybody, its owner cannot be there any more, and no
    server lives in it. A start neither waits for a removal nor fails over one; each is told in a line.
Never: asks a clock, follows a link, or signals a process.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import stat
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.server.embedded.layout import PREFIX
from scripts.server.embedded.lease import HALF, LEASE, RANDOM_BYTES, remove_folder
from scripts.server.embedded.segment import read_pid_file, remove_segment, segment_of
from scripts.server.folders import SOCKET_NAME, SOCKET_PATH_MAX, places
from scripts.server.owner import is_of_this_boot, owner_can_be_gone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_NAME = re.compile(rf"{PREFIX}({HALF})?[0-9a-f]{{{2 * RANDOM_BYTES}}}")
_LEASE_MAX = 4096
# How long the end of a run waits for the removal of what others left; the rest is for the next start.
_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class _Dead:
    """A folder that is proved dead, and its lease, locked by us now: nobody else removes it at the same time."""

    path: str
    lease: int
    numbers_hold: bool  # of this boot: what the kernel counts anew is not taken for another's


@contextmanager
def sweeping(report: Callable[[str], None]) -> Iterator[None]:
    """Look at once, which takes less than a millisecond, and remove while the block runs; tell at its end."""
    dead, lines = _find_dead(), list[str]()
    if not dead:
        yield
        return
    # Large folders take long, and the run must not wait. A daemon, so that an interrupted run does not, either: what is
    # left half removed still has its lease.
    thread = threading.Thread(target=_remove, args=(dead, lines.append), daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(_PATIENCE_S)
        for line in lines:
            report(line)


def sweep(report: Callable[[str], None]) -> int:
    """Remove what is dead and ours, and wait for it; returns how many folders are gone."""
    lines: list[str] = []
    _remove(_find_dead(), lines.append)
    for line in lines:
        report(line)
    return len(lines)


def _remove(dead: list[_Dead], tell: Callable[[str], None]) -> None:
    for found in dead:
        detached = not found.numbers_hold or remove_segment(f"{found.path}/d")
        if detached and remove_folder(found.path):
            tell(f"server   removed what a killed run had left: {found.path}")
        os.close(found.lease)


def _find_dead() -> list[_Dead]:
    """Those that are dead; an empty one without a lease yet or any more is removed on the way."""
    dead = []
    for place in places():
        try:
            with os.scandir(place) as entries:
                names = [entry.name for entry in entries if entry.name.startswith(PREFIX)]
        except OSError:
            continue
        for name in filter(_NAME.fullmatch, names):
            path = str(place / name)
            with suppress(OSError):
                found = _judged(path)
                if found is not None:
                    dead.append(found)
    return dead


def _judged(path: str) -> _Dead | None:
    """The folder, its lease locked by us; None for one that stays."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(folder).st_uid != os.geteuid():
            return None
        lease = os.open(LEASE, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        if _is_half(path):
            # Its maker died before it made the lease, or whoever removed it did after. One that lives, and has not come
            # to the lease yet, finds the folder gone and takes another name (lease.py). Only an empty one can go so.
            Path(path).rmdir()
        return None
    finally:
        os.close(folder)
    labels: Mapping[str, str] | None = None
    try:
        labels = _labels_of_dead(path, lease)
    finally:
        if labels is None:
            os.close(lease)
    return None if labels is None else _Dead(path, lease, is_of_this_boot(labels))


def _labels_of_dead(path: str, lease: int) -> Mapping[str, str] | None:
    """What the lease says, locked; None unless its owner is dead."""
    found = os.fstat(lease)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1 or found.st_mode & 0o022:
        return None
    fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: somebody lives
    text = os.pread(lease, _LEASE_MAX, 0)
    if not text and _is_half(path) and [entry.name for entry in Path(path).iterdir()] == [LEASE]:
        return {}  # killed before it was written, and so before anything else was put there
    labels = _labels_of(text)
    if labels.get("kind") != "folder" or labels.get("locked") != "yes" or not owner_can_be_gone(labels):
        return None
    return None if is_of_this_boot(labels) and _server_lives(path) else labels


def _is_half(path: str) -> bool:
    return path.rpartition("/")[2].startswith(PREFIX + HALF)


def _labels_of(text: bytes) -> Mapping[str, str]:
    """What the lease says; nothing where it is not of our form."""
    try:
        labels = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        return {}
    return labels


def _server_lives(path: str) -> bool:
    """Whether a server works in the folder. Where it cannot be known it does."""
    data = Path(path) / "d"
    segment = segment_of(str(data))
    if (segment is not None and segment["nattch"]) or _listens(f"{path}/s/{SOCKET_NAME}"):
        return True
    _, lines = read_pid_file(str(data))
    if not lines:
        return False
    try:
        pid = abs(int(lines[0]))
    except ValueError:
        return True
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data
    except FileNotFoundError:  # no such process
        return False
    except OSError:
        return True


def _listens(address: str) -> bool:
    if len(os.fsencode(address)) > SOCKET_PATH_MAX:
        return False
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)  # a full queue is an answer, too
        try:
            client.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True
