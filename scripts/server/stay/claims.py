"""Working on a server that stays: one at a time for each name; writing down what is known of it, and forgetting it.

Owns: the lock on a name's folder, and what is written into it: the record, the passwords, the file a watcher locks.
Promises: a record is there whole or not at all; two who work on one name take turns, and a dead one keeps nobody
    waiting; folders have mode 0700 and files 0600 whatever the umask is; passwords are in the 0600 file alone.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from scripts.errors.residents import ResidentError
from scripts.server.states import ALIVE, PASSWORDS, RECORD, no_place, read_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from scripts.server.states import Resident

CLAIM_TIMEOUT_S = 120.0
_POLL_S = 0.05
_ROOM = 4096  # bytes: more than any of the three files has
# Whoever looks in passing holds a lock for a moment, which is not worth a line.
_TELL_AFTER_S = 0.3


def require_room(place: Path) -> None:
    """Write as much as is known of a server, and remove it: that it cannot be done is not to be found out at the end.

    Args:
        place: from `open_place`, which removes what a killed one leaves.

    Raises:
        ResidentError: nothing can be written there.
        DiskFullError: for want of room.
    """
    for last in (False, True):
        try:
            _try_room(place / f".gone-{secrets.token_hex(8)}")
        except FileNotFoundError as exc:
            # Another run that looks here removes what it takes for a killed one's.
            if last:
                raise no_place(place, exc) from exc
        except OSError as exc:
            raise no_place(place, exc) from exc
        else:
            return


def _try_room(trial: Path) -> None:
    try:
        trial.mkdir(mode=0o700)
        for name in (ALIVE, PASSWORDS, RECORD):
            (trial / name).write_bytes(secrets.token_bytes(_ROOM))  # a file system that packs needs room for these, too
    finally:
        shutil.rmtree(trial, ignore_errors=True)


@contextmanager
def claimed(
    place: Path, name: str, *, make: bool, waiting: Callable[[str], None], timeout_s: float = CLAIM_TIMEOUT_S
) -> Iterator[Claim | None]:
    """Be the only one who works on a name, while the block runs.

    Args:
        place: from `open_place`.
        name: from `require_name`.
        make: whether the folder is made where it is missing; it goes again if nothing is written into it.
        waiting: takes a line, once, when somebody else is at work.
        timeout_s: the longest to wait for that other one; 0 for not at all.

    Yields:
        The claim; None when there is nothing of that name and `make` is off.

    Raises:
        ResidentError: somebody else works on it for too long, or the folder is not this user's alone.
    """
    folder = place / name
    descriptor = _lock(folder, make=make, waiting=waiting, timeout_s=timeout_s)
    if descriptor is None:
        yield None
        return
    claim = Claim(folder)
    try:
        yield claim
    finally:
        if not (folder / RECORD).exists():
            claim.remove()
        os.close(descriptor)


def _lock(folder: Path, *, make: bool, waiting: Callable[[str], None], timeout_s: float) -> int | None:
    """The folder, open and locked; None where there is none."""
    began, told = time.monotonic(), False
    while True:
        descriptor = _open(folder, make=make)
        if descriptor is None and not make:
            return None
        if descriptor is not None:
            if _is_ours_now(folder, descriptor):
                return descriptor
            os.close(descriptor)
        waited_s = time.monotonic() - began
        if waited_s >= timeout_s:
            raise ResidentError.busy(folder.name, timeout_s)
        if waited_s >= _TELL_AFTER_S and not told:
            waiting(f"server   another process is at work on {folder.name}: waiting for it")
            told = True
        time.sleep(_POLL_S)


def _open(folder: Path, *, make: bool) -> int | None:
    """The folder, made where that is wanted; None where it is not there, or not any more."""
    if make:
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        except OSError as exc:
            raise no_place(folder, exc) from exc
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as exc:
        # A link is told as "not a directory", too.
        words = "a link or a file, not a folder"
        if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
            words = (exc.strerror or str(exc)).lower()
        raise ResidentError.no_place(str(folder), words) from exc
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        os.close(descriptor)
        raise ResidentError.no_place(str(folder), "another owner, or a mode that lets others in")
    return descriptor


def _is_ours_now(folder: Path, descriptor: int) -> bool:
    """Whether it can be locked, and is still the folder of that name: whoever had it may have removed it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return folder.lstat().st_ino == os.fstat(descriptor).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


@dataclass(frozen=True, slots=True)
class Claim:
    """The folder of a name that nobody else works on now."""

    folder: Path

    @property
    def alive(self) -> Path:
        """The file that a watcher locks for as long as it lives."""
        return self.folder / ALIVE

    def read(self) -> Resident | None:
        """As `read_state`."""
        return read_state(self.folder)

    def write(self, resident: Resident, passwords: Mapping[str, str]) -> None:
        """Write it all down, the record last.

        Args:
            resident: what is known.
            passwords: of each role.

        Raises:
            ResidentError: it cannot be written.
            DiskFullError: for want of room.
        """
        lines = [
            ":".join(map(_escaped, (resident.host, resident.port, "*", role, passwords[role]))) for role in passwords
        ]
        try:
            self._put(ALIVE, "")
            self._put(PASSWORDS, "".join(f"{line}\n" for line in lines))
            self._put(RECORD, json.dumps(asdict(resident), indent=1) + "\n")
        except OSError as exc:
            raise no_place(self.folder, exc) from exc

    def _put(self, name: str, text: str) -> None:
        half = self.folder / f".half-{secrets.token_hex(8)}"
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        half.rename(self.folder / name)

    def forget(self) -> None:
        """Remove what is known, the record first; the folder goes with the claim."""
        with suppress(FileNotFoundError):
            (self.folder / RECORD).unlink()
        for path in self.folder.iterdir():
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder; at once for whoever looks."""
        gone = self.folder.parent / f".gone-{secrets.token_hex(8)}"
        with suppress(FileNotFoundError):
            self.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")
