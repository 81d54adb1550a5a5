"""The workers of a run of pytest end with it: interrupted with it, killed where they do not listen."""

from __future__ import annotations

import signal
import subprocess  # noqa: TID251 - the workers of these tests
import sys
import time
from typing import TYPE_CHECKING

import pytest
from fix_ending import end_workers

from scripts.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DEAF = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
LISTENING = (
    "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "try: print('up', flush=True); time.sleep(60)\n"
    "except KeyboardInterrupt: raise SystemExit(7)"
)


def worker(program: str) -> subprocess.Popen[bytes]:
    """A process that has come as far as it tells."""
    started = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdout.readline() == b"up\n"
    started.stdout.close()
    return started


def test_this_run_is_one_that_ends_so(request: pytest.FixtureRequest) -> None:
    """Whatever is selected: the plug-in comes with the conftest of all tests."""
    assert request.config.pluginmanager.hasplugin("fix_ending")


@pytest.mark.parametrize(
    ("program", "told", "status"),
    [(LISTENING, False, 7), (LISTENING, True, -signal.SIGKILL), (DEAF, False, -signal.SIGKILL)],
    ids=["listens", "was told already", "does not listen"],
)
def test_a_worker_of_an_interrupted_run_is_interrupted_then_killed(program: str, status: int, *, told: bool) -> None:
    """Its finalisers have a moment; not five seconds, and not a second interrupt where a terminal has sent one."""
    began = time.monotonic()
    started = worker(program)
    end_workers([started], told=told, within_s=1.0)
    assert started.wait(timeout=10) == status
    assert time.monotonic() - began < 4


def test_a_worker_that_has_ended_is_left_alone() -> None:
    """Its number may be another's by now."""
    started = worker("print('up', flush=True)")
    started.wait(timeout=10)
    late = end_workers([started], told=False, within_s=0.05)
    late.join()
    assert started.returncode == 0


@pytest.mark.parametrize(("options", "status"), [([], 0), (["--skips-fail"], 1)])
def test_who_insists_on_tests_is_not_content_with_skips(tmp_path: Path, options: list[str], status: int) -> None:
    """The sessions for root and for several users: a skip there is what nobody would ever see run."""
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_it():\n    pytest.skip('not here')\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider", *options, str(tmp_path)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 skipped" in done.stdout, done.stdout + done.stderr
    assert done.returncode == status
