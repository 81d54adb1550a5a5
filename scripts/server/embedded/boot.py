"""The steps of one start: initdb and the server, each with the deadline they share, and when each has failed.

Owns: the command lines of both programs.
Never: starts a process itself (watcher.py does), or lets a server listen on a network.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.errors.binaries import BinariesError
from scripts.errors.server import StartError
from scripts.errors.unfit import MAJOR, TooNewError, TooOldError
from scripts.server.embedded.layout import error_of_files, error_of_log, tail_of
from scripts.server.embedded.segment import read_pid_file
from scripts.server.folders import SOCKET_NAME
from scripts.server.provision import INITDB_OPTIONS
from scripts.server.readiness import wait_until_ready

if TYPE_CHECKING:
    from pathlib import Path

    from psycopg import Connection

    from scripts.server.embedded.account import Account
    from scripts.server.embedded.binaries import Binaries
    from scripts.server.embedded.layout import Layout
    from scripts.server.embedded.leash import Leash

# What a shell, the dynamic linker and the watcher say of a program that did not come to run.
CANNOT_START = 127
# How often the watcher is asked whether the server still runs.
ASK_S = 0.01
# In postmaster.pid, counted from zero (PostgreSQL's pidfile.h).
STATUS_LINE, READY = 7, b"ready"


@dataclass(frozen=True, slots=True)
class Boot:
    """What every step of one start needs.

    `deadline` is a moment of `time.monotonic`, in seconds; `limit_ms` how long after the run's beginning that was.
    """

    leash: Leash
    layout: Layout
    account: Account | None
    programs: Binaries
    deadline: float
    limit_ms: int

    def left_s(self) -> float:
        """The time left, in seconds; never zero, so that a step fails by its own deadline."""
        return max(0.001, self.deadline - time.monotonic())


def require_major_of(boot: Boot) -> None:
    """An older initdb would only say that it does not know an option."""
    boot.leash.begin([boot.programs.postgres, "--version"], account=boot.account, log=boot.layout.log)
    _require_success(boot, "postgres --version")
    require_major_of_banner(tail_of(boot.layout.log), str(boot.programs.bindir))


def require_major_of_banner(banner: str, folder: str) -> None:
    """Judge what `postgres --version` prints: "postgres (PostgreSQL) 18.6 (Debian 18.6-1)", "… 19beta1".

    Raises:
        TooOldError: below 18, or not PostgreSQL's banner at all.
        TooNewError: above 18.
    """
    version = (banner.split() or [""])[2:3] or ["something else"]
    major = re.match(r"\d+", version[0])
    if major is None or int(major[0]) < MAJOR:
        raise TooOldError.binaries(folder, version[0])
    if int(major[0]) > MAJOR:
        raise TooNewError.binaries(folder, version[0])


def make_cluster(boot: Boot, password: str) -> None:
    """Run initdb."""
    layout = boot.layout
    descriptor = os.open(layout.password, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, password.encode())
        if boot.account is not None:
            os.fchown(descriptor, boot.account.uid, boot.account.gid)
    except OSError as exc:
        raise error_of_files(exc, "the start of initdb", layout.folder.parent) from exc
    finally:
        os.close(descriptor)
    options = (*INITDB_OPTIONS, f"--pwfile={layout.password}", "--no-sync", "--no-instructions")
    boot.leash.begin([boot.programs.initdb, "-D", layout.data, *options], account=boot.account, log=layout.log)
    # The driver takes a tenth of a second to load; initdb takes three.
    import psycopg  # noqa: F401 - loaded here for its time

    try:
        _require_success(boot, "initdb")
    finally:
        layout.password.unlink(missing_ok=True)


def start_server(boot: Boot, dsn: str) -> Connection:
    """Start the server and return the first connection."""
    begin_server(boot)
    return finish_server(boot, dsn)


def begin_server(boot: Boot) -> None:
    """Start the server; do something useful, then call `finish_server`."""
    layout = boot.layout
    argv: list[str | Path] = [
        boot.programs.postgres,
        "-D",
        layout.data,
        "-k",
        _as_one(layout.socket),
        "-c",
        f"config_file={layout.config}",
    ]
    argv += ["-c", "listen_addresses=", "-c", "unix_socket_permissions=0700"]
    boot.leash.start(argv, account=boot.account, log=layout.log)


def finish_server(boot: Boot, dsn: str) -> Connection:
    """The first connection to the server that was begun.

    Raises:
        RefusedError: of a kept cluster that is still being laid out, the file system refused a part.
    """
    layout = boot.layout
    boot.leash.require_readable()
    asked_at = time.monotonic()

    def require_alive() -> None:
        nonlocal asked_at
        if time.monotonic() < asked_at + ASK_S:
            return
        asked_at = time.monotonic()
        status = boot.leash.ended()
        if status:
            raise error_of_log("the server", status, layout)

    left_ms = int(boot.left_s() * 1000)
    conn = wait_until_ready(dsn, timeout_ms=left_ms, require_alive=require_alive, answers=lambda: _is_ready(layout))
    if conn is None:
        raise StartError.not_ready("the server", boot.limit_ms, tail_of(layout.log))
    return conn


def _is_ready(layout: Layout) -> bool:
    """Whether the server takes connections, by its own word in postmaster.pid, as pg_ctl waits for it.

    Asked for one before that it starts a process to say no.
    """
    _, lines = read_pid_file(str(layout.data))
    if not lines:
        return (layout.socket / SOCKET_NAME).exists()
    return len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == READY


def _as_one(folder: Path) -> str:
    """For a setting that holds a list: a blank or a quote in the name neither ends it nor is lost."""
    return '"' + str(folder).replace('"', '""') + '"'


def _require_success(boot: Boot, step: str) -> None:
    """Wait for the program begun."""
    status = boot.leash.finish(timeout_s=boot.left_s())
    if status is None:
        raise StartError.not_ready(step, boot.limit_ms, tail_of(boot.layout.log))
    if status == CANNOT_START:
        reason = tail_of(boot.layout.log).rpartition("\n")[2]
        raise BinariesError.not_runnable(str(boot.programs.bindir), reason)
    if status != 0:
        raise error_of_log(step, f"exit status {status}" if status > 0 else f"signal {-status}", boot.layout)
