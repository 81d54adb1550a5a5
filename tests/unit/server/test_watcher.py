"""The watcher alone: folders nobody else has, programs run, and everything taken along when the pipe closes."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess  # noqa: TID251 - a test starts what it looks at
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.errors.server import StartError
from scripts.server.embedded import spawning, watcher
from scripts.server.embedded.leash import Leash, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable


def wait(condition: Callable[[], bool]) -> None:
    """Fail unless it becomes true within two seconds."""
    deadline = time.monotonic() + 2
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_folders_are_private_and_go_with_the_watcher(tmp_path: Path) -> None:
    """Mode 0700 whatever the umask; removed with all they hold."""
    before = os.umask(0)
    try:
        with Leash() as leash:
            folder = Path(leash.folder(tmp_path, "p-"))
            assert folder.stat().st_mode & 0o777 == 0o700
            (folder / "deep" / "er").mkdir(parents=True)
            (folder / "deep" / "er" / "file").write_text("x")
            (folder / "link").symlink_to(tmp_path / "outside")
            (tmp_path / "outside").mkdir()
            (tmp_path / "outside" / "kept").write_text("x")
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (tmp_path / "outside" / "kept").exists()


def test_a_refused_folder_says_why(tmp_path: Path) -> None:
    """The system's number comes through."""
    with Leash() as leash, pytest.raises(RefusedError) as caught:
        leash.folder(tmp_path / "nowhere", "p-")
    assert caught.value.errno == errno.ENOENT


def test_a_program_runs_with_a_bare_environment_and_its_output_is_logged(tmp_path: Path) -> None:
    """Nothing of ours leaks into it."""
    log = tmp_path / "log"
    with Leash() as leash:
        leash.begin(["/bin/sh", "-c", "env | sort; echo oops >&2; exit 3"], account=None, log=log)
        assert leash.finish(timeout_s=5) == 3
    lines = [line for line in log.read_text().splitlines() if not line.startswith(("PWD=", "SHLVL=", "_="))]
    assert lines == ["LC_ALL=C", "PATH=/usr/bin:/bin", "TZ=UTC", "oops"]


def test_a_program_that_cannot_be_started_says_so_in_the_log(tmp_path: Path) -> None:
    """Status 127, as a shell has it."""
    with Leash() as leash:
        leash.begin(["/nonexistent/initdb"], account=None, log=tmp_path / "log")
        assert leash.finish(timeout_s=5) == 127
    assert (tmp_path / "log").read_text() == "cannot start /nonexistent/initdb: No such file or directory\n"


def test_how_a_program_ended_can_be_asked(tmp_path: Path) -> None:
    """Running, then its status; a signal is named as one."""
    with Leash() as leash:
        pid = leash.start(["/bin/sleep", "30"], account=None, log=tmp_path / "log")
        assert leash.ended() == ""
        os.kill(pid, signal.SIGKILL)
        wait(lambda: leash.ended() == "signal 9" or False)


def test_a_program_that_ignores_polite_signals_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its children: the whole group."""
    log = tmp_path / "log"
    script = "trap '' TERM INT QUIT; (trap '' TERM; sleep 60) & echo $!; wait"
    leash = Leash()
    leash.begin(["/bin/sh", "-c", script], account=None, log=log)
    wait(lambda: log.exists() and log.read_text().strip().isdigit())
    child = int(log.read_text())
    leash.close()
    wait(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2])


def test_a_watcher_that_was_killed_is_reported_and_its_folder_removed(tmp_path: Path) -> None:
    """We clean up what it cannot."""
    leash = Leash()
    folder = Path(leash.folder(tmp_path, "p-"))
    os.kill(leash.pid, signal.SIGKILL)
    wait(lambda: leash._process.poll() is not None)
    with pytest.raises(StartError, match="the process that looks after the server ended"):
        leash.folder(tmp_path, "p-")
    assert folder.exists()
    leash.close()
    assert not folder.exists()


def test_sigterm_ends_it_as_the_pipe_does(tmp_path: Path) -> None:
    """A system that shuts down sends SIGTERM to everybody."""
    with Leash() as leash:
        folder = Path(leash.folder(tmp_path, "p-"))
        os.kill(leash.pid, signal.SIGTERM)
        wait(lambda: not folder.exists())


def test_it_does_not_hear_the_terminal(tmp_path: Path) -> None:
    """Ctrl-C goes to the process group of the run, and the watcher is not in it."""
    with Leash() as leash:
        leash.folder(tmp_path, "p-")  # it has come up
        assert os.getpgid(leash.pid) == leash.pid
        assert os.getsid(leash.pid) == leash.pid
        os.kill(leash.pid, signal.SIGINT)
        assert Path(leash.folder(tmp_path, "p-")).exists()


def test_a_message_is_taken_when_it_is_whole_and_once() -> None:
    """However it arrives: byte by byte, or with the next one behind it."""
    first, second = {"do": "folder", "base": "é\ud800", "n": [1, None, b"x"]}, {"errno": -1}
    both = watcher.packed(first) + watcher.packed(second)
    pending, taken = bytearray(), []
    for byte in both:
        pending.append(byte)
        while (message := watcher.take(pending)) is not None:
            taken.append(message)
    assert taken == [first, second]
    pending = bytearray(both)
    assert [watcher.take(pending), watcher.take(pending), watcher.take(pending)] == [first, second, None]


@pytest.mark.parametrize("sent", [b"", b"000", b"00001000", b"00001000half"])
def test_a_run_that_dies_while_the_watcher_comes_up_leaves_none(sent: bytes) -> None:
    """The pipe closes in the middle of its code."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", spawning._BOOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    out, _ = process.communicate(sent, timeout=5)
    assert out == b""


def test_it_needs_no_file_of_ours_once_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of branch takes them away while a server runs; everything it may need has been sent."""
    there = tmp_path / "there"
    there.mkdir()
    for name in spawning.PARTS:
        shutil.copy(Path(watcher.__file__).parent / f"{name}.py", there)
    monkeypatch.setattr(watcher, "__file__", str(there / "watcher.py"))
    with Leash() as leash:
        shutil.rmtree(there)
        folder = Path(leash.folder(tmp_path, "p-"))
        assert folder.is_dir()
        leash.start(["/bin/sleep", "30"], account=None, log=tmp_path / "log")
        leash.require_readable()
        leash.require_unpacked()
    assert not folder.exists()


def test_what_it_loads_is_quick_to_load() -> None:
    """None of the modules that take longer than all the rest."""
    loaded = "import sys; sys.path.append(sys.argv[1]); import watcher, lease, laying, segment; print(*sys.modules)"
    told = subprocess.check_output(
        [sys.executable, "-I", "-S", "-c", loaded, str(Path(watcher.__file__).parent)], text=True
    )
    assert not {"json", "signal", "enum", "re", "contextlib", "functools", "shutil", "ctypes"} & set(told.split())
