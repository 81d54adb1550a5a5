"""`invoke plan --trace`: what pending files do, seen on a copy, while the database itself is only read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scripts.errors.base import ExitCode
from scripts.errors.migration import CopyError
from scripts.migrations.ledger.table import read_ledger
from scripts.run.commands import COMMANDS
from scripts.run.drift import drift
from scripts.run.plan_trace import plan_traced
from scripts.server.provision import OWNER
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigratedDatabase, MigrationFolder, ScratchDatabase
    from make_voices import Heard

    Existing = Callable[..., Settings]

FIRST = "CREATE TABLE public.big (id int PRIMARY KEY, x text);\n"
SECOND = """\
SET LOCAL lock_timeout = '1s';

ALTER TABLE public.big ADD COLUMN made uuid DEFAULT gen_random_uuid();
ALTER TABLE public.big ADD CONSTRAINT big_x_check CHECK (x <> '');
UPDATE public.big SET x = 'changed';
CREATE TABLE public.other (id int REFERENCES public.big);
"""
THIRD = "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY big_x_idx ON public.big (x);\n"
FOOTPRINT = """
SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
    SELECT format('%s %s %s', tableoid, oid, xmin) AS line FROM pg_class
    UNION ALL SELECT format('%s %s %s', tableoid, attrelid, xmin) FROM pg_attribute
    UNION ALL SELECT format('%s %s %s', tableoid, oid, xmin) FROM pg_authid
    UNION ALL SELECT format('%s %s %s', tableoid, version, xmin) FROM public.schema_migrations
    UNION ALL SELECT format('%s %s %s', tableoid, seq, xmin) FROM public.schema_migrations_history) AS rows"""


@pytest.fixture
def database(empty_database: ScratchDatabase, migrations: MigrationFolder) -> ScratchDatabase:
    """A table with a thousand rows, analysed; two more files wait."""
    migrations.write("0001_big.sql", FIRST)
    empty_database.apply(migrations.files())
    with empty_database.connect() as conn:
        conn.execute("INSERT INTO public.big SELECT n, 'row ' || n FROM pg_catalog.generate_series(1, 1000) AS n")
        conn.execute("ANALYZE public.big")
    migrations.write("0002_more.sql", SECOND)
    migrations.write("0003_index.sql", THIRD)
    return empty_database


def traced(value: dict[str, Any], name: str) -> dict[int, dict[str, Any]]:
    """A file's statements by line."""
    (file,) = [file for file in value["applied"] if file["name"] == name]
    return {statement["line"]: statement for statement in file["trace"]["statements"]}


def test_what_pending_files_lock_and_do(
    database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard
) -> None:
    """Rewrite, scan, second-table lock and build are seen; beside each stands the real table's size."""
    settings = existing(database, migrations.folder)
    before = database.value(FOOTPRINT)
    assert plan_traced(settings, heard.voice()) == ExitCode.PASSED
    lines = heard.text.splitlines()
    assert lines[0].startswith("0002_more.sql   in one transaction   ")
    rewrites = [line for line in lines if line.startswith("    rewrites   public.big   ~1,000 rows, ")]
    assert len(rewrites) == 1
    assert any(line.startswith("    scans      public.big") for line in lines)
    assert any(line.startswith("    locks      public.big   ACCESS EXCLUSIVE   ~1,000 rows, ") for line in lines)
    assert any(line.startswith("0003_index.sql   statement by statement   ") for line in lines)
    assert lines[-1].startswith("2 pending files applied after 1 recorded file to a throw-away copy on PostgreSQL 18.")
    assert lines[-1].endswith("sizes and counts are the database's own, where nothing of a file was run")
    # Nothing of it happened in the database: not a row of catalog, ledger or table has another version.
    assert database.value(FOOTPRINT) == before
    assert database.recorded() == ["0001_big.sql"]
    assert database.value("SELECT count(*) FROM public.big WHERE x = 'changed'") == 0


def test_json_holds_the_same(
    database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard
) -> None:
    """Statements by line with effect and strongest lock, and the sizes; no literal of a file."""
    assert plan_traced(existing(database, migrations.folder), heard.voice(json=True)) == ExitCode.PASSED
    value = json.loads(heard.text)
    second = traced(value, "0002_more.sql")
    assert (second[3]["effect"], second[3]["strongest"]) == ("rewrite", "ACCESS EXCLUSIVE")
    assert second[4]["effect"] == "scan"
    assert second[5]["rows"] == 0
    assert second[6]["locks"][0]["relation"] == "public.big"
    third = traced(value, "0003_index.sql")
    assert third[2]["kind"].startswith("CREATE INDEX")
    assert third[2]["strongest"] == "SHARE UPDATE EXCLUSIVE"
    sizes = {table["relation"]: table for table in value["tables"]}
    assert sizes["public.big"]["rows"] == "1000"
    assert value["recorded"] == 1
    assert "changed" not in heard.text


def test_nothing_pending_starts_no_server(
    database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard
) -> None:
    """One line; no copy is made to say it."""
    database.apply(migrations.files())
    assert plan_traced(existing(database, migrations.folder), heard.voice()) == ExitCode.PASSED
    assert heard.text == "nothing is pending; nothing was run"
    assert not any(line.startswith("copy ") for line in heard.progress)


def test_a_file_that_fails_fails_on_the_copy(
    database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard
) -> None:
    """Its place and SQLSTATE, exit 5; the database is as it was, and records nothing."""
    migrations.write("0004_bad.sql", "ALTER TABLE public.big\n  ADD COLUMN y nosuchtype;\n")
    before = database.value(FOOTPRINT)
    with pytest.raises(CopyError, match=r"0004_bad\.sql:2:\d+") as caught:
        plan_traced(existing(database, migrations.folder), heard.voice())
    assert caught.value.sqlstate == "42704"
    assert database.value(FOOTPRINT) == before


@pytest.mark.parametrize("recorded", [True, False])
def test_a_file_that_relies_on_a_role_of_the_server_is_told_to_fail_on_the_copy(
    empty_database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard, *, recorded: bool
) -> None:
    """Not in the database, where it may well be recorded; drift and plan say so alike."""
    role = f"reporting_{empty_database.value('SELECT oid FROM pg_database WHERE datname = current_database()')}"
    migrations.write("0001_t.sql", f"CREATE TABLE public.t (a int);\nGRANT SELECT ON public.t TO {role};")
    settings = existing(empty_database, migrations.folder)
    with empty_database.connect_admin() as admin:
        admin.execute(f"CREATE ROLE {role}".encode())
        try:
            if recorded:
                empty_database.apply(migrations.files())
            with pytest.raises(CopyError) as caught:
                (drift if recorded else plan_traced)(settings, heard.voice())
        finally:
            admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())
    text = str(caught.value)
    assert text.startswith("error[copy failed]: 0001_t.sql:2:1: on the throw-away copy: role ")
    told = "the file is recorded" if recorded else "the file is not applied"
    assert f"  in the database  {told}; nothing was changed there\n" in text
    assert "the copy is a server of its own, without the roles, tablespaces and databases of yours" in text
    assert "recorded 0 of 1" not in text


def test_a_file_that_may_not_run_is_refused_before_a_copy_is_made(
    database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard
) -> None:
    """As `plan` and `migrate` refuse it."""
    from scripts.errors.history import HistoryError

    migrations.write("0004_bad.sql", "CREATE INDEX CONCURRENTLY nope ON public.big (x);\n")
    with pytest.raises(HistoryError):
        plan_traced(existing(database, migrations.folder), heard.voice())
    assert not any(line.startswith("copy ") for line in heard.progress)


def test_tracing_is_on_whatever_is_set(
    database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard
) -> None:
    """MIGRATE_TRACE=0 is for `migrate`; a plan that is asked for a trace gives one."""
    from dataclasses import replace

    settings = replace(existing(database, migrations.folder), migrate_trace=False)
    plan_traced(settings, heard.voice(json=True))
    assert traced(json.loads(heard.text), "0002_more.sql")


def test_the_last_two_of_the_project(
    migrated_to: Callable[[int], MigratedDatabase], existing: Existing, heard: Heard
) -> None:
    """At 0025: 0026 and 0027 rewrite nothing and scan nothing; the ledger still ends at 0025."""
    database = migrated_to(25)
    before = database.value(FOOTPRINT)
    assert COMMANDS["plan"](existing(database), heard.voice(json=True), trace=True) == ExitCode.PASSED
    value = json.loads(heard.text)
    assert [file["name"][:4] for file in value["applied"]] == ["0026", "0027"]
    effects = [one["effect"] for file in value["applied"] for one in file["trace"]["statements"]]
    assert not {"rewrite", "scan", "truncate"} & set(effects)
    assert effects.count("index") >= 1
    assert database.value(FOOTPRINT) == before
    with database.connect() as conn:
        assert len(read_ledger(conn).rows) == 25


def test_a_fresh_run_traces_every_file(migrations: MigrationFolder, heard: Heard) -> None:
    """FRESH_DB=1: no database is there, so every file is pending and nothing has a size."""
    migrations.write("0001_big.sql", FIRST)
    settings = Settings(server="embedded", migrations_dir=migrations.folder)
    assert COMMANDS["plan"](settings, heard.voice(), trace=True) == ExitCode.PASSED
    assert heard.text.splitlines()[-1].endswith("nothing else was run")
    assert "a fresh database: FRESH_DB=0 with DATABASE_URL asks an existing one" in heard.progress


def test_plan_without_trace_is_as_it_was(migrations: MigrationFolder, heard: Heard) -> None:
    """The files alone, and no server."""
    migrations.write("0001_big.sql", FIRST)
    assert COMMANDS["plan"](Settings(migrations_dir=migrations.folder), heard.voice()) == ExitCode.PASSED
    assert heard.text.splitlines()[-1] == "1 file = 0 applied + 1 pending; nothing was run"
    assert not any(line.startswith(("copy ", "server ")) for line in heard.progress)


def test_the_migrating_role_is_made_on_the_copy(
    database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard
) -> None:
    """MIGRATE_ROLE names a role that no fresh server has: the copy gets one that is no superuser either."""
    from dataclasses import replace

    role = f"painter {database.name}"
    with database.connect_admin() as conn:
        conn.execute(f'CREATE ROLE "{role}" NOLOGIN'.encode())
        conn.execute(f'GRANT "{role}" TO {OWNER}; GRANT CREATE ON SCHEMA public TO "{role}"'.encode())
        for table in ("schema_migrations", "schema_migrations_history", "schema_migrations_journal", "big"):
            conn.execute(f'ALTER TABLE public.{table} OWNER TO "{role}"'.encode())
    settings = replace(existing(database, migrations.folder), migrate_role=role)
    assert plan_traced(settings, heard.voice(json=True)) == ExitCode.PASSED
    assert traced(json.loads(heard.text), "0002_more.sql")
