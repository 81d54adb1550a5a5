"""Laying out what was packed: the same folder again, in two steps, by its owner-to-be; or an error and no process."""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_root import only_as_root
from make_runs import processes

from scripts.server.cluster.packing import pack_tree
from scripts.server.embedded import laying
from scripts.server.embedded.leash import Leash, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = ["base/16385/1", "base/16385/2", "global/3", "pg_wal/000000010000000000000001", "PG_VERSION", "base/note"]
REST = ["base/1/1", "base/4/1", "base/5/1", "base/5/PG_VERSION"]


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """Something like one: the run's database, three others, files that are empty, the same, large, and odd modes."""
    folder = tmp_path / "cluster"
    for number, name in enumerate(FIRST + REST):
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
def packed(cluster: Path) -> Iterator[int]:
    """A descriptor of the cluster's bytes, as the run hands them to the watcher."""
    descriptor = shared(b'{"known": 1}\n' + pack_tree(str(cluster)))
    yield descriptor
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


def indexed(files: list[tuple[str, int, int, int]], contents: bytes = b"") -> int:
    """The same of an index that pack_tree would not make."""
    return shared(b"{}\n" + json.dumps({"folders": [], "files": files}).encode() + b"\n" + contents)


def test_what_was_packed_is_there_again(packed: int, cluster: Path, target: Path) -> None:
    """Contents and modes, whatever the umask; the writers end by themselves."""
    before = os.umask(0o077)
    try:
        pids = laying.lay_out(packed, str(target), -1, -1)
    finally:
        os.umask(before)
    assert len(pids) == 2
    assert set(FIRST) <= set(tree(target))
    assert laying.reap(pids, wait=True)
    assert pids == []
    assert tree(target) == tree(cluster)


@only_as_root
def test_as_root_it_all_belongs_to_the_server_s_user(packed: int, tmp_path: Path, target: Path) -> None:
    """Made by that user, who can reach the folder."""
    for path in (target, *target.parents):
        if path.stat().st_uid == 0 and not path.stat().st_mode & 0o001 and path != target:
            path.chmod(path.stat().st_mode | 0o011)
    os.chown(target, 65534, 65534)
    pids = laying.lay_out(packed, str(target), 65534, 65534)
    assert laying.reap(pids, wait=True)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in target.rglob("*")} == {(65534, 65534)}


def test_the_youngest_database_comes_first() -> None:
    """And all that belongs to no database; without one of the run's own it is `postgres`."""
    files = [(name, 0o600, 0, 0) for name in FIRST + REST]
    assert laying.in_order(files) == (files[: len(FIRST)], files[len(FIRST) :])
    own = [file for file in files if "16385" not in file[0]]
    assert [file[0] for file in laying.in_order(own)[1]] == ["base/1/1", "base/4/1"]
    assert laying.in_order([]) == ([], [])


@given(st.lists(st.sampled_from([*FIRST, *REST, "base/99999/1", "base/1/x/y", "base/", "base/x/1", "basement/1/2"])))
def test_nothing_is_lost_between_first_and_rest(names: list[str]) -> None:
    """Each file is in one of them, once; only what is in another database's folder comes later."""
    files = [(name, 0o600, 0, number) for number, name in enumerate(names)]
    first, rest = laying.in_order(files)
    assert sorted(first + rest) == sorted(files)
    assert all(name.startswith("base/") for name, *_ in rest)


@pytest.mark.parametrize("name", ["/etc/x", "../x", "base/../../x", "a/.."])
def test_a_path_that_leads_out_writes_nothing(target: Path, name: str) -> None:
    """Not even what comes before it."""
    descriptor = indexed([("good", 0o600, 0, 0), (name, 0o600, 0, 0)])
    with pytest.raises(ValueError, match="leads out of the folder"):
        laying.lay_out(descriptor, str(target), -1, -1)
    assert list(target.iterdir()) == []
    os.close(descriptor)


@pytest.mark.parametrize("later", [False, True], ids=["first", "rest"])
def test_what_the_system_refuses_comes_back_with_its_number(target: Path, *, later: bool) -> None:
    """In either step; nobody is left behind, and nothing is written through a planted link."""
    for name in ("base/1", "base/2"):
        (target / name).mkdir(parents=True)
    where = "base/1" if later else "base/2"
    (target / where / "taken").symlink_to(target / "elsewhere")
    descriptor = indexed([(f"{where}/taken", 0o600, 0, 0), ("base/2/other", 0o600, 0, 0)])
    before = children()
    pids: list[int] = []

    def lay() -> None:
        pids.extend(laying.lay_out(descriptor, str(target), -1, -1))
        laying.reap(pids, wait=True)

    with pytest.raises(OSError, match="File exists") as caught:
        lay()
    laying.give_up(pids)  # whoever is still at work is in the list
    assert caught.value.errno == errno.EEXIST
    assert not (target / "elsewhere").exists()
    os.close(descriptor)
    assert children() <= before


def test_writers_that_are_given_up_are_gone(cluster: Path, target: Path) -> None:
    """At once, whatever is left to be written."""
    count = 4000
    descriptor = indexed(
        [(f"base/1/{number}", 0o600, 0, 4) for number in range(count)] + [("base/2/x", 0o600, 0, 4)], b"four"
    )
    for name in ("base/1", "base/2"):
        (target / name).mkdir(parents=True)
    pids = laying.lay_out(descriptor, str(target), -1, -1)
    laying.give_up(pids)
    assert pids == []
    left = len(list((target / "base/1").iterdir()))
    time.sleep(0.05)
    assert len(list((target / "base/1").iterdir())) == left
    os.close(descriptor)


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
            assert set(FIRST) <= set(tree(data))
            if wait:
                leash.require_unpacked()
                assert tree(data) == tree(cluster)
                leash.require_unpacked()  # nothing to wait for any more
        assert list(target.parent.iterdir()) == []


def test_the_watcher_tells_what_was_refused(cluster: Path, tmp_path: Path) -> None:
    """With the system's number; a path that leads out is told as what is wrong with the cluster."""
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
        index = {"folders": [], "files": [("base/1/taken", 0o600, 0, 0), ("base/2/x", 0o600, 0, 0)]}
        leash.begin_unpack(memoryview(b"{}\n" + json.dumps(index).encode() + b"\n"), data, None)
        assert leash.finish_unpack() == ""
        with pytest.raises(RefusedError) as caught:
            leash.require_unpacked()
        assert caught.value.errno == errno.EEXIST
        leash.begin_unpack(memoryview(b'{}\n{"folders": [["../x", 448]], "files": []}\n'), data, None)
        assert "leads out of the folder" in leash.finish_unpack()
        assert stat.S_ISDIR(data.stat().st_mode)
