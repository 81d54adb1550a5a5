"""The lease of a private folder: a file in it that says whose it is, locked for as long as its maker lives.

Owns: the order in which a folder gets its name and its lease, and in which it loses them.
Promises: a folder of the full name has its lease in it at every moment of its life, so whoever finds one and gets the
    lock knows that the maker is dead. Without a lease there is only the half name, on a folder with nothing in it.
Never: imports anything of ours (watcher.py loads it alone), or lets a clock decide.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LEASE = "lease"
# Between prefix and random part: of a folder that has no lease yet, or none any more.
HALF = "half-"
RANDOM_BYTES = 5
ATTEMPTS = 100
RETRY_S = 0.05
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_IN_THE_WAY = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


def make_folder(base: str, prefix: str, owner: Mapping[str, str], made: list[str]) -> tuple[str, int]:
    """Make a folder nobody else has, mode 0700, under a name nobody can guess.

    Args:
        base: the folder it goes into.
        prefix: how its name begins.
        owner: what the lease says.
        made: takes the path at once, as half and as whole, so that whoever is told to end knows what to remove.

    Returns:
        The path, and the open lease: the lock is held until it is closed, at the latest by the end of the process.

    Raises:
        OSError: the file system said no.
    """
    for _ in range(ATTEMPTS):
        name = os.urandom(RANDOM_BYTES).hex()
        half = os.path.join(base, prefix + HALF + name)  # noqa: PTH118 - pathlib would double the watcher's start
        whole = os.path.join(base, prefix + name)  # noqa: PTH118 - as above
        try:
            os.mkdir(half, 0o700)  # noqa: PTH102 - the same; fails on anything that exists, a planted link included
        except FileExistsError:
            continue
        made.append(half)
        descriptor = _take_lease(half, owner)
        if descriptor is None:
            continue
        try:
            os.rename(half, whole)  # noqa: PTH104 - as above
        except OSError as exc:
            os.close(descriptor)
            if exc.errno not in _IN_THE_WAY:
                raise
            continue
        made[-1] = whole
        return whole, descriptor
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _take_lease(folder: str, owner: Mapping[str, str]) -> int | None:
    """Write and lock it; None when a sweep took the empty folder for a dead run's meanwhile: the next name, then."""
    path = os.path.join(folder, LEASE)  # noqa: PTH118 - as above
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:
        return None
    try:
        locked = "yes"
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:  # a file system without locks: no sweep will ever touch this folder
            locked = "no"
        if not os.fstat(descriptor).st_nlink:
            os.close(descriptor)
            return None
        os.write(descriptor, as_json({"kind": "folder", "locked": locked, **owner}).encode() + b"\n")
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def as_json(labels: Mapping[str, str]) -> str:
    """What `json.dumps` makes of it, which takes a third of the watcher's start to load.

    Raises:
        ValueError: a label would have to be escaped.
    """
    for text in (*labels, *labels.values()):
        if not (text.isascii() and text.isprintable()) or '"' in text or "\\" in text:
            raise ValueError(f"{text!r} is no label")
    return "{" + ", ".join(f'"{name}": "{value}"' for name, value in labels.items()) + "}"


def remove_folder(folder: str, *, attempts: int = 1) -> bool:
    """Remove a folder of ours with all that is in it, its lease last, under the half name; whether it is gone.

    Whoever is killed in between leaves a folder that a sweep knows for what it is.

    Args:
        folder: its path.
        attempts: more than one where processes that have just been killed may still write to it.
    """
    for number in range(attempts):
        if number:
            time.sleep(RETRY_S)
        if _remove(folder):
            return True
    return False


def _remove(folder: str) -> bool:
    base, name = os.path.split(folder)
    prefix, dash, rest = name.rpartition("-")
    half = folder if f"{prefix}{dash}".endswith(HALF) else os.path.join(base, prefix + dash + HALF + rest)  # noqa: PTH118
    try:
        descriptor = os.open(folder, _FOLDER)
        try:
            _empty(descriptor, but=LEASE)
            if set(os.listdir(descriptor)) <= {LEASE}:  # noqa: PTH208 - as above
                os.rename(folder, half)  # noqa: PTH104 - as above
                _empty(descriptor)
                os.rmdir(half)  # noqa: PTH106 - as above
        finally:
            os.close(descriptor)
    except OSError:  # gone, not ours any more, or written to while it was emptied: whoever asks looks again
        pass
    return not os.path.lexists(folder) and not os.path.lexists(half)


def _empty(descriptor: int, *, but: str = "") -> None:
    """Remove what is in an open folder, as far as the system lets us; no link is followed.

    `shutil.rmtree` does the same, and takes longer to load than a whole cluster takes to be removed.
    """
    with os.scandir(descriptor) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found if entry.name != but]
    for name, is_folder in entries:
        try:
            if not is_folder:
                os.unlink(name, dir_fd=descriptor)
                continue
            inner = os.open(name, _FOLDER, dir_fd=descriptor)
            try:
                _empty(inner)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=descriptor)
        except OSError:  # the rest goes nevertheless
            pass
