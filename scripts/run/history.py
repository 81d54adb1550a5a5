"""The verbs around a database's history: migrate, status, plan, and the two files that are made from it.

Owns: which server each of them works on.
Never: plans or applies anything itself (scripts/migrations does).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scripts.clock import utc_now
from scripts.errors.base import ExitCode
from scripts.evidence.store import new_run_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from scripts.migrations.ledger.table import LedgerRow
    from scripts.run.voice import Voice
    from scripts.settings import Settings


_FRESH = "a fresh database: FRESH_DB=0 with DATABASE_URL asks an existing one"


def migrate_database(settings: Settings, voice: Voice) -> int:
    """Apply what is pending; on a fresh server too, where it shows that the files apply."""
    import json

    from scripts.migrations.apply import migrate
    from scripts.migrations.folder.files import read_files
    from scripts.report.history import NO_SUMS

    files = read_files(settings.migrations_dir)
    if not all(file.listed for file in files):
        voice.say(NO_SUMS)
    with connected(settings, voice) as conn:
        applied = migrate(conn, files, settings, report=voice.say)
    voice.line(f"{applied.total} files = {applied.before} applied before + {len(applied.files)} applied now")
    voice.value(json.dumps(applied.as_json(), indent=2))
    return int(ExitCode.PASSED)


def status(settings: Settings, voice: Voice) -> int:
    """What is applied, what is pending, and what is half done."""
    from scripts.migrations.folder.files import read_files
    from scripts.migrations.ledger.journal import read_half_done
    from scripts.migrations.ledger.table import read_ledger, require_plain
    from scripts.migrations.plan import plan_migrations
    from scripts.report.history import render_status, status_json

    files = read_files(settings.migrations_dir)
    rows: tuple[LedgerRow, ...] = ()
    half_done: dict[str, tuple[int, int]] = {}
    if settings.fresh_db:
        voice.say(_FRESH)
    else:
        with connected(settings, voice) as conn:
            rows, half_done = require_plain(read_ledger(conn)).rows, read_half_done(conn)
    found = plan_migrations(files, rows)
    voice.line(render_status(found, rows, half_done))
    voice.value(status_json(found, rows, half_done))
    return int(ExitCode.PASSED)


def plan(settings: Settings, voice: Voice) -> int:
    """What `migrate` would run, checked as it would be; nothing is run."""
    from scripts.migrations.folder.budgets import lifted_budgets
    from scripts.migrations.folder.files import read_files
    from scripts.migrations.folder.runnable import require_runnable
    from scripts.migrations.plan import plan_migrations
    from scripts.report.history import plan_json, render_plan

    files = read_files(settings.migrations_dir)
    rows = _recorded(settings, voice)
    found = plan_migrations(files, rows)
    for file in found.pending:
        require_runnable(file)
        for note in lifted_budgets(file):
            voice.say(note)
    voice.line(render_plan(found))
    voice.value(plan_json(found))
    return int(ExitCode.PASSED)


def update_catalog(settings: Settings, voice: Voice) -> int:
    """Rewrite the golden catalog from a fresh database with every migration applied."""
    from dataclasses import replace

    from scripts.catalog.golden import golden_name, write_golden
    from scripts.catalog.read import read_catalog
    from scripts.migrations.apply import migrate
    from scripts.migrations.folder.files import read_migrations

    files = read_migrations(settings.migrations_dir)
    # Never from an existing database: what is reviewed is what the files make.
    with connected(replace(settings, fresh_db=True), voice) as conn:
        migrate(conn, files, settings, report=voice.say)
        changed = write_golden(settings.migrations_dir, read_catalog(conn))
    name = golden_name(settings.migrations_dir)
    voice.line(f"{name} {'rewritten: review the difference' if changed else 'is current'}")
    return int(ExitCode.PASSED)


def update_sums(settings: Settings, voice: Voice) -> int:
    """List the sums of files that are not listed yet; a listed file keeps its sum."""
    from scripts.migrations.folder.files import read_checksums
    from scripts.migrations.folder.sums import add_new_sums

    added = add_new_sums(settings.migrations_dir, read_checksums(settings.migrations_dir))
    for name in added:
        voice.line(f"added {name}")
    voice.line(f"{len(added)} added")
    return int(ExitCode.PASSED)


def _recorded(settings: Settings, voice: Voice) -> tuple[LedgerRow, ...]:
    from scripts.migrations.ledger.table import read_ledger, require_plain

    if settings.fresh_db:
        # A database that does not exist yet has no history; nothing needs to be started to say so.
        voice.say(_FRESH)
        return ()
    with connected(settings, voice) as conn:
        return require_plain(read_ledger(conn)).rows


@contextmanager
def connected(settings: Settings, voice: Voice) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the run's database, as the role that migrates."""
    from scripts.migrations.session.role import acting_as
    from scripts.server.open import open_server
    from scripts.server.readiness import EVEN, connect, settle

    with (
        open_server(settings, run_id=new_run_id(utc_now()), report=voice.say) as server,
        connect(server.dsn) as conn,
        acting_as(conn, settings.migrate_role),
    ):
        # Whoever holds the ledger is not waited for without end.
        settle(conn, EVEN | {"lock_timeout": f"{settings.lock_timeout_ms}ms"})
        yield conn
