"""Settings that point the product at a scratch database, and a voice that is listened to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

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


def url_of(database: ScratchDatabase) -> str:
    """The database's libpq URL, password included."""
    from psycopg.conninfo import conninfo_to_dict

    parts = {name: str(value) for name, value in conninfo_to_dict(database.dsn).items()}
    login = f"{quote(parts['user'])}:{quote(parts['password'], safe='')}"
    place = f"host={quote(parts['host'], safe='')}&port={parts.get('port', '5432')}"
    return f"postgresql://{login}@/{parts['dbname']}?{place}"


@pytest.fixture
def existing() -> Callable[..., Settings]:
    """`existing(database, folder=None)`: settings for FRESH_DB=0 on it."""

    def make(database: ScratchDatabase, folder: Path | None = None) -> Settings:
        settings = Settings(fresh_db=False, database_url=url_of(database), lock_timeout_ms=300)
        return settings if folder is None else replace(settings, migrations_dir=folder)

    return make
