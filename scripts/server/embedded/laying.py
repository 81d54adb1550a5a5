"""Laying out a kept cluster: packed bytes become a folder again, in three steps, so that a server can start in between.

Owns: the order, and the two processes that write. First comes what a server starts on: all that is in no database, one
    file in fifteen. While it starts the run's own database is written, which the first connection reads; then the other
    databases, three files in four. Nobody is handed the server before all of it is there (watcher.py's `unpacked`).
Promises: what is written are the bytes of the given file, which the run has checked; every path is below the folder.
Never: imports anything of ours (watcher.py loads it alone), or follows a link.
"""

from __future__ import annotations

import errno
import mmap
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence
    from typing import TypeAlias

    Folder: TypeAlias = "tuple[str, int]"  # path, mode
    File: TypeAlias = "tuple[str, int, int, int]"  # path, mode, offset, size
else:
    import _signal as signal  # as in watcher.py

WRITERS = 2
# The steps, each a word that every writer says at its end.
BOOTS, READABLE, WHOLE = b"b", b"r", b"w"
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def lay_out(  # noqa: PLR0913 - they come through a pipe
    *, descriptor: int, begin: int, folders: Sequence[Folder], files: Sequence[File], target: str, uid: int, gid: int
) -> Laid:
    """Make of checked bytes what was packed, in an empty folder. It forks: only a process with one thread may call it.

    Args:
        descriptor: a nameless file that holds what packing.read_checked returned.
        begin: where in it the contents begin.
        folders: a folder before what is in it.
        files: each with its place in the contents.
        target: the folder; it exists, and the user below may enter it.
        uid: who is to own the files, -1 for whoever makes them.
        gid: likewise, their group.

    Returns:
        The work, which goes on.

    Raises:
        ValueError: a path leads out of the folder.
        OSError: no room, no right.
    """
    for name in [*(folder[0] for folder in folders), *(file[0] for file in files)]:
        if name.startswith("/") or ".." in name:
            raise ValueError(f"{name!r} leads out of the folder")
    steps = in_order(files)
    with (
        mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data,
        memoryview(data) as whole,
        whole[begin:] as contents,
    ):
        place = _Place(contents, target, uid, gid)
        before = os.umask(0)
        try:
            place.make_folders(folders)
            return place.fork_writers(steps)
        finally:
            os.umask(before)


def in_order(files: Sequence[File]) -> tuple[list[File], list[File], list[File]]:
    """The files of no database, those of the youngest, which is the run's own, and those of the others.

    initdb gives its three databases the numbers 1, 4 and 5 (`postgres`); the run's is 16384 or more, or 5.
    """
    databases: dict[int, list[File]] = {}
    others: list[File] = []
    for file in files:
        base, _, inside = file[0].partition("/")
        number, slash, _ = inside.partition("/")
        if base == "base" and slash and number.isdecimal():
            databases.setdefault(int(number), []).append(file)
        else:
            others.append(file)
    own = databases.pop(max(databases, default=-1), [])
    return others, own, [file for _, those in sorted(databases.items()) for file in those]


def _dealt(steps: Sequence[Sequence[File]], number: int) -> list[Sequence[File]]:
    """What one of the writers writes: of what is waited for every other file, of the rest one half.

    A half is whole folders but for one, so that they seldom wait for the lock of the same folder.
    """
    *waited_for, rest = steps
    half = -(-len(rest) // WRITERS)
    return [*(step[number::WRITERS] for step in waited_for), rest[number * half : (number + 1) * half]]


class Laid:
    """The writers at work, and how far they have come."""

    def __init__(self, pids: list[int], told: int) -> None:
        self.pids = pids
        self.told = told  # the end of the pipe that they tell it to
        self.words = b""

    def wait(self, step: bytes) -> None:
        """Until each of them is done with a step. One may be a step ahead of the other.

        Raises:
            OSError: what one of them met; the others are given up.
        """
        try:
            while self.words.count(step) < WRITERS and self.told >= 0:
                words = os.read(self.told, WRITERS)
                self.words += words
                if not words:  # one has ended before it was done
                    self._close()
                    while not self._reap(wait=True):
                        pass
        except BaseException:
            self.give_up()
            raise

    def is_done(self) -> bool:
        """Whether all is there.

        Raises:
            OSError: what one of them met.
        """
        return self._reap(wait=False)

    def give_up(self) -> None:
        """End the writers: what they write is wanted no more."""
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.pids.clear()
        self._close()

    def _close(self) -> None:
        if self.told >= 0:
            os.close(self.told)
            self.told = -1

    def _reap(self, *, wait: bool) -> bool:
        for pid in tuple(self.pids):
            done, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
            if done:
                self.pids.remove(pid)
                code = os.waitstatus_to_exitcode(status)
                if code:
                    number = code if code > 0 else errno.EINTR
                    raise OSError(number, os.strerror(number))
        if not self.pids:
            self._close()
        return not self.pids


class _Place:
    """Where the contents go, and whose the files are to be."""

    def __init__(self, contents: memoryview, target: str, uid: int, gid: int) -> None:
        self.contents = contents
        self.target = target
        self.uid = uid
        self.gid = gid

    def make_folders(self, folders: Sequence[Folder]) -> None:
        for name, mode in folders:
            path = f"{self.target}/{name}"
            os.mkdir(path, mode)  # noqa: PTH102 - pathlib would double the watcher's start
            if self.uid >= 0:
                os.chown(path, self.uid, self.gid)

    def fork_writers(self, steps: Sequence[Sequence[File]]) -> Laid:
        """Start two processes. Threads would wait for each other's lock at each of 1,300 files."""
        told, tell = os.pipe()
        laid = Laid([], told)
        try:
            for number in range(WRITERS):
                pid = os.fork()
                if pid == 0:
                    os._exit(self.write_all(_dealt(steps, number), tell))
                laid.pids.append(pid)
        except BaseException:
            laid.give_up()
            raise
        finally:
            os.close(tell)
        return laid

    def write_all(self, steps: Sequence[Sequence[File]], tell: int) -> int:
        """For a forked writer: the system's number of what went wrong, zero when nothing did."""
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if self.uid >= 0:
                # As their owner, so that no file has to be given away after it was made.
                os.setgroups([])
                os.setgid(self.gid)
                os.setuid(self.uid)
            for files, word in zip(steps, (BOOTS, READABLE, WHOLE), strict=True):
                self.write(files)
                os.write(tell, word)
        except OSError as exc:
            return exc.errno or errno.EIO
        except BaseException:  # noqa: BLE001 - it must not run on as a second watcher
            return errno.EIO
        return 0

    def write(self, files: Sequence[File]) -> None:
        for name, mode, offset, size in files:
            descriptor = os.open(f"{self.target}/{name}", _FLAGS, mode)
            try:
                at, end = offset, offset + size
                while at < end:
                    with self.contents[at:end] as left:
                        at += os.write(descriptor, left)
            finally:
                os.close(descriptor)
