"""Fixtures of the server's tests: runs that are about to be killed, templates, and what was reported."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from make_runs import Run
from make_templates import admin, ours

from scripts.server.folders import MEMORY
from scripts.server.templates import Templates, open_templates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.server.model import Server


@pytest.fixture
def run_folder() -> Iterator[Path]:
    """An empty folder with a short name; like /tmp, every user may make folders in it."""
    base = Path(tempfile.mkdtemp(prefix="t-", dir=MEMORY if MEMORY.is_dir() else None))
    base.chmod(0o1777)
    yield base
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def begin(run_folder: Path) -> Iterator[Callable[..., Run]]:
    """Begin a run; all that were begun are ended with the test."""
    runs: list[Run] = []

    def begin(user: str | None = None, *, fork: bool = False) -> Run:
        runs.append(Run(run_folder, user=user, fork=fork))
        return runs[-1]

    yield begin
    for run in runs:
        run.close()


@pytest.fixture
def run(begin: Callable[..., Run]) -> Run:
    """A run that has just begun."""
    return begin()


@pytest.fixture
def lines() -> list[str]:
    """What was reported."""
    return []


@pytest.fixture
def templates(server: Server, lines: list[str]) -> Iterator[Templates]:
    """Templates of the test's own; those that it made are gone afterwards."""
    with open_templates(server, report=lines.append) as opened, admin(server) as conn:
        before = ours(conn)
        yield opened
        for name in ours(conn) - before:
            conn.execute(f'ALTER DATABASE "{name}" IS_TEMPLATE false'.encode())
            conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
