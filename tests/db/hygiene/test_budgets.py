"""A file that switches a budget of the runner off for itself: it runs, and it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.migrations.apply import migrate
from scripts.migrations.folder.budgets import lifted_budgets
from scripts.migrations.folder.files import MigrationFile
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

LOCK = "lock_timeout is {} from here to the end of the file: LOCK_TIMEOUT_MS does not bound it"
STATEMENT = "statement_timeout is {} from here to the end of the file: STATEMENT_TIMEOUT_MS does not bound it"


def test_it_is_said_kept_and_over_with_the_file(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """In the progress and in the file's notes; the next file has the budget again, and nothing to be told of."""
    now = "CREATE TABLE public.seen_{} AS SELECT current_setting('lock_timeout') AS budget;"
    migrations.write("0001_a.sql", f"SELECT 1;\nSET lock_timeout = 0;\n{now.format(1)}")
    migrations.write("0002_b.sql", f"SET LOCAL statement_timeout = '1s';\n{now.format(2)}")
    told: list[str] = []
    done = migrate(empty_database.connect(), migrations.files(), Settings(lock_timeout_ms=700), report=told.append)
    note = f"0001_a.sql:2: {LOCK.format('0')}"
    assert [file.notes for file in done.files] == [(note,), ()]
    assert told.count(note) == 1
    assert empty_database.value("SELECT budget FROM public.seen_1") == "0"
    assert empty_database.value("SELECT budget FROM public.seen_2") == "700ms"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SET lock_timeout = 0;", [LOCK.format("0")]),
        ("SET LOCAL lock_timeout TO '0s';", [LOCK.format("0")]),
        ("SET lock_timeout = '0.2ms';", [LOCK.format("0")]),
        ("SET statement_timeout = '400us';", [STATEMENT.format("0")]),
        ("RESET lock_timeout;", [LOCK.format("the login's own")]),
        ("SET statement_timeout TO DEFAULT;", [STATEMENT.format("the login's own")]),
        ("RESET ALL;", [LOCK.format("the login's own"), STATEMENT.format("the login's own")]),
        ("SELECT pg_catalog.set_config('Lock_Timeout', '0', true);", [LOCK.format("0")]),
        ("DO $$ BEGIN SET LOCAL lock_timeout = 0; END $$;", [LOCK.format("0")]),
        ("DO $$ BEGIN PERFORM set_config('statement_timeout', '0ms', false); END $$;", [STATEMENT.format("0")]),
        ("SET LOCAL lock_timeout = '500ms';", []),
        ("SET lock_timeout FROM CURRENT;", []),
        ("RESET ROLE;", []),
        ("SELECT 'SET lock_timeout = 0';", []),
        ("CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SET lock_timeout = 0 AS 'SELECT 1';", []),
        ("-- symphony:no_tx\nVACUUM; -- SET lock_timeout = 0", []),
    ],
)
def test_every_way_to_switch_one_off(sql: str, told: list[str]) -> None:
    """SET, RESET, set_config(), in a DO block too; what keeps a budget, or sets it in a function, is no such thing."""
    assert list(lifted_budgets(MigrationFile.of_text("0001_a.sql", sql))) == [f"0001_a.sql:1: {line}" for line in told]
