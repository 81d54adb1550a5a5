"""The sweep: what is provably dead and ours goes, told in a line; whatever only looks like it stays."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from make_leases import change_labels, dead_folder, labels_of
from make_root import only_as_root

from scripts.errors.docker import DockerError
from scripts.server import owner
from scripts.server.embedded import segment
from scripts.server.embedded import sweep as sweeps
from scripts.server.embedded.lease import HALF, LEASE, make_folder, remove_folder
from scripts.server.embedded.sweep import sweep, sweeping
from scripts.server.folders import MEMORY, SOCKET_NAME
from scripts.server.open import open_server
from scripts.server.owner import BEGAN, HOST, LABEL, PID, PLACE, owner_labels
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ELSEWHERE = "00000000-0000-0000-0000-000000000000/1"


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only place that sweeps look at; its name is short, for sockets."""
    place = Path(tempfile.mkdtemp(prefix="s-", dir=MEMORY if MEMORY.is_dir() else None))
    monkeypatch.setattr(sweeps, "places", lambda: [place])
    yield place
    shutil.rmtree(place)


@pytest.fixture
def dead(place: Path) -> Path:
    """A folder as a killed run and watcher leave it."""
    folder = dead_folder(place)
    for name in ("d", "s"):
        (folder / name).mkdir(mode=0o700)
    (folder / "d" / "PG_VERSION").write_text("18\n")
    (folder / "log").write_text("")
    return folder


def swept() -> list[str]:
    """The lines of one sweep."""
    lines: list[str] = []
    assert sweep(lines.append) == len(lines)
    return lines


def test_what_a_killed_run_left_goes_and_is_told(dead: Path, place: Path) -> None:
    """In one line."""
    assert swept() == [f"server   removed what a killed run had left: {dead}"]
    assert list(place.iterdir()) == []
    assert swept() == []


def test_a_run_begins_with_it_and_tells_at_its_end(dead: Path, place: Path) -> None:
    """The run does not wait meanwhile."""
    lines: list[str] = []
    with sweeping(lines.append):
        deadline = time.monotonic() + 5
        while dead.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        assert list(place.iterdir()) == []
    assert lines == [f"server   removed what a killed run had left: {dead}"]


def test_a_removal_that_takes_long_holds_up_neither_start_nor_end(
    dead: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of many gigabytes: the rest is the next start's."""
    monkeypatch.setattr(sweeps, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(sweeps, "remove_folder", lambda _path: time.sleep(1.0))
    lines: list[str] = []
    began = time.monotonic()
    with sweeping(lines.append):
        assert time.monotonic() - began < 0.5
    assert time.monotonic() - began < 0.9
    assert dead.exists()
    assert lines == []
    assert list(place.iterdir()) == [dead]


def write(text: str | bytes) -> Callable[[Path], object]:
    """Another text in the lease."""
    return lambda folder: (folder / LEASE).write_bytes(text if isinstance(text, bytes) else text.encode())


def relabel(**changes: str) -> Callable[[Path], object]:
    """Other words in the lease."""
    return lambda folder: change_labels(folder, **changes)


def link(folder: Path) -> None:
    """The lease is a link to a dead one."""
    (folder / LEASE).rename(folder.parent / "elsewhere")
    (folder / LEASE).symlink_to(folder.parent / "elsewhere")


def hard_link(folder: Path) -> None:
    """The lease has a second name."""
    (folder / "other").hardlink_to(folder / LEASE)


def pipe(folder: Path) -> None:
    """The lease is a FIFO, which nobody writes to."""
    (folder / LEASE).unlink()
    os.mkfifo(folder / LEASE)


def is_folder(folder: Path) -> None:
    """The lease is a folder."""
    (folder / LEASE).unlink()
    (folder / LEASE).mkdir()


def listening(folder: Path) -> None:
    """Somebody answers at its socket, whatever number he has."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "s" / SOCKET_NAME))
    server.listen()
    KEPT_OPEN.append(server)


def served(folder: Path) -> None:
    """A process that works in its data folder is named as its server; it is this one, for once."""
    (folder / "d" / segment.PID_FILE).write_text(f"{os.getpid()}\n{folder}/d\n")
    os.chdir(folder / "d")


def unreadable(folder: Path) -> None:
    """A postmaster.pid that names nobody."""
    (folder / "d" / segment.PID_FILE).write_text("???\n")


KEPT_OPEN: list[socket.socket] = []
STAYS: dict[str, Callable[[Path], object]] = {
    "without a lease": lambda folder: (folder / LEASE).unlink(),
    "an empty lease": write(""),
    "garbage": write(b"\xff\x00garbage"),
    "JSON without end": write("[" * 4000),
    "a list": write("[1]"),
    "numbers for words": write('{"kind": 1}'),
    "a lease of something else": relabel(kind="container"),
    "a maker that had no lock": relabel(locked="no"),
    "a live owner": relabel(**{PID: owner_labels()[PID], BEGAN: owner_labels()[BEGAN]}),
    "an owner without a number": relabel(**{PID: "x"}),
    "another machine": relabel(**{PLACE: ELSEWHERE, HOST: "elsewhere/0"}),
    "a place that does not say": relabel(**{PLACE: ""}),
    "open to be written to": lambda folder: (folder / LEASE).chmod(0o666),
    "a link": link,
    "a second name": hard_link,
    "a pipe": pipe,
    "a folder for a lease": is_folder,
    "somebody listens": listening,
    "a server": served,
    "a server that cannot be known": unreadable,
    "another prefix": lambda folder: folder.rename(folder.parent / f"not-{folder.name}"),
    "one letter more": lambda folder: folder.rename(folder.parent / f"{folder.name}0"),
    "one letter less": lambda folder: folder.rename(folder.parent / folder.name[:-1]),
    "capital letters": lambda folder: folder.rename(folder.parent / "parity-ABCDEF0123"),
}


@pytest.mark.parametrize("change", STAYS.values(), ids=STAYS)
def test_whatever_is_in_doubt_stays(
    dead: Path, place: Path, change: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is touched, and nothing is said."""
    monkeypatch.chdir("/")
    change(dead)
    before = sorted(str(path) for path in place.rglob("*"))
    try:
        assert swept() == []
    finally:
        while KEPT_OPEN:
            KEPT_OPEN.pop().close()
    assert sorted(str(path) for path in place.rglob("*")) == before


def test_a_locked_lease_is_alive_whatever_it_says(dead: Path) -> None:
    """Its owner's number may be another's by now; the lock goes with the process."""
    with (dead / LEASE).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert swept() == []
    assert len(swept()) == 1


def test_another_users_folder_stays(dead: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a lease of another user's in a folder of ours."""
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    assert swept() == []
    monkeypatch.undo()
    assert dead.exists()


@only_as_root
@pytest.mark.parametrize("name", [".", LEASE])
def test_folder_and_lease_have_to_be_ours_both(dead: Path, name: str) -> None:
    """Somebody else's folder, with a lease of ours in it; or a lease that somebody else wrote."""
    os.chown(dead / name, 65534, 65534)
    assert swept() == []
    assert dead.exists()


def test_a_link_to_a_dead_folder_stays_and_so_does_the_folder(dead: Path, place: Path) -> None:
    """A name of our form that leads elsewhere."""
    target = place / "somewhere"
    dead.rename(target)
    (place / dead.name).symlink_to(target)
    assert swept() == []
    assert (place / dead.name).is_symlink()
    assert (target / "d" / "PG_VERSION").exists()


def test_links_in_a_dead_folder_are_not_followed(dead: Path, place: Path) -> None:
    """What they lead to stays."""
    (place / "precious").mkdir()
    (place / "precious" / "file").write_text("x")
    for name in ("link", "d/link", "s/link"):
        (dead / name).symlink_to(place / "precious")
    assert len(swept()) == 1
    assert [path.name for path in place.rglob("*")] == ["precious", "file"]


def test_an_earlier_boot_of_this_host_is_dead_whatever_number_its_owner_had(dead: Path) -> None:
    """The numbers in it, of processes and of shared memory, belong to others now, and are not looked at."""
    change_labels(dead, **{PLACE: ELSEWHERE, PID: str(os.getpid()), BEGAN: owner_labels()[BEGAN]})
    (dead / "d" / segment.PID_FILE).write_text(f"{os.getpid()}\n")
    assert len(swept()) == 1
    assert not dead.exists()


def test_another_process_space_of_this_boot_leaves_it_to_the_lock(dead: Path) -> None:
    """A container that is gone: its numbers mean nothing here; the kernel's lock does."""
    boot = labels_of(dead)[PLACE].partition("/")[0]
    change_labels(dead, **{PLACE: f"{boot}/1", PID: str(os.getpid()), BEGAN: owner_labels()[BEGAN]})
    assert len(swept()) == 1


def test_where_the_system_says_no_place_nothing_is_dead(dead: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc, as on macOS, an owner cannot be judged."""
    monkeypatch.setattr(owner, "_place", lambda: "")
    assert swept() == []
    assert dead.exists()


def test_half_names_go_when_nothing_is_in_them(place: Path) -> None:
    """Of a maker that was killed before it had a lease; with something in it, it is not of our making."""
    empty, full = (place / f"parity-{HALF}{number:010x}" for number in (1, 2))
    for folder in (empty, full):
        folder.mkdir(mode=0o700)
    (full / "letters").write_text("mine")
    assert swept() == []
    assert list(place.iterdir()) == [full]


def test_what_cannot_be_removed_is_not_told_and_stops_nobody(
    place: Path, dead: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start tries again."""
    second = dead_folder(place)
    real = remove_folder
    monkeypatch.setattr(sweeps, "remove_folder", lambda path: path != str(dead) and real(path))
    assert swept() == [f"server   removed what a killed run had left: {second}"]
    monkeypatch.setattr(sweeps, "remove_folder", real)
    assert len(swept()) == 1


def test_a_place_that_cannot_be_read_stops_nobody(place: Path, dead: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are looked at."""
    monkeypatch.setattr(sweeps, "places", lambda: [place / "gone", place])
    assert len(swept()) == 1
    assert not dead.exists()


def test_two_sweeps_at_once_remove_a_folder_once(dead: Path) -> None:
    """Whoever has the lock removes; the other passes by."""
    first = sweeps._find_dead()
    assert [found.path for found in first] == [str(dead)]
    assert sweeps._find_dead() == []
    for found in first:
        os.close(found.lease)


def test_looking_is_cheap_among_many_names(place: Path) -> None:
    """A start has a tenth of a second: two milliseconds of it, with twenty live folders in a crowd."""
    for number in range(1000):
        (place / f"somebody-{number}").touch()
    labels = owner_labels()
    leases = [make_folder(str(place), "parity-", labels, [])[1] for _ in range(20)]
    took_ms = []
    for _ in range(10):
        began = time.perf_counter()
        assert sweeps._find_dead() == []
        took_ms.append((time.perf_counter() - began) * 1000)
    for lease in leases:
        os.close(lease)
    assert min(took_ms) <= 2


def test_labels_are_those_of_containers() -> None:
    """One owner's words for all that is left."""
    assert all(name.startswith(f"{LABEL}.owner-") for name in owner_labels())


def test_a_start_in_docker_begins_with_it_too(dead: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even one that finds no engine: who uses containers from now on is rid of what embedded runs left."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{dead.parent}/none.sock")
    lines: list[str] = []
    with pytest.raises(DockerError), open_server(Settings(server="docker"), run_id="t", report=lines.append):
        pass
    assert lines == [f"server   removed what a killed run had left: {dead}"]
    assert not dead.exists()
