"""A database to break, as the suite breaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.settings import Settings
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.mutants.ask import Bench
from scripts.verifiers.mutants.derive import derive_mutants
from scripts.verifiers.mutants.lanes import Lane
from scripts.verifiers.mutants.subject import read_subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_database import ScratchDatabase

    from scripts.migrations.folder.files import MigrationFile
    from scripts.server.clones.templates import Clone
    from scripts.verifiers.mutants.model import Mutant


@pytest.fixture
def mutants(database: ScratchDatabase) -> dict[str, Mutant]:
    """Every mutant of the migrated database, by name."""
    return {mutant.name: mutant for mutant in derive_mutants(read_subject(database.connect(), ROLES, list(TABLES)))}


@pytest.fixture
def breaker(database: ScratchDatabase, project_files: tuple[MigrationFile, ...]) -> Iterator[Bench]:
    """The bench on a database of this test's own."""
    made = Bench(database.connect_admin, database.connect, project_files)
    yield made
    made.close()


def lane_of(database: ScratchDatabase | Clone) -> Lane:
    """A lane on a database."""
    return Lane(database.admin_dsn, database.dsn, Settings().migrations_dir)
