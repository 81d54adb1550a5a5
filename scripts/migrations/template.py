"""What a database with a folder of migrations is made of, for whoever keeps it as a template.

Owns: which settings of a run show in what the files leave behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.digest import sha256_hex
from scripts.migrations.apply import migrate
from scripts.migrations.folder.files import migrations_digest
from scripts.migrations.ledger.table import LEDGER_SQL
from scripts.server.clones.marks import Recipe
from scripts.server.readiness import connect

if TYPE_CHECKING:
    from scripts.migrations.folder.files import MigrationFile
    from scripts.settings import Settings


def recipe_of(files: tuple[MigrationFile, ...], settings: Settings) -> Recipe:
    """All of the files applied to an empty database, in order, as `migrate` does it.

    Args:
        files: as `read_files` gives them; the first ones of a folder, too.
        settings: the budgets, and who the files run as. Of them only the role and the trace show afterwards.
    """

    def build(dsn: str) -> None:
        with connect(dsn) as conn:
            migrate(conn, files, settings, report=lambda _: None)

    return Recipe(
        migrations=migrations_digest(files),
        ledger=sha256_hex(LEDGER_SQL.read_bytes()),
        build=build,
        options={"migrate_role": settings.migrate_role, "migrate_trace": settings.migrate_trace},
    )
