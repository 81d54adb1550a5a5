"""Short ways to run the engine on a scratch database."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from scripts.migrations.apply import migrate
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigrationFolder, ScratchDatabase


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

    def until(self, look: Callable[[], Any], seconds: float = 20) -> Any:
        """Wait until what is looked at is true, and give it; a call that ends instead hands on its error."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert self.running or self.join() is None, "the call ended first"
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.005)
        return found


class Migrating(Background):
    """A run of the engine beside the test; `told` is what it said so far, a line of progress each."""

    def __init__(
        self, database: ScratchDatabase, migrations: MigrationFolder, settings: Settings | None = None
    ) -> None:
        self.told: list[str] = []
        budgets = settings or Settings()
        super().__init__(lambda: migrate(database.connect(), migrations.files(), budgets, report=self.told.append))

    def until_told(self, words: str) -> None:
        """Wait until a line of progress has the words."""
        self.until(lambda: any(words in line for line in self.told))


@pytest.fixture
def background() -> type[Background]:
    """Runs a call beside the test."""
    return Background


@pytest.fixture
def migrating() -> type[Migrating]:
    """`migrating(database, migrations, settings=None)`: the engine, beside the test."""
    return Migrating
