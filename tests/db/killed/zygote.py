"""Runs the engine in forked children that die where they are told to: `python zygote.py NAME=FOLDER …`.

Owns: the children, the moment of their death, and what they say before it. A process of its own, because a child must
not inherit a test runner's threads and pipes; psycopg and the parsed files are loaded once, so a run costs a fork.
Orders and events are one JSON object a line. An order: {"do": "run", "id", "folder", "dsn", "settings", "kill"},
{"do": "kill", "id"}, or {"do": "warm", "id", "folder", "dsn"}: migrate in this process, so that no child has to load
what the engine loads late. `kill` is null, {"at": n, "when": "before" | "sent" | "after"} for the n-th exchange with
the server (from 1, on the engine's own connection), or {"after_s": seconds}. Events: began, told, applied, done, error,
crash, dying from a child; ended {"signal" or 0, "seconds"} from here. An event is one write, never mixed with others.
`unsent` of done: the exchanges of which nothing had been sent when the answer was asked for.
"""

from __future__ import annotations

import gc
import heapq
import importlib
import json
import os
import pkgutil
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[3]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import psycopg  # noqa: E402 - the path comes first
from psycopg.pq import TransactionStatus  # noqa: E402

import scripts.migrations  # noqa: E402
from scripts.errors.base import ProjectError  # noqa: E402
from scripts.migrations.apply import migrate  # noqa: E402
from scripts.migrations.folder.files import read_files  # noqa: E402
from scripts.settings import Settings  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

# One write to a pipe up to this size is never mixed with another's.
_LINE_MAX = 4000
_WAIT_READ = 1
_MIGRATIONS = str(ROOT / "scripts" / "migrations")


def say(number: int, event: str, **facts: Any) -> None:
    """Write one event."""
    for key, value in facts.items():
        if isinstance(value, str):
            facts[key] = value[:3000] if event == "crash" else value[:1500]
    line = json.dumps(
        {"id": number, "event": event, "at_s": round(time.monotonic() % 1000, 4), **facts}, ensure_ascii=False
    ).encode()
    os.write(1, line[:_LINE_MAX] + b"\n")


class Exchanges:
    """Counts what one connection asks of the server, and dies at the exchange it was told to."""

    def __init__(self, number: int, conn: psycopg.Connection[Any], kill: dict[str, Any] | None) -> None:
        self.number = number
        self.conn = conn
        self.at = kill.get("at", 0) if kill else 0
        self.when = kill.get("when", "") if kill else ""
        self.count = 0
        self.unsent: list[int] = []

    def install(self) -> None:
        """Every exchange of every connection passes through `Connection.wait`."""
        original = psycopg.Connection.wait
        exchanges = self

        def wait(conn: psycopg.Connection[Any], gen: Any, *args: Any, **kwargs: Any) -> Any:
            if conn is not exchanges.conn:
                return original(conn, gen, *args, **kwargs)
            exchanges.count += 1
            if conn.pgconn.transaction_status != TransactionStatus.ACTIVE:
                exchanges.unsent.append(exchanges.count)
            if exchanges.count != exchanges.at:
                return original(conn, gen, *args, **kwargs)
            if exchanges.when == "before":
                exchanges.die()
            if exchanges.when == "sent":
                gen = exchanges.sent(gen)
            try:
                return original(conn, gen, *args, **kwargs)
            finally:
                exchanges.die()

        psycopg.Connection.wait = wait  # type: ignore[method-assign, assignment]

    def sent(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The same conversation, until all is sent and the answer is waited for."""
        wanted = next(gen)
        while wanted != _WAIT_READ:
            ready = yield wanted
            wanted = gen.send(ready)
        self.die()

    def die(self) -> None:
        """Say where, and end as `kill -9` ends it."""
        say(self.number, "dying", exchange=self.count, where=_engine_frames())
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()


def _engine_frames() -> str:
    """The engine's functions on the stack, innermost first: which step this exchange belongs to."""
    names = []
    frame: Any = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.startswith(_MIGRATIONS):
            module = Path(frame.f_code.co_filename).relative_to(_MIGRATIONS).with_suffix("")
            names.append(f"{module}.{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(names[:5])


def run_child(order: dict[str, Any], files: Any) -> None:
    """Migrate, and say how it went; does not return."""
    number = order["id"]
    try:
        conn = psycopg.connect(order["dsn"], autocommit=True)
        exchanges = Exchanges(number, conn, order["kill"])
        exchanges.install()
        say(number, "began", backend=conn.info.backend_pid)
        tell: Callable[[str], None] = lambda text: say(number, "told", text=text, exchange=exchanges.count)  # noqa: E731 - one expression
        try:
            applied = migrate(conn, files, Settings(**order["settings"]), report=tell)
        except ProjectError as error:
            say(number, "error", kind=type(error).__name__, exit_code=int(error.exit_code), text=str(error))
        else:
            say(number, "applied", files=[file.name for file in applied.files])
            say(number, "done", exchanges=exchanges.count, unsent=exchanges.unsent)
    except psycopg.OperationalError as exc:
        # Before the engine was called: the connection itself was refused.
        kind = "crash" if "conn" in locals() else "unconnected"
        say(number, kind, text=traceback.format_exc() if kind == "crash" else str(exc))
    except BaseException:  # noqa: BLE001 - told to whoever ordered the run
        say(number, "crash", text=traceback.format_exc())
    os._exit(0)


class Zygote:
    """The loop: orders in, children out, death on time."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self.files = {name: read_files(folder) for name, folder in folders.items()}
        self.children: dict[int, tuple[int, float]] = {}  # pid: (id, start)
        self.timers: list[tuple[float, int]] = []

    def serve(self) -> None:
        """Until stdin is closed; then every child ends with it."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        pending = b""
        while True:
            timeout = max(0.0, self.timers[0][0] - time.monotonic()) if self.timers else None
            ready, _, _ = select.select([0, reader], [], [], timeout)
            while self.timers and self.timers[0][0] <= time.monotonic():
                self.kill(heapq.heappop(self.timers)[1])
            if reader in ready:
                os.read(reader, 4096)
                self.reap()
            if 0 in ready:
                data = os.read(0, 65536)
                if not data:
                    for pid in self.children:
                        os.kill(pid, signal.SIGKILL)
                    return
                pending += data
                while b"\n" in pending:
                    line, pending = pending.split(b"\n", 1)
                    self.obey(json.loads(line), (reader, writer))

    def obey(self, order: dict[str, Any], mine: tuple[int, int]) -> None:
        """Start or end one child."""
        if order["do"] == "kill":
            self.kill(order["id"])
            return
        if order["do"] == "warm":
            self.warm(order)
            return
        start = time.monotonic()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (0, *mine):
                os.close(descriptor)
            run_child(order, self.files[order["folder"]])
        self.children[pid] = (order["id"], start)
        kill = order["kill"]
        if kill and "after_s" in kill:
            heapq.heappush(self.timers, (start + kill["after_s"], order["id"]))

    def warm(self, order: dict[str, Any]) -> None:
        """One run here; its connection is closed before anything is forked."""
        with psycopg.connect(order["dsn"], autocommit=True) as conn:
            migrate(conn, self.files[order["folder"]], Settings(), report=lambda _: None)
        gc.collect()
        gc.freeze()
        say(order["id"], "ended", signal=0, seconds=0.0)

    def kill(self, number: int) -> None:
        """SIGKILL to a child that still runs; it is reaped here, so its pid is its own."""
        for pid, (child, _) in self.children.items():
            if child == number:
                os.kill(pid, signal.SIGKILL)

    def reap(self) -> None:
        """Tell of every child that ended."""
        while self.children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            number, start = self.children.pop(pid)
            ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            say(number, "ended", signal=ended, seconds=time.monotonic() - start)


def main() -> None:
    """Load everything once, and serve."""
    for module in pkgutil.walk_packages(scripts.migrations.__path__, "scripts.migrations."):
        importlib.import_module(module.name)
    zygote = Zygote({name: Path(folder) for name, _, folder in (item.partition("=") for item in sys.argv[1:])})
    say(0, "ready")
    zygote.serve()


if __name__ == "__main__":
    main()
