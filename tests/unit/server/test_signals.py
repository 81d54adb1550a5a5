"""One signal, one exception, in the main thread; then quiet while things are put away."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import weakref

import pytest

from scripts.errors.base import Interrupted
from scripts.server.signals import SIGNALS, ending_on_signals, ending_with
from scripts.settings import parent_to_end_with


def interrupt(signum: int) -> None:
    """Send this process a signal and give it time to arrive."""
    os.kill(os.getpid(), signum)
    time.sleep(0.05)


@pytest.mark.parametrize("signum", SIGNALS)
def test_each_signal_raises_with_the_shells_exit_code(signum: int) -> None:
    """130, 143, 129."""
    with pytest.raises(Interrupted) as caught, ending_on_signals():
        interrupt(signum)
    assert caught.value.exit_code == 128 + signum


def test_further_signals_do_not_disturb_the_cleaning_up() -> None:
    """Nox sends SIGINT and then SIGTERM; an impatient person sends three."""
    done: list[str] = []

    def work() -> None:
        try:
            interrupt(signal.SIGINT)
        finally:
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                interrupt(signum)
            done.append("cleaned")

    with pytest.raises(Interrupted) as caught, ending_on_signals():
        work()
    assert done == ["cleaned"]
    assert caught.value.signum == signal.SIGINT


class Dying:
    """Gets a signal while it is being forgotten, where Python drops every exception."""

    def __del__(self) -> None:
        """As the import system's callbacks do it, dozens of times in a start."""
        interrupt(signal.SIGTERM)


def test_an_interruption_that_python_drops_comes_again() -> None:
    """Otherwise a run told to end at such a moment would go on to its end, and hear nothing more."""
    began = time.monotonic()

    def work() -> None:
        Dying()
        time.sleep(5)

    with pytest.raises(Interrupted) as caught, ending_on_signals():
        work()
    assert caught.value.signum == signal.SIGTERM
    assert time.monotonic() - began < 2


def test_a_signal_in_a_callback_of_the_import_system_is_not_lost() -> None:
    """A weak reference's callback, as each import makes one."""

    def work() -> None:
        thing = threading.Event()
        reference = weakref.ref(thing, lambda _: interrupt(signal.SIGHUP))
        del thing
        time.sleep(2)
        assert reference() is None

    with pytest.raises(Interrupted), ending_on_signals():
        work()


def test_what_else_python_drops_is_told_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever told it before; and afterwards nothing of ours listens."""
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    before = sys.unraisablehook

    class Failing:
        def __del__(self) -> None:
            raise ZeroDivisionError

    with ending_on_signals():
        Failing()
    assert len(told) == 1
    assert sys.unraisablehook is before


def test_a_person_who_insists_is_believed() -> None:
    """A second Ctrl-C after the time given raises again; a SIGTERM does not."""
    reached: list[str] = []

    def work() -> None:
        try:
            interrupt(signal.SIGTERM)
        finally:
            interrupt(signal.SIGTERM)
            reached.append("past the second SIGTERM")
            interrupt(signal.SIGINT)
            reached.append("past Ctrl-C")

    with pytest.raises(Interrupted), ending_on_signals(force_after_s=0):
        work()
    assert reached == ["past the second SIGTERM"]


def test_the_handlers_are_put_back() -> None:
    """Also after an exception."""
    before = [signal.getsignal(signum) for signum in SIGNALS]
    with ending_on_signals():
        assert [signal.getsignal(signum) for signum in SIGNALS] != before
    with pytest.raises(Interrupted), ending_on_signals():
        interrupt(signal.SIGTERM)
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    """As nohup asks for."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_on_signals():
            interrupt(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_it_refuses() -> None:
    """Python allows handlers in the main thread only; silence would leave the run unprotected."""
    caught: list[BaseException] = []

    def work() -> None:
        try:
            with ending_on_signals():
                pass
        except RuntimeError as exc:
            caught.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


def test_a_run_whose_nox_is_gone_ends_as_if_told_to() -> None:
    """Nox dies of SIGTERM at once, and its child would go on: the child looks four times a second."""
    began = time.monotonic()
    with pytest.raises(Interrupted) as caught, ending_on_signals(), ending_with(os.getppid() + 1):
        time.sleep(5)
    assert caught.value.signum == signal.SIGTERM
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("parent", [None, os.getppid()])
def test_a_run_whose_parent_is_there_is_left_alone(parent: int | None) -> None:
    """And one that nobody said to whom it belongs; nothing goes on looking afterwards."""
    before = threading.active_count()
    with ending_on_signals(), ending_with(parent):
        time.sleep(0.6)
    assert threading.active_count() == before


@pytest.mark.parametrize(("value", "number"), [("12", 12), ("", None), ("x", None), ("-1", None), ("1" * 13, None)])
def test_whom_to_end_with_is_told_to_one_process_alone(
    monkeypatch: pytest.MonkeyPatch, value: str, number: int | None
) -> None:
    """A child of ours has another parent, and must not take ours for its own."""
    monkeypatch.setenv("PARITY_NOX_PID", value)
    assert parent_to_end_with() == number
    assert parent_to_end_with() is None
