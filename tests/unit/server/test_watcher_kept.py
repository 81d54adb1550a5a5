"""A watcher that was asked to keep what it looks after: it outlives the run, and takes everything along when told."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess  # noqa: TID251 - a run that is killed
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from make_runs import alive, parent_of

from scripts.errors.server import StartError
from scripts.server.embedded.leash import Leash, RefusedError
from scripts.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ONE_RUN = """
import sys, time
from pathlib import Path
from scripts.server.embedded.leash import Leash
base = Path(sys.argv[1])
leash = Leash()
leash.folder(base, "p-")
print(leash.start(["/bin/sleep", "60"], account=None, log=base / "log"), flush=True)
leash.keep(base / "alive")
print("kept", flush=True)
time.sleep(60)
"""


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def wait_until_free(lock: Path) -> None:
    """The watcher is gone within two seconds."""
    deadline = time.monotonic() + 2
    while is_locked(lock):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def kept(base: Path) -> tuple[int, int, Path]:
    """A program that stays, kept: its number, its watcher's, and the lock."""
    lock = base / "alive"
    lock.touch()
    with Leash() as leash:
        leash.folder(base, "p-")
        program = leash.start(["/bin/sleep", "60"], account=None, log=base / "log")
        leash.keep(lock)
    return program, leash.pid, lock


def test_it_stays_when_the_run_lets_go_and_ends_when_it_is_told(tmp_path: Path) -> None:
    """Program and folder are there after the block; after SIGTERM neither is, nor the watcher."""
    program, watcher, lock = kept(tmp_path)
    time.sleep(0.7)  # longer than it takes to see that a run is gone
    assert alive(program)
    assert is_locked(lock)
    assert list(tmp_path.glob("p-*"))
    began = time.monotonic()
    os.kill(watcher, signal.SIGTERM)
    wait_until_free(lock)
    assert time.monotonic() - began < 0.4  # it waits for the signal, it does not look for it
    assert not alive(program)
    assert list(tmp_path.glob("p-*")) == []


def test_a_program_ends_also_where_the_run_ignores_what_ends_it(tmp_path: Path) -> None:
    """A shell without job control has what it starts in the background ignore SIGQUIT, and that is inherited."""
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    try:
        program, watcher, lock = kept(tmp_path)
        began = time.monotonic()
        os.kill(watcher, signal.SIGTERM)
        wait_until_free(lock)
        assert time.monotonic() - began < 0.4
    finally:
        signal.signal(signal.SIGQUIT, before)
    assert not alive(program)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP, signal.SIGPIPE])
def test_what_a_terminal_sends_does_not_end_it(tmp_path: Path, signum: int) -> None:
    """Ctrl-C and the closing of a terminal are for others."""
    program, watcher, lock = kept(tmp_path)
    os.kill(watcher, signum)
    time.sleep(0.1)
    assert alive(program)
    os.kill(watcher, signal.SIGTERM)
    wait_until_free(lock)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_killed_after_it_kept_does_not_take_it_along(tmp_path: Path, signum: int) -> None:
    """From the answer on, nothing hangs on the run."""
    lock = tmp_path / "alive"
    lock.touch()
    run = subprocess.Popen([sys.executable, "-c", ONE_RUN, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert run.stdout is not None
    program = int(run.stdout.readline())
    assert run.stdout.readline() == "kept\n"
    watcher = parent_of(program)
    run.send_signal(signum)
    run.wait()
    run.stdout.close()
    time.sleep(0.7)
    assert alive(program)
    os.kill(watcher, signal.SIGTERM)
    wait_until_free(lock)
    assert not alive(program)


def test_when_the_server_ends_by_itself_the_watcher_does_too(tmp_path: Path) -> None:
    """Nothing is left of it."""
    program, _, lock = kept(tmp_path)
    os.kill(program, signal.SIGKILL)
    wait_until_free(lock)
    assert list(tmp_path.glob("p-*")) == []


def test_a_server_that_ended_just_before_is_not_waited_for(tmp_path: Path) -> None:
    """Whether it ends before the request or after it: the end is seen."""
    lock = tmp_path / "alive"
    lock.touch()
    with Leash() as leash:
        program = leash.start(["/bin/sleep", "60"], account=None, log=tmp_path / "log")
        os.kill(program, signal.SIGKILL)
        leash.keep(lock)
    wait_until_free(lock)


def test_without_the_lock_nothing_is_kept(tmp_path: Path) -> None:
    """A missing file, a link, and one that somebody holds: refused, and everything goes with the block."""
    (tmp_path / "link").symlink_to(tmp_path / "held")
    (tmp_path / "held").touch()
    with (tmp_path / "held").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        for name in ("missing", "link", "held"):
            with Leash() as leash:
                leash.folder(tmp_path, "p-")
                program = leash.start(["/bin/sleep", "60"], account=None, log=tmp_path / "log")
                with pytest.raises(RefusedError):
                    leash.keep(tmp_path / name)
            assert not alive(program)
            assert list(tmp_path.glob("p-*")) == []


def test_somebody_who_looks_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """`invoke servers` at that very time."""
    (tmp_path / "alive").touch()
    with (tmp_path / "alive").open("rb") as held, Leash() as leash:
        fcntl.flock(held, fcntl.LOCK_SH)
        program = leash.start(["/bin/sleep", "60"], account=None, log=tmp_path / "log")
        leash._send(do="keep", lock=str(tmp_path / "alive"), release=leash._shared.fileno())
        time.sleep(0.1)
        fcntl.flock(held, fcntl.LOCK_UN)
        assert leash._reply() == {"kept": True}
        leash._keeping = True  # the answer came, and the run was stopped before it knew: it is told to end
    assert not alive(program)


def test_a_run_that_lost_its_watcher_keeps_nothing(tmp_path: Path) -> None:
    """Told as everywhere."""
    (tmp_path / "alive").touch()
    with suppress(ProcessLookupError), Leash() as leash:
        os.kill(leash.pid, signal.SIGKILL)
        with pytest.raises(StartError, match="the process that looks after the server ended"):
            leash.keep(tmp_path / "alive")
