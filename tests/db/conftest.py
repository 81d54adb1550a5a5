"""Short ways to run the engine on a scratch database."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


class Background:
    """A call in a thread of its own; `join` hands on its result or raises its error."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as exc:  # noqa: BLE001 - handed on by join
            self._error = exc

    def join(self, seconds: float = 30) -> Any:
        """The call's result."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the call has not ended"
        if self._error is not None:
            raise self._error
        return self._result

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()


@pytest.fixture
def background() -> type[Background]:
    """Runs a call beside the test."""
    return Background
