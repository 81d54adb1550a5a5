"""Nothing is left behind: whatever kills the run, and whenever, server, folder and memory are gone in two seconds."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from make_runs import AS_NOBODY, Run, alive, parent_of, plain_watcher, postmaster_of, segments_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GONE_WITHIN_S = 2.0


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_killed_run_takes_its_server_along(run: Run, signum: int) -> None:
    """While the server runs; the exit status is the shell's for that signal."""
    run.wait_for("ready")
    pid = postmaster_of(run.folder)
    assert run.leftovers()

    assert run.end(signum) == 128 + signum

    run.require_gone(within_s=GONE_WITHIN_S)
    assert segments_of(pid) == []


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("delay_ms", [0, 20, 60, 120, 200, 320, 450])
def test_a_run_killed_while_it_starts_leaves_nothing(run: Run, signum: int, delay_ms: int) -> None:
    """At any moment of the start: before the folder is made, during initdb, while the server comes up."""
    run.wait_for("server")
    time.sleep(delay_ms / 1000)
    pids = {int(found.split()[1].rstrip(":")) for found in run.leftovers() if found.startswith("process")}

    assert run.end(signum) == 128 + signum

    run.require_gone(within_s=GONE_WITHIN_S)
    assert [segment for pid in pids for segment in segments_of(pid)] == []


def test_a_client_that_hangs_on_does_not_hold_up_the_end(run: Run) -> None:
    """A connection with an open transaction is closed by the server's shutdown."""
    run.wait_for("ready")
    conn = psycopg.connect(run.wait_for("dsn ")[4:].strip(), autocommit=True)
    try:
        conn.execute("BEGIN")
        assert run.end(signal.SIGTERM) == 128 + signal.SIGTERM
        run.require_gone(within_s=GONE_WITHIN_S)
    finally:
        conn.close()


def test_a_process_that_holds_the_pipe_does_not_keep_the_server(begin: Callable[..., Run]) -> None:
    """A child that the run forked inherits the pipe and keeps it open; the run's death counts all the same."""
    run = begin(fork=True)
    run.wait_for("forked")
    assert run.end(signal.SIGKILL) == 128 + signal.SIGKILL
    run.require_gone(within_s=GONE_WITHIN_S)


def test_a_killed_watcher_takes_the_server_along(run: Run) -> None:
    """The system sends the server SIGQUIT (on Linux); the run removes the folder when it ends."""
    run.wait_for("ready")
    pid = postmaster_of(run.folder)
    os.kill(parent_of(pid), signal.SIGKILL)
    deadline = time.monotonic() + GONE_WITHIN_S
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(pid)

    run.end(signal.SIGTERM)
    run.require_gone(within_s=GONE_WITHIN_S)
    assert segments_of(pid) == []


@pytest.mark.parametrize("server_too", [False, True])
def test_what_a_run_killed_with_its_watcher_leaves_is_removed_by_the_next(
    begin: Callable[..., Run], run_folder: Path, *, server_too: bool
) -> None:
    """On Linux the server ends with the watcher; folder, and memory of a server killed, too, go at the next start."""
    neighbour = begin()
    neighbour.wait_for("ready")
    staying = postmaster_of(run_folder)
    run = begin()
    run.wait_for("ready")
    (file,) = [path for path in run_folder.glob("*/d/postmaster.pid") if int(path.read_text().split()[0]) != staying]
    pid, folder = int(file.read_text().split()[0]), file.parent.parent
    # The server first: the system would tell it to end, and it would clean up, when the watcher is gone.
    watcher = parent_of(pid)
    for victim in (*([pid] if server_too else []), watcher, run.process.pid):
        os.kill(victim, signal.SIGKILL)
    run.process.wait()
    deadline = time.monotonic() + GONE_WITHIN_S
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(pid)
    assert folder.exists()
    assert bool(segments_of(pid)) is server_too

    following = begin()
    following.wait_for("ready")
    assert following.end(signal.SIGTERM) == 128 + signal.SIGTERM

    assert f"server   removed what a killed run had left: {folder}\n" in following.rest()
    assert not folder.exists()
    assert segments_of(pid) == []
    with psycopg.connect(neighbour.wait_for("dsn ")[4:].strip()) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    neighbour.end(signal.SIGTERM)
    neighbour.require_gone(within_s=GONE_WITHIN_S)


def test_a_killed_server_leaves_no_memory(run: Run) -> None:
    """What the kernel keeps of a server that was killed with -9 is removed with the folder."""
    run.wait_for("ready")
    pid = postmaster_of(run.folder)
    os.kill(pid, signal.SIGKILL)
    run.end(signal.SIGTERM)

    run.require_gone(within_s=GONE_WITHIN_S)
    assert segments_of(pid) == []


@pytest.mark.parametrize("user", [None, AS_NOBODY])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_never_runs_as_root(
    begin: Callable[..., Run], run_folder: Path, user: str | None, signum: int
) -> None:
    """A plain user needs nothing of root, and root lends the server to a user without rights; both leave nothing."""
    run = begin(user)
    run.wait_for("ready")
    pid = postmaster_of(run_folder)
    data = next(run_folder.glob("*/d"))
    assert data.stat().st_uid != 0
    assert data.stat().st_mode & 0o777 == 0o700

    assert run.end(signum) == 128 + signum

    run.require_gone(within_s=GONE_WITHIN_S)
    assert segments_of(pid) == []


def test_runs_side_by_side_never_touch_each_other(begin: Callable[..., Run]) -> None:
    """Three at once, one killed: the two others answer, and end as if they had been alone."""
    runs = [begin() for _ in range(3)]
    dsns = []
    for run in runs:
        run.wait_for("ready")
        dsns.append(run.wait_for("dsn ")[4:].strip())
    runs[0].end(signal.SIGKILL)
    for dsn in dsns[1:]:
        with psycopg.connect(dsn) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)
    for run in runs[1:]:
        assert run.end(signal.SIGTERM) == 128 + signal.SIGTERM
    runs[0].require_gone(within_s=GONE_WITHIN_S)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["initdb", "ready"])
def test_without_parent_death_signals_a_killed_run_leaves_nothing_either(
    begin: Callable[..., Run], tmp_path: Path, signum: int, moment: str
) -> None:
    """As on macOS: there the pipe alone tells the watcher, and it ends what it started."""
    run = begin(watcher=plain_watcher(tmp_path))
    run.wait_for("server" if moment == "initdb" else "ready")
    if moment == "initdb":
        deadline = time.monotonic() + 10
        while not any(run.folder.glob("*/d/PG_VERSION")):
            assert time.monotonic() < deadline
            time.sleep(0.002)
    assert run.end(signum) == 128 + signum
    run.require_gone(within_s=GONE_WITHIN_S)


def test_without_parent_death_signals_the_run_ends_the_server_of_a_killed_watcher(
    begin: Callable[..., Run], tmp_path: Path
) -> None:
    """Nobody else would: it is told nothing, and its parent is the system."""
    run = begin(watcher=plain_watcher(tmp_path))
    run.wait_for("ready")
    pid = postmaster_of(run.folder)
    os.kill(parent_of(pid), signal.SIGKILL)
    time.sleep(0.2)
    assert alive(pid)

    assert run.end(signal.SIGTERM) == 128 + signal.SIGTERM

    run.require_gone(within_s=GONE_WITHIN_S)
    assert not alive(pid)
    assert segments_of(pid) == []
