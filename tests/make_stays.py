"""Servers that stay, in folders of a test's own: what is left of them can be counted, and nothing is left after it."""

from __future__ import annotations

import os
import shlex
import subprocess  # noqa: TID251 - a test starts the product's own commands
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from make_runs import SITE, processes
from make_voices import Heard

from scripts.run.commands import COMMANDS
from scripts.server.states import Resident, read_state
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

# The product's own command line, with the place for servers in memory below the test's folder.
CHILD = """
import sys
from pathlib import Path
import scripts.server.folders as folders
folders.MEMORY, folders.ROOM_IN_MEMORY = Path(sys.argv[1]), 0
from invoke.main import program
sys.argv[:2] = ["invoke"]
program.run()
"""


# Before that, its stdout is a pipe that takes nothing more.
FULL = """
import os
os.set_blocking(1, False)
for size in (4096, 1):
    try:
        while os.write(1, b"." * size):
            pass
    except BlockingIOError:
        pass
os.set_blocking(1, True)
"""


# `up`, with a signal to itself at one step of its work on what is known and of letting the server stay. argv: the
# folder for servers' files; the number of the step; the signal.
STEPS = """
import os, sys
from pathlib import Path
import scripts.server.folders as folders
folders.MEMORY, folders.ROOM_IN_MEMORY = Path(sys.argv[1]), 0
from scripts.server.stay import claims
from scripts.server.embedded import leash
count = 0
def step():
    global count
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), int(sys.argv[3]))
    count += 1
def around(owner, name):
    real = getattr(owner, name)
    def stepped(*given, **named):
        step()
        done = real(*given, **named)
        step()
        return done
    setattr(owner, name, stepped)
for owner, name in ((claims, "_open"), (claims.Claim, "_put"), (leash.Leash, "keep"), (leash.Leash, "close")):
    around(owner, name)
from scripts.console import exit_code_of
sys.exit(exit_code_of("up", {"name": "dev", "no_migrate": True}))
"""


# Only these commands have it.
OURS = "import scripts.server.folders as folders"


@dataclass
class Stays:
    """The folders of one test: servers' files, what is known of them; and one for kept clusters."""

    base: Path
    cache: Path | None = None
    runs: list[subprocess.Popen[str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def memory(self) -> Path:
        """Where servers' folders are."""
        return self.base / "m"

    @property
    def place(self) -> Path:
        """Where states are."""
        return self.base / "state" / "parity-runner" / "servers"

    def settings(self, **given: Any) -> Settings:
        """Settings for a command that is called here."""
        own: dict[str, Any] = {"server": "embedded", "state_dir": self.place, "cluster_cache": self.cache}
        return Settings(**own | given)

    def do(self, command: str, *, json: bool = False, given: Mapping[str, Any] | None = None, **options: Any) -> Heard:
        """Call a verb's body; it passes."""
        heard = Heard()
        assert COMMANDS[command](self.settings(**(given or {})), heard.voice(json=json), **options) == 0
        return heard

    def begin(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start `invoke` as a process of its own, in a session of its own."""
        return self._start(CHILD, *arguments, **environment)

    def begin_into_a_full_pipe(self, *arguments: str) -> subprocess.Popen[str]:
        """The same, with nobody who empties its stdout."""
        return self._start(FULL + CHILD, *arguments)

    def begin_into(self, device: str, *arguments: str) -> subprocess.Popen[str]:
        """The same, with its stdout led to a device such as /dev/full."""
        return self._start(f"import os; os.dup2(os.open({device!r}, os.O_WRONLY), 1)" + CHILD, *arguments)

    def step(self, number: int, signum: int) -> int:
        """`up` of "dev" that gets a signal at a step; returns its exit code, 0 when it has no such step."""
        run = self._start(STEPS, str(number), str(int(signum)))
        _, progress = run.communicate(timeout=120)
        self.said = progress.splitlines()
        return run.returncode

    def _start(self, program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        run = subprocess.Popen(
            [sys.executable, "-c", program, str(self.memory), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            start_new_session=True,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": f"{ROOT}:{SITE}",
                "PYTHONDONTWRITEBYTECODE": "1",
                "TMPDIR": str(self.base),
                "XDG_STATE_HOME": str(self.base / "state"),
                "EVIDENCE_ROOT": str(self.base / "evidence"),
                "SERVER": "embedded",
                **({"CLUSTER_CACHE": "0"} if self.cache is None else {"PARITY_CACHE_DIR": str(self.cache)}),
                **environment,
            },
        )
        self.runs.append(run)
        return run

    def invoke(self, *arguments: str, **environment: str) -> Heard:
        """Run `invoke` to its end; it succeeds."""
        code, heard = self.ended(*arguments, **environment)
        assert code == 0, heard.out + heard.progress
        return heard

    def ended(self, *arguments: str, **environment: str) -> tuple[int, Heard]:
        """Run `invoke` to its end; its exit code and what it said."""
        run = self.begin(*arguments, **environment)
        out, progress = run.communicate(timeout=120)
        return run.returncode, Heard(out.splitlines(), progress.splitlines())

    def known(self, name: str) -> Resident:
        """The record of a name."""
        resident = read_state(self.place / name)
        assert resident is not None
        return resident

    def watchers(self) -> list[int]:
        """Watchers of servers below the folder: parents of the servers."""
        return [parent for _, parent, line in processes() if f"{self.memory}/" in line and "/postgres" in line]

    def leftovers(self) -> list[str]:
        """Folders of servers, processes that name them, and what is known of any."""
        found = [str(path) for path in self.memory.iterdir()]
        found += [str(path) for path in self.place.iterdir()] if self.place.is_dir() else []
        # Not the commands themselves, which name the folder, too.
        return found + [line for _, _, line in processes() if f"{self.memory}/" in line and OURS not in line]

    def close(self) -> None:
        """End what a failed test left."""
        for run in self.runs:
            if run.poll() is None:
                run.kill()
            run.wait()
            for stream in (run.stdout, run.stderr):
                if stream is not None:
                    stream.close()
        for name in list(self.place.iterdir()) if self.place.is_dir() else []:
            try:
                self.do("down", name=name.name)
            except Exception as exc:  # noqa: BLE001 - the test itself has told what is wrong
                print(f"not ended: {name.name}: {exc}")  # noqa: T201 - for whoever reads the failure


def exported(line: str) -> dict[str, str]:
    """The variables of a printed `export` line, as a shell would take them."""
    words = shlex.split(line[line.index("export ") :])
    assert words[0] == "export"
    return dict(word.split("=", 1) for word in words[1:])


def passwords(state: Path) -> list[str]:
    """Those in the password file."""
    return [line.rsplit(":", 1)[1] for line in (state / "pgpass").read_text(encoding="utf-8").splitlines()]


def environment_of(pid: int) -> dict[str, str]:
    """Another process's variables."""
    items = (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
    return dict(os.fsdecode(item).split("=", 1) for item in items if item)
