"""The project's own migrations, traced by the engine: the same catalog as untraced, and what 0026 and 0027 lock."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from make_zoo import strongest

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog
from scripts.migrations.apply import migrate
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import Databases, ScratchDatabase

    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.model import Applied

AX = "ACCESS EXCLUSIVE"


@pytest.fixture(scope="module")
def traced(databases: Databases, project_files: tuple[MigrationFile, ...]) -> tuple[Applied, str]:
    """All files, applied with the trace: what was applied, and the catalog's fingerprint."""
    return run(databases, project_files, trace=True)


def run(databases: Databases, files: tuple[MigrationFile, ...], *, trace: bool) -> tuple[Applied, str]:
    """Apply all files to a database of its own."""
    import psycopg

    with databases.empty() as made, psycopg.connect(made.dsn, autocommit=True) as conn:
        applied = migrate(conn, files, replace(Settings(), migrate_trace=trace), report=lambda _: None)
        return applied, fingerprint(read_catalog(conn))


def test_traced_or_not_the_catalog_is_the_same(
    databases: Databases, project_files: tuple[MigrationFile, ...], traced: tuple[Applied, str]
) -> None:
    """The fingerprint after all files does not depend on the trace; only the trace does."""
    plain, without = run(databases, project_files, trace=False)

    assert traced[1] == without
    assert all(file.trace is None for file in plain.files)


def test_every_statement_of_every_file_has_a_record(
    project_files: tuple[MigrationFile, ...], traced: tuple[Applied, str]
) -> None:
    """Nothing is left out, nothing is told twice, and only settings have no time of their own."""
    traces = {file.name: file.trace for file in traced[0].files}

    for file in project_files:
        trace = traces[file.name]
        assert trace is not None
        assert trace.complete
        indexes = [statement.index for statement in trace.statements]
        if file.no_tx:  # a statement whose work is found done is not sent
            assert indexes == sorted(set(indexes))
            continue
        assert indexes == list(range(len(file.statements)))
        assert [statement.line for statement in trace.statements] == [s.line for s in file.statements]
        untimed = {s.kind for s, t in zip(file.statements, trace.statements, strict=True) if t.duration_us is None}
        assert untimed <= {"VariableSetStmt"}


def test_the_delta_rewrites_nothing(traced: tuple[Applied, str]) -> None:
    """0026 rewrites no table and changes no row, and tells which tables it keeps from traffic, and for how long."""
    (trace,) = (file.trace for file in traced[0].files if file.name.startswith("0026"))

    assert trace is not None
    assert not any(statement.rewritten or statement.truncated or statement.built for statement in trace.statements)
    assert {statement.rows for statement in trace.statements} <= {None, 0}
    held = {lock.relation: lock.exclusive_held_us for lock in trace.held}
    assert {"public.tenants", "public.billable_clients", "public.external_proofs"} <= held.keys()
    assert all(0 < held_us < 60_000_000 for held_us in held.values())


def test_the_index_is_built_beside_traffic(traced: tuple[Applied, str]) -> None:
    """0027 takes nothing on its tables that stops reads or writes."""
    (trace,) = (file.trace for file in traced[0].files if file.name.startswith("0027"))

    assert trace is not None
    builds = [statement for statement in trace.statements if statement.effect == "index"]
    assert {name: mode for build in builds for name, mode in strongest(build).items()} == {
        "public.billable_clients": "SHARE UPDATE EXCLUSIVE",
        "public.external_proofs": "SHARE UPDATE EXCLUSIVE",
    }
    assert {build.source for build in builds} <= {"sampled", "documented"}


def test_record_is_stored_with_the_ledger_row(database: ScratchDatabase) -> None:
    """The history keeps each file's trace as JSON without a literal of the file."""
    stored = database.value("SELECT trace FROM public.schema_migrations_history WHERE version LIKE '0026%'")

    document = json.loads(stored)
    assert document["complete"] is True
    assert {lock["mode"] for s in document["statements"] for lock in s.get("locks", [])} >= {AX}
    assert "'" not in stored
