"""Three applied files, and a hand that writes to the database beside the runner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.migrations.ledger.table import Ledger, read_ledger

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase


def write(migrations: MigrationFolder, count: int) -> None:
    """Ordinary files 1 to count, each with a comment."""
    for number in range(1, count + 1):
        migrations.write(f"{number:04d}_t.sql", f"-- the {number}th\nCREATE TABLE public.t{number} (a int);")


def ledger_of(database: ScratchDatabase) -> Ledger:
    """As it is now."""
    with database.connect() as conn:
        return read_ledger(conn)


def change(database: ScratchDatabase, query: str) -> None:
    """Write to the database by hand."""
    with database.connect() as conn:
        conn.execute(query.encode())


def by_a_name_put_together(statement: str) -> str:
    """A file that does it at run time, without the ledger's name in it: @@ stands for `migrations`."""
    return (
        f"DO $d$ BEGIN EXECUTE replace($e${statement.replace(chr(39) * 2, chr(39))}$e$, '@@', 'migrations'); END $d$;"
    )


@pytest.fixture
def three(empty_database: ScratchDatabase, migrations: MigrationFolder) -> ScratchDatabase:
    """Three files, applied."""
    write(migrations, 3)
    empty_database.apply(migrations.files())
    return empty_database
