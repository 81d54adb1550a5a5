"""What a file writes to the ledger by ways that its text does not show is found before it is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.errors.ledger import LedgerChainError
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

SETTINGS = Settings(migrate_trace=False)
FIRST = "CREATE TABLE public.t (a int);"
DYNAMIC = "CREATE TABLE public.u (a int);\nDO $$ BEGIN EXECUTE format({}); END $$;"
WRITES = {
    "a checksum": (
        "'UPDATE public.%I SET checksum = ''x''', 'schema_migrations'",
        "the checksum of 0001_t.sql was changed in the ledger",
    ),
    "a row out": (
        "'DELETE FROM public.%I', 'schema_migrations'",
        "the row of 0001_t.sql was removed from the ledger",
    ),
    "a row in": (
        "'INSERT INTO public.%I VALUES (''0003_c.sql'', ''x'', now())', 'schema_migrations'",
        "0003_c.sql was put into the ledger by hand",
    ),
    "a record out": (
        "'DELETE FROM public.%I', 'schema_migrations_history'",
        "0001_t.sql was put into the ledger by hand",
    ),
    "the end cut off": (
        "'WITH a AS (DELETE FROM public.%I) DELETE FROM public.%I', 'schema_migrations', 'schema_migrations_history'",
        "records of the file's own",
    ),
    "all of it": ("'DROP TABLE public.%I', 'schema_migrations_history'", "a ledger that cannot be read any more"),
}


@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize("case", WRITES)
def test_a_write_by_sql_made_at_run_time_is_refused_in_the_files_own_transaction(
    empty_database: ScratchDatabase, migrations: MigrationFolder, case: str, *, trace: bool
) -> None:
    """Nothing of the file is left, neither what it made nor what it did to the ledger; without it all goes on."""
    written, found = WRITES[case]
    migrations.write("0001_t.sql", FIRST)
    path = migrations.write("0002_w.sql", DYNAMIC.format(written))
    with pytest.raises(LedgerChainError) as caught:
        empty_database.apply(migrations.files(), Settings(migrate_trace=trace))
    assert str(caught.value) == (
        "error[ledger chain]: 0002_w.sql: the file wrote to the ledger\n"
        "  expected  the ledger as it was before the file\n"
        f"  found     {found}\n"
        "  help: nothing of this file is recorded, and all of it is rolled back; take out what writes to the ledger"
    )
    assert caught.value.exit_code == 4
    assert empty_database.recorded() == ["0001_t.sql"]
    assert empty_database.value("SELECT to_regclass('public.u')") is None
    path.write_text("SELECT count(*) FROM public.schema_migrations_history;")
    empty_database.apply(migrations.files(), SETTINGS)
    assert empty_database.recorded() == ["0001_t.sql", "0002_w.sql"]


def test_a_function_of_an_earlier_file_is_found_out_as_well(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """The file that calls it does not have the name in it; the file that made it had."""
    migrations.write(
        "0001_f.sql",
        "CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql AS $$ DECLARE t text := 'schema_migrations'; BEGIN"
        " EXECUTE format('DELETE FROM public.%I', t); END $$;",
    )
    migrations.write("0002_w.sql", "SELECT public.f();")
    with pytest.raises(LedgerChainError, match=r"0002_w\.sql: the file wrote to the ledger"):
        empty_database.apply(migrations.files(), SETTINGS)
    assert empty_database.recorded() == ["0001_f.sql"]


def test_what_is_not_found_so_is_found_at_the_next_start(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """A name that is itself put together: the file is recorded, and no run goes on from there."""
    migrations.write("0001_t.sql", FIRST)
    migrations.write("0002_w.sql", DYNAMIC.format("'UPDATE public.%I SET checksum = ''x''', 'schema_' || 'migrations'"))
    empty_database.apply(migrations.files(), SETTINGS)
    with pytest.raises(LedgerChainError, match=r"the checksum of 0001_t\.sql was changed"):
        empty_database.apply(migrations.files(), SETTINGS)
