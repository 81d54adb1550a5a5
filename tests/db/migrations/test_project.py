"""The project's own migrations, applied by a role that is no superuser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.catalog.compare import compare_catalogs
from scripts.catalog.read import read_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigratedDatabase, ScratchDatabase

    from scripts.migrations.folder.files import MigrationFile


def test_all_of_them_in_one_run(empty_database: ScratchDatabase, project_files: tuple[MigrationFile, ...]) -> None:
    """27 files, four of them without a transaction, every one listed in the sums; a second run has nothing to do."""
    done = empty_database.apply(project_files)
    assert [file.name for file in done.files] == [file.name for file in project_files]
    assert [file.name[:4] for file in done.files if file.no_tx] == ["0013", "0018", "0021", "0027"]
    assert all(file.listed for file in project_files)
    assert empty_database.apply(project_files).files == ()


def test_in_steps_it_is_the_same_schema(
    empty_database: ScratchDatabase,
    migrated_to: Callable[[int], MigratedDatabase],
    project_files: tuple[MigrationFile, ...],
) -> None:
    """Stopped at 0012 and at 0025 and continued from a clone: object by object what one run gives."""
    empty_database.apply(project_files)
    stepwise = migrated_to(12)
    stepwise.migrate(25)
    assert len(stepwise.recorded()) == 25
    stepwise.migrate()
    with empty_database.connect() as one, stepwise.connect() as other:
        assert compare_catalogs(read_catalog(one), read_catalog(other)) == ()


def test_a_clone_is_the_template(database: ScratchDatabase, project_files: tuple[MigrationFile, ...]) -> None:
    """The fixture's database is complete, and a role other than the owner can be tried on it."""
    assert database.recorded() == [file.name for file in project_files]
    with database.connect("symphony_executor") as conn:
        row = conn.execute("SELECT current_user::text").fetchone()
    assert row == ("symphony_executor",)
