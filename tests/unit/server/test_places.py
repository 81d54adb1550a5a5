"""Where files may go, who runs the server, which programs are taken: decided before anything is written."""

from __future__ import annotations

import errno
import os
import pwd
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from scripts.errors.account import AccountError
from scripts.errors.binaries import BinariesError
from scripts.errors.room import DiskFullError, FolderError
from scripts.server import folders
from scripts.server.embedded import account, binaries, layout
from scripts.server.embedded.leash import RefusedError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A memory file system and a temporary folder of the test's own."""
    memory, temporary = tmp_path / "memory", tmp_path / "temporary"
    for folder in (memory, temporary):
        folder.mkdir(mode=0o755)
    monkeypatch.setattr(folders, "MEMORY", memory)
    monkeypatch.setattr(folders, "ROOM_IN_MEMORY", 1)
    monkeypatch.setattr(folders, "_temporary", lambda: (temporary,))
    return SimpleNamespace(memory=memory, temporary=temporary)


def test_memory_is_first(places: SimpleNamespace) -> None:
    """When it has room."""
    assert folders.data_home(for_other_user=False) == places.memory


def test_without_room_in_memory_the_temporary_folder_serves(
    places: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's /dev/shm holds 64 MB."""
    monkeypatch.setattr(folders, "ROOM_IN_MEMORY", 1 << 60)
    assert folders.data_home(for_other_user=False) == places.temporary


def test_when_nothing_will_do_every_reason_is_told(places: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folder by folder."""
    monkeypatch.setattr(folders, "ROOM_IN_MEMORY", 1 << 60)
    places.temporary.rmdir()
    with pytest.raises(FolderError) as caught:
        folders.data_home(for_other_user=False)
    assert [label for label, _ in caught.value.facts] == [str(places.memory), str(places.temporary)]
    assert "MB free" in caught.value.facts[0][1]
    assert caught.value.facts[1][1] == "not there"


def test_a_folder_that_anybody_could_swap_is_refused(places: SimpleNamespace) -> None:
    """World-writable without the sticky bit: another user could put a folder of his in place of ours."""
    places.memory.chmod(0o777)
    assert folders.data_home(for_other_user=False) == places.temporary
    places.memory.chmod(0o1777)
    assert folders.data_home(for_other_user=False) == places.memory


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a,b", "a comma in its path, which clients of PostgreSQL take for two servers"),
        ("a\nb", "a control character in its path"),
        ("a\udce9b", "its path is not UTF-8"),
    ],
)
def test_a_path_that_nobody_can_be_told_is_passed_over(
    places: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    """No quoting helps: libpq splits hosts at commas, a file of lines has no line ends in a line."""
    odd = places.memory / name
    odd.mkdir(mode=0o755)
    monkeypatch.setattr(folders, "MEMORY", odd)
    assert folders.data_home(for_other_user=False) == places.temporary
    places.temporary.rmdir()
    with pytest.raises(FolderError) as caught:
        folders.data_home(for_other_user=False)
    assert caught.value.facts[0] == (str(odd), reason)


def test_a_closed_folder_is_no_place_for_another_user(places: SimpleNamespace) -> None:
    """As root, the server's user has to pass through."""
    places.memory.chmod(0o700)
    with pytest.raises(FolderError) as caught:
        folders.data_home(for_other_user=True)
    assert caught.value.facts[0] == (str(places.memory), "closed to other users")


def test_programs_do_not_go_where_none_may_run(places: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers mount /dev/shm noexec."""
    monkeypatch.setattr(folders, "_passable", lambda _: True)
    real = os.statvfs

    def noexec(path: Path) -> SimpleNamespace:
        return SimpleNamespace(f_flag=real(path).f_flag | os.ST_NOEXEC, f_bavail=1, f_frsize=1)

    monkeypatch.setattr(os, "statvfs", noexec)
    with pytest.raises(FolderError) as caught:
        folders.program_home()
    assert caught.value.facts == ((str(places.temporary), "mounted noexec"), (str(places.memory), "mounted noexec"))


@pytest.mark.parametrize("extra", [0, 1])
def test_the_limit_of_a_sockets_path_is_exact(tmp_path: Path, extra: int) -> None:
    """At the limit it fits, one byte more is refused; bytes, not characters."""
    room = folders.SOCKET_PATH_MAX - len("/" + "/" + folders.SOCKET_NAME) - len("é".encode())
    folder = tmp_path.__class__("/" + "é" + "x" * (room + extra))
    if not extra:
        folders.require_socket_fits(folder)
        return
    with pytest.raises(FolderError, match="too long"):
        folders.require_socket_fits(folder)


def test_root_needs_an_unprivileged_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, or root under another name: an error, and no user is made."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def missing(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", missing)
    with pytest.raises(AccountError, match="no unprivileged user"):
        account.find_account()
    monkeypatch.setattr(pwd, "getpwnam", lambda _: SimpleNamespace(pw_name="nobody", pw_uid=0, pw_gid=0))
    with pytest.raises(AccountError) as caught:
        account.find_account()
    assert caught.value.facts[1] == ("found", "its number is 0, which is root")


def test_a_plain_user_runs_the_server_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """No change of user."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert account.find_account() is None


def test_missing_programs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty PG_BINDIR, one whose programs may not be run, and no wheel at all."""
    with pytest.raises(BinariesError, match="incomplete") as caught:
        binaries.find_binaries(tmp_path)
    assert caught.value.facts[1] == ("found", "no runnable initdb")
    (tmp_path / "initdb").write_text("")
    (tmp_path / "initdb").chmod(0o644)
    with pytest.raises(BinariesError, match="incomplete"):
        binaries.find_binaries(tmp_path)
    monkeypatch.setattr(binaries, "PACKAGE", "no_such_package_at_all")
    with pytest.raises(BinariesError, match="the embedded PostgreSQL is not installed"):
        binaries.find_binaries(None)


def test_the_wheels_python_layer_is_never_imported() -> None:
    """It widens permissions of every folder above it and trusts every connection."""
    import sys

    binaries.find_binaries(None)
    assert binaries.PACKAGE not in sys.modules


def test_one_closed_folder_above_means_a_copy(tmp_path: Path) -> None:
    """Judged by every folder down from the root."""
    bindir = tmp_path / "bin"
    bindir.mkdir()
    for name in ("initdb", "postgres"):
        (bindir / name).write_text("")
        (bindir / name).chmod(0o755)
    tmp_path.chmod(0o700)
    assert not binaries.reachable_by_others(binaries.Binaries(bindir, "PG_BINDIR"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_recognised_by_its_number(tmp_path: Path, number: int) -> None:
    """From the watcher as from our own writing."""
    for exc in (OSError(number, "words"), RefusedError("words", number)):
        assert isinstance(layout.error_of_files(exc, "a step", tmp_path), DiskFullError)
    assert isinstance(layout.error_of_files(OSError(errno.EROFS, "words"), "a step", tmp_path), FolderError)


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    """Broken bytes do not hide the cause; no log is an empty one."""
    log = tmp_path / "log"
    assert layout.tail_of(log) == ""
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(50)) + b"\xff end\n")
    lines = layout.tail_of(log).split("\n")
    assert len(lines) == layout.LOG_LINES
    assert lines[-1].endswith(" end")


def test_initdbs_refusal_of_a_number_alone_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as a start that failed somehow, with the advice to choose what was chosen."""
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    (tmp_path / "log").write_text("initdb: error: could not look up effective user ID 1234: user does not exist\n")
    error = layout.error_of_log("initdb", "exit status 1", layout.Layout(tmp_path))
    assert isinstance(error, AccountError)
    assert str(error) == (
        "error[server]: initdb runs only as a user that the system knows by name\n"
        "  expected  an entry for the user 1234, in /etc/passwd or where else the system looks\n"
        "  found     none\n"
        "  help: run as a user that has an entry, or add one; SERVER=docker and DATABASE_URL need none"
    )


def test_the_help_for_a_full_disk_is_true_of_the_choice() -> None:
    """It names the place in memory and the room that is asked of it."""
    help_ = DiskFullError.during("initdb", str(folders.MEMORY)).help
    assert f"{folders.MEMORY} has less than {folders.ROOM_IN_MEMORY // 1024**2} MB free" in help_
