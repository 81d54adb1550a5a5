"""Laying out what was packed: the same folder again, in three steps, by its owner-to-be; or an error and no process."""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_root import only_as_root
from make_runs import processes

from scripts.server.cluster.packing import pack_tree, read_index
from scripts.server.embedded import laying
from scripts.server.embedded import leash as leashes
from scripts.server.embedded.leash import Leash, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The arguments of `lay_out` that say what is there.
Shared: TypeAlias = "dict[str, Any]"
BOOT = ["global/3", "pg_wal/000000010000000000000001", "PG_VERSION", "base/note"]
OWN = ["base/16385/1", "base/16385/2"]
REST = ["base/1/1", "base/4/1", "base/5/1", "base/5/PG_VERSION"]


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """Something like one: the run's database, three others, files that are empty, the same, large, and odd modes."""
    folder = tmp_path / "cluster"
    for number, name in enumerate(BOOT + OWN + REST):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number % 3]) * (number * 40_000 if number % 2 else 0))
        path.chmod(0o640 if number % 2 else 0o600)
    (folder / "pg_tblspc").mkdir(mode=0o700)
    folder.joinpath("global").chmod(0o750)
    return folder


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every path below, its mode and its content."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, b"" if path.is_dir() else path.read_bytes())
        for path in folder.rglob("*")
    }


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An empty folder."""
    path = tmp_path / "target"
    path.mkdir()
    return path


@pytest.fixture
def packed(cluster: Path) -> Iterator[Shared]:
    """The cluster's bytes, as the run hands them to the watcher."""
    checked = b'{"known": 1}\n' + pack_tree(str(cluster))
    begin, folders, files = read_index(memoryview(checked))
    descriptor = shared(checked)
    yield {"descriptor": descriptor, "begin": begin, "folders": folders, "files": files}
    os.close(descriptor)


def shared(data: bytes) -> int:
    """The bytes in a nameless file."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return os.dup(file.fileno())


def children() -> set[int]:
    """The processes that this one has started and not waited for."""
    return {pid for pid, parent, _ in processes() if parent == os.getpid()}


@contextmanager
def indexed(files: list[tuple[str, int, int, int]], contents: bytes = b"-") -> Iterator[Shared]:
    """The same of files that pack_tree would not list."""
    descriptor = shared(contents)
    yield {"descriptor": descriptor, "begin": 0, "folders": [], "files": files}
    os.close(descriptor)


def finish(laid: laying.Laid) -> None:
    """Wait for the writers."""
    while not laid.is_done():
        time.sleep(0.001)


def test_what_was_packed_is_there_again(packed: Shared, cluster: Path, target: Path) -> None:
    """Contents and modes, whatever the umask; the writers end by themselves."""
    before = os.umask(0o077)
    try:
        laid = laying.lay_out(**packed, target=str(target), uid=-1, gid=-1)
    finally:
        os.umask(before)
    assert len(laid.pids) == 2
    laid.wait(laying.BOOTS)
    assert set(BOOT) <= set(tree(target))
    laid.wait(laying.READABLE)
    assert set(OWN) <= set(tree(target))
    finish(laid)
    laid.wait(laying.READABLE)  # nothing to wait for any more
    assert laid.pids == []
    assert tree(target) == tree(cluster)


def test_a_step_is_done_when_both_writers_are_done_with_it() -> None:
    """One that is two steps ahead does not speak for the other."""
    told, tell = os.pipe()
    laid = laying.Laid([], told)
    os.write(tell, laying.BOOTS + laying.READABLE + laying.WHOLE + laying.BOOTS)
    laid.wait(laying.BOOTS)
    other = threading.Timer(0.2, os.write, (tell, laying.READABLE))
    other.start()
    began = time.monotonic()
    laid.wait(laying.READABLE)
    assert time.monotonic() - began > 0.1
    other.join()
    os.close(tell)
    laid.give_up()


@only_as_root
def test_as_root_it_all_belongs_to_the_server_s_user(packed: Shared, tmp_path: Path, target: Path) -> None:
    """Made by that user, who can reach the folder."""
    for path in (target, *target.parents):
        if path.stat().st_uid == 0 and not path.stat().st_mode & 0o001 and path != target:
            path.chmod(path.stat().st_mode | 0o011)
    os.chown(target, 65534, 65534)
    finish(laying.lay_out(**packed, target=str(target), uid=65534, gid=65534))
    assert {(path.stat().st_uid, path.stat().st_gid) for path in target.rglob("*")} == {(65534, 65534)}


def test_what_a_server_starts_on_comes_first_then_the_youngest_database() -> None:
    """All that belongs to no database; without one of the run's own it is `postgres`, in whatever order they come."""
    files = [(name, 0o600, 0, 0) for name in BOOT + OWN + REST]
    rest = files[len(BOOT + OWN) :]
    assert laying.in_order(files) == (files[: len(BOOT)], files[len(BOOT) : len(BOOT + OWN)], rest)
    without = [file for file in files if "16385" not in file[0]]
    assert [[file[0] for file in step] for step in laying.in_order(without)[1:]] == [REST[2:], REST[:2]]
    assert laying.in_order([("base/5/1", 0, 0, 0), ("base/16384/1", 0, 0, 0)])[1] == [("base/16384/1", 0, 0, 0)]
    assert laying.in_order([]) == ([], [], [])


@given(
    st.lists(st.sampled_from([*BOOT, *OWN, *REST, "base/99999/1", "base/1/x/y", "base/", "base/x/1", "basement/1/2"]))
)
def test_nothing_is_lost_between_the_steps(names: list[str]) -> None:
    """Each file is in one of them, once; only what is in a database's folder comes later."""
    files = [(name, 0o600, 0, number) for number, name in enumerate(names)]
    first, own, rest = laying.in_order(files)
    assert sorted(first + own + rest) == sorted(files)
    assert all(name.startswith("base/") for name, *_ in own + rest)
    assert len({name.split("/")[1] for name, *_ in own}) <= 1
    dealt = [laying._dealt((first, own, rest), number) for number in range(laying.WRITERS)]
    for number, step in enumerate((first, own, rest)):
        assert sorted(file for mine in dealt for file in mine[number]) == sorted(step)


@pytest.mark.parametrize("name", ["/etc/x", "../x", "base/../../x", "a/.."])
def test_a_path_that_leads_out_writes_nothing(target: Path, name: str) -> None:
    """Not even what comes before it."""
    with (
        indexed([("good", 0o600, 0, 0), (name, 0o600, 0, 0)]) as packed,
        pytest.raises(ValueError, match="leads out of the folder"),
    ):
        laying.lay_out(**packed, target=str(target), uid=-1, gid=-1)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("where", ["base", "base/2", "base/1"], ids=["boot", "own", "rest"])
def test_what_the_system_refuses_comes_back_with_its_number(target: Path, where: str) -> None:
    """In each step; nobody is left behind, and nothing is written through a planted link."""
    for name in ("base/1", "base/2"):
        (target / name).mkdir(parents=True)
    (target / where / "taken").symlink_to(target / "elsewhere")
    before = children()

    def lay(packed: Shared) -> None:
        laid = laying.lay_out(**packed, target=str(target), uid=-1, gid=-1)
        try:
            laid.wait(laying.READABLE)
            finish(laid)
        finally:
            laid.give_up()  # whoever is still at work

    with (
        indexed([(f"{where}/taken", 0o600, 0, 0), ("base/2/other", 0o600, 0, 0)]) as packed,
        pytest.raises(OSError, match="File exists") as caught,
    ):
        lay(packed)
    assert caught.value.errno == errno.EEXIST
    assert not (target / "elsewhere").exists()
    assert children() <= before


def test_writers_that_are_given_up_are_gone(cluster: Path, target: Path) -> None:
    """At once, whatever is left to be written."""
    files = [(f"base/1/{number}", 0o600, 0, 4) for number in range(4000)]
    for name in ("base/1", "base/2"):
        (target / name).mkdir(parents=True)
    with indexed([*files, ("base/2/x", 0o600, 0, 4)], b"four") as packed:
        laid = laying.lay_out(**packed, target=str(target), uid=-1, gid=-1)
        laid.wait(laying.READABLE)
        laid.give_up()
    assert laid.pids == []
    left = len(list((target / "base/1").iterdir()))
    time.sleep(0.05)
    assert len(list((target / "base/1").iterdir())) == left


def test_the_watcher_hands_over_when_all_is_there(cluster: Path, tmp_path: Path) -> None:
    """First what a start needs, then the rest; and takes everything along, though it is still being written."""
    checked = memoryview(b'{"known": 1}\n' + pack_tree(str(cluster)))
    for wait in (True, False):
        with Leash() as leash:
            (target := tmp_path / "made" / str(wait)).parent.mkdir(exist_ok=True)
            folder = type(target)(leash.folder(target.parent, "p-"))
            data = folder / "d"
            data.mkdir()
            leash.begin_unpack(checked, data, None)
            assert leash.finish_unpack() == ""
            assert set(BOOT) <= set(tree(data))
            leash.require_readable()
            assert set(BOOT + OWN) <= set(tree(data))
            if wait:
                leash.require_unpacked()
                assert tree(data) == tree(cluster)
                leash.require_unpacked()  # nothing to wait for any more
        assert list(target.parent.iterdir()) == []


def test_the_watcher_tells_what_was_refused(cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the system's number; a path that leads out is told as what is wrong with the cluster.

    The run would not hand over such lists: `read_index` refuses them.
    """

    def believed(checked: memoryview) -> tuple[int, list[Any], list[Any]]:
        index = json.loads(bytes(checked).split(b"\n")[1])
        return len(checked), index["folders"], index["files"]

    checked = memoryview(b"{}\n" + pack_tree(str(cluster)))
    with Leash() as leash:
        leash.folder(tmp_path, "p-")
        leash.begin_unpack(checked, tmp_path / "nowhere", None)
        with pytest.raises(RefusedError) as caught:
            leash.finish_unpack()
        assert caught.value.errno == errno.ENOENT
        data = tmp_path / "data"
        (data / "base/1").mkdir(parents=True)
        (data / "base/2").mkdir()
        (data / "base/1/taken").mkdir()
        monkeypatch.setattr(leashes, "read_index", believed)
        index = {"folders": [], "files": [("base/1/taken", 0o600, 0, 0), ("base/2/x", 0o600, 0, 0)]}
        leash.begin_unpack(memoryview(b"{}\n" + json.dumps(index).encode() + b"\n"), data, None)
        assert leash.finish_unpack() == ""
        with pytest.raises(RefusedError) as caught:
            leash.require_unpacked()
        assert caught.value.errno == errno.EEXIST
        leash.begin_unpack(memoryview(b'{}\n{"folders": [["../x", 448]], "files": []}\n'), data, None)
        assert "leads out of the folder" in leash.finish_unpack()
        assert stat.S_ISDIR(data.stat().st_mode)
