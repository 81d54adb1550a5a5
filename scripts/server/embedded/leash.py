"""Our end of the pipe to the watcher: ask it, and let go.

Owns: the requests and answers, their deadlines, and what happens when the watcher is gone.
Promises: leaving the `with` block closes the pipe and waits until server and folders are gone, unless `keep` was asked
    for and answered.
"""

from __future__ import annotations

import os
import select
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from scripts.errors.server import StartError
from scripts.server.cluster.packing import PoisonedError, pour_checked, read_index
from scripts.server.embedded.lease import remove_folder
from scripts.server.embedded.segment import PID_FILE, remove_segment
from scripts.server.embedded.spawning import spawn_watcher
from scripts.server.embedded.watcher import REMOVAL_ATTEMPTS, packed, take
from scripts.server.owner import PID, owner_is_gone, owner_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.server.embedded.account import Account

# The watcher's own steps take eleven seconds when every one of them is needed.
END_TIMEOUT_S = 15.0
ANSWER_TIMEOUT_S = 30.0
_MEMFD = hasattr(os, "memfd_create")  # Linux
# No variable of the caller's reaches the server: not its locale, not PGDATA or PGOPTIONS, not a password.
SERVER_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class RefusedError(Exception):
    """The system refused what the watcher tried; `errno` says why."""

    def __init__(self, reason: str, errno: int) -> None:
        super().__init__(reason)
        self.errno = errno


class Leash:
    """A running watcher. Everything it is asked to make goes away with it."""

    def __init__(self) -> None:
        # What the watcher is to lay out goes through memory: a nameless file that nobody else can open.
        self._shared = os.fdopen(os.memfd_create("kept"), "w+b") if _MEMFD else tempfile.TemporaryFile()  # noqa: SIM115
        self._process = spawn_watcher(self._shared.fileno())
        self._pending = bytearray()
        self._poured: memoryview | None = None
        self._poisoned = ""
        self._folders: list[str] = []
        self._keeping = self._kept = False
        self._server: dict[str, str] | None = None

    @property
    def pid(self) -> int:
        """The watcher's process id."""
        return self._process.pid

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that were made, and go with the watcher."""
        return tuple(self._folders)

    @property
    def kept(self) -> bool:
        """Whether the watcher stays when the block is left."""
        return self._kept

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def folder(self, base: Path, prefix: str) -> str:
        """Make a folder, mode 0700, with an unguessable name; returns its path.

        Raises:
            RefusedError: the file system said no.
        """
        owner = owner_labels(self.pid)
        path = str(self._ask(do="folder", base=str(base), prefix=prefix, owner=owner)["path"])
        self._folders.append(path)
        return path

    def begin(self, argv: Sequence[str | Path], *, account: Account | None, log: Path) -> None:
        """Run a program; do something useful, then call `finish`."""
        self._send(do="run", **self._program(argv, account, log))

    def finish(self, *, timeout_s: float) -> int | None:
        """The exit status of the program begun, negative for a signal; None when it took too long."""
        answer = self._answer(timeout_s)
        return None if answer is None else int(answer["status"])

    def start(self, argv: Sequence[str | Path], *, account: Account | None, log: Path) -> int:
        """Start a program that stays; returns its process id."""
        pid = int(self._ask(do="start", **self._program(argv, account, log))["pid"])
        self._server = owner_labels(pid)
        return pid

    def stop(self) -> bool:
        """Shut the started program down and wait; whether it has ended."""
        return bool(self._ask(do="stop")["stopped"])

    def pour(self, path: str, digest: str) -> memoryview:
        """As packing.read_checked, into the memory that is shared with the watcher; any thread may do it.

        Raises:
            PoisonedError: its bytes are not those of the digest.
            OSError: it cannot be read, or there is no room.
        """
        own = os.dup(self._shared.fileno())
        try:
            self._poured = None
            self._poured = pour_checked(path, digest, own)
        finally:
            os.close(own)
        return self._poured

    def begin_unpack(self, checked: memoryview, target: Path, account: Account | None) -> None:
        """Lay out a kept cluster in an empty folder; do something useful, then call `finish_unpack`.

        Args:
            checked: what packing.read_checked returned; there is nothing to be copied when it was `pour`.
            target: the folder.
            account: who is to own what is in it.

        Raises:
            RefusedError: no room for it in memory.
        """
        try:
            begin, folders, files = read_index(checked)
        except PoisonedError as exc:
            self._poisoned = str(exc)
            return
        if checked is not self._poured:
            self._poured = None
            try:
                self._shared.seek(0)
                self._shared.write(checked)
                self._shared.flush()
            except OSError as exc:
                raise RefusedError(exc.strerror or type(exc).__name__, exc.errno or 0) from exc
        uid, gid = (-1, -1) if account is None else (account.uid, account.gid)
        place = {"descriptor": self._shared.fileno(), "begin": begin, "target": str(target), "uid": uid, "gid": gid}
        self._send(do="unpack", folders=folders, files=files, **place)

    def finish_unpack(self) -> str:
        """Why the kept cluster could not be used; empty when a server can be started on what is there.

        Raises:
            RefusedError: the file system said no.
        """
        poisoned, self._poisoned = self._poisoned, ""
        return poisoned or str(self._reply()["poisoned"])

    def require_readable(self) -> None:
        """Wait for the database of the run, which the first connection reads.

        Raises:
            RefusedError: the file system said no.
        """
        self._ask(do="readable")

    def require_unpacked(self) -> None:
        """Wait for the rest of it: the databases that nobody has asked for yet.

        Raises:
            RefusedError: the file system said no.
        """
        self._ask(do="unpacked")

    def ended(self) -> str:
        """How the started program ended; empty while it runs."""
        answer = self._ask(do="alive")
        if answer["alive"]:
            return ""
        status = answer["status"]
        return "ended" if status is None else f"exit status {status}" if status >= 0 else f"signal {-status}"

    def keep(self, lock: Path) -> None:
        """Let the watcher stay, with the server and the folders, when this run ends; SIGTERM ends it.

        Args:
            lock: a file of ours that the watcher locks for as long as it lives.

        Raises:
            RefusedError: the lock cannot be had; nothing is kept.
        """
        self._keeping = True
        self._ask(do="keep", lock=str(lock), release=self._shared.fileno())
        self._kept = True

    def close(self) -> None:
        """Let go: the watcher shuts the server down and removes the folders before it ends; or it stays, if kept."""
        for stream in (self._process.stdin, self._process.stdout, self._shared):
            if stream is not None:
                stream.close()
        if self._kept:
            self._process.returncode = 0  # not waited for: it is the system's child soon
            return
        if self._keeping:  # it may have heard, though its answer was not
            self._process.terminate()
        deadline = time.monotonic() + END_TIMEOUT_S
        # Popen.wait sleeps up to 50 ms between looks.
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                self._process.kill()  # the parent-death signal ends the server
                self._process.wait()
            time.sleep(0.001)
        # Whoever killed the watcher left this to us; as a rule nothing is there any more.
        if self._process.returncode:
            self._end_server()
            for folder in self._folders:
                remove_segment(f"{folder}/d")
        for folder in self._folders:
            # What initdb had started goes on for a moment.
            remove_folder(folder, attempts=3 * REMOVAL_ATTEMPTS)

    def _end_server(self) -> None:
        """Wait for the server that a killed watcher left; the system tells it to go, where it can (Linux)."""
        for signum, wait_s in ((None, 0.5), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 1.0)):
            if self._server is not None and signum is not None and self._is_ours(int(self._server[PID])):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(int(self._server[PID]), signum)
            deadline = time.monotonic() + wait_s
            while self._server_runs():
                if time.monotonic() > deadline:
                    break
                time.sleep(0.001)
            else:
                return

    def _server_runs(self) -> bool:
        if self._server is None or owner_is_gone(self._server):
            return False
        try:
            os.kill(int(self._server[PID]), 0)  # no signal, only the question
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def _is_ours(self, pid: int) -> bool:
        """Whether the server in one of the folders says that this is its number."""
        files = [Path(folder) / "d" / PID_FILE for folder in self._folders]
        return any(file.is_file() and file.read_text(encoding="utf-8").startswith(f"{pid}\n") for file in files)

    def _program(self, argv: Sequence[str | Path], account: Account | None, log: Path) -> dict[str, Any]:
        return {
            "argv": [str(part) for part in argv],
            "env": SERVER_ENV,
            "uid": None if account is None else account.uid,
            "gid": None if account is None else account.gid,
            "log": str(log),
        }

    def _ask(self, **request: Any) -> dict[str, Any]:
        self._send(**request)
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        answer = self._answer(ANSWER_TIMEOUT_S)
        if answer is None:
            raise StartError.watcher_lost(f"no answer within {ANSWER_TIMEOUT_S:.0f} s")
        if "error" in answer:
            raise RefusedError(answer["error"], answer["errno"])
        return answer

    def _send(self, **request: Any) -> None:
        stdin = self._process.stdin
        if stdin is None:
            raise RuntimeError("the watcher has no pipe")
        try:
            left = memoryview(packed(request))
            while left:
                left = left[os.write(stdin.fileno(), left) :]
        except BrokenPipeError as exc:
            raise StartError.watcher_lost(self._status()) from exc

    def _answer(self, timeout_s: float) -> dict[str, Any] | None:
        stdout = self._process.stdout
        if stdout is None:
            raise RuntimeError("the watcher has no pipe")
        deadline = time.monotonic() + timeout_s
        while (answer := take(self._pending)) is None:
            ready, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            data = os.read(stdout.fileno(), 65536)
            if not data:
                raise StartError.watcher_lost(self._status())
            self._pending += data
        return answer

    def _status(self) -> str:
        return f"it ended with status {self._process.wait(timeout=1)}"
