"""The server the database tests run on: one embedded PostgreSQL for each test process, gone when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.server.embedded.origin import open_embedded
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.server.model import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A fresh server, whatever the environment says. Tests make databases of their own on it, and drop them.

    A session fixture under xdist is one a worker. If pytest is killed (SIGTERM runs no finaliser, SIGKILL nothing at
    all), the server's watcher ends it.
    """
    with open_embedded(Settings(server="embedded"), reason="tests") as opened:
        yield opened
