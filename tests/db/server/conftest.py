"""Fixtures of the server's tests: runs that are about to be killed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from make_runs import Run

from scripts.server.folders import MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
