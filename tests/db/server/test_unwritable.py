"""An output that takes nothing: one paragraph with the cause, exit 3, and what stays is told on the other stream."""

from __future__ import annotations

import subprocess  # noqa: TID251 - the product's own commands
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.settings import ROOT

if TYPE_CHECKING:
    from make_stays import Stays

INVOKE = Path(sys.executable).parent / "invoke"
FULL = """error[output]: standard output: what the run says cannot be written
  expected  a file, pipe or terminal that takes it
  found     No space left on device
  help: free space there, or lead it elsewhere, and run again
"""
CLOSED = """error[output]: standard output: what the run says cannot be written
  expected  an open file, pipe or terminal
  found     it is closed (>&-)
  help: lead it to a file, or to /dev/null where nobody wants to read it
"""


def invoke(home: Path, words: str) -> tuple[int, str, str]:
    """`invoke` behind a shell's redirections; exit status, output, errors."""
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {INVOKE} {words}"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "SERVER": "embedded"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("verb", ["gates", "gates --json"])
def test_a_full_output_is_an_error_with_its_cause(tmp_path: Path, verb: str) -> None:
    """No traceback, and none at Python's end either."""
    status, _, said = invoke(tmp_path, f"{verb} >/dev/full")
    assert status == 3
    assert said.endswith(FULL)
    assert said.count("error") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize("verb", ["gates", "migrate", "up --name q1", "psql"])
@pytest.mark.parametrize("others", ["", "<&-"])
def test_a_closed_output_stops_a_command_before_it_begins(tmp_path: Path, verb: str, others: str) -> None:
    """Nothing was started: the server's socket would have had the number of the output."""
    assert invoke(tmp_path, f"{verb} >&- {others}") == (3, "", CLOSED)
    assert list(tmp_path.iterdir()) == []


def test_closed_errors_and_input_are_nobodys_trouble(tmp_path: Path) -> None:
    """The result is written; only what would have been said beside it is lost."""
    status, out, _ = invoke(tmp_path, "migrate <&- 2>&-")
    assert status == 0
    assert "applied now" in out


def test_full_errors_end_the_run_without_a_traceback(tmp_path: Path) -> None:
    """There is nobody to tell."""
    assert invoke(tmp_path, "migrate 2>/dev/full") == (3, "", "")


def test_up_into_a_full_output_says_that_the_server_stays_and_how_to_end_it(stays: Stays) -> None:
    """It is there, and nobody would know."""
    run = stays.begin_into("/dev/full", "up", "--name", "dev", "--no-migrate")
    _, said = run.communicate(timeout=60)
    assert run.returncode == 3
    assert said.endswith(
        FULL.replace("  help", "  stays     the server dev stays (`invoke down --name dev` removes it)\n  help")
    )
    assert stays.watchers()
