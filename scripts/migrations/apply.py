"""Bring a database up to the files: lock, ledger, plan, then every pending file, in order.

Owns: the order of those steps.
Promises: everything that can be refused is refused before the first file runs; what is recorded is complete; the run
stops at the first failure and says what was recorded before it.
Never: decides what is pending (plan.py); repairs history (ledger/repair.py does, when it is asked to).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.errors.migration import InvalidIndexError, MigrationError
from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.folder.marker import MARKER
from scripts.migrations.folder.runnable import FolderCheck
from scripts.migrations.ledger import journal
from scripts.migrations.ledger.records import Writer
from scripts.migrations.ledger.repair import bring_up, who
from scripts.migrations.ledger.table import (
    ABSENT,
    LEFT_PLAIN,
    OWN_PATH,
    Ledger,
    make_ledger,
    read_ledger,
    require_left_plain,
    require_plain,
)
from scripts.migrations.model import Applied, Run
from scripts.migrations.no_tx.apply import apply_no_tx
from scripts.migrations.no_tx.indexes import state
from scripts.migrations.no_tx.indexes.invalid import ANY_INVALID, invalid_indexes
from scripts.migrations.plan import plan_migrations
from scripts.migrations.session.baseline import open_session
from scripts.migrations.session.lock import Tried, let_go, runner_lock, still_held_sql, try_lock_sql
from scripts.migrations.session.role import WHO, CameAs, acting_as
from scripts.migrations.session.stored import Stored, may_store
from scripts.migrations.told.failure import between_files
from scripts.migrations.transactional import apply_transactional
from scripts.migrations.waiting.observer import Observer
from scripts.server.readiness import ASK_SETTINGS, EVEN, require_own_catalog, setting_sql, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import psycopg
    from psycopg.pq.abc import PGresult

    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.ledger.journal import JournalEntry
    from scripts.migrations.model import AppliedFile
    from scripts.migrations.plan import Plan
    from scripts.migrations.trace.tracer import Tracer
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
        settings: the budgets for locks, statements and builds; the role; whether to trace.
        report: told one line of progress at a time.

    Returns:
        What was applied; nothing when nothing was pending.

    Raises:
        HistoryError: files and ledger disagree, the ledger was changed by hand, or a pending file may not run; nothing
            was applied.
        MigrationError: a file failed, or an index is not valid; `.applied` says what was recorded before.
        SessionSettingError: the login's search_path or triggers would make the files, or the runner, do something else.
    """
    if not conn.autocommit:
        msg = "migrate() takes a connection in autocommit: an open transaction would hold the ledger back"
        raise RuntimeError(msg)
    import psycopg

    try:
        with (
            _begun(conn, settings, report) as begun,
            Observer(conn, backend_pid=begun.backend_pid, lock_timeout_ms=settings.lock_timeout_ms) as observer,
            acting_as(conn, settings.migrate_role),
        ):
            ledger = Ledger(is_there=False) if begun.no_ledger else require_plain(read_ledger(conn))
            plan = plan_migrations(files, ledger.rows)
            check = FolderCheck(plan.pending)
            if ledger.is_there:  # else they are checked while the server makes it
                check.finish()
            if plan.pending or (ledger.rows and ledger.head is None):
                applied = _apply_plan(
                    conn, plan, ledger, settings, report=report, observer=observer, begun=begun, check=check
                )
            else:
                applied = _nothing_yet(plan, ledger)
                _require_valid_indexes(conn, applied, None)
    except psycopg.Error as exc:
        # Files turn their own errors into texts; this is the lock, the ledger or the sweep.
        raise between_files(exc, conn) from None
    return applied


def _apply_plan(  # noqa: PLR0913 - what a run is made of
    conn: psycopg.Connection[Any],
    plan: Plan,
    ledger: Ledger,
    settings: Settings,
    *,
    report: Callable[[str], None],
    observer: Observer,
    begun: _Begun,
    check: FolderCheck,
) -> Applied:
    applied = _nothing_yet(plan, ledger)
    came_as = begun.came_as._replace(role=settings.migrate_role or begun.came_as.role)
    with (
        open_session(
            conn,
            settings,
            report=report,
            settled=begun.settled,
            came_as=came_as,
            read_back=settings.migrate_trace,  # a trace is recorded with it
            spare=check.piece,
        ) as session,
        _traced(conn, plan, settings) as tracer,
    ):
        writer = Writer(conn, held=still_held_sql())
        alone = any(MARKER.encode() in file.data for file in plan.pending)
        more = (journal.PREPARATION, state.PREPARATION) if alone else ()
        prepare = OWN_PATH + b";\n".join((writer.preparation, *more))
        noted: dict[str, dict[int, JournalEntry]] = {}
        if ledger.is_there:
            head = bring_up(conn, ledger, plan.applied, recorded_by=who(session), report=report)
            noted = _noted(conn, plan) if ledger.head else {}
            try:
                execute_batch(conn, prepare)
            except BatchError as exc:
                raise exc.error from None
        else:
            head = make_ledger(conn, then=prepare, check=check, meanwhile=lambda: _digest(plan))
        run = Run(
            conn,
            session,
            settings,
            report,
            observer,
            tracer=tracer,
            recorded_by=who(session),
            writer=writer,
            head=head,
            journal=noted,
        )
        # Where another runner may have been at work since this session began, it has stored something perhaps.
        stored = Stored.now(conn) if ledger.is_there else None
        if stored is not None and stored.values:
            # What this login may not set itself, the session has had from its beginning.
            session.follow(conn, stored.as_new_sessions(), lambda _: None)
        # One list for the whole run: a new tuple for every file would be the square of their number.
        files: list[AppliedFile] = []
        applied = replace(applied, files=files, head=head)
        try:
            for file, run.following in zip_longest(plan.pending, plan.pending[1:]):
                stores = may_store(file.data)
                if stores and stored is None:
                    run.catch_up()
                    stored = Stored.now(conn)
                done = _applied(run, file, applied)
                files.append(done)
                run.later = partial(_say_applied, file, done, report)
                moved = stored.moved(conn, file, report) if stores and stored is not None else None
                if moved is not None:
                    session.follow(conn, moved, report)
                    run.ahead = None  # made for the baseline that was
        finally:
            run.catch_up()
        applied = replace(applied, files=tuple(files), head=run.head)
        session.parting = (ANY_INVALID, LEFT_PLAIN)
    invalid, plain = session.parted
    _require_valid_indexes(conn, applied, invalid)
    if applied.files:
        require_left_plain(conn, plain)
    return applied


class _Begun(NamedTuple):
    """What a run begins with.

    settled: the settings of `settle`, as they are now. came_as: who the connection was handed over as. backend_pid: of
    the session that holds the runner lock. no_ledger: whether there surely is none.
    """

    settled: Mapping[str, str]
    came_as: CameAs
    backend_pid: int
    no_ledger: bool


@contextmanager
def _begun(conn: psycopg.Connection[Any], settings: Settings, report: Callable[[str], None]) -> Iterator[_Begun]:
    """Settings to rely on, for a connection from anywhere, and the runner lock; both are given back at the end."""
    # Whoever holds the ledger is not waited for without end.
    settled = EVEN | {"lock_timeout": f"{settings.lock_timeout_ms}ms"}
    # One message, and two transactions (ABSENT says why).
    first = (b"BEGIN", ASK_SETTINGS, setting_sql(conn, settled), WHO, try_lock_sql(conn), b"COMMIT")
    try:
        results = execute_batch(conn, b"; ".join((*first, ABSENT)))
    except BatchError as exc:
        let_go(conn, last=b"".join(_putting_back(conn, settings_of(asked), settled) for asked in exc.results[1:2]))
        raise exc.error from None
    _, asked, *_, who, answer, _, absent = results
    came_with, tried = settings_of(asked), Tried.of(answer)
    last = _putting_back(conn, came_with, settled)
    with runner_lock(conn, settings, report=report, tried=tried, last=last) as backend_pid:
        require_own_catalog(came_with["search_path"])
        no_ledger = tried.locked and absent.get_value(0, 0) == b"t"
        yield _Begun(settled, CameAs.of(who), backend_pid, no_ledger)


def _putting_back(conn: psycopg.Connection[Any], came_with: Mapping[str, str], settled: Mapping[str, str]) -> bytes:
    """SQL for the settings that the connection came with, where they are others."""
    return setting_sql(conn, {name: value for name, value in came_with.items() if value != settled[name]})


def _nothing_yet(plan: Plan, ledger: Ledger) -> Applied:
    applied, pending = len(plan.applied), len(plan.pending)
    return Applied((), before=applied, total=applied + pending, head=ledger.head)


def _noted(conn: psycopg.Connection[Any], plan: Plan) -> dict[str, dict[int, JournalEntry]]:
    pending = [file.name for file in plan.pending if file.no_tx]
    return journal.read_journal(conn, pending) if pending else {}


def _applied(run: Run, file: MigrationFile, applied: Applied) -> AppliedFile:
    try:
        return (apply_no_tx if file.no_tx else apply_transactional)(run, file, applied)
    except MigrationError as error:
        error.applied = replace(applied, files=tuple(applied.files), head=run.head)
        raise


def _say_applied(file: MigrationFile, done: AppliedFile, report: Callable[[str], None]) -> None:
    file.release()
    report(f"applied {file.name}   {done.duration_ms} ms")


def _digest(plan: Plan) -> None:
    """What the first record needs."""
    _ = plan.pending[0].statements_digest


@contextmanager
def _traced(conn: psycopg.Connection[Any], plan: Plan, settings: Settings) -> Iterator[Tracer | None]:
    if not settings.migrate_trace:
        yield None
        return
    from scripts.migrations.trace.tracer import Tracer

    tracer = Tracer(conn, plan.pending)
    try:
        yield tracer
    finally:
        tracer.close(removes=False)  # open_session drops all that is prepared


def _require_valid_indexes(conn: psycopg.Connection[Any], applied: Applied, answer: PGresult | None) -> None:
    left = invalid_indexes(conn, answer)
    if left:
        error = InvalidIndexError.left(left)
        error.applied = applied
        raise error
