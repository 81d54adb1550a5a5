"""What is done to the ledger beside recording a file that ran: adopt an older one, accept other bytes, give a file up.

Owns: those three, each an appended record.
Promises: nothing recorded is ever changed; each record says who, when, what was before, what is now, and why.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scripts.errors.ledger import RepairRefusedError
from scripts.migrations.ledger.chain import Entry, Head, Record
from scripts.migrations.ledger.journal import clear_journal, journal_digest, read_journal
from scripts.migrations.ledger.records import append
from scripts.migrations.ledger.table import read_ledger, require_ledger, require_plain
from scripts.migrations.session.baseline import open_session
from scripts.migrations.session.lock import runner_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg

    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.ledger.table import Ledger
    from scripts.migrations.session.baseline import Session
    from scripts.settings import Settings

REASON_SHORTEST = 10


def who(session: Session) -> str:
    """Who writes to the ledger: the login, and the role it became."""
    return session.login if session.login == session.role else f"{session.login} as {session.role}"


def bring_up(
    conn: psycopg.Connection[Any],
    ledger: Ledger,
    applied: Sequence[MigrationFile],
    *,
    recorded_by: str,
    report: Callable[[str], None],
) -> Head:
    """Give an older ledger's rows a history, and make the tables for it.

    Args:
        conn: in autocommit; its session holds the runner lock.
        ledger: as it was read.
        applied: the files of its rows, whose bytes are those that were recorded.
        recorded_by: who migrates.
        report: told when rows are adopted.

    Returns:
        Where the history ends.
    """
    if ledger.head is not None:
        return ledger.head
    entries = [
        Entry(
            "adopted",
            file.name,
            file.checksum,
            recorded_by=recorded_by,
            statements_digest=file.statements_digest,
            reason="recorded by a runner that kept no history",
        )
        for file in applied
    ]
    with conn.transaction():
        require_ledger(conn)
        head = append(conn, entries, Head())
    if entries:
        report(f"the ledger has no history: {len(entries)} rows were recorded before there was one, and are adopted")
    return head


def accept(  # noqa: PLR0913 - what a repair is made of
    conn: psycopg.Connection[Any],
    files: Sequence[MigrationFile],
    name: str,
    settings: Settings,
    *,
    reason: str,
    report: Callable[[str], None],
) -> Record:
    """Record that a file's comments were changed after it was applied, and that this is wanted.

    Args:
        conn: in autocommit.
        files: the whole folder.
        name: the file, with its ending.
        settings: the budgets and the role.
        reason: why; ten characters or more.
        report: told about waiting.

    Returns:
        The record.

    Raises:
        RepairRefusedError: more than comments differ, or there is nothing to accept.
        HistoryError: the ledger was changed by hand.
    """
    file = _file(files, name, reason)
    with _repairing(conn, files, settings, report) as (ledger, recorded_by):
        row = next((row for row in ledger.rows if row.version == name), None)
        if row is None:
            raise RepairRefusedError.not_recorded(name)
        if row.checksum == file.checksum:
            raise RepairRefusedError.nothing_differs(name)
        if row.statements_digest != file.statements_digest:
            raise RepairRefusedError.statements_differ(
                name, recorded=row.statements_digest, found=file.statements_digest
            )
        entry = Entry(
            "accepted",
            name,
            file.checksum,
            recorded_by=recorded_by,
            statements_digest=file.statements_digest,
            replaces=row.checksum,
            reason=reason,
        )
        with conn.transaction():
            append(conn, [entry], ledger.head or Head())
        return read_ledger(conn).records[-1]


def abandon(  # noqa: PLR0913 - the same
    conn: psycopg.Connection[Any],
    files: Sequence[MigrationFile],
    name: str,
    settings: Settings,
    *,
    reason: str,
    report: Callable[[str], None],
) -> Record:
    """Give up what the journal says of an unfinished file: the next run takes it as one that was never begun.

    Args, returns: as `accept`.

    Raises:
        RepairRefusedError: the file is applied, or was never begun.
        HistoryError: the ledger was changed by hand.
    """
    file = _file(files, name, reason)
    with _repairing(conn, files, settings, report) as (ledger, recorded_by):
        if any(row.version == name for row in ledger.rows):
            raise RepairRefusedError.recorded(name)
        journal = read_journal(conn, [name]).get(name)
        if journal is None:
            raise RepairRefusedError.no_journal(name)
        entry = Entry(
            "abandoned",
            name,
            file.checksum,
            recorded_by=recorded_by,
            statements_digest=file.statements_digest,
            replaces=journal_digest(journal),
            reason=reason,
        )
        with conn.transaction():
            append(conn, [entry], ledger.head or Head())
            clear_journal(conn, name)
        return read_ledger(conn).records[-1]


@contextmanager
def _repairing(
    conn: psycopg.Connection[Any],
    files: Sequence[MigrationFile],
    settings: Settings,
    report: Callable[[str], None],
) -> Iterator[tuple[Ledger, str]]:
    """The ledger under the runner lock, with a history, and who repairs it."""
    with runner_lock(conn, settings, report=report), open_session(conn, settings, report=report) as session:
        yield _upgraded(conn, files, who(session), report), who(session)


def _file(files: Sequence[MigrationFile], name: str, reason: str) -> MigrationFile:
    if len(reason.strip()) < REASON_SHORTEST:
        raise RepairRefusedError.no_reason()
    file = next((file for file in files if file.name == name), None)
    if file is None:
        raise RepairRefusedError.no_file(name)
    return file


def _upgraded(
    conn: psycopg.Connection[Any],
    files: Sequence[MigrationFile],
    recorded_by: str,
    report: Callable[[str], None],
) -> Ledger:
    """The ledger, with a history: an older one's rows are adopted first, if their files are as they were."""
    ledger = require_plain(read_ledger(conn))
    if ledger.head is not None:
        return ledger
    if not ledger.rows:
        raise RepairRefusedError.no_ledger()
    known: dict[str, Any] = {file.name: file for file in files}
    unchanged = [
        known[r.version] for r in ledger.rows if r.version in known and known[r.version].checksum == r.checksum
    ]
    if len(unchanged) != len(ledger.rows):
        strange = next(r for r in ledger.rows if r.version not in known or known[r.version].checksum != r.checksum)
        raise RepairRefusedError.statements_differ(strange.version, recorded="", found="")
    bring_up(conn, ledger, unchanged, recorded_by=recorded_by, report=report)
    return read_ledger(conn)
