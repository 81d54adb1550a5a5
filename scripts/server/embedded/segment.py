"""The System V shared memory of a server: the kernel keeps it when the server was killed with -9.

Owns: which segment a data folder's server had (line seven of postmaster.pid), and its removal. macOS has 32 in all.
Promises: a number that has another owner by now is not taken for it, where the system tells (Linux).
Never: imports anything of ours (watcher.py loads it alone).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TABLE = "/proc/sysvipc/shm"
PID_FILE = "postmaster.pid"
_READ_MAX = 4096


def remove_segment(data: str) -> bool:
    """Remove what the server of a data folder left; a server that ends by itself removes segment and file.

    Args:
        data: the folder; its server is not running.

    Returns:
        Whether it is gone: False only when processes are still attached, which the kernel makes it wait for.
    """
    row = segment_of(data)
    if row is None:
        return True
    import ctypes

    ctypes.CDLL(None, use_errno=True).shmctl(row["shmid"], 0, None)  # IPC_RMID
    return not row["nattch"]


def segment_of(data: str) -> dict[str, int] | None:
    """The row of the kernel's table for that server's segment; None where it has none any more.

    Where the system has no such table the row holds what postmaster.pid says, and nobody attached.
    """
    owner, lines = read_pid_file(data)
    try:
        key, shmid = (int(part) for part in lines[6].split()[:2])
        pid = abs(int(lines[0]))  # negative for a server of one user, as initdb runs
    except (ValueError, IndexError):
        return None
    rows = _table()
    if rows is None:
        return {"shmid": shmid, "nattch": 0}
    wanted: dict[str, Any] = {"shmid": shmid, "key": _unsigned(key), "cpid": pid, "uid": owner}
    return next((row for row in rows if all(row[name] == value for name, value in wanted.items())), None)


def read_pid_file(data: str) -> tuple[int, list[bytes]]:
    """Who owns a data folder's postmaster.pid, and its lines; none where there is no such file.

    The server's user may write there: a link is not followed, a pipe not waited for.
    """
    path = os.path.join(data, PID_FILE)  # noqa: PTH118 - pathlib would double the watcher's start
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return -1, []
    try:
        return os.fstat(descriptor).st_uid, os.read(descriptor, _READ_MAX).split(b"\n")
    except OSError:
        return -1, []
    finally:
        os.close(descriptor)


def _table() -> list[dict[str, int]] | None:
    try:
        with open(TABLE, encoding="ascii") as file:  # noqa: PTH123 - as above
            header, *lines = file.read().splitlines()
    except OSError:
        return None
    rows = [dict(zip(header.split(), map(int, line.split()), strict=False)) for line in lines]
    return [row | {"key": _unsigned(row["key"])} for row in rows]


def _unsigned(key: int) -> int:
    """A key has 32 bits; one side prints it with a sign, the other without."""
    return key & 0xFFFFFFFF
