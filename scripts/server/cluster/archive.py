"""A kept cluster as a tar archive, which is how it gets into a container, and out of one.

Owns: both directions. In: archives that any tar can unpack, whose files belong to the image's own user. Out: what an
    image's tar wrote, as `pack` takes it.
Promises: only folders and plain files; nothing that leads out of the folder it is unpacked in.
"""

from __future__ import annotations

import io
import struct
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from scripts.server.cluster.packing import LEFT_OUT, PoisonedError, read_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BLOCK = 512
# Bytes. A program that copies costs a millisecond to start.
WORTH_COPYING = 1 << 20
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s183x")
_File: TypeAlias = "tuple[int, int, int]"  # mode, where its content is, size
_Files: TypeAlias = "dict[str, _File]"
_NAME_MAX, _ID_MAX = 100, 0o7777777


@dataclass(frozen=True, slots=True)
class Owner:
    """Who the files belong to in the image. A tar that runs as root goes by the names, where the image has them."""

    user: str
    group: str
    uid: int
    gid: int

    @classmethod
    def of(cls, known: dict[str, Any]) -> Owner:
        """As an entry keeps it.

        Raises:
            PoisonedError: it does not.
        """
        try:
            user, group, uid, gid = known["owner"]
            return cls(str(user), str(group), int(uid), int(gid))
        except (KeyError, TypeError, ValueError):
            raise PoisonedError("it does not say whose the files are") from None

    def known(self) -> list[str | int]:
        """In what JSON can hold."""
        return [self.user, self.group, self.uid, self.gid]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A cluster on its way into a container: unpack `first`, copy the folders, unpack `rest` over them.

    A server can start on `first`: the run's own database is in it, which the others are copied from. `copies`: (from,
    to) inside the cluster's folder; `to` is not there before. Both archives are POSIX ustar.
    """

    first: bytes
    copies: tuple[tuple[str, str], ...]
    rest: bytes


def parcel_of(checked: memoryview, owner: Owner) -> Parcel:
    """The parcel of checked bytes, as `read_checked` gives them.

    Three of four databases are copies of the run's but for a few files: what can be copied where it arrives is sent
    once.

    Raises:
        PoisonedError: a path leads out of the folder, or has no room in the form.
    """
    begin, folders, files = read_index(checked)
    contents = checked[begin:]
    modes = dict(folders)
    inside: dict[str, _Files] = {path: {} for path in modes}
    for path, mode, offset, size in files:
        folder, _, name = path.rpartition("/")
        if folder in inside:
            inside[folder][name] = (mode, offset, size)
    copies = _copies(inside, modes)

    def is_copied(path: str, as_it_is: _File) -> bool:
        folder, _, name = path.rpartition("/")
        return folder in copies and inside[copies[folder]].get(name) == as_it_is

    first: list[bytes | memoryview] = [
        _header(path, mode, 0, b"5", owner) for path, mode in folders if path not in copies
    ]
    rest: list[bytes | memoryview] = []
    for path, mode, offset, size in files:
        if not is_copied(path, (mode, offset, size)):
            archive = rest if path.rpartition("/")[0] in copies else first
            archive += (_header(path, mode, size, b"0", owner), contents[offset : offset + size], bytes(-size % BLOCK))
    end = bytes(2 * BLOCK)
    return Parcel(b"".join((*first, end)), tuple((source, to) for to, source in copies.items()), b"".join((*rest, end)))


def _copies(inside: Mapping[str, _Files], modes: Mapping[str, int]) -> dict[str, str]:
    """Which folder is made as a copy of which: it has every name of the other, and at least as much worth copying."""
    copies: dict[str, str] = {}
    parents = {folder.rpartition("/")[0] for folder in inside}
    in_order = sorted(inside.items(), key=lambda folder: -_database(folder[0]))
    for to, files in in_order:
        for source, others in in_order:
            if source == to:
                break  # only of one that is sent before
            if source in copies or to in parents or modes[source] != modes[to] or not others.keys() <= files.keys():
                continue
            if sum(file[2] for name, file in others.items() if files[name] == file) >= WORTH_COPYING:
                copies[to] = source
                break
    return copies


def _database(folder: str) -> int:
    """The number of the database whose folder it is, -1 of none: the youngest, with the highest, is the run's own."""
    parent, _, name = folder.rpartition("/")
    return int(name) if parent == "base" and name.isdecimal() else -1


def _header(path: str, mode: int, size: int, kind: bytes, owner: Owner) -> bytes:
    name = path.encode()
    if path.startswith("/") or ".." in path:
        raise PoisonedError(f"{path!r} leads out of the folder")
    if len(name) > _NAME_MAX or max(owner.uid, owner.gid) > _ID_MAX:
        raise PoisonedError(f"{path!r} has no room in an archive")

    def with_sum(checksum: bytes) -> bytes:
        return _HEADER.pack(
            name,
            b"%07o" % mode,
            b"%07o" % owner.uid,
            b"%07o" % owner.gid,
            b"%011o" % size,
            b"%011o" % 0,
            checksum,
            kind,
            b"",
            b"ustar\x0000",
            owner.user.encode()[:31],
            owner.group.encode()[:31],
        )

    return with_sum(b"%06o\0 " % sum(with_sum(b" " * 8)))


def read_archive(data: bytes) -> tuple[Owner, Iterator[tuple[str, int, bytes | None]]]:
    """What is in an archive of a cluster's folder, and whose it is.

    Returns:
        The owner, and paths, modes and contents as `pack` takes them, a folder before what is in it.

    Raises:
        PoisonedError: it is no archive of a cluster, or holds something that is neither folder nor file.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = {member.name.removeprefix("./"): member for member in archive}
    except tarfile.TarError:
        members = {}
    if not members or any(data[-2 * BLOCK :]):  # an archive that was cut off may seem to be a shorter one
        raise PoisonedError("what the container sent is no archive")
    owner = members.get("PG_VERSION")
    if owner is None:
        raise PoisonedError("what the container sent holds no cluster")
    found = sorted((path, member) for path, member in members.items() if path not in (".", "", *LEFT_OUT))
    for path, member in found:
        if not member.isdir() and (not member.isreg() or member.issparse()):
            raise PoisonedError(f"{path} is neither a folder nor a file")
    return Owner(owner.uname, owner.gname, owner.uid, owner.gid), (
        (path, member.mode & 0o7777, None if member.isdir() else _content(data, member)) for path, member in found
    )


def _content(data: bytes, member: tarfile.TarInfo) -> bytes:
    return data[member.offset_data : member.offset_data + member.size]
