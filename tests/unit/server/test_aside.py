"""Work beside the main thread: its answer, its error, and an interruption of whoever waits for it."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from scripts.server.aside import Aside
from scripts.server.cluster.ahead import Ahead

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType


class Interruption(KeyboardInterrupt):
    """What the handler raises in the main thread."""


def interrupt(_signum: int, _frame: FrameType | None) -> None:
    """In the main thread, whatever it waits for."""
    raise Interruption


@pytest.fixture
def alarm() -> Iterator[None]:
    """SIGALRM interrupts."""
    before = signal.signal(signal.SIGALRM, interrupt)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_it_returns_or_raises_where_it_is_waited_for() -> None:
    """As often as anybody asks."""

    def fail() -> int:
        msg = "it failed"
        raise OSError(msg)

    done, failed = Aside("done", lambda: 7), Aside("failed", fail)
    assert [done.finish(), done.finish()] == [7, 7]
    for _ in range(2):
        with pytest.raises(OSError, match="it failed"):
            failed.finish()
    assert done.wait(0)
    assert failed.wait(0)
    assert isinstance(failed.failed, OSError)


@pytest.mark.usefixtures("alarm")
def test_an_interruption_is_no_end_of_it() -> None:
    """It goes on, and whoever waits again waits for its real end."""
    go = threading.Event()
    work = Aside("interrupted", lambda: go.wait(20))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.raises(Interruption):
        work.finish()
    assert not work.wait(0.05)
    go.set()
    assert work.finish()


@pytest.mark.usefixtures("alarm")
def test_nothing_is_read_any_more_when_an_interrupted_start_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read into is closed next: a number that is somebody else's by then must not be written to."""
    seen: list[str] = []

    def slow(_path: str, _digest: str) -> memoryview:
        threading.Event().wait(0.3)
        seen.append("read")
        return memoryview(b"")

    monkeypatch.setattr("scripts.server.cluster.ahead.find_likely", lambda *_: (tmp_path / "x", ""))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.raises(Interruption), Ahead(tmp_path, "", slow) as ahead:
        ahead.likely()
    assert seen == ["read"]
