"""An existing database, only looked at: what its ledger records, and what its catalog is.

Owns: the read-only session; that ledger and catalog are of one moment.
Promises: the session cannot write (`default_transaction_read_only`), and waits for a lock no longer than
    LOCK_TIMEOUT_MS; no password in any text.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from scripts.errors.drift import ReadingError
from scripts.migrations.ledger.table import read_ledger
from scripts.migrations.session.role import acting_as
from scripts.run.seen import read_seen
from scripts.server.readiness import address_of, connect, parse_dsn

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from scripts.catalog.read import Catalog
    from scripts.migrations.ledger.table import LedgerRow
    from scripts.settings import Settings

# How often ledger and catalog are read when somebody migrates in between.
READS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a copy must repeat: the ledger's rows, whether there is a ledger at all, whether a superuser runs files."""

    rows: tuple[LedgerRow, ...] = ()
    has_ledger: bool = False
    superuser: bool = False


@dataclass(frozen=True, slots=True)
class Original:
    """One moment of a database. address: without a password; version: of its server, such as 18.6."""

    address: str
    version: str
    recorded: Recorded
    catalog: Catalog


@contextmanager
def open_read_only(dsn: str, settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose transactions cannot write; as MIGRATE_ROLE, which owns the ledger, when there is one.

    Raises:
        ReadingError: a pooler dropped the setting; or, from the body, a lock was waited for too long.
        MigrateRoleError: MIGRATE_ROLE cannot be had.
        ServerError: no connection.
    """
    from psycopg import errors
    from psycopg.conninfo import make_conninfo

    own = f"-c default_transaction_read_only=on -c lock_timeout={settings.lock_timeout_ms}"
    options = " ".join(part for part in (parse_dsn(dsn).get("options", ""), own) if part)
    with connect(make_conninfo(dsn, options=options)) as conn:
        row = conn.execute("SHOW default_transaction_read_only").fetchone() or ("nothing",)
        if row[0] != "on":
            raise ReadingError.not_read_only(address_of(dsn), str(row[0]))
        try:
            with acting_as(conn, settings.migrate_role):
                yield conn
        except errors.LockNotAvailable:
            raise ReadingError.locked(address_of(dsn), waited_ms=settings.lock_timeout_ms) from None


def runs_as_superuser(conn: psycopg.Connection[Any]) -> bool:
    """Whether the role that the session is now is a superuser; the server reports it of its own accord."""
    return conn.info.parameter_status("is_superuser") == "on"


def read_original(conn: psycopg.Connection[Any], dsn: str) -> Original:
    """Ledger and catalog, of one moment.

    Args:
        conn: in autocommit.
        dsn: what it was opened with, for its address.

    Raises:
        ReadingError: a file was recorded each time the two were read.
        HistoryError: the ledger is not one, or was written to by hand.
    """
    number = conn.info.server_version
    for _ in range(READS_MAX):
        rows = read_ledger(conn).rows
        catalog = read_seen(conn, sweeping=False)
        if rows == read_ledger(conn).rows:
            has_ledger = any(item.title == "table public.schema_migrations" for item in catalog.objects)
            version = f"{number // 10000}.{number % 10000}"
            return Original(address_of(dsn), version, Recorded(rows, has_ledger, runs_as_superuser(conn)), catalog)
    raise ReadingError.migrating(address_of(dsn), times=READS_MAX)
