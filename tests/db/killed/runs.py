"""Runs of the engine in processes of their own, through the zygote: started, watched, killed, waited for.

Owns: the zygote's process and the sorting of its events by run.
"""

from __future__ import annotations

import json
import os
import select
import subprocess  # noqa: TID251 - the zygote is a program of the tests
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ZYGOTE = Path(__file__).with_name("zygote.py")
# Long enough for a busy machine, short enough that a run which hangs is seen: no wait is unbounded.
SETTINGS: dict[str, Any] = {
    "lock_timeout_ms": 2_000,
    "statement_timeout_ms": 30_000,
    "index_timeout_ms": 30_000,
    "runner_lock_timeout_ms": 30_000,
}
WAIT_S = 60.0


@dataclass
class Run:
    """One run of the engine, as far as it has told."""

    number: int
    zygote: Zygote = field(repr=False)
    events: list[dict[str, Any]] = field(default_factory=list)

    def first(self, event: str) -> dict[str, Any] | None:
        """The first event of a kind, if it has come."""
        return next((item for item in self.events if item["event"] == event), None)

    @property
    def told(self) -> list[str]:
        """The engine's lines of progress."""
        return [item["text"] for item in self.events if item["event"] == "told"]

    @property
    def ended(self) -> bool:
        """Whether the process is gone and reaped."""
        return self.first("ended") is not None

    @property
    def killed(self) -> bool:
        """Whether it ended by SIGKILL, and not by itself a moment before."""
        ended = self.first("ended")
        return ended is not None and ended["signal"] == 9 and self.first("done") is None

    @property
    def applied(self) -> list[str]:
        """What a run that ended well says it applied."""
        applied = self.first("applied")
        assert applied is not None, f"the run did not end well:\n{self.story}"
        files: list[str] = applied["files"]
        return files

    @property
    def story(self) -> str:
        """Every event, for the text of a failure."""
        return "\n".join(
            "  " + json.dumps({key: value for key, value in item.items() if key != "id"}, ensure_ascii=False)
            for item in self.events
        )

    def kill(self) -> None:
        """SIGKILL now."""
        self.zygote.send(do="kill", id=self.number)
        self.wait()

    def wait(self, *, timeout_s: float = WAIT_S) -> Run:
        """Until it has ended."""
        self.wait_for(lambda: self.ended, "the run has not ended", timeout_s=timeout_s)
        return self

    def wait_for_start(self) -> int:
        """Until it is connected; returns the pid of its backend."""
        began = self.wait_for_connection().first("began")
        assert began is not None, f"the run was not connected:\n{self.story}"
        return int(began["backend"])

    def wait_for_connection(self) -> Run:
        """Until it is connected, or has ended before."""
        self.wait_for(lambda: self.first("began") or self.ended, "the run has not begun")
        return self

    def wait_for(self, condition: Callable[[], Any], otherwise: str, *, timeout_s: float = WAIT_S) -> None:
        """Until something is so, taking in what the zygote says meanwhile."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"{otherwise} within {timeout_s:.0f} s:\n{self.story}"
            self.zygote.listen(0.005)


class Zygote:
    """The process that forks the runs."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-B", str(ZYGOTE), *(f"{name}={folder}" for name, folder in folders.items())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        self._runs: dict[int, Run] = {0: Run(0, self)}
        self._pending = b""
        self._runs[0].wait_for(lambda: self._runs[0].first("ready"), "the zygote is not ready")

    def start(
        self, folder: str, dsn: str, *, kill: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> Run:
        """Order a run.

        Args:
            folder: one of the names the zygote was started with.
            dsn: of the database to migrate.
            kill: as zygote.py says; None for a run that is left alone.
            settings: fields of `Settings` that differ from SETTINGS.
        """
        run = self._runs[len(self._runs)] = Run(len(self._runs), self)
        values = SETTINGS | dict(settings or {})
        self.send(do="run", id=run.number, folder=folder, dsn=dsn, settings=values, kill=kill)
        return run

    def run(self, folder: str, dsn: str, **options: Any) -> Run:
        """Order a run and wait for its end."""
        return self.start(folder, dsn, **options).wait()

    def warm(self, folder: str, dsn: str) -> None:
        """Migrate a database in the zygote itself, before its first child."""
        run = self._runs[len(self._runs)] = Run(len(self._runs), self)
        self.send(do="warm", id=run.number, folder=folder, dsn=dsn)
        run.wait()

    def send(self, **order: Any) -> None:
        """Hand over one order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def listen(self, timeout_s: float) -> None:
        """Take in what has been said, waiting at most so long."""
        stdout = self._process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], timeout_s)[0]:
            return
        data = os.read(stdout.fileno(), 65536)
        assert data, f"the zygote ended with status {self._process.wait(timeout=5)}"
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            event = json.loads(line)
            self._runs[event["id"]].events.append(event)

    def close(self) -> None:
        """Let it go; its children go with it."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait(timeout=10)
