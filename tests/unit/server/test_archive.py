"""A cluster as a tar archive: what any tar unpacks of it is what was packed, byte by byte and mode by mode."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess  # noqa: TID251 - the system's own tar is the judge
import tarfile
from typing import TYPE_CHECKING

import pytest

from scripts.server.cluster import archive as archive_module
from scripts.server.cluster.archive import Owner, parcel_of, read_archive
from scripts.server.cluster.packing import PoisonedError, pack, pack_tree

if TYPE_CHECKING:
    from pathlib import Path

OWNER = Owner("postgres", "staff", 70, 71)


def checked(packed: bytes) -> memoryview:
    """As `read_checked` gives them: what is known of the cluster comes first."""
    return memoryview(b"{}\n" + packed)


def write_tree(folder: Path, chance: random.Random) -> None:
    """A cluster in small: databases that are copies but for some files, empty folders, odd sizes and modes."""
    pages = {str(number): chance.randbytes(chance.choice((0, 1, 511, 512, 513, 8192))) for number in range(20)}
    for database in ("1", "4", "5", "16385"):
        inside = folder / "base" / database
        inside.mkdir(parents=True, mode=0o700)
        for name, page in pages.items():
            (inside / name).write_bytes(page if chance.random() < 0.8 else chance.randbytes(8192))
            (inside / name).chmod(chance.choice((0o600, 0o640, 0o400)))
    (folder / "base" / "5" / "pg_internal.init").write_bytes(b"only here")
    (folder / "pg_wal" / "archive_status").mkdir(parents=True)
    (folder / "PG_VERSION").write_text("18\n")
    (folder / "postmaster.pid").write_text("1\n")


def unpack(parcel: archive_module.Parcel, target: Path) -> None:
    """What the container's shell does."""

    def tar(content: bytes) -> None:
        subprocess.run(["tar", "-x", "-p", "--no-same-owner", "-f", "-", "-C", target], input=content, check=True)

    tar(parcel.first)
    for source, to in parcel.copies:
        assert not (target / to).exists()
        subprocess.run(["cp", "-R", "-p", target / source, target / to], check=True)
    tar(parcel.rest)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_unpacked_is_what_was_packed(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is copied on the way; and what the other side packs with its own tar is the same again."""
    monkeypatch.setattr(archive_module, "WORTH_COPYING", 1 << 14)
    there, back = tmp_path / "there", tmp_path / "back"
    there.mkdir()
    back.mkdir()
    write_tree(there, random.Random(seed))  # noqa: S311 - no secret
    packed = pack_tree(str(there))
    parcel = parcel_of(checked(packed), OWNER)
    unpack(parcel, back)
    assert pack_tree(str(back)) == packed
    assert {source for source, _ in parcel.copies}.isdisjoint(to for _, to in parcel.copies)
    out = subprocess.run(["tar", "-c", "-f", "-", "-C", back, "."], capture_output=True, check=True).stdout
    owner, found = read_archive(out)
    assert pack(found) == packed
    assert owner.uid == os.getuid()


def test_copies_are_sent_once(tmp_path: Path) -> None:
    """A database's files that are the youngest's; what is small or lacks a name is sent."""
    for database in ("1", "4", "5"):
        (tmp_path / "base" / database).mkdir(parents=True)
        for number in range(300):
            (tmp_path / "base" / database / str(number)).write_bytes(b"%06d" % number * 1024)
    (tmp_path / "base" / "4" / "7").write_bytes(b"its own")
    (tmp_path / "base" / "1" / "7").unlink()
    parcel = parcel_of(checked(pack_tree(str(tmp_path))), OWNER)
    assert parcel.copies == (("base/5", "base/4"),)
    with tarfile.open(fileobj=io.BytesIO(parcel.rest)) as rest:
        assert rest.getnames() == ["base/4/7"]
    assert len(parcel.first) < 2 * 300 * (6 * 1024 + 1024) + 20_000


@pytest.mark.parametrize("youngest", ["5", "16385", "100000"])
def test_a_server_can_start_on_what_comes_first(tmp_path: Path, youngest: str) -> None:
    """The run's own database is the one that the others are copied from, not a copy that is still on its way."""
    for database in {"1", "4", "5", youngest}:
        (tmp_path / "base" / database).mkdir(parents=True)
        for number in range(300):
            (tmp_path / "base" / database / str(number)).write_bytes(b"%06d" % number * 1024)
    (tmp_path / "global").mkdir()
    (tmp_path / "global" / "pg_control").write_bytes(b"x")
    parcel = parcel_of(checked(pack_tree(str(tmp_path))), OWNER)
    with tarfile.open(fileobj=io.BytesIO(parcel.first)) as first:
        names = first.getnames()
    assert {name for name in names if not name.startswith("base")} == {"global", "global/pg_control"}
    assert {name.split("/")[1] for name in names if name.startswith("base/")} == {youngest}
    assert {to for _, to in parcel.copies} == {f"base/{name}" for name in {"1", "4", "5"} - {youngest}}


def test_the_files_are_the_image_s_own_users(tmp_path: Path) -> None:
    """By name, which a tar that runs as root goes by, and by number."""
    (tmp_path / "PG_VERSION").write_text("18\n")
    parcel = parcel_of(checked(pack_tree(str(tmp_path))), OWNER)
    with tarfile.open(fileobj=io.BytesIO(parcel.first)) as archive:
        (member,) = archive.getmembers()
    assert (member.uname, member.gname, member.uid, member.gid, member.mtime) == ("postgres", "staff", 70, 71, 0)
    assert Owner.of({"owner": OWNER.known()}) == OWNER


@pytest.mark.parametrize("owner", [None, [], ["a", "b", "c", 1], ["a", "b", 1], "root"])
def test_an_entry_that_does_not_say_whose_it_is(owner: object) -> None:
    """Of a form that has none: it is no entry for a container."""
    with pytest.raises(PoisonedError, match="whose the files are"):
        Owner.of({} if owner is None else {"owner": owner})


@pytest.mark.parametrize(
    ("path", "owner", "words"),
    [
        ("../x", OWNER, "leads out of the folder"),
        ("/etc/passwd", OWNER, "leads out of the folder"),
        ("base/1/../../../x", OWNER, "leads out of the folder"),
        ("x" * 101, OWNER, "has no room in an archive"),
        ("x", Owner("u", "g", 0o10000000, 0), "has no room in an archive"),
    ],
)
def test_a_path_that_leads_out_or_has_no_room_is_refused(path: str, owner: Owner, words: str) -> None:
    """Its digest may be right: somebody sealed it."""
    with pytest.raises(PoisonedError, match=words):
        parcel_of(checked(pack([(path, 0o600, b"x")])), owner)


def test_what_has_not_the_form_is_refused() -> None:
    """One line, and nothing behind it."""
    with pytest.raises(PoisonedError, match="has not the form"):
        parcel_of(memoryview(b"{}\n{}"), OWNER)


def archive_with(**fields: object) -> bytes:
    """A cluster's archive with one more member."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("./PG_VERSION"))
        member = tarfile.TarInfo("./odd")
        for name, value in fields.items():
            setattr(member, name, value)
        archive.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_link_or_a_pipe_in_a_cluster_is_not_kept(kind: bytes) -> None:
    """Where it leads is not ours to keep."""
    with pytest.raises(PoisonedError, match="odd is neither a folder nor a file"):
        read_archive(archive_with(type=kind, linkname="PG_VERSION"))


@pytest.mark.parametrize("data", [b"", b"x" * 2000, archive_with()[:700], bytes(10240)])
def test_what_is_no_archive_of_a_cluster_is_not_kept(data: bytes) -> None:
    """The container sent something else, or half of it."""
    with pytest.raises(PoisonedError, match=r"no archive|no cluster"):
        read_archive(data)


def test_where_the_server_was_is_left_out(tmp_path: Path) -> None:
    """The process's number is of no use to another server, and would stop it."""
    (tmp_path / "PG_VERSION").write_text("18\n")
    for name in ("postmaster.pid", "postmaster.opts"):
        (tmp_path / name).write_text("1\n")
    tar = shutil.which("tar")
    assert tar is not None
    out = subprocess.run([tar, "-c", "-f", "-", "-C", tmp_path, "."], capture_output=True, check=True).stdout
    _, found = read_archive(out)
    assert [path for path, _, _ in found] == ["PG_VERSION"]
