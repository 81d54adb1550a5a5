"""No migration writes to the ledger: what is a write, and what is not, before anything runs."""

from __future__ import annotations

import pytest

from scripts.errors.sql_text import LedgerWriteError
from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.folder.ledger_writes import TABLES
from scripts.migrations.folder.runnable import require_runnable
from scripts.migrations.ledger.table import SHAPES

HISTORY = "public.schema_migrations_history"
WRITES = [
    "INSERT INTO public.schema_migrations VALUES ('a', 'b', now());",
    'INSERT INTO PUBLIC."schema_migrations" DEFAULT VALUES;',
    "INSERT INTO schema_migrations DEFAULT VALUES;",
    f"UPDATE {HISTORY} SET kind = 'x';",
    "UPDATE ONLY public.schema_migrations_journal AS j SET state = 'done';",
    "DELETE FROM public.schema_migrations USING public.t;",
    f"MERGE INTO {HISTORY} h USING public.t ON true WHEN MATCHED THEN DELETE;",
    f"WITH gone AS (DELETE FROM {HISTORY} RETURNING 1) SELECT * FROM gone;",
    f"EXPLAIN ANALYZE DELETE FROM {HISTORY};",
    f"PREPARE p AS DELETE FROM {HISTORY};",
    f"TRUNCATE public.t, {HISTORY};",
    "COPY public.schema_migrations FROM '/tmp/f';",
    "DROP TABLE IF EXISTS public.t, public.schema_migrations CASCADE;",
    "DROP TABLE schema_migrations;",
    "ALTER TABLE public.schema_migrations ADD note text;",
    "ALTER TABLE public.t INHERIT public.schema_migrations;",
    f"ALTER TABLE {HISTORY} RENAME TO h;",
    f"ALTER TABLE {HISTORY} SET SCHEMA app;",
    "CREATE TABLE public.schema_migrations (version text);",
    "CREATE TABLE public.t () INHERITS (public.schema_migrations);",
    "CREATE TABLE public.schema_migrations AS SELECT 1;",
    "SELECT 1 AS a INTO public.schema_migrations;",
    "CREATE VIEW public.schema_migrations AS SELECT 1;",
    f"CREATE TRIGGER a BEFORE INSERT ON {HISTORY} EXECUTE FUNCTION public.f();",
    f"CREATE RULE a AS ON INSERT TO {HISTORY} DO INSTEAD NOTHING;",
    f"CREATE POLICY a ON {HISTORY};",
    f"DO $$ BEGIN IF true THEN DELETE FROM {HISTORY}; END IF; END $$;",
    f"DO $$ BEGIN EXECUTE 'DELETE FROM {HISTORY}'; END $$;",
    f"CREATE FUNCTION public.f() RETURNS void LANGUAGE sql AS 'DELETE FROM {HISTORY}';",
    f"CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM {HISTORY}; END $$;",
    f"CREATE FUNCTION public.f() RETURNS void BEGIN ATOMIC DELETE FROM {HISTORY}; END;",
]
NO_WRITES = [
    f"SELECT * FROM {HISTORY};",
    "CREATE VIEW public.v AS SELECT * FROM public.schema_migrations;",
    f"COPY {HISTORY} TO '/tmp/f';",
    f"INSERT INTO public.t SELECT version FROM {HISTORY};",
    "GRANT SELECT ON public.schema_migrations TO reader;",
    "COMMENT ON TABLE public.schema_migrations IS 'the ledger';",
    "CREATE TABLE public.t (v text REFERENCES public.schema_migrations);",
    "INSERT INTO app.schema_migrations DEFAULT VALUES;",
    "DROP TABLE app.schema_migrations;",
    f"DROP TRIGGER by_hand ON {HISTORY};",
    "DROP FUNCTION public.schema_migrations();",
    "CREATE TEMP TABLE schema_migrations (a int);",
    "INSERT INTO public.schema_migrations_archive DEFAULT VALUES;",
    "-- DELETE FROM public.schema_migrations\nSELECT 1;",
    "SELECT 'DELETE FROM public.schema_migrations';",
    f"DO $$ BEGIN PERFORM count(*) FROM {HISTORY}; END $$;",
]


@pytest.mark.parametrize("sql", WRITES)
def test_a_write_to_the_ledger_is_refused(sql: str) -> None:
    """At the top, in a CTE, in a DO block, in a function's body: by its line."""
    file = MigrationFile.of_text("0001_a.sql", f"SELECT 1;\n{sql}")
    with pytest.raises(LedgerWriteError, match=r"0001_a\.sql:2:"):
        require_runnable(file)


@pytest.mark.parametrize("sql", NO_WRITES)
def test_what_only_speaks_of_it_is_not(sql: str) -> None:
    """Reading it, granting on it, another schema's table of that name, a word in a string."""
    require_runnable(MigrationFile.of_text("0001_a.sql", sql))


def test_the_text() -> None:
    """Four parts; exit 4, for the file may not run as it is."""
    file = MigrationFile.of_text(
        "0001_a.sql", "DO $$\nBEGIN\n  UPDATE schema_migrations\n     SET checksum = '4111';\nEND $$;"
    )
    with pytest.raises(LedgerWriteError) as caught:
        require_runnable(file)
    assert str(caught.value) == (
        "error[ledger write]: 0001_a.sql:3:3: schema_migrations is the runner's own\n"
        "  expected  no statement that writes to the ledger\n"
        "  source      UPDATE schema_migrations\n"
        "              ^\n"
        "  help: take it out: `invoke ledger.accept` and `ledger.abandon` are the repairs there are; if another "
        "table of that name is meant, write its schema"
    )
    assert caught.value.exit_code == 4


def test_a_file_without_a_transaction_as_well() -> None:
    """Its statements are looked at too, before they are found not to belong there."""
    file = MigrationFile.of_text("0001_a.sql", "-- symphony:no_tx\nDROP TABLE public.schema_migrations;")
    with pytest.raises(LedgerWriteError):
        require_runnable(file)


def test_every_table_of_the_ledger_is_watched() -> None:
    """The names that are looked for in a text are those that the ledger is made of."""
    assert {f"public.{name}" for name in TABLES} == set(SHAPES)
