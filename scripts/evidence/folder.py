"""A folder held open by descriptor, and the one way a file gets into it: whole or not at all.

Owns: temporary file, flush, rename, flush of the folder, read back.
Promises: a reader sees the old file or the new one, never half; nothing is read or written through a symbolic link, and
    a folder that is moved or exchanged meanwhile cannot draw a write elsewhere.
Never: decides what is written.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

from scripts.errors.evidence import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_TEMPORARY = ".tmp"


class Folder:
    """One folder, named by its descriptor; `shown` is its path for messages."""

    def __init__(self, descriptor: int, shown: str) -> None:
        self._descriptor = descriptor
        self.shown = shown

    @classmethod
    def open(cls, path: Path) -> Folder:
        """Open a folder that exists.

        Raises:
            EvidenceError: it is not there, is no folder, or is a link.
        """
        with _told(str(path)):
            return cls(os.open(path, _FOLDER_FLAGS), str(path))

    def make(self, name: str) -> Folder:
        """Make and open a folder below this one.

        Raises:
            FileExistsError: the name is taken.
            EvidenceError: it cannot be made.
        """
        shown = f"{self.shown}/{name}"
        with _told(shown, taken_is_told=False):
            os.mkdir(name, 0o755, dir_fd=self._descriptor)
        return self.inside(name)

    def inside(self, name: str) -> Folder:
        """Open a folder below this one, never through a link.

        Raises:
            EvidenceError: it is not there, is no folder, or is a link.
        """
        shown = f"{self.shown}/{name}"
        with _told(shown):
            return Folder(os.open(name, _FOLDER_FLAGS, dir_fd=self._descriptor), shown)

    def write(self, name: str, data: bytes, *, durable: bool) -> None:
        """Put a file there, in place of an older one of that name.

        Args:
            name: file name without a path.
            data: the whole content.
            durable: wait until the disk has it. Without, a power cut may bring the older file back; a kill may not.

        Raises:
            EvidenceError: the disk is full, the folder may not be written, what is read back differs, …
        """
        shown = f"{self.shown}/{name}"
        temporary = f".{name}.{secrets.token_hex(6)}{_TEMPORARY}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        renamed = False
        try:
            with _told(shown):
                with os.fdopen(os.open(temporary, flags, 0o644, dir_fd=self._descriptor), "wb") as file:
                    file.write(data)
                    file.flush()
                    if durable:
                        os.fsync(file.fileno())
                os.rename(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
                renamed = True
                if durable:
                    os.fsync(self._descriptor)
        finally:
            # Also on Ctrl-C: a folder of evidence holds what its inventory names and nothing else.
            if not renamed:
                self.unlink(temporary)
        if self.read(name) != data:
            raise EvidenceError.read_back_differs(shown)

    def read(self, name: str) -> bytes:
        """The content of a regular file.

        Raises:
            EvidenceError: it is not there, is no regular file, or is a link.
        """
        shown = f"{self.shown}/{name}"
        with _told(shown):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            with os.fdopen(os.open(name, flags, dir_fd=self._descriptor), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise EvidenceError.unwritable(shown, NotADirectoryError(20, "not a regular file"))
                return file.read()

    def names(self) -> list[str]:
        """Everything in the folder, sorted."""
        with _told(self.shown):
            return sorted(os.listdir(self._descriptor))  # noqa: PTH208 - Path knows no descriptors

    def flush(self) -> None:
        """Wait until the disk has the folder's list of names."""
        with _told(self.shown):
            os.fsync(self._descriptor)

    def stands_at(self, path: Path) -> bool:
        """Whether the path still leads to this very folder."""
        try:
            there = os.lstat(path)
        except OSError:
            return False
        here = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def require_link(self, name: str) -> None:
        """Require that the name is free or a symbolic link.

        Raises:
            EvidenceError: a file or folder that somebody made is in the way.
        """
        shown = f"{self.shown}/{name}"
        with _told(shown):
            try:
                mode = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mode
            except FileNotFoundError:
                return
            if not stat.S_ISLNK(mode):
                raise EvidenceError.latest_in_the_way(shown, "a folder" if stat.S_ISDIR(mode) else "a file")

    def point(self, name: str, target: str) -> None:
        """Point the symbolic link `name` at `target` in one step; anything else of that name is left alone.

        Raises:
            EvidenceError: a file or folder of that name is in the way, or the link cannot be made.
        """
        self.require_link(name)
        temporary = f".{name}.{secrets.token_hex(6)}{_TEMPORARY}"
        with _told(f"{self.shown}/{name}"):
            os.symlink(target, temporary, dir_fd=self._descriptor)
            try:
                os.rename(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
            except BaseException:
                self.unlink(temporary)
                raise

    def unlink(self, name: str) -> None:
        """Remove a file or link if that is possible."""
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._descriptor)

    def close(self) -> None:
        """Let go of the descriptor; twice does no harm."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


@contextlib.contextmanager
def _told(shown: str, *, taken_is_told: bool = True) -> Iterator[None]:
    """Turn the operating system's refusal into ours; a taken name may stay FileExistsError, for the caller to judge."""
    try:
        yield
    except OSError as exc:
        if isinstance(exc, FileExistsError) and not taken_is_told:
            raise
        raise EvidenceError.unwritable(shown, exc) from exc
