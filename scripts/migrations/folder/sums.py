"""The list of sums beside a folder: `schema/migrations.sum` for `schema/migrations`, in the format of sha256sum.

Owns: its form, the comparison with the files, and the adding of new lines.
Promises: every file has one line and every line one file; a line, once there, is never changed by us.
Why: an edited migration shows in review, before any database could object.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.errors.history import SumsError
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINE = re.compile(r"([0-9a-f]{64})  (([0-9]{4,6})_[A-Za-z0-9_-]+\.sql)")


def sums_path(folder: Path) -> Path:
    """Where a folder's list lies: beside it, with `.sum`."""
    return folder.parent / f"{folder.name}.sum"


def require_sums(folder: Path, checksums: Mapping[str, str]) -> bool:
    """Hold the files against the list.

    Args:
        folder: the migrations' folder.
        checksums: sha256 by file name, in the order of the numbers.

    Returns:
        Whether there is a list: a foreign folder may have none, the project's own must have one.

    Raises:
        SumsError: they disagree.
    """
    path = sums_path(folder)
    listed = read_sums(path)
    if listed is None:
        if folder.resolve() == Settings().migrations_dir.resolve():
            raise SumsError.absent(path.name)
        return False
    for name, checksum in checksums.items():
        if name not in listed:
            raise SumsError.not_listed(name, path.name)
        if listed[name] != checksum:
            raise SumsError.differs(name, path.name, listed=listed[name], found=checksum)
    for name in listed:
        if name not in checksums:
            raise SumsError.no_file(name, path.name)
    return True


def read_sums(path: Path) -> dict[str, str] | None:
    """The list as sha256 by file name; None when there is no such file.

    Raises:
        SumsError: a line of another form, a name listed twice, or lines out of order.
    """
    try:
        text = path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise SumsError.malformed(path.name, 1) from exc
    listed: dict[str, str] = {}
    highest = (-1, "")
    lines = text.split("\n")
    if lines.pop() != "":
        raise SumsError.malformed(path.name, len(lines) + 1)
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise SumsError.malformed(path.name, number)
        checksum, name = match[1], match[2]
        if name in listed:
            raise SumsError.duplicate(name, path.name, number)
        order = (int(match[3]), name)
        if order < highest:
            raise SumsError.unsorted(name, path.name, number)
        listed[name], highest = checksum, order
    return listed


def render_sums(checksums: Mapping[str, str]) -> str:
    """The list's text, in the order given."""
    return "".join(f"{checksum}  {name}\n" for name, checksum in checksums.items())


def add_new_sums(folder: Path, checksums: Mapping[str, str]) -> tuple[str, ...]:
    """Add a line for every file that has none; written whole or not at all.

    Args:
        folder: the migrations' folder.
        checksums: sha256 by file name, in the order of the numbers.

    Returns:
        The names that were added.

    Raises:
        SumsError: a listed file differs or is gone; nothing is written then.
    """
    path = sums_path(folder)
    listed = read_sums(path) or {}
    for name, checksum in listed.items():
        if name not in checksums:
            raise SumsError.no_file(name, path.name)
        if checksums[name] != checksum:
            raise SumsError.differs(name, path.name, listed=checksum, found=checksums[name])
    added = tuple(name for name in checksums if name not in listed)
    if added:
        _write_whole(path, render_sums(checksums))
    return added


def _write_whole(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
