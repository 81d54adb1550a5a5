"""Bring a database up to the files: lock, ledger, plan, then every pending file, in order.

Owns: the order of those steps.
Promises: everything that can be refused is refused before the first file runs; what is recorded is complete; the run
stops at the first failure and says what was recorded before it.
Never: decides what is pending (plan.py); repairs history (nobody does).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scripts.errors.migration import InvalidIndexError, MigrationError
from scripts.migrations.failure import between_files
from scripts.migrations.indexes import invalid_indexes
from scripts.migrations.ledger import read_ledger, require_ledger
from scripts.migrations.lock import runner_lock
from scripts.migrations.model import Applied, Run
from scripts.migrations.no_tx import apply_no_tx
from scripts.migrations.plan import plan_migrations
from scripts.migrations.runnable import require_runnable
from scripts.migrations.session import open_session
from scripts.migrations.transactional import apply_transactional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg

    from scripts.migrations.files import MigrationFile
    from scripts.migrations.plan import Plan
    from scripts.settings import Settings


def migrate(
    conn: psycopg.Connection[Any],
    files: Sequence[MigrationFile],
    settings: Settings,
    *,
    report: Callable[[str], None],
) -> Applied:
    """Apply what is pending.

    Args:
        conn: in autocommit, outside a transaction; the engine's alone until it returns.
        files: the whole folder, as `read_files` or `read_migrations` gives it.
        settings: the budgets for locks, statements and builds.
        report: told one line of progress at a time.

    Returns:
        What was applied; nothing when nothing was pending.

    Raises:
        HistoryError: files and ledger disagree, or a pending file may not run; nothing was applied.
        MigrationError: a file failed, or an index is not valid; `.applied` says what was recorded before.
    """
    if not conn.autocommit:
        msg = "migrate() takes a connection in autocommit: an open transaction would hold the ledger back"
        raise RuntimeError(msg)
    import psycopg

    try:
        with runner_lock(conn, timeout_ms=settings.runner_lock_timeout_ms, report=report):
            plan = plan_migrations(files, read_ledger(conn))
            for file in plan.pending:
                require_runnable(file)
            applied = Applied((), before=len(plan.applied), total=len(files))
            if plan.pending:
                applied = _apply_plan(conn, plan, settings, applied, report)
            _require_valid_indexes(conn, applied)
    except psycopg.Error as exc:
        # Files turn their own errors into texts; this is the lock, the ledger or the sweep.
        raise between_files(exc, conn) from None
    return applied


def _apply_plan(
    conn: psycopg.Connection[Any],
    plan: Plan,
    settings: Settings,
    applied: Applied,
    report: Callable[[str], None],
) -> Applied:
    with open_session(conn, settings) as session:
        require_ledger(conn)
        run = Run(conn, session, settings, report)
        for file in plan.pending:
            apply_file = apply_no_tx if file.no_tx else apply_transactional
            try:
                done = apply_file(run, file, applied)
            except MigrationError as error:
                error.applied = applied
                raise
            applied = replace(applied, files=(*applied.files, done))
            report(f"applied {file.name}   {done.duration_ms} ms")
    return applied


def _require_valid_indexes(conn: psycopg.Connection[Any], applied: Applied) -> None:
    left = invalid_indexes(conn)
    if left:
        error = InvalidIndexError.left(left)
        error.applied = applied
        raise error
