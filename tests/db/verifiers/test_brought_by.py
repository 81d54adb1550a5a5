"""What each migration brings: the registry says it, and a database migrated file by file shows it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
from db.verifiers.conftest import Bench

from scripts.migrations.apply import migrate
from scripts.server.embedded.origin import open_embedded
from scripts.settings import Settings
from scripts.verifiers.model import Database
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.registry.brought import BROUGHT_BY
from scripts.verifiers.registry.tasks import TIGHTENED, TIGHTENING, TIGHTENING_MIGRATIONS
from scripts.verifiers.run import verify_invariant

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigratedDatabase

    from scripts.migrations.folder.files import MigrationFile


def test_what_0026_and_0027_bring_is_red_before_them(
    migrated_to: Callable[[int], MigratedDatabase], project_files: tuple[MigrationFile, ...]
) -> None:
    """AC4: at 0025 exactly the invariants that the last two files bring are red, all by the name of their task."""
    results = Bench(migrated_to(25), project_files).settle()
    red = {name for name, result in results.items() if not result.passed}

    assert not [name for name, result in results.items() if result.error]
    assert red == {name for name, numbers in BROUGHT_BY.items() if set(numbers) & set(TIGHTENING_MIGRATIONS)}
    invariants = {one.id: one for one in INVARIANTS}
    assert {invariants[name].origin_task_id for name in red} == {TIGHTENING}
    assert {invariants[name].failure_signature.rpartition(".")[0] for name in red} == {TIGHTENED}
    assert not [one.id for one in INVARIANTS if one.id not in red and one.origin_task_id == TIGHTENING]
    assert invariants["business-foundation-hooks"].failure_signature == (
        "P0.BIZ.HOOKS.DELTA_TIGHTENING.NEW_ROW_ENFORCEMENT_MISSING"
    )
    missing = {check.id for check in results["business-foundation-hooks"].failures}
    assert {
        "tenants_billable_client_required_new_rows_chk",
        "ux_billable_clients_client_key",
        "trg_set_corr_id_payment_outbox_pending",
        "tenant_without_payer",
    } <= missing


def test_each_migration_brings_what_the_registry_says(project_files: tuple[MigrationFile, ...]) -> None:
    """On a server of its own, file by file: a migration brings an invariant when some check stops failing with it."""
    seen: dict[str, list[int]] = {one.id: [] for one in INVARIANTS}
    before: dict[str, set[str]] = {}
    # Roles belong to the whole server: on the session's they are there before 0003.
    with open_embedded(Settings(server="embedded"), reason="what each migration brings") as server:
        for number in range(len(project_files) + 1):
            with psycopg.connect(server.dsn, autocommit=True) as conn:
                if number:
                    migrate(conn, project_files[:number], Settings(), report=lambda _: None)
                with closing(Database(conn, lambda: psycopg.connect(server.dsn, autocommit=True), project_files)) as at:
                    results = {one.id: verify_invariant(one, at) for one in INVARIANTS}
            failing = {
                name: {check.id for check in result.failures} | ({"error"} if result.error else set())
                for name, result in results.items()
            }
            for name, checks in failing.items():
                if before and before[name] - checks:
                    seen[name].append(number)
            before = failing

    assert {name: checks for name, checks in before.items() if checks} == {}
    table = "".join(f'    "{name}": {tuple(numbers)},\n' for name, numbers in seen.items())
    assert {name: tuple(numbers) for name, numbers in seen.items()} == BROUGHT_BY, f"brought.py has to say\n{table}"
