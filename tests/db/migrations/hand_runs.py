"""A no_tx file that is cut short, an index that is spoilt, and a hand beside the runner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scripts.errors.migration import MigrationFailedError
from scripts.migrations.apply import migrate
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

MARK = "-- symphony:no_tx\n"


def run(database: ScratchDatabase, migrations: MigrationFolder) -> list[str]:
    """Migrate and return the progress lines."""
    told: list[str] = []
    migrate(database.connect(), migrations.files(), Settings(), report=told.append)
    return told


def execute(database: ScratchDatabase, text: str) -> None:
    """By hand, as the owner."""
    with database.connect() as conn:
        conn.execute(text.encode())


def oid(database: ScratchDatabase, name: str) -> Any:
    """Which relation has the name."""
    return database.value("SELECT to_regclass(%s)::oid", name)


def begun(database: ScratchDatabase, migrations: MigrationFolder, statement: str, *, done: bool = False) -> None:
    """As a run leaves it that is killed in the midst, or behind the end, of 0002's first statement.

    The table is held, so that nothing of the statement happens, and the wait is ended.
    """
    migrations.write("0002_i.sql", f"{MARK}{statement};")
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(MigrationFailedError):
        database.apply(migrations.files(), Settings(index_timeout_ms=200, lock_attempts=1))
    holder.rollback()
    state = "done" if done else "started"
    assert database.value("SELECT count(*) FROM public.schema_migrations_journal") == 1
    execute(database, f"UPDATE public.schema_migrations_journal SET state = '{state}'")


def spoil(database: ScratchDatabase, index: str) -> None:
    """As an interrupted build leaves it."""
    with database.connect_admin() as conn:
        conn.execute(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{index}'::regclass".encode())
