"""`invoke plan --trace`: what the pending files would lock, rewrite, scan and build, tried on a throw-away copy.

Owns: the order: look at the database (read only), make the copy, apply the pending files there with every statement
    traced, count in the database (read only) the rows that violate what the files add, tell.
Promises: nothing of a file is run in the database itself, whatever the files hold; what a constraint says is asked
    there when it is made of PostgreSQL's own immutable functions alone (catalog/violators.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scripts.catalog.sizes import read_sizes
from scripts.catalog.violators import count_violators, read_constraints
from scripts.clock import utc_now
from scripts.errors.base import ExitCode
from scripts.errors.migration import CopyError, MigrationFailedError
from scripts.evidence.store import new_run_id
from scripts.migrations.apply import migrate
from scripts.migrations.folder.files import read_files
from scripts.migrations.folder.runnable import require_runnable
from scripts.migrations.model import Applied
from scripts.migrations.plan import plan_migrations
from scripts.report.trace import Foreseen, render_trace, trace_json
from scripts.run.original import Recorded, open_read_only, read_original
from scripts.run.rehearsal import open_rehearsal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.catalog.sizes import TableSize
    from scripts.catalog.violators import Added, Violators
    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.plan import Plan
    from scripts.run.voice import Voice
    from scripts.settings import Settings


def plan_traced(settings: Settings, voice: Voice) -> int:
    """Trace what `migrate` would run.

    Returns:
        0; a file that fails on the copy is a CopyError.
    """
    files = read_files(settings.migrations_dir)
    seen = _looked_at(settings, files, voice)
    plan, sizes = seen.plan, seen.sizes
    for file in plan.pending:
        require_runnable(file)
    if not plan.pending:
        # No server is started to say so.
        _tell(Foreseen(Applied((), before=len(plan.applied), total=len(files)), "", len(plan.applied), sizes), voice)
        return int(ExitCode.PASSED)
    with open_rehearsal(
        settings,
        plan.applied,
        ledger=seen.recorded.has_ledger,
        superuser=seen.recorded.superuser,
        report=voice.say,
        keep=settings.keep_db,
    ) as copy:
        known = {constraint.oid for constraint in read_constraints(copy.conn)}
        traced = replace(copy.settings, migrate_trace=True)
        try:
            applied = migrate(copy.conn, files, traced, report=lambda line: voice.say(f"copy     {line}"))
        except MigrationFailedError as exc:
            raise CopyError.of(exc, recorded=False) from None
        name = f"a throw-away copy on PostgreSQL {copy.version}"
        added = read_constraints(copy.conn, known)
    violators = _count(settings, added, voice)
    _tell(Foreseen(applied, name, recorded=len(plan.applied), sizes=sizes, violators=violators), voice)
    return int(ExitCode.PASSED)


def _tell(foreseen: Foreseen, voice: Voice) -> None:
    voice.line(render_trace(foreseen, color=voice.color))
    voice.value(trace_json(foreseen))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is to be known of the database: the plan for it, what it records, the sizes of its tables."""

    plan: Plan
    recorded: Recorded
    sizes: tuple[TableSize, ...] = ()


def _looked_at(settings: Settings, files: Sequence[MigrationFile], voice: Voice) -> _Seen:
    """Look at the database, reading only; a fresh one holds nothing."""
    from scripts.server.open import open_server

    if settings.fresh_db:
        voice.say("a fresh database: FRESH_DB=0 with DATABASE_URL asks an existing one")
        return _Seen(plan_migrations(files, ()), Recorded())
    with (
        open_server(settings, run_id=new_run_id(utc_now()), report=voice.say) as server,
        open_read_only(server.dsn, settings) as conn,
    ):
        original = read_original(conn, server.dsn)
        sizes = read_sizes(conn)
    return _Seen(plan_migrations(files, original.recorded.rows), original.recorded, sizes)


def _count(settings: Settings, added: Sequence[Added], voice: Voice) -> tuple[Violators, ...]:
    from scripts.server.open import open_server

    if settings.fresh_db or not added:
        return ()
    with (
        open_server(settings, run_id=new_run_id(utc_now()), report=voice.say) as server,
        open_read_only(server.dsn, settings) as conn,
    ):
        return count_violators(conn, added)
