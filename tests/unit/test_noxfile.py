"""What Nox does not do by itself: a SIGINT ends a session as interrupted, whatever its child makes of it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

import noxfile


def test_an_interrupt_that_nox_forgets_ends_the_session_all_the_same() -> None:
    """The child had come to a good end: Nox goes on as if nothing had been asked of it."""
    with pytest.raises(KeyboardInterrupt), noxfile._interruptible(), suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_session_without_an_interrupt_is_left_alone() -> None:
    """And one whose SIGINT is ignored (`nohup`, a background job) goes on ignoring it."""
    with noxfile._interruptible():
        pass
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with noxfile._interruptible():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
