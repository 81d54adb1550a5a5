"""The edge: every way a command can end has its exit code and its text, and no text holds a secret or a row."""

from __future__ import annotations

import signal
import subprocess  # noqa: TID251 - starts the product as its users do
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts import console
from scripts.errors.base import Interrupted
from scripts.errors.settings import UsageError
from scripts.run import commands

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]


def ended(monkeypatch: pytest.MonkeyPatch, body: Callable[..., int]) -> int:
    """The exit code of a command with this body."""
    monkeypatch.setattr(commands, "COMMANDS", {"try": body})
    return console.exit_code_of("try", {})


def raising(error: BaseException) -> Callable[..., int]:
    """A command that ends with this."""

    def body(*_: object) -> int:
        raise error

    return body


def test_a_commands_own_code_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command returns is how the process ends."""
    assert ended(monkeypatch, lambda *_: 1) == 1


def test_bad_data_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A ProjectError ends with its own code; its text is all there is."""
    error = UsageError.empty_selection()
    assert ended(monkeypatch, raising(error)) == 2
    assert capsys.readouterr().err == f"{error}\n"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupt_is_told_by_its_signal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], signum: int, code: int
) -> None:
    """128 + the signal's number."""
    assert ended(monkeypatch, raising(Interrupted(signum))) == code
    assert f"interrupted by signal {signum}" in capsys.readouterr().err


def test_a_fault_of_ours_shows_where_and_no_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 70 with a traceback; of a database error only the SQLSTATE, since its text may quote a row."""
    from psycopg.errors import UniqueViolation

    outer = ValueError("outer")
    outer.__cause__ = UniqueViolation("Key (msisdn)=(260971234567) already exists.")
    assert ended(monkeypatch, raising(outer)) == 70
    told = capsys.readouterr().err
    assert told.startswith("error[bug]: a fault of ours")
    assert "ValueError: outer" in told
    assert "UniqueViolation: SQLSTATE 23505" in told
    assert "260971234567" not in told


def test_a_reader_that_left_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """`invoke gates | head -1` is red, not a traceback."""
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(sys.stderr, "close", lambda: None)
    assert ended(monkeypatch, raising(BrokenPipeError())) == 1


def test_wrong_settings_stop_every_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """FRESH_DB=maybe is exit 2 before anything is started (D-43: so is a bypass variable)."""
    monkeypatch.setenv("FRESH_DB", "maybe")
    monkeypatch.setenv("SKIP_GATES", "1")
    assert ended(monkeypatch, lambda *_: 0) == 2
    told = capsys.readouterr().err
    assert "FRESH_DB    expected 0 or 1, found 'maybe'" in told
    assert "SKIP_GATES  expected to be unset: no check can be bypassed, found '1'" in told


def test_listing_the_verbs_imports_nothing_heavy() -> None:
    """`invoke --list` loads the verbs alone: no driver, no parser, no Docker, none of our rooms."""
    script = (
        "import sys, tasks; heavy = {'psycopg', 'docker', 'postgast', 'scripts.console'} & set(sys.modules);"
        " sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_verb_has_its_command() -> None:
    """A verb in tasks.py without a body, or a body without a verb, is a fault."""
    import tasks

    verbs = set(tasks.namespace.task_names)
    assert verbs == set(commands.COMMANDS)
