"""A run that is interrupted while it ends drops its throw-away database all the same, and says nothing untrue."""

from __future__ import annotations

import os
import random
import signal
import subprocess  # noqa: TID251 - a test starts the program it kills
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from make_runs import processes, quiet
from psycopg import waiting

from scripts.errors.base import Interrupted
from scripts.server.foreign import mourner, origin, strays
from scripts.server.open import open_server
from scripts.server.readiness import connect, parse_dsn
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from types import CodeType, FrameType

OURS = frozenset({origin.__file__, mourner.__file__, strays.__file__, waiting.__file__})
CREATION = frozenset({"make", "_create", "take", "create_recorded", "_send_together", "_results"})
GONE_WITHIN_S = 2.0
MOMENT_S = 10.0
LAST_LINE = "applied 0027"


class Stumble:
    """A trace function: counts the lines of ours that run, and raises Interrupted at one of them, once.

    `within`: only in functions of these names, of all of our files when it is empty.
    """

    def __init__(self, at: int = 0, within: frozenset[str] = frozenset()) -> None:
        self.at = at
        self.within = within
        self.steps = 0

    def __call__(self, frame: FrameType, event: str, _arg: object) -> Any:
        """One event of Python's."""
        if frame.f_code.co_filename not in OURS or not self._wants(frame.f_code):
            return None
        if event == "line":
            self.steps += 1
            if self.steps == self.at:
                sys.settrace(None)
                raise Interrupted(signal.SIGTERM)
        return self

    def _wants(self, code: CodeType) -> bool:
        return code.co_name in self.within if self.within else code.co_filename != waiting.__file__


def leave(url: str, stumble: Stumble) -> tuple[str, list[int]]:
    """Open a throw-away database and leave it, stumbling on the way out; its name, and who stood beside."""
    before, known = sys.gettrace(), mourners()
    try:
        with open_server(Settings(database_url=url), run_id="r", report=quiet) as server:
            name = parse_dsn(server.dsn)["dbname"]
            beside = [pid for pid in mourners() if pid not in known]
            sys.settrace(stumble)
    except Interrupted:
        pass
    finally:
        sys.settrace(before)
    return name, beside


def mourners() -> list[int]:
    """Who stands beside runs of this process now."""
    return [pid for pid, parent, line in processes() if parent == os.getpid() and "mourner.py" in line]


def databases(url: str) -> list[str]:
    """The throw-away databases of this login."""
    with connect(url) as conn:
        rows = conn.execute(
            "SELECT datname FROM pg_database WHERE datname ~ '^parity_' AND datdba = to_regrole(%s)",
            [parse_dsn(url)["user"]],
        )
        return [name for (name,) in rows]


# A connection that was made and not handed on yet, a pipe whose closing was cut short: Python closes both.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interruption_at_whatever_step_of_the_end_drops_it(foreign: str) -> None:
    """Every line of ours on the way out, one after the other: the database is gone, and nobody waits any more."""
    counted = Stumble()
    leave(foreign, counted)
    assert counted.steps >= 15
    stumbled = 0
    for at in range(1, counted.steps + 1):
        stumble = Stumble(at)
        name, beside = leave(foreign, stumble)
        stumbled += stumble.steps == at
        assert name not in databases(foreign), f"step {at} of {counted.steps}"
        assert len(beside) == 1
        assert not set(mourners()) & set(beside), f"step {at} of {counted.steps}"
    assert stumbled == counted.steps


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interruption_at_whatever_step_of_its_creation_drops_it(
    foreign: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What the server was asked for is waited for, or it would come when nobody is there; the driver says nothing."""
    known = set(mourners())  # of tests before this one in the same process
    counted = Stumble(within=CREATION)
    come(foreign, counted)
    assert counted.steps >= 25
    for at in range(1, counted.steps + 1):
        stumble = Stumble(at, CREATION)
        come(foreign, stumble)
        assert stumble.steps == at
        assert databases(foreign) == [], f"step {at} of {counted.steps}"
        assert set(mourners()) <= known, f"step {at} of {counted.steps}"
    assert caplog.records == []


def come(url: str, stumble: Stumble) -> None:
    """Open a throw-away database, stumbling on the way in."""
    before = sys.gettrace()
    with suppress(Interrupted), connect(url) as _:
        try:
            sys.settrace(stumble)
            with open_server(Settings(database_url=url), run_id="r", report=quiet):
                sys.settrace(before)
        finally:
            sys.settrace(before)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interruption_while_it_connects_to_drop_it_does_not_hold_up_the_drop(foreign: str) -> None:
    """The server would wait a minute for the password of the first attempt, and the second one for the server."""
    within = frozenset({"wait_conn"})
    counted = Stumble(within=within)
    leave(foreign, counted)
    assert counted.steps >= 10
    for at in range(1, counted.steps + 1):
        stumble = Stumble(at, within)
        began = time.monotonic()
        name, _ = leave(foreign, stumble)
        assert time.monotonic() - began < MOMENT_S, f"step {at} of {counted.steps}"
        assert stumble.steps == at
        assert name not in databases(foreign)


def test_dismissed_twice_before_it_listens_it_ends(foreign: str) -> None:
    """A run that is interrupted while it waits for that end says it again; a slow start must not hear too much."""
    with mourner.mourning(foreign, "parity_1_0123456789ab") as beside:
        os.kill(beside.pid, signal.SIGSTOP)
        for _ in range(2):
            beside._write(b".")
        os.kill(beside.pid, signal.SIGCONT)
        began = time.monotonic()
        beside.dismiss()
    assert time.monotonic() - began < GONE_WITHIN_S


def test_a_signal_in_the_last_moments_of_a_run_leaves_nothing(
    foreign: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """From the last migration on: whatever the run says then, the database is not there two seconds later."""
    chance = random.Random("the last moments")  # noqa: S311 - moments, not secrets
    ended = set()
    for turn in range(4 * request.config.getoption("--kills")):
        run = subprocess.Popen(
            [str(Path(sys.executable).parent / "invoke"), "migrate"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={"DATABASE_URL": foreign, "FRESH_DB": "1", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )
        assert run.stderr is not None
        assert any(line.startswith(LAST_LINE) for line in run.stderr)
        time.sleep(chance.uniform(0, 0.05))
        run.send_signal((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[turn % 3])
        run.communicate(timeout=30)
        ended.add(run.returncode)
        deadline = time.monotonic() + GONE_WITHIN_S
        while databases(foreign) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert databases(foreign) == [], f"turn {turn}"
    assert ended & {129, 130, 143}
