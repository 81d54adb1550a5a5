"""What could change or lose what the ledger records: refused by its line, told before COMMIT, or at the next start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from db.ledger.conftest import by_a_name_put_together, change, ledger_of, write

from scripts.errors.ledger import LedgerChainError
from scripts.errors.sql_text import LedgerWriteError
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase


def versions(database: ScratchDatabase) -> object:
    """What the ledger's table holds, whatever stands beside it."""
    return database.value("SELECT string_agg(version, ', ' ORDER BY version) FROM public.schema_migrations")


TRIGGER = (
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN IF NEW.version = ''0005_x.sql'' THEN {} END IF;"
    " RETURN NEW; END$f$; CREATE TRIGGER f BEFORE INSERT ON public.{} FOR EACH ROW EXECUTE FUNCTION f()"
)


@pytest.mark.parametrize(
    "planted",
    [
        "CREATE RULE r AS ON INSERT TO public.schema_@@ WHERE NEW.version = ''0005_x.sql'' DO INSTEAD NOTHING",
        TRIGGER.format("NEW.checksum := ''ab'';", "schema_@@"),
    ],
)
@pytest.mark.parametrize("marker", ["", "-- symphony:no_tx\n"])
def test_a_row_that_is_not_kept_is_told_before_commit(
    three: ScratchDatabase, migrations: MigrationFolder, planted: str, marker: str
) -> None:
    """A rule or a trigger on the ledger, made in the same run, cannot make a file that ran look as if it had not."""
    migrations.write("0004_p.sql", by_a_name_put_together(planted))
    statement = "VACUUM public.t1;" if marker else "CREATE TABLE public.t4 (a int);"
    migrations.write("0005_x.sql", marker + statement)
    with pytest.raises(LedgerChainError) as caught:
        three.apply(migrations.files())
    assert str(caught.value) == (
        "error[ledger chain]: public.schema_migrations: the row of 0005_x.sql was not kept as it was written\n"
        "  expected  a table without rules and triggers\n"
        "  found     a row that is changed, or none\n"
        "  help: nothing of this file is recorded; find out who put a rule or a trigger on the ledger, and drop it"
    )
    assert three.value("SELECT to_regclass('public.t4')") is None
    assert versions(three) == "0001_t.sql, 0002_t.sql, 0003_t.sql, 0004_p.sql"


@pytest.mark.parametrize("marker", ["", "-- symphony:no_tx\n"])
@pytest.mark.parametrize("trace", [True, False])
def test_a_record_that_is_swallowed_is_told_before_commit(
    three: ScratchDatabase, migrations: MigrationFolder, marker: str, *, trace: bool
) -> None:
    """A trigger on the history, made in the same run: the file is not committed without its record."""
    migrations.write("0004_p.sql", by_a_name_put_together(TRIGGER.format("RETURN NULL;", "schema_@@_history")))
    statement = "VACUUM public.t1;" if marker else "CREATE TABLE public.t4 (a int);"
    migrations.write("0005_x.sql", marker + statement)
    with pytest.raises(LedgerChainError) as caught:
        three.apply(migrations.files(), Settings(migrate_trace=trace))
    assert str(caught.value) == (
        "error[ledger chain]: public.schema_migrations_history: the record of 0005_x.sql was not kept\n"
        "  expected  a table without rules and triggers\n"
        "  found     no record\n"
        "  help: nothing of this file is recorded; find out who put a rule or a trigger on the history, and drop it"
    )
    assert three.value("SELECT to_regclass('public.t4')") is None
    assert versions(three) == "0001_t.sql, 0002_t.sql, 0003_t.sql, 0004_p.sql"


BESIDE = {
    "CREATE TRIGGER t BEFORE INSERT ON public.schema_migrations FOR EACH ROW EXECUTE FUNCTION public.t()": (
        "trigger t on schema_migrations"
    ),
    "CREATE TRIGGER t BEFORE UPDATE ON public.schema_migrations_journal EXECUTE FUNCTION public.t()": (
        "trigger t on schema_migrations_journal"
    ),
    'CREATE RULE "R" AS ON INSERT TO public.schema_migrations_history DO INSTEAD NOTHING': (
        'rule "R" on schema_migrations_history'
    ),
    "CREATE TABLE public.child () INHERITS (public.schema_migrations)": "child public.child of schema_migrations",
    "ALTER TABLE public.schema_migrations FORCE ROW LEVEL SECURITY, ENABLE ROW LEVEL SECURITY": (
        "row security forced on schema_migrations"
    ),
    "ALTER TABLE public.schema_migrations SET UNLOGGED": "schema_migrations is unlogged: a crash empties it",
    "ALTER TABLE public.schema_migrations_history ADD COLUMN updated_at timestamptz": (
        "schema_migrations_history has 14 columns instead of 13"
    ),
    "ALTER TABLE public.schema_migrations_journal DROP COLUMN done_at": (
        "schema_migrations_journal has 5 columns instead of 6"
    ),
}


@pytest.mark.parametrize("planted", sorted(BESIDE))
def test_what_stands_beside_the_ledger_is_told_before_anything_runs(
    three: ScratchDatabase, migrations: MigrationFolder, planted: str
) -> None:
    """Whoever put it there, a person or a loop over all tables; what only reads the ledger goes on reading it."""
    change(three, "CREATE FUNCTION public.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    change(three, planted)
    migrations.write("0004_x.sql", "CREATE TABLE public.t4 (a int);")
    with pytest.raises(LedgerChainError) as caught:
        three.apply(migrations.files())
    assert str(caught.value) == (
        "error[ledger chain]: public.schema_migrations: what stands beside the ledger can change or lose what is "
        "recorded\n"
        "  expected  three plain tables that nobody but the runner changes\n"
        f"  found     {BESIDE[planted]}\n"
        "  help: a file that walks over all tables may have made it: drop it, or SET LOGGED what is unlogged, and "
        "leave the ledger's three tables out where such things are made"
    )
    if "ROW LEVEL SECURITY" in planted:
        with pytest.raises(LedgerChainError, match="row security forced"):
            ledger_of(three)
    else:
        assert ledger_of(three).beside == BESIDE[planted]
    assert three.value("SELECT to_regclass('public.t4')") is None


def test_a_ledger_that_a_crash_emptied_is_not_taken_for_a_new_one(
    three: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """Without rows, too, it is told that it is unlogged, and no file runs a second time."""
    change(three, "ALTER TABLE public.schema_migrations SET UNLOGGED; TRUNCATE public.schema_migrations")
    change(
        three, "ALTER TABLE public.schema_migrations_history SET UNLOGGED; TRUNCATE public.schema_migrations_history"
    )
    with pytest.raises(LedgerChainError, match="schema_migrations is unlogged"):
        three.apply(migrations.files())


def test_what_harms_nothing_beside_the_ledger_is_left_alone(
    three: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """Grants to read, comments, statistics, an index, row security that its owner passes, a view, what comes after."""
    change(
        three,
        "GRANT SELECT ON public.schema_migrations TO PUBLIC; COMMENT ON TABLE public.schema_migrations IS 'x';"
        "CREATE INDEX ON public.schema_migrations (applied_at); CREATE VIEW public.v AS TABLE public.schema_migrations;"
        "ALTER TABLE public.schema_migrations ENABLE ROW LEVEL SECURITY; ANALYZE public.schema_migrations;"
        "CREATE FUNCTION public.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER t AFTER INSERT OR UPDATE ON public.schema_migrations EXECUTE FUNCTION public.t()",
    )
    write(migrations, 4)
    assert [file.name for file in three.apply(migrations.files()).files] == ["0004_t.sql"]


TAKES_AWAY = {
    "DROP SCHEMA public CASCADE; CREATE SCHEMA public;": "schema public",
    "ALTER SCHEMA public RENAME TO old; CREATE SCHEMA public;": "schema public renamed",
    "DROP OWNED BY current_user;": "all that the runner owns",
}


@pytest.mark.parametrize("text", sorted(TAKES_AWAY))
def test_a_file_that_takes_the_ledger_along_is_refused_by_its_line(
    three: ScratchDatabase, migrations: MigrationFolder, text: str
) -> None:
    """Before anything runs, in a DO block as well."""
    for name, body in (("0004_x.sql", f"SELECT 1;\n{text}"), ("0004_x.sql", f"DO $$ BEGIN\n{text} END $$;")):
        migrations.write(name, body)
        with pytest.raises(LedgerWriteError) as caught:
            three.apply(migrations.files())
        assert caught.value.where.startswith("0004_x.sql:2:")
        assert caught.value.what == "schema_migrations is the runner's own"


@pytest.mark.parametrize("trace", [True, False])
def test_a_file_that_took_the_ledger_along_is_told_as_that(
    three: ScratchDatabase, migrations: MigrationFolder, *, trace: bool
) -> None:
    """By names that were put together: all of it is rolled back."""
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    loop = f"FOR t IN {tables} LOOP EXECUTE format('DROP TABLE public.%I', t); END LOOP;"
    migrations.write("0004_x.sql", f"DO $$ DECLARE t name; BEGIN {loop} END $$;")
    with pytest.raises(LedgerChainError) as caught:
        three.apply(migrations.files(), Settings(migrate_trace=trace))
    assert str(caught.value) == (
        "error[ledger chain]: 0004_x.sql: the file took the ledger away\n"
        "  expected  public.schema_migrations and its history, as before the file\n"
        "  found     none\n"
        "  help: nothing of this file is recorded, and all of it is rolled back; leave schema public and the ledger's "
        "three tables where they are (DROP SCHEMA public, DROP OWNED and loops over all tables take them along)"
    )
    assert versions(three) == "0001_t.sql, 0002_t.sql, 0003_t.sql"


def test_a_run_that_puts_something_beside_the_ledger_ends_red(
    three: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """What it did is recorded; whoever ran it hears of it, and not the next one, who ran something else."""
    rule = "CREATE RULE r AS ON DELETE TO public.schema_@@ DO ALSO SELECT 1"
    migrations.write("0004_r.sql", by_a_name_put_together(rule))
    migrations.write("0005_t.sql", "CREATE TABLE public.t5 (a int);")
    with pytest.raises(LedgerChainError, match="rule r on schema_migrations"):
        three.apply(migrations.files())
    assert versions(three) == "0001_t.sql, 0002_t.sql, 0003_t.sql, 0004_r.sql, 0005_t.sql"
