"""Settings that point the product at a scratch database, and a voice that is listened to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from make_voices import Heard

from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_database import ScratchDatabase


@pytest.fixture
def heard() -> Heard:
    """An ear."""
    return Heard()


@pytest.fixture
def existing() -> Callable[..., Settings]:
    """`existing(database, folder=None)`: settings for FRESH_DB=0 on it."""

    def make(database: ScratchDatabase, folder: Path | None = None) -> Settings:
        settings = Settings(fresh_db=False, database_url=database.url, lock_timeout_ms=300)
        return settings if folder is None else replace(settings, migrations_dir=folder)

    return make
