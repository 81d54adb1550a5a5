"""Clusters that were made before: where they are kept, which one fits, and what is thrown away.

Owns: the folder, the key, writing and choosing an entry. Its form is packing.py's, and so is the check of its bytes.
Promises: an entry is in a folder that only this user may enter, whole or not there, and used only if it is what was put
    there; whatever is wrong with folder or entry costs a line and half a second, never the run.
Never: touches a name in the folder that is not of the form of ours.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.server.cluster.packing import PoisonedError, pack_tree, read_known, seal
from scripts.server.folders import make_private
from scripts.server.provision import INITDB_OPTIONS, OWNER, SUPERUSER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Whoever changes what a cluster is made of or how it is packed counts on: entries of another form have another key.
FORM = 2
SUFFIX = ".cluster"
_ENTRY = re.compile(r"[0-9a-f]{64}\.cluster")
_UNFINISHED = re.compile(r"unfinished-[0-9a-f]{16}")
KEEP = 4
KEEP_S = 30 * 24 * 3600
_KNOWN = ("key", "made_at_s", "next_oid", "password", "system_identifier")


@dataclass(frozen=True, slots=True)
class Entry:
    """One kept cluster, chosen and not checked yet. `inode` tells it from a later one of the same name."""

    path: Path
    digest: str
    known: dict[str, Any]
    inode: int

    @property
    def password(self) -> str:
        """The superuser's, until the first statement of a run replaces it."""
        return str(self.known["password"])


def key_of(programs: str, database: str, *, other_user: bool) -> str:
    """What a cluster depends on, as one digest.

    Args:
        programs: what it is made with: digests of the server's program and of what initdb reads, or an image's id.
        database: the name that is created in it.
        other_user: whether the server runs as a user that is not the run's.
    """
    parts = {
        "form": FORM,
        "programs": programs,
        "initdb": INITDB_OPTIONS,
        "roles": (SUPERUSER, OWNER),
        "database": database,
        "other_user": other_user,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def open_folder(wanted: Path | None, report: Callable[[str], None]) -> Path | None:
    """The folder to keep clusters in: the one wanted, else one of this user's in the temporary folder.

    Args:
        wanted: None where none is to be kept.
        report: takes a line about a folder that cannot be used.

    Returns:
        None when there is none; a cluster is then made for each run.
    """
    if wanted is None:
        return None
    candidates = [wanted]
    with suppress(FileNotFoundError):  # "No usable temporary directory found"
        candidates.append(Path(tempfile.gettempdir()) / f"parity-runner-{os.geteuid()}")
    for number, folder in enumerate(candidates):
        reason = make_private(folder)
        if not reason:
            return folder
        after = ", so they go to the temporary folder" if number == 0 and len(candidates) > 1 else ""
        report(f"server   no cluster can be kept in {folder}: {reason}{after}")
    return None


def find_entry(folder: Path, key: str) -> Entry | None:
    """The kept cluster of a key, or None where there is none.

    Raises:
        PoisonedError: it is somebody else's, open to others, or not of the form. `remove_entry` takes it away.
    """
    path = folder / f"{key}{SUFFIX}"
    try:
        with _opened(path) as descriptor:
            digest, known = read_known(descriptor)
            if known.get("key") != key or any(name not in known for name in _KNOWN):
                raise PoisonedError("it is another cluster's")
            os.utime(descriptor)  # when it was last of use
            return Entry(path, digest, known, os.fstat(descriptor).st_ino)
    except FileNotFoundError:
        return None


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A descriptor of an entry that nobody else can write to.

    Raises:
        PoisonedError: it is not such a file.
        FileNotFoundError: there is none.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise PoisonedError((exc.strerror or type(exc).__name__).lower()) from exc
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise PoisonedError("it is not a file")
        if found.st_uid != os.geteuid() or found.st_mode & 0o177 or found.st_nlink != 1:
            raise PoisonedError("it is not this user's alone (owner, mode 0600 and one name)")
        yield descriptor
    finally:
        os.close(descriptor)


def hint_of(sizes: Sequence[int], database: str, *, other_user: bool) -> str:
    """What can be told of a cluster's key at once: the sizes of the programs stand for their digests."""
    return hashlib.sha256(json.dumps([FORM, *sizes, database, other_user]).encode()).hexdigest()


def find_likely(folder: Path, hint: str) -> tuple[Path, str] | None:
    """The entry that was of use last of those with a hint, and the digest it claims; None where there is none.

    A guess at which one will be wanted: nothing of it is believed.

    Raises:
        OSError: one of them was thrown away meanwhile.
    """
    entries = [(path.lstat().st_mtime, path) for path in _ours(folder, _ENTRY)]
    for _, path in sorted(entries, reverse=True):
        with suppress(PoisonedError), _opened(path) as descriptor:  # whoever wants that very entry is told
            digest, known = read_known(descriptor)
            if known.get("hint") == hint:
                return path, digest
    return None


def remove_entry(folder: Path, key: str, *, inode: int | None = None) -> None:
    """Take an entry away, unless another run has put a new one there meanwhile; a link goes, not what it names.

    A folder of that name is somebody's mistake: it is moved aside, and removed only if it is this user's.
    """
    path = folder / f"{key}{SUFFIX}"
    with suppress(OSError):
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            if inode is None or found.st_ino == inode:
                path.unlink()
            return
        aside = folder / f"no-cluster-{secrets.token_hex(8)}"
        path.rename(aside)
        if found.st_uid == os.geteuid():
            shutil.rmtree(aside, ignore_errors=True)


def pack_cluster(data: Path) -> bytes | None:
    """A cluster that was shut down, packed in memory: about 9 MB. None where it holds what cannot be packed."""
    try:
        return pack_tree(str(data))
    except (OSError, PoisonedError):
        return None


def keep(folder: Path, key: str, packed: bytes, known: dict[str, Any], report: Callable[[str], None]) -> None:
    """Write an entry under a name of its own, and rename it last; then throw away what is old.

    Where two runs make the same one, the first stays. Not flushed to the disk: a half-written file has another digest.
    """
    name = folder / f"unfinished-{secrets.token_hex(8)}"
    target = folder / f"{key}{SUFFIX}"
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            # Held while it is written: who can have this lock knows that the maker is dead.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            rest = memoryview(seal({"key": key, **known}, packed))
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if target.exists():
                name.unlink()
            else:
                name.rename(target)
        finally:
            os.close(descriptor)
    except OSError as exc:
        report(f"server   the cluster could not be kept in {folder}: {(exc.strerror or type(exc).__name__).lower()}")
        with suppress(OSError):
            name.unlink()
    _throw_away(folder)


def _throw_away(folder: Path) -> None:
    """Entries that nobody used for a month, all but the last four used, and what killed makers left.

    A run that is reading one of them goes on reading it.
    """
    entries: list[tuple[float, Path]] = []
    now = (folder / ".").stat().st_mtime  # the folder's own clock: it has just been written to
    for path in _ours(folder, _ENTRY):
        with suppress(OSError):
            entries.append((path.lstat().st_mtime, path))
    entries.sort(reverse=True)
    for number, (used_at, path) in enumerate(entries):
        if number >= KEEP or now - used_at > KEEP_S:
            with suppress(OSError):
                path.unlink()
    for path in _ours(folder, _UNFINISHED):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Between its creation and its lock a live one is empty, and as young as this.
                if os.fstat(descriptor).st_size or now - os.fstat(descriptor).st_mtime > 1:
                    path.unlink()
            finally:
                os.close(descriptor)


def _ours(folder: Path, form: re.Pattern[str]) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if form.fullmatch(path.name)]
    except OSError:
        return []
