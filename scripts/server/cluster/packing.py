"""A cluster's folder as one file: what is kept of a cluster so that the next run need not make it. Back is laying.py's.

Owns: the form. Line one is the sha256 of all that follows; line two what is known of the cluster (JSON); line three the
    folders and files with their modes (JSON); then the contents. Contents that are the same are there once: three
    databases of four are copies.
Promises: nothing is handed on of a file whose digest is not the one expected, and what is handed on are the very bytes
    that were digested, not a second reading of them.
Never: follows a link, or writes.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

# Names where the server was: of no use to another.
LEFT_OUT = frozenset({"postmaster.opts", "postmaster.pid"})
HEX = 64
READ = 1 << 24
# Small enough to be in the processor's cache when it is digested and written after it was read.
POUR = 1 << 18
_LINES = re.compile(rb"[^\n]*\n([^\n]*)\n")  # what is known of the cluster; the list of folders and files
# Characters; far more than any of a cluster has, and less than a file system takes.
_PATH = 255
_MODE = 0o7777
_CHANGED = "its bytes are not those of its digest"


class PoisonedError(Exception):
    """What is kept is not what was put there; the text says how that showed."""


def pack_tree(folder: str) -> bytes:
    """Lines three and on of a folder that nobody writes to.

    Raises:
        PoisonedError: it holds a link, a socket or something else that is neither folder nor file.
        OSError: it cannot be read.
    """

    def content_of(path: str) -> bytes:
        with open(os.path.join(folder, path), "rb") as file:  # noqa: PTH118, PTH123 - pathlib would double the watcher's start
            return file.read()

    def found() -> Iterator[tuple[str, int, bytes | None]]:
        for path, mode in _walk(folder, ""):
            if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
                raise PoisonedError(f"{path} is neither a folder nor a file")
            yield path, stat.S_IMODE(mode), None if stat.S_ISDIR(mode) else content_of(path)

    return pack(found())


def pack(found: Iterable[tuple[str, int, bytes | None]]) -> bytes:
    """Lines three and on of paths, modes and contents; a folder, before what is in it, has None for its content."""
    import hashlib

    folders: list[tuple[str, int]] = []
    files: list[tuple[str, int, int, int]] = []
    contents: dict[bytes, int] = {}
    blobs: list[bytes] = []
    end = 0
    for path, mode, content in found:
        if content is None:
            folders.append((path, mode))
            continue
        digest = hashlib.sha256(content).digest()
        if digest not in contents:
            contents[digest] = end
            blobs.append(content)
            end += len(content)
        files.append((path, mode, contents[digest], len(content)))
    index = json.dumps({"folders": folders, "files": files}, separators=(",", ":")).encode()
    return b"".join((index, b"\n", *blobs))


def _walk(folder: str, inside: str) -> Iterator[tuple[str, int]]:
    """Paths below the folder and their modes, a folder before what is in it, in the order of names."""
    with os.scandir(os.path.join(folder, inside)) as found:  # noqa: PTH118 - as above
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if not inside and entry.name in LEFT_OUT:
            continue
        path = f"{inside}/{entry.name}" if inside else entry.name
        yield path, entry.stat(follow_symlinks=False).st_mode
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder, path)


def seal(known: dict[str, Any], packed: bytes) -> bytes:
    """The whole file: `known` may hold only what JSON can."""
    import hashlib

    rest = json.dumps(known, sort_keys=True).encode() + b"\n" + packed
    return hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


def read_known(descriptor: int) -> tuple[str, dict[str, Any]]:
    """The digest it claims, and what is known of the cluster; both are worth nothing until `read_checked` has agreed.

    Raises:
        PoisonedError: it does not have the form.
    """
    start = os.pread(descriptor, 1 << 14, 0).split(b"\n", 2)
    try:
        digest, known = start[0].decode("ascii"), json.loads(start[1])
    except (UnicodeDecodeError, ValueError, IndexError, RecursionError):
        raise PoisonedError("it has not the form of a kept cluster") from None
    if len(digest) != HEX or len(start) != 3 or not isinstance(known, dict):
        raise PoisonedError("it has not the form of a kept cluster")
    return digest, known


def read_checked(path: str, digest: str) -> memoryview:
    """Line two and on of a file whose every byte is as it was written, in memory.

    Args:
        path: the file; a link is refused.
        digest: what its first line said when it was chosen.

    Raises:
        PoisonedError: a byte differs.
        OSError: it is not there any more, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        parts = []
        while part := os.read(descriptor, READ):
            parts.append(part)
    finally:
        os.close(descriptor)
    data = memoryview(b"".join(parts))
    # Loaded here: the watcher lays out what was checked, and would pay half of its own start for a digest.
    import hashlib

    if bytes(data[: HEX + 1]) != digest.encode() + b"\n" or hashlib.sha256(data[HEX + 1 :]).hexdigest() != digest:
        raise PoisonedError(_CHANGED)
    return data[HEX + 1 :]


def pour_checked(path: str, digest: str, into: int) -> memoryview:
    """The same, in a file of ours that another process has open, too: what is digested is what is written there.

    Args:
        path: as above.
        digest: as above.
        into: a descriptor of the file, which nobody else can open; what it held is gone.

    Raises:
        PoisonedError: a byte differs; what was written is of no use.
        OSError: it cannot be read, or there is no room.
    """
    import hashlib

    seen, at = hashlib.sha256(), 0
    buffer = memoryview(bytearray(POUR))
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.ftruncate(into, 0)
        claimed = os.read(descriptor, HEX + 1)
        while size := os.readv(descriptor, [buffer]):
            seen.update(buffer[:size])
            left = buffer[:size]
            while left:
                written = os.pwrite(into, left, at)
                at, left = at + written, left[written:]
    finally:
        os.close(descriptor)
    if claimed != digest.encode() + b"\n" or seen.hexdigest() != digest:
        raise PoisonedError(_CHANGED)
    return memoryview(mmap.mmap(into, at, access=mmap.ACCESS_READ))


def read_index(checked: memoryview) -> tuple[int, list[tuple[str, int]], list[tuple[str, int, int, int]]]:
    """What checked bytes list.

    Args:
        checked: what `read_checked` or `pour_checked` returned.

    Returns:
        Where the contents begin; the folders and their modes, each before what is in it; the files, their modes, where
        in the contents theirs begins, and its size.

    Raises:
        PoisonedError: they list nothing, what is not there, or what no folder can hold.
    """
    lines = _LINES.match(checked)
    try:
        index = json.loads(lines[1]) if lines is not None else {}
        folders, files = index["folders"], index["files"]
        begin = lines.end() if lines is not None else 0
        room = len(checked) - begin
        fits = all((at | size) >= 0 and at + size <= room for _, _, at, size in files)
        good = all(path + "" and mode & _MODE == mode for path, mode, _, _ in files) and all(
            path + "" and mode & _MODE == mode for path, mode in folders
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        raise PoisonedError("it has not the form of a kept cluster") from None
    if not (fits and good):
        raise PoisonedError("it lists what it does not hold")
    paths = [path for path, _ in folders], [file[0] for file in files]
    if not _is_tree(*paths):
        # Left to the file system, it would be told as the file system's fault.
        out = [path for some in paths for path in some if path.startswith("/") or ".." in path.split("/")]
        raise PoisonedError(f"{out[0]!r} leads out of the folder" if out else "it lists what no folder can hold")
    return begin, folders, files


def _is_tree(folders: list[str], files: list[str]) -> bool:
    """Whether each path is there once, below a folder that is listed before it, and is one that a file can have."""
    known = {""}
    for path in folders:
        if path.rpartition("/")[0] not in known:
            return False
        known.add(path)
    paths = [*folders, *files]
    lines = "\n".join(("", *paths, ""))
    return (
        all(path.rpartition("/")[0] in known for path in files)
        and len(known.union(files)) == 1 + len(paths)
        and all(map(str.isprintable, paths))
        and lines.isascii()
        and len(max(paths, key=len, default="")) <= _PATH
        # No part is empty; none is "." or "..", or begins with it.
        and not any(end in lines for end in ("//", "/\n", "\n/", "/.", "\n."))
    )
