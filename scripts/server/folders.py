"""Which file systems may hold a server's data and its programs, judged before anything is written.

Owns: the candidates, their order, the room and rights they need, and the limit of a Unix socket's path; and what makes
    a folder this user's alone, for what is to outlive a run.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from scripts.errors.room import FolderError

MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory; only folders of our own below it are used
ROOM_IN_MEMORY = 512 * 1024 * 1024
# sizeof(sockaddr_un.sun_path) less the closing zero.
SOCKET_PATH_MAX = 107 if sys.platform.startswith("linux") else 103
SOCKET_PORT = "5432"  # a socket's, too
SOCKET_NAME = f".s.PGSQL.{SOCKET_PORT}"


def data_home(*, for_other_user: bool) -> Path:
    """The folder below which the data goes: memory when it has room, else the temporary folder.

    Args:
        for_other_user: the server runs as another user, who must be able to pass through.

    Raises:
        FolderError: none can be written to.
    """
    tried = []
    for folder in dict.fromkeys((MEMORY, *_temporary())):
        reason = _unusable(folder, room=ROOM_IN_MEMORY if folder == MEMORY else 0)
        if not reason and for_other_user and not _passable(folder):
            reason = "closed to other users"
        if not reason:
            return folder
        tried.append((str(folder), reason))
    raise FolderError.none_usable(tried)


def places() -> list[Path]:
    """Where folders of ours may lie: every candidate that can be used, whatever its room."""
    return [folder for folder in dict.fromkeys((MEMORY, *_temporary())) if not _unusable(folder, room=0)]


def program_home() -> Path:
    """The folder below which a copy of the programs may be *run*; containers mount their memory noexec.

    Raises:
        FolderError: every candidate is closed or mounted noexec.
    """
    tried = []
    for folder in dict.fromkeys((*_temporary(), MEMORY)):
        reason = _unusable(folder, room=0)
        if not reason and os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0):
            reason = "mounted noexec"
        if not reason and not _passable(folder):
            reason = "closed to other users"
        if not reason:
            return folder
        tried.append((str(folder), reason))
    raise FolderError.no_exec(tried)


def make_private(folder: Path, *, above: int = 2) -> str:
    """Make a folder that only this user may enter where it is missing, and judge what is there.

    Somebody else's is not ours to use or to repair.

    Args:
        folder: wanted.
        above: how many folders above it may be made, too: not the home that an account has in name only.

    Returns:
        Why it cannot be used; "" when it can.
    """
    anchor = folder.parents[min(above, len(folder.parents) - 1)]
    try:
        # Not `is_dir`, which takes for missing what may not be looked at, or raises, by the version of Python.
        if not stat.S_ISDIR(anchor.stat().st_mode):
            return f"{anchor} is not there"
    except (FileNotFoundError, NotADirectoryError):
        return f"{anchor} is not there"
    except OSError as exc:
        return (exc.strerror or type(exc).__name__).lower()
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        return _not_ours_alone(folder.lstat()) or _read_only(folder)
    except OSError as exc:
        return (exc.strerror or type(exc).__name__).lower()


def require_socket_fits(folder: Path) -> None:
    """Refuse before the server does, with a reason one can act on.

    Raises:
        FolderError: the socket's path would be longer than the kernel takes.
    """
    path = str(folder / SOCKET_NAME)
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_MAX:
        raise FolderError.socket_path_too_long(path, length=length, limit=SOCKET_PATH_MAX)


def _temporary() -> tuple[Path, ...]:
    try:
        first: tuple[Path, ...] = (Path(tempfile.gettempdir()),)  # TMPDIR and its kin, as everywhere
    except FileNotFoundError:  # "No usable temporary directory found"
        first = ()
    return (*first, Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - as above


def _unusable(folder: Path, *, room: int) -> str:
    if reason := _unspeakable(str(folder)):
        return reason
    if not folder.is_dir():
        return "not there"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "not writable"
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        return "writable by everyone without the sticky bit: anybody could swap our folder"
    if room and (free := os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize) < room:
        return f"{free // 1024**2} MB free, {room // 1024**2} needed"
    return ""


def _unspeakable(path: str) -> str:
    """Why a client or a server cannot be told the path, however it is quoted; "" when they can."""
    if "," in path:
        return "a comma in its path, which clients of PostgreSQL take for two servers"
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in path):
        return "a control character in its path"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its path is not UTF-8"
    return ""


def _passable(folder: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))


def _not_ours_alone(found: os.stat_result) -> str:
    if not stat.S_ISDIR(found.st_mode):
        return "a link or a file, not a folder"
    if found.st_uid != os.geteuid():
        return "it belongs to another user"
    if found.st_mode & 0o077:
        return f"its mode is {stat.S_IMODE(found.st_mode):04o}, which lets others in; expected 0700"
    return ""


def _read_only(folder: Path) -> str:
    writable = os.access(folder, os.R_OK | os.W_OK | os.X_OK) and not os.statvfs(folder).f_flag & os.ST_RDONLY
    return "" if writable else "it cannot be written to"
