"""`invoke drift`: a database's catalog against what its recorded migrations make of it.

Owns: the choice of what a database is compared with; `invoke drift` and the gate baseline-drift both ask here.
Promises: a database that stands before the last migration is compared with that state, never with a later one; an
    existing database is only read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scripts.catalog.drift import find_drift
from scripts.catalog.golden import golden_name, read_golden
from scripts.catalog.read import read_catalog
from scripts.clock import utc_now
from scripts.errors.base import ExitCode
from scripts.errors.drift import NoGoldenCatalogError
from scripts.evidence.store import new_run_id
from scripts.migrations.folder.files import read_files
from scripts.migrations.plan import plan_migrations
from scripts.run.original import open_read_only, read_original

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scripts.catalog.drift import Drift
    from scripts.catalog.read import Catalog
    from scripts.migrations.folder.files import MigrationFile
    from scripts.run.original import Original, Recorded
    from scripts.run.voice import Voice
    from scripts.settings import Settings


@dataclass(frozen=True, slots=True)
class Expected:
    """What a database ought to be.

    origin: where the catalog is from, for people. version: of the server it was read from; empty for a golden file.
    """

    catalog: Catalog
    origin: str
    version: str = ""


def drift(settings: Settings, voice: Voice) -> int:
    """Compare, and tell every difference.

    Returns:
        0 when there is none, 1 when there is one.
    """
    from scripts.report.drift import drift_json, render_drift

    files = read_files(settings.migrations_dir)
    found = _of_fresh(settings, files, voice) if settings.fresh_db else _of_existing(settings, files, voice)
    voice.line(render_drift(found, color=voice.color))
    voice.value(drift_json(found))
    return int(ExitCode.FAILED if found.differences else ExitCode.PASSED)


def expected_catalog(
    settings: Settings,
    files: Sequence[MigrationFile],
    recorded: Recorded,
    *,
    report: Callable[[str], None],
) -> Expected:
    """What a database with this history ought to be.

    The golden catalog beside the folder when every file of the folder is recorded; else, and for a folder without one,
    the catalog of a throw-away copy on which the recorded files are applied.

    Args:
        settings: the folder, and which server a copy is made on.
        files: the whole folder.
        recorded: what the database records, and how its files run.
        report: told of the copy's server.

    Raises:
        HistoryError: files and ledger disagree, or the golden catalog is not one.
        ServerError: a copy is needed, and no server can be had.
        CopyError: a recorded file does not apply on the copy.
    """
    from scripts.run.rehearsal import open_rehearsal

    plan = plan_migrations(files, recorded.rows)
    count = f"{len(plan.applied)} of {len(files)} files recorded"
    golden = None if plan.pending else read_golden(settings.migrations_dir)
    if golden is not None:
        return Expected(golden, f"{golden_name(settings.migrations_dir)}, {count}")
    # Its list of sums has been held against the whole folder already; the copy takes the recorded files as they are.
    with open_rehearsal(
        settings, plan.applied, ledger=recorded.has_ledger, superuser=recorded.superuser, report=report
    ) as copy:
        catalog = read_catalog(copy.conn)
    return Expected(catalog, f"a throw-away copy, {count}", copy.version)


def require_golden(folder: Path) -> Catalog:
    """The golden catalog of a folder whose files were all applied to a fresh database.

    Raises:
        NoGoldenCatalogError: there is none; a copy would be compared with itself.
        GoldenCatalogError: it is not a golden catalog.
    """
    golden = read_golden(folder)
    if golden is None:
        raise NoGoldenCatalogError.foreign(golden_name(folder))
    return golden


def _of_existing(settings: Settings, files: Sequence[MigrationFile], voice: Voice) -> Drift:
    from scripts.server.open import open_server

    with (
        open_server(settings, run_id=new_run_id(utc_now()), report=voice.say) as server,
        open_read_only(server.dsn, settings) as conn,
    ):
        original = read_original(conn, server.dsn)
    expected = expected_catalog(settings, files, original.recorded, report=voice.say)
    found = find_drift(
        expected.catalog,
        original.catalog,
        expected_origin=expected.origin,
        found_origin=f"{original.address}, PostgreSQL {original.version}",
    )
    return replace(found, notes=(*found.notes, *_notes(original, expected)))


def _of_fresh(settings: Settings, files: Sequence[MigrationFile], voice: Voice) -> Drift:
    """A fresh database with every file applied, against the golden catalog: whether the two still belong together."""
    from scripts.migrations.apply import migrate
    from scripts.server.open import open_server
    from scripts.server.readiness import connect

    golden = require_golden(settings.migrations_dir)
    with (
        open_server(settings, run_id=new_run_id(utc_now()), report=voice.say) as server,
        connect(server.dsn) as conn,
    ):
        migrate(conn, files, replace(settings, migrate_trace=False), report=voice.say)
        catalog = read_catalog(conn)
    return find_drift(
        golden,
        catalog,
        expected_origin=golden_name(settings.migrations_dir),
        found_origin=f"a fresh database on PostgreSQL {server.version} with {len(files)} files applied",
    )


def _notes(original: Original, expected: Expected) -> tuple[str, ...]:
    notes = [] if original.recorded.has_ledger else ["the database has no ledger: no file is recorded in it"]
    if expected.version.partition(".")[0] not in ("", original.version.partition(".")[0]):
        notes.append(f"the copy is on PostgreSQL {expected.version}: another version may word a definition differently")
    return tuple(notes)
