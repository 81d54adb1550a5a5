"""System V memory of a killed server: removed when every number agrees, and never another's."""

from __future__ import annotations

import ctypes
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from make_root import only_as_root

from scripts.server.embedded.segment import PID_FILE, TABLE, remove_segment, segment_of

if TYPE_CHECKING:
    from collections.abc import Iterator

IPC_CREAT, IPC_EXCL, IPC_RMID = 0o1000, 0o2000, 0
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.shmat.restype = ctypes.c_void_p
pytestmark = pytest.mark.skipif(not Path(TABLE).exists(), reason="the kernel's table is Linux's")


class Segment:
    """One of this process' own."""

    def __init__(self) -> None:
        self.key = 0x10000000 | secrets.randbits(24)
        self.number = LIBC.shmget(self.key, 56, IPC_CREAT | IPC_EXCL | 0o600)
        assert self.number >= 0

    def is_there(self) -> bool:
        """Whether the kernel still lists it."""
        lines = Path(TABLE).read_text().splitlines()[1:]
        return any(line.split()[:2] == [str(self.key), str(self.number)] for line in lines)

    def note(self, data: Path, *, pid: int | None = None, key: int | None = None, number: int | None = None) -> None:
        """A postmaster.pid as the server of a data folder writes it."""
        place = f"{self.key if key is None else key} {self.number if number is None else number}"
        text = f"{os.getpid() if pid is None else pid}\n{data}\n1\n5432\n\n\n{place}\n"
        (data / PID_FILE).write_text(text)


@pytest.fixture
def memory() -> Iterator[Segment]:
    """A segment that is gone with the test."""
    segment = Segment()
    yield segment
    LIBC.shmctl(segment.number, IPC_RMID, None)


@pytest.mark.parametrize("sign", [1, -1])
def test_what_the_file_names_is_removed(memory: Segment, tmp_path: Path, sign: int) -> None:
    """A server of one user, as initdb runs, writes its number with a minus."""
    memory.note(tmp_path, pid=sign * os.getpid())
    assert memory.is_there()
    assert remove_segment(str(tmp_path))
    assert not memory.is_there()
    assert remove_segment(str(tmp_path))


@pytest.mark.parametrize("changed", ["pid", "key", "number"])
def test_a_number_that_is_anothers_by_now_is_left_alone(memory: Segment, tmp_path: Path, changed: str) -> None:
    """Numbers of processes and of memory come again."""
    memory.note(
        tmp_path, **{changed: {"pid": os.getpid() + 1, "key": memory.key + 1, "number": memory.number + 1}[changed]}
    )
    assert remove_segment(str(tmp_path))
    assert memory.is_there()


@only_as_root
def test_a_file_of_another_users_names_nothing_of_ours(memory: Segment, tmp_path: Path) -> None:
    """The server's user writes that file: it could name root's memory."""
    memory.note(tmp_path)
    os.chown(tmp_path / PID_FILE, 65534, 65534)
    assert remove_segment(str(tmp_path))
    assert memory.is_there()


def test_what_somebody_is_attached_to_goes_when_he_lets_go(memory: Segment, tmp_path: Path) -> None:
    """And until then it is said to be there."""
    memory.note(tmp_path)
    address = LIBC.shmat(memory.number, None, 0)
    row = segment_of(str(tmp_path))
    assert row is not None
    assert row["nattch"] == 1
    assert not remove_segment(str(tmp_path))
    LIBC.shmdt(ctypes.c_void_p(address))
    assert not memory.is_there()


@pytest.mark.parametrize("text", [None, "", "12\n", "x\n\n\n\n\n\n1 2\n", "1\n\n\n\n\n\n1\n", "1\n\n\n\n\n\na b\n"])
def test_a_file_that_says_nothing_stops_nobody(tmp_path: Path, text: str | None) -> None:
    """Missing, cut off, or of another form."""
    if text is not None:
        (tmp_path / PID_FILE).write_text(text)
    assert segment_of(str(tmp_path)) is None
    assert remove_segment(str(tmp_path))


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    """Nor a link followed: the server's user may write to that folder."""
    os.mkfifo(tmp_path / PID_FILE)
    assert segment_of(str(tmp_path)) is None
    (tmp_path / PID_FILE).unlink()
    (tmp_path / PID_FILE).symlink_to("/etc/hostname")
    assert segment_of(str(tmp_path)) is None
