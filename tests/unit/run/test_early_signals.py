"""A signal before a command has its own handlers, or after it had them: the shell's exit status, and one line."""

from __future__ import annotations

import signal
import subprocess  # noqa: TID251 - the program under test
import sys
from pathlib import Path

import pytest

from scripts.settings import ROOT

INVOKE = str(Path(sys.executable).parent / "invoke")
# Read by Python before anything else. argv of `invoke` is not ours, so each is a module of its own.
EARLY = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {signum})
sys.meta_path.insert(0, Finder())
"""
LATE = """
import atexit, os
atexit.register(lambda: os.kill(os.getpid(), {signum}))
"""
IGNORED = """
import signal
for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(signum, signal.SIG_IGN)
"""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def gates(tmp_path: Path, site: str) -> tuple[int, str, str]:
    """`invoke gates` with something that sends it a signal; exit status, output, errors."""
    (tmp_path / "sitecustomize.py").write_text(site, encoding="utf-8")
    done = subprocess.run(
        [INVOKE, "gates"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("signum", SIGNALS)
@pytest.mark.parametrize("module", ["scripts.console", "scripts.run.commands", "scripts.gates"])
def test_a_signal_while_a_command_loads_is_told(tmp_path: Path, module: str, signum: int) -> None:
    """Invoke would make a 1 of it, without a word; or Python a traceback."""
    status, out, said = gates(tmp_path, EARLY.format(module=module, signum=int(signum)))
    assert (status, out) == (128 + signum, "")
    assert said == f"interrupted by signal {int(signum)}: nothing was started\n"


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_after_the_run_is_told(tmp_path: Path, signum: int) -> None:
    """What was said stands; no traceback of Python's own end."""
    status, out, said = gates(tmp_path, LATE.format(signum=int(signum)))
    assert status == 128 + signum
    assert "INV-" in out or "lint" in out
    assert said == f"interrupted by signal {int(signum)}: the run was over\n"


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path, signum: int) -> None:
    """`nohup` relies on that."""
    status, _, said = gates(tmp_path, IGNORED + EARLY.format(module="scripts.console", signum=int(signum)))
    assert (status, said) == (0, "")
