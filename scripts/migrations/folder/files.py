"""The folder of migrations: which files there are, in which order, and what is in them.

Owns: `MigrationFile`, the rules for names and numbers, and the reading of the bytes.
Promises: nothing in the folder that looks like a migration is passed over; what is hashed is what is run.
Never: asks a database.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from scripts.digest import digest_of, sha256_hex
from scripts.errors.history import FileNameError, FileTextError
from scripts.migrations.folder.marker import has_marker
from scripts.migrations.folder.sums import require_sums
from scripts.parser.statements import (
    Excerpt,
    Statement,
    cut_statements,
    file_digest,
    parse_statements,
    statement_digests,
)

_NAME = re.compile(r"([0-9]{4,6})_[A-Za-z0-9_-]+\.sql")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class MigrationFile:
    """One file, with the bytes that were hashed.

    number: of the name's digits. `name` is the file name with `.sql`: the ledger's version.
    checksum: lower-case sha256 of the bytes.
    listed: the sums beside the folder list it with this checksum; False when there is no such list.
    What is in the text is read on first use, so that applied files are hashed and never parsed.
    """

    number: int
    name: str
    folder: Path
    data: bytes = field(repr=False)
    checksum: str
    listed: bool = False

    @classmethod
    def of_text(cls, name: str, text: str, *, folder: Path = Path()) -> MigrationFile:
        """A file that was never on disk, for tools and tests.

        Raises:
            FileNameError: the name is not one of a migration.
        """
        data = text.encode()
        return cls(number_of(name), name, folder, data, sha256_hex(data))

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.folder / self.name

    @cached_property
    def text(self) -> str:
        """The file as text.

        Raises:
            FileTextError: empty, a byte order mark, CR, NUL, or not UTF-8.
        """
        return _decoded(self.name, self.data)

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """The parsed statements, in order, trees and all.

        Raises:
            HistoryError: PostgreSQL's grammar refuses the text, or it is not SQL alone.
        """
        return parse_statements(self.text, where=self.name)

    @cached_property
    def excerpts(self) -> tuple[Excerpt, ...]:
        """The statements without their trees, in order: enough for most of what is asked of a file, and much cheaper.

        Raises:
            HistoryError: PostgreSQL's grammar refuses the text, or it is not SQL alone.
        """
        return cut_statements(self.text, where=self.name)

    @cached_property
    def no_tx(self) -> bool:
        """Whether the marker stands before the first statement."""
        return has_marker(self.text, self.excerpts[0].offset if self.excerpts else len(self.text))

    @cached_property
    def statement_count(self) -> int:
        """How many statements there are; still known after `release`."""
        return len(self.excerpts)

    @cached_property
    def statements_digest(self) -> str:
        """What the file says: the same for two files that differ in comments, white space and empty statements alone.

        Raises:
            HistoryError: PostgreSQL's grammar refuses the text.
        """
        spans = [(excerpt.offset, excerpt.end) for excerpt in self.excerpts]
        return file_digest(statement_digests(self.text, spans), no_tx=self.no_tx)

    def release(self) -> None:
        """Let go of the text and the trees, many times the size of the file; asked for again, they are made again.

        What is small is worked out before: `no_tx`, `statement_count` and `statements_digest` need no second parsing.

        Raises:
            HistoryError: PostgreSQL's grammar refuses the text.
        """
        if "excerpts" in self.__dict__:
            _ = self.no_tx, self.statement_count, self.statements_digest
        for name in ("text", "excerpts", "statements"):
            self.__dict__.pop(name, None)


def read_migrations(folder: Path) -> tuple[MigrationFile, ...]:
    """Read, parse and check every file.

    Raises:
        HistoryError: the first thing wrong with the folder, the list of sums, a file's bytes or its statements.
    """
    from scripts.migrations.folder.runnable import require_runnable

    files = read_files(folder)
    for file in files:
        require_runnable(file)
    return files


def read_files(folder: Path) -> tuple[MigrationFile, ...]:
    """Read and hash every file, in the order of the numbers, and hold it against the list of sums; parse nothing.

    Raises:
        FileNameError: a name, a number, or what kind of thing lies there.
        SumsError: the list beside the folder and the files disagree.
    """
    contents = _contents(folder)
    checksums = {name: sha256_hex(data) for _, name, data in contents}
    listed = require_sums(folder, checksums)
    return tuple(
        MigrationFile(number, name, folder, data, checksums[name], listed=listed) for number, name, data in contents
    )


def read_checksums(folder: Path) -> dict[str, str]:
    """The sha256 of every file by its name, in the order of the numbers, whatever the list of sums says.

    Raises:
        FileNameError: a name, a number, or what kind of thing lies there.
    """
    return {name: sha256_hex(data) for _, name, data in _contents(folder)}


def number_of(name: str) -> int:
    """The number in a migration's name.

    Raises:
        FileNameError: it is not the name of a migration.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise FileNameError.malformed(name)
    return int(match[1])


def migrations_digest(files: tuple[MigrationFile, ...]) -> str:
    """One sha256 for the whole folder: names and checksums, in order."""
    return digest_of([[file.name, file.checksum] for file in files])


def _contents(folder: Path) -> list[tuple[int, str, bytes]]:
    """Number, name and bytes of every file, in the order of the numbers."""
    numbered = sorted(_numbered(folder))
    if not numbered:
        raise FileNameError.no_files(folder.name)
    _require_contiguous(numbered)
    try:
        inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise FileNameError.no_folder(folder.name) from exc
    try:
        return [(number, name, _read(inside, name)) for number, name in numbered]
    finally:
        os.close(inside)


def _numbered(folder: Path) -> list[tuple[int, str]]:
    """Number and name of everything that is, or looks like, a migration."""
    found: list[tuple[int, str]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue  # an editor's swap file, .gitkeep
                # 0028_new.sql.txt, 0028_new.SQL, 28_new.sql: each was meant to run.
                if name[0].isdigit() or ".sql" in name.lower():
                    found.append((number_of(name), name))
                    _require_regular(folder, entry)
    except OSError as exc:
        raise FileNameError.no_folder(folder.name) from exc
    return found


def _require_regular(folder: Path, entry: os.DirEntry[str]) -> None:
    if entry.is_symlink():
        target = Path(entry.path).resolve()
        if target.parent != folder.resolve():
            raise FileNameError.not_regular(entry.name, "a link that leads out of the folder")
        if not target.is_file():
            raise FileNameError.not_regular(entry.name, "a link to nothing that can be read")
    elif not entry.is_file():
        found = "a folder" if entry.is_dir() else "something else"
        raise FileNameError.not_regular(entry.name, found)


def _require_contiguous(numbered: list[tuple[int, str]]) -> None:
    expected = min(numbered[0][0], 1)
    previous = ""
    for number, name in numbered:
        if number < expected:
            raise FileNameError.duplicate(number, previous, name)
        if number > expected:
            raise FileNameError.gap(range(expected, number), name)
        expected, previous = number + 1, name


def _read(inside: int, name: str) -> bytes:
    # Bare system calls: ten thousand files are read before every run, and Path and file objects would double the time.
    try:
        # O_NONBLOCK: a named pipe put in place since the listing must not hang the run.
        handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=inside)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise FileNameError.not_regular(name, "something else")
            # One byte more than there should be: when just so many come, this is the end; a file that grows or shrinks
            # meanwhile is read to its end.
            data = os.read(handle, status.st_size + 1)
            if len(data) != status.st_size:
                while piece := os.read(handle, 65536):
                    data += piece
            return data
        finally:
            os.close(handle)
    except OSError as exc:
        raise FileNameError.unreadable(name, exc.strerror or type(exc).__name__) from exc


def _decoded(name: str, data: bytes) -> str:
    if data.startswith(_BOM):
        raise FileTextError.byte_order_mark(name)
    at = data.find(b"\0")
    if at >= 0:
        raise FileTextError.nul(name, _line(data, at))
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        raise FileTextError.not_utf8(name, _line(data, exc.start), exc.start) from exc
    at = data.find(b"\r")
    if at >= 0:
        raise FileTextError.carriage_return(name, _line(data, at))
    if not text.strip():
        raise FileTextError.empty(name)
    return text


def _line(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1
