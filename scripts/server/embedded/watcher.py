"""The process that starts an embedded server, and ends it and removes its files when the run that asked is gone.

Owns: the folders of one server, the programs run for it, and their end. Runs alone, and is sent its code (spawning.py).
Promises: when the pipe on stdin closes — the run ended, crashed or was killed with -9 — the server is shut down, then
    its folders are removed, then this process ends. If this process is killed itself, Linux sends the server SIGQUIT.
    Asked to keep the server, it stays when the pipe closes, and does the same on SIGTERM, or when the server ends.
    A folder holds a lease, locked for as long as this process lives: what a killed watcher left is known by it.
Never: imports any package, or of ours more than laying.py, lease.py and segment.py, is told a secret, removes what it
    did not make.
How quickly it starts decides how quickly a server does. `json`, `signal` and `contextlib` bring `re`, `enum` and
`functools`, which take longer to load than the interpreter itself does to start.

Requests and answers are one `packed` object each. One process, one thread: the parent-death signal of Linux is bound to
the *thread* that forked, so a pool's or a test runner's worker must not be it; this one lives as long as the server.
"""

from __future__ import annotations

import marshal
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any, TypeAlias

    Steps: TypeAlias = tuple[tuple[int, float], ...]
else:
    import _signal as signal  # the same functions and numbers, without names for them

POLL_S = 0.5
# Fast shutdown, immediate shutdown, kill: how long each may take before the next.
STOP_STEPS: Steps = ((signal.SIGINT, 5.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0))
# The same at the end, when the data goes, too: nobody needs what a fast shutdown would still write.
END_STEPS: Steps = STOP_STEPS[1:]
# initdb: told politely, it would remove the data folder, and with it what says which shared memory the server it had
# started leaves (which dies of any signal without a word).
ABORT_STEPS: Steps = ((signal.SIGKILL, 3.0),)
LOCK_TRIES = 50
REMOVAL_ATTEMPTS = 20
_LENGTH = 4
_ENDS = (signal.SIGTERM, signal.SIGCHLD)
_PR_SET_PDEATHSIG = 1
_CANNOT_START = 127


class Watcher:
    """The folders made, the program running, and the loop that waits for the pipe to close."""

    def __init__(self) -> None:
        self.folders: list[str] = []
        self.leases: list[int] = []  # open files, whose locks end with this process
        self.child = 0
        self.group = 0
        self.laid: Any = None
        self.steps = STOP_STEPS
        self.asked_to_end = False
        self.kept = False
        self.parent = os.getppid()

    def serve(self) -> None:
        """Answer requests until the pipe closes or the parent is another: that is how a killed run looks from here."""
        pending = bytearray()
        while not self.kept:
            ready, _, _ = select.select([0], [], [], POLL_S)
            # A child forked by the run may still hold the pipe open; the parent's death is what counts.
            if self.asked_to_end or os.getppid() != self.parent:
                return
            if not ready:
                continue
            data = os.read(0, 65536)
            if not data:
                return
            pending += data
            while (request := take(pending)) is not None:
                self.answer(request)
        self.stay()

    def stay(self) -> None:
        """Outlive the run: wait for SIGTERM, or for the end of the server. Nothing is looked at meanwhile."""
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)  # the run's pipes are let go
        os.dup2(null, 1)
        signal.signal(signal.SIGCHLD, _be_told)
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        # Asked after the signals were blocked: from here on none of them is missed.
        while not self.asked_to_end and self.do_alive()["alive"]:
            if signal.sigwait(_ENDS) == signal.SIGTERM:
                return

    def answer(self, request: dict[str, Any]) -> None:
        """Do one thing, and say how it went."""
        asked = request.pop("do")
        try:
            reply = getattr(self, "do_" + asked)(**request)
        except OSError as exc:
            reply = {"error": exc.strerror or type(exc).__name__, "errno": exc.errno}
        os.write(1, packed(reply))
        if asked == "folder":
            # For what comes next; loaded while the run gets it ready.
            _part("laying")
            _parent_death_signal()

    def do_folder(self, base: str, prefix: str, owner: dict[str, str]) -> dict[str, Any]:
        """Make a folder of our own with a lease in it; it is removed at the end."""
        path, descriptor = _part("lease").make_folder(base, prefix, owner, self.folders)
        self.leases.append(descriptor)
        return {"path": path}

    def do_run(self, **request: Any) -> dict[str, Any]:
        """Run a program to its end; while it runs, a closed pipe ends it."""
        self.steps = ABORT_STEPS
        self.child = self.group = self.fork(**request, death=signal.SIGKILL)
        while True:
            done, status = os.waitpid(self.child, os.WNOHANG)
            if done:
                self.child = self.group = 0
                return {"status": os.waitstatus_to_exitcode(status)}
            if self.orphaned(wait_s=0.002):
                raise SystemExit

    def do_start(self, **request: Any) -> dict[str, Any]:
        """Start a program that stays."""
        self.child, self.steps = self.fork(**request, death=signal.SIGQUIT), STOP_STEPS
        return {"pid": self.child}

    def do_stop(self) -> dict[str, Any]:
        """Shut down the program that was started; what it wrote stays."""
        self.stop()
        self.end_writers()
        self.laid = None
        return {"stopped": not self.child}

    def do_unpack(self, **request: Any) -> dict[str, Any]:
        """Lay out a kept cluster that the run has checked (laying.py); the rest is written while the server starts."""
        try:
            self.laid = _part("laying").lay_out(**request)
            self.laid.wait(_part("laying").BOOTS)
        except ValueError as exc:
            return {"poisoned": str(exc)}
        return {"poisoned": ""}

    def do_readable(self) -> dict[str, Any]:
        """Wait until the run's own database is there."""
        if self.laid is not None:
            self.laid.wait(_part("laying").READABLE)
        return {}

    def do_unpacked(self) -> dict[str, Any]:
        """Wait until the whole of it is there."""
        while self.laid is not None and not self.laid.is_done():
            if self.orphaned(wait_s=0.001):
                raise SystemExit
        return {}

    def do_alive(self) -> dict[str, Any]:
        """Whether the program that was started still runs, and how it ended if not."""
        if self.child:
            done, status = os.waitpid(self.child, os.WNOHANG)
            if not done:
                return {"alive": True}
            self.child = 0
            return {"alive": False, "status": os.waitstatus_to_exitcode(status)}
        return {"alive": False, "status": None}

    def do_keep(self, lock: str, release: int) -> dict[str, Any]:
        """Stay when the run ends, and let everybody see that by a lock held for life.

        Args:
            lock: an existing file; whoever can lock it knows that this process is gone.
            release: a descriptor that is not needed any more.
        """
        import fcntl

        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        for number in range(LOCK_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # somebody is looking, which takes a moment
                if number == LOCK_TRIES - 1:
                    os.close(descriptor)
                    raise
                time.sleep(POLL_S / LOCK_TRIES)
            else:
                break
        os.close(release)
        self.kept = True
        return {"kept": True}

    def fork(  # noqa: PLR0913 - what a program is started with
        self, argv: list[str], env: dict[str, str], uid: int | None, gid: int | None, log: str, *, death: int
    ) -> int:
        """Start a program in a session of its own, as the given user, its output appended to the log.

        The parent-death signal is set after the change of user, which clears it. SIGQUIT shuts a server
        down; initdb would go on to the end of its step, and its children end when it does.
        """
        watcher = os.getpid()
        prctl = _parent_death_signal()
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            os.chdir("/")
            null = os.open(os.devnull, os.O_RDONLY)
            out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            os.dup2(null, 0)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.closerange(3, 256)
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT):
                signal.signal(signum, signal.SIG_DFL)
            if uid is not None and gid is not None:
                os.setgroups([])
                os.setgid(gid)
                os.setuid(uid)
            if prctl is not None:
                prctl(_PR_SET_PDEATHSIG, int(death), 0, 0, 0)
                if os.getppid() != watcher:  # it died before the line above
                    os._exit(_CANNOT_START)
            os.umask(0o077)
            os.execve(argv[0], argv, env)  # noqa: S606 - no shell, a program the run chose
        except OSError as exc:
            os.write(2, f"cannot start {argv[0]}: {exc.strerror}\n".encode())
        os._exit(_CANNOT_START)

    def orphaned(self, *, wait_s: float) -> bool:
        """Whether the pipe is closed (nothing is sent while a request is open) or the parent gone."""
        ready, _, _ = select.select([0], [], [], wait_s)
        return bool(ready) or self.asked_to_end or os.getppid() != self.parent

    def ask_to_end(self, *_: object) -> None:
        """Note it, for the loops to see: an exception here could fall between making a folder and noting it."""
        self.asked_to_end = True

    def end_writers(self) -> None:
        """Whoever still lays out a cluster would make files while they are removed."""
        if self.laid is not None:
            self.laid.give_up()

    def end(self) -> None:
        """End the program, then remove what was made."""
        if self.steps is STOP_STEPS:
            self.steps = END_STEPS
        self.stop()
        self.end_writers()
        if self.group:  # initdb may be gone and the server it had started not
            try:  # noqa: SIM105 - contextlib is what is not loaded
                os.killpg(self.group, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        if not self.folders:
            return
        lease, segment = _part("lease"), _part("segment")
        for folder in reversed(self.folders):
            segment.remove_segment(os.path.join(folder, "d"))  # noqa: PTH118 - pathlib would double the start time
            lease.remove_folder(folder, attempts=REMOVAL_ATTEMPTS)

    def stop(self) -> None:
        """End the program, harder at each step."""
        for signum, wait_s in self.steps:
            if not self.child:
                break
            # The group catches what a half-done initdb started; a running server takes its own children along.
            target = os.kill if self.steps is not ABORT_STEPS and signum != signal.SIGKILL else os.killpg
            try:  # noqa: SIM105 - as above
                target(self.child, signum)
            except ProcessLookupError:
                pass
            self.reap(wait_s)

    def reap(self, wait_s: float) -> None:
        """Wait for the child, looking every millisecond: pg_ctl's tenth of a second is longer than the shutdown."""
        deadline = time.monotonic() + wait_s
        while self.child and time.monotonic() < deadline:
            try:
                done, _ = os.waitpid(self.child, os.WNOHANG)
            except ChildProcessError:
                done = self.child
            if done:
                self.child = 0
            else:
                time.sleep(0.001)


def _be_told(*_: object) -> None:
    """A signal without a handler may be dropped although it is waited for."""


def _parent_death_signal() -> Any:
    """Linux's prctl, or None elsewhere, where the pipe alone must do."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        # What `ctypes` does, without its other three milliseconds.
        import _ctypes

        address = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]
        return lambda *args: _ctypes.call_function(address, args)
    except (ImportError, AttributeError):
        import ctypes

        return ctypes.CDLL(None, use_errno=True).prctl


def _part(name: str) -> Any:
    """One of the modules that came with this one, loaded when it is needed."""
    part = sys.modules.get(name)
    if part is None:
        part = sys.modules[name] = type(sys)(name)
        # Left there by what came before this module in the process (spawning.py).
        exec(globals()["CODE"][name], part.__dict__)  # noqa: S102 - our own files
    return part


def packed(message: dict[str, Any]) -> bytes:
    """A request or an answer as it goes through the pipe: its length, then what only the two ends of it write and read.

    Args:
        message: of text, bytes, numbers, lists and such.
    """
    data = marshal.dumps(message)
    return len(data).to_bytes(_LENGTH, "little") + data


def take(pending: bytearray) -> dict[str, Any] | None:
    """The next message of those bytes, which are removed; None while it is not whole."""
    end = _LENGTH + int.from_bytes(pending[:_LENGTH], "little")
    if len(pending) < end:
        return None
    message: dict[str, Any] = marshal.loads(pending[_LENGTH:end])  # noqa: S302 - from the other end of our own pipe
    del pending[:end]
    return message


def main() -> None:
    """Serve, then end everything, whatever happened."""
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(signum, signal.SIG_IGN)
    # What ends a program must reach it from its first moment, also where whoever started us ignores it.
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    watcher = Watcher()
    signal.signal(signal.SIGTERM, watcher.ask_to_end)
    try:
        watcher.serve()
    finally:
        watcher.end()


if __name__ == "__main__":
    main()
