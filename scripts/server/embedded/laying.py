"""Laying out a kept cluster: packed bytes become a folder again, in two steps, so that a server can start in between.

Owns: the order, and the two processes that write. First comes all that a start and a connection to the run's database
    need; the other databases' files, three in four, are written while the server starts. Nobody is handed the server
    before they are there (watcher.py's `unpacked`).
Promises: what is written are the bytes of the given file, which the run has checked; every path is below the folder.
Never: imports anything of ours (watcher.py loads it alone), or follows a link.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    File: TypeAlias = "tuple[str, int, int, int]"  # path, mode, offset, size

WRITERS = 2
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def lay_out(descriptor: int, target: str, uid: int, gid: int) -> list[int]:
    """Make of checked bytes what was packed, in an empty folder. It forks: only a process with one thread may call it.

    Args:
        descriptor: a nameless file that holds what packing.read_checked returned.
        target: the folder; it exists, and the user below may enter it.
        uid: who is to own the files, -1 for whoever makes them.
        gid: likewise, their group.

    Returns:
        The processes that go on with what comes second, for `reap`.

    Raises:
        ValueError: a path leads out of the folder.
        OSError: no room, no right.
    """
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        second = data.find(b"\n") + 1
        third = data.find(b"\n", second) + 1
        index = json.loads(data[second : third - 1])
        first, rest = in_order(index["files"])
        for name, *_ in (*index["folders"], *first, *rest):
            if name.startswith("/") or ".." in name:
                raise ValueError(f"{name!r} leads out of the folder")
        with memoryview(data) as whole, whole[third:] as contents:
            place = _Place(contents, target, uid, gid)
            before = os.umask(0)
            try:
                place.make_folders(index["folders"])
                return place.fork_writers(first, rest)
            finally:
                os.umask(before)


def in_order(files: list[File]) -> tuple[list[File], list[File]]:
    """The files that come first, and the rest: those of every database but the youngest, which is the run's own.

    initdb gives its three databases the numbers 1, 4 and 5 (`postgres`); the run's is 16384 or more, or 5.
    """
    numbers = {
        int(name.split("/")[1]) for name, *_ in files if name.startswith("base/") and name.split("/")[1].isdigit()
    }
    others = tuple(f"base/{number}/" for number in sorted(numbers)[:-1])
    return [file for file in files if not file[0].startswith(others)], [
        file for file in files if file[0].startswith(others)
    ]


def reap(pids: list[int], *, wait: bool) -> bool:
    """Whether the writers are done; each that has ended is taken from the list.

    Raises:
        OSError: what one of them met.
    """
    for pid in tuple(pids):
        done, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
        if done:
            pids.remove(pid)
            code = os.waitstatus_to_exitcode(status)
            if code:
                number = code if code > 0 else errno.EINTR
                raise OSError(number, os.strerror(number))
    return not pids


def give_up(pids: list[int]) -> None:
    """End the writers: what they write is wanted no more."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    pids.clear()


class _Place:
    """Where the contents go, and whose the files are to be."""

    def __init__(self, contents: memoryview, target: str, uid: int, gid: int) -> None:
        self.contents = contents
        self.target = target
        self.uid = uid
        self.gid = gid

    def make_folders(self, folders: list[tuple[str, int]]) -> None:
        for name, mode in folders:
            path = f"{self.target}/{name}"
            os.mkdir(path, mode)  # noqa: PTH102 - pathlib would double the watcher's start
            if self.uid >= 0:
                os.chown(path, self.uid, self.gid)

    def fork_writers(self, first: list[File], rest: list[File]) -> list[int]:
        """Start two processes, and wait until both have done their part of the first.

        Threads would wait for each other's lock at each of 1,300 files.
        """
        ready, tell = os.pipe()
        pids: list[int] = []
        half = -(-len(rest) // WRITERS)
        try:
            try:
                for number in range(WRITERS):
                    # What is needed at once is dealt out file by file; the rest by folders, each one's for itself.
                    mine = first[number::WRITERS], rest[number * half : (number + 1) * half]
                    pid = os.fork()
                    if pid == 0:
                        os._exit(self.write_both(*mine, tell))
                    pids.append(pid)
            finally:
                os.close(tell)
            told = b""
            while len(told) < WRITERS and (more := os.read(ready, WRITERS)):
                told += more
            if len(told) < WRITERS:  # one has ended before it had done its part
                while not reap(pids, wait=True):
                    pass
        except BaseException:
            give_up(pids)
            raise
        finally:
            os.close(ready)
        return pids

    def write_both(self, first: list[File], rest: list[File], tell: int) -> int:
        """For a forked writer: the system's number of what went wrong, zero when nothing did."""
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if self.uid >= 0:
                # As their owner, so that no file has to be given away after it was made.
                os.setgroups([])
                os.setgid(self.gid)
                os.setuid(self.uid)
            self.write(first)
            os.write(tell, b".")
            os.close(tell)
            self.write(rest)
        except OSError as exc:
            return exc.errno or errno.EIO
        except BaseException:  # noqa: BLE001 - it must not run on as a second watcher
            return errno.EIO
        return 0

    def write(self, files: list[File]) -> None:
        for name, mode, offset, size in files:
            descriptor = os.open(f"{self.target}/{name}", _FLAGS, mode)
            try:
                at, end = offset, offset + size
                while at < end:
                    with self.contents[at:end] as left:
                        at += os.write(descriptor, left)
            finally:
                os.close(descriptor)
