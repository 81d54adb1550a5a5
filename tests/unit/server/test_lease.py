"""A folder and its lease: whoever is killed, at whatever step, leaves what a sweep can judge."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from make_leases import every_step, labels_of, run_maker

from scripts.server.embedded.layout import PREFIX
from scripts.server.embedded.lease import HALF, LEASE, as_json, make_folder, remove_folder
from scripts.server.embedded.sweep import sweep
from scripts.server.owner import owner_labels


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only place that sweeps look at."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setattr("scripts.server.embedded.sweep.places", lambda: [place])
    return place


def made(place: Path) -> tuple[Path, int]:
    """A folder of this process' own, and its open lease."""
    path, descriptor = make_folder(str(place), PREFIX, owner_labels(), [])
    return place / path, descriptor


def test_a_folder_has_a_locked_lease_that_says_whose_it_is(place: Path) -> None:
    """Private, and nobody else gets the lock."""
    folder, descriptor = made(place)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / LEASE).stat().st_mode) == 0o600
    assert labels_of(folder) == {"kind": "folder", "locked": "yes", **owner_labels()}
    with (folder / LEASE).open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


def test_a_maker_killed_at_any_step_leaves_what_a_sweep_removes(place: Path) -> None:
    """Never is there a folder of the full name without a lease; whatever there is goes."""
    steps = 0
    for _ in every_step(place, "make"):
        steps += 1
        for folder in place.iterdir():
            assert HALF in folder.name or (folder / LEASE).read_text()
        sweep(lambda _: None)
        assert list(place.iterdir()) == []
    assert steps == 5  # the folder, the lease, its lock, its text, the full name


def test_a_removal_killed_at_any_step_leaves_what_a_sweep_removes(place: Path) -> None:
    """The lease goes last."""
    steps = 0
    for _ in every_step(place, "remove"):
        steps += 1
        for folder in place.iterdir():
            assert (folder / LEASE).exists() or (HALF in folder.name and list(folder.iterdir()) == [])
        sweep(lambda _: None)
        assert list(place.iterdir()) == []
    assert steps >= 8


def test_a_folder_is_removed_with_all_that_is_in_it(place: Path) -> None:
    """By its maker, killed or not."""
    path, _ = run_maker(place, "make")
    assert remove_folder(path)
    assert remove_folder(path)  # gone is gone
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("moment", ["before the lease", "before the lock", "at the lock"])
def test_a_maker_whose_folder_a_sweep_took_for_a_dead_ones_takes_another_name(
    place: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Between making a folder and locking it nobody can see that its maker lives: it notices, and begins again."""
    real_open, real_flock, swept = os.open, fcntl.flock, []

    def once() -> bool:
        swept.append(moment)
        return len(swept) == 1

    def open_late(path: Any, flags: int, mode: int = 0o777, **rest: Any) -> int:
        if flags & os.O_CREAT and moment == "before the lease" and once():
            sweep(lambda _: None)
        return real_open(path, flags, mode, **rest)

    def flock_late(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real_flock)  # the sweep's own are real
        if moment == "before the lock" and once():
            sweep(lambda _: None)
        if moment == "at the lock" and once():
            other = real_open(next(place.iterdir()) / LEASE, os.O_RDWR)
            real_flock(other, operation)
        real_flock(descriptor, operation)

    monkeypatch.setattr(os, "open", open_late)
    monkeypatch.setattr(fcntl, "flock", flock_late)
    names: list[str] = []
    path, descriptor = make_folder(str(place), PREFIX, owner_labels(), names)
    assert swept
    assert len(names) == 2
    assert names[1] == path
    assert (place / path / LEASE).read_text()
    os.close(descriptor)


def test_a_file_system_without_locks_gets_a_lease_that_no_sweep_believes(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There a lock that is free proves nothing."""

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", refuse)
        folder, descriptor = made(place)
    os.close(descriptor)
    assert labels_of(folder)["locked"] == "no"
    assert sweep(lambda _: None) == 0
    assert folder.exists()


def test_a_full_disk_is_told_and_the_half_made_folder_known(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The maker removes it at its end."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    names: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left on device"):
            make_folder(str(place), PREFIX, owner_labels(), names)
    assert [str(path) for path in place.iterdir()] == names
    assert remove_folder(names[0])


def test_what_a_lease_says_is_json() -> None:
    """Written by hand; what would need more than quotes around it is refused."""
    labels = {"kind": "folder", **owner_labels()}
    assert as_json(labels) == json.dumps(labels)
    assert as_json({}) == "{}"
    for text in ('"', "\\", "\n", "ä", "\x7f"):
        for wrong in ({text: "x"}, {"x": text}):
            with pytest.raises(ValueError, match="is no label"):
                as_json(wrong)


def test_what_goes_goes_without_following_a_link(tmp_path: Path) -> None:
    """Deep folders, files of any kind, and a link to somebody's folder in the place of ours."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").touch()
    path, _ = make_folder(str(tmp_path), PREFIX, owner_labels(), [])
    deep = Path(path, *"abcdefgh")
    deep.mkdir(parents=True)
    (deep / "link").symlink_to(tmp_path / "theirs")
    (deep / "file").touch(0o000)
    os.mkfifo(deep / "pipe")
    assert remove_folder(path)
    link = tmp_path / "parity-link"
    link.symlink_to(tmp_path / "theirs")
    assert not remove_folder(str(link))
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["file"]
