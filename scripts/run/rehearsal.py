"""A throw-away copy of a database's schema: a fresh server on which the recorded files are applied.

Owns: the server of the copy, and who the files run as there.
Promises: the copy is never made on the server at DATABASE_URL, and is gone when the block is left, unless it is to be
    kept; the database it is a copy of is not even asked here.
What it is not: a copy of rows, of settings of the machine, or of what was done to the database by hand.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from scripts.clock import utc_now
from scripts.errors.migration import CopyError, MigrationFailedError
from scripts.evidence.store import new_run_id
from scripts.migrations.apply import migrate
from scripts.migrations.ledger.table import make_ledger
from scripts.server.open import open_server
from scripts.server.readiness import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg

    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.model import Applied
    from scripts.settings import Settings


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The copy: a connection in autocommit as who the files run as, what was applied, the server's version (18.6)."""

    conn: psycopg.Connection[Any]
    applied: Applied
    version: str
    settings: Settings


@contextmanager
def open_rehearsal(  # noqa: PLR0913 - what a copy depends on
    settings: Settings,
    recorded: Sequence[MigrationFile],
    *,
    ledger: bool,
    superuser: bool,
    report: Callable[[str], None],
    keep: bool = False,
) -> Iterator[Rehearsal]:
    """Make the copy.

    Args:
        settings: SERVER says which kind of server; DATABASE_URL is not used.
        recorded: the files that the ledger of the original records, in order.
        ledger: whether the original has a ledger, even an empty one.
        superuser: whether the files run as one there: they may hold what nobody else may run.
        report: told which server the copy is on.
        keep: let the copy's server stay at the end.

    Raises:
        ServerError: no server can be had.
        CopyError: a recorded file does not apply there.
    """
    own = replace(rehearsal_settings(settings), keep_db=keep)
    with (
        open_server(own, run_id=new_run_id(utc_now()), report=lambda line: report(f"copy     {line}")) as server,
        connect(server.admin_dsn if superuser and server.admin_dsn is not None else server.dsn) as conn,
    ):
        if own.migrate_role is not None and server.admin_dsn is not None:
            with connect(server.admin_dsn) as admin:
                _make_role(admin, own.migrate_role, login=conn.info.user)
        if ledger and not recorded:
            make_ledger(conn)
        try:
            applied = migrate(conn, recorded, replace(own, migrate_trace=False), report=lambda _: None)
        except MigrationFailedError as exc:
            raise CopyError.of(exc, recorded=True) from None
        yield Rehearsal(conn, applied, server.version, own)


def rehearsal_settings(settings: Settings) -> Settings:
    """The settings of the copy: a fresh server of our own, whatever the original is on."""
    server = "auto" if settings.server == "external" else settings.server
    return replace(settings, fresh_db=True, server=server, database_url=None, keep_db=False)


def _make_role(admin: psycopg.Connection[Any], role: str, *, login: str) -> None:
    """MIGRATE_ROLE as the original's administrator made it there: no superuser, and the login may become it."""
    from psycopg import sql

    if role == login:
        return
    name, member = sql.Identifier(role), sql.Identifier(login)
    admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN CREATEROLE").format(name))
    admin.execute(sql.SQL("GRANT {} TO {}").format(name, member))
    admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(admin.info.dbname), name))
