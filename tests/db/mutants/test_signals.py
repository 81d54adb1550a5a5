"""`invoke mutants` ended by a signal: no score, no process, no server, whatever it was doing."""

from __future__ import annotations

import os
import signal
import subprocess  # noqa: TID251 - starts the product as its users do
import sys
import threading
import time
from pathlib import Path

import pytest

from scripts.evidence.read import read_run

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 120
GONE_S = 10


def processes_below(pid: int) -> dict[int, str]:
    """Every process that the run started, itself included: pid → command line. The server has a session of its own."""
    parents, commands = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z":
            parents[int(place.name)], commands[int(place.name)] = int(fields[1]), command
    found = {pid}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return {one: commands[one] for one in found if one in commands}


def alive(processes: dict[int, str]) -> dict[int, str]:
    """Those of them that are still there, as what they were."""
    found = {}
    for pid, command in processes.items():
        try:
            now = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if now == command:
            found[pid] = command
    return found


class Run:
    """The verb under way."""

    def __init__(self, evidence: Path) -> None:
        steering = ("DATABASE_URL", "FRESH_DB", "MIGRATIONS_DIR", "PRE_CI_RUN_ID", "KEEP_DB", "MIGRATE_ROLE")
        kept = {name: value for name, value in os.environ.items() if name not in steering}  # noqa: TID251 - for a child
        told = {"SERVER": "embedded", "NO_COLOR": "1", "EVIDENCE_ROOT": str(evidence)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "invoke", "mutants", "--only", "table-privileges"],
            cwd=ROOT,
            env=kept | told,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as told:
            self.lines.extend(told)

    def at_work(self) -> dict[int, str]:
        """Once the lanes are there: everything that runs."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            running = processes_below(self.process.pid)
            lanes = sum("multiprocessing-fork" in one for one in running.values())
            # One connection makes the copies; each lane has at least one.
            if lanes and sum("[local]" in one for one in running.values()) > lanes:
                return running
            time.sleep(0.05)
        pytest.fail("\n".join(self.lines))

    def ended(self) -> int:
        """Its exit code, everything read."""
        code = self.process.wait(timeout=TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        return code


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("to_all", [False, True], ids=["to the verb", "to the terminal"])
def test_a_signal_leaves_nothing(tmp_path: Path, signum: signal.Signals, code: int, *, to_all: bool) -> None:
    """Ctrl-C or SIGTERM among the mutants: exit 130 or 143, no score, and no lane and no server is left (D-20).

    A terminal sends it to every process of the group at once.
    """
    run = Run(tmp_path / "evidence")
    running = run.at_work()
    if to_all:
        os.killpg(run.process.pid, signum)
    else:
        run.process.send_signal(signum)
    assert run.ended() == code, run.lines
    assert run.process.stdout is not None
    assert "mutants =" not in run.process.stdout.read()
    run.process.stdout.close()
    assert not [line for line in run.lines if "Traceback" in line], run.lines
    record = read_run(tmp_path / "evidence" / "latest")
    assert (record.state, record.counts["ABORTED"]) == ("aborted", 1)
    deadline = time.monotonic() + GONE_S
    while alive(running) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(running) == {}
