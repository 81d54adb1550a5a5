"""A server somebody else runs, named by DATABASE_URL.

Owns: the throw-away database on it (FRESH_DB=1), made by us and dropped by us; or the database as it is (FRESH_DB=0).
Promises: nothing else on that server is created, changed or dropped here, but for throw-away databases of this login
    whose run was killed (strays.py). The database belongs to the role in the URL: no role is made on a server that is
    not ours. If that role is a superuser, it is said: nothing is denied to it.
"""

from __future__ import annotations

import shlex
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from scripts.errors.base import Interrupted
from scripts.errors.server import NotAllowedError, ServerError
from scripts.errors.unfit import ENCODING, OtherEncodingError
from scripts.server.facts import read_facts, require_fresh
from scripts.server.foreign.mourner import mourning
from scripts.server.foreign.strays import Lock, create_recorded, sweep_databases, throwaway_name
from scripts.server.model import Server
from scripts.server.places import shown_url
from scripts.server.readiness import address_of, connect, parse_dsn, require_version, with_database
from scripts.server.staying_on import always, note_kept
from scripts.server.telling import telling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection

    from scripts.server.foreign.mourner import Mourner
    from scripts.settings import Settings

# As in the two other origins (provision.INITDB_OPTIONS), so that the catalog is the same.
LOCALE: LiteralString = "ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"


@contextmanager
def open_existing(url: str, *, reason: str) -> Iterator[Server]:
    """The database as it is; it is never dropped or emptied.

    Raises:
        ServerError: unreachable, refused, missing, too old, or in another encoding than the schema is proved in.
    """
    with connect(url) as conn:
        version = require_version(conn, url)
        facts = _facts(conn, url, reason)
    # Before the first file: the one that cannot be said in it would be the second, and be told to be corrected.
    if facts["encoding"] != ENCODING:
        raise OtherEncodingError.database(address_of(url), facts["encoding"])
    yield Server(url, None, "external", reason, version, facts | {"database": "as it is"})


def _facts(conn: Connection, dsn: str, reason: str) -> dict[str, str]:
    """What is known of it; a server that does not tell (a limit stored for the login, above all) is told as that."""
    with telling(Server(dsn, None, "external", reason, ""), lock_timeout_ms=0):
        return read_facts(conn)


@contextmanager
def open_throwaway(settings: Settings, *, url: str, reason: str, report: Callable[[str], None]) -> Iterator[Server]:
    """A database with a random name on that server, dropped at the end with everybody in it.

    Args:
        settings: KEEP_DB=1 keeps the database.
        url: a login that may create databases; `admin_dsn` is the same login when it is a superuser, else None.
        reason: why this origin was chosen.
        report: told what stays behind, if anything does.

    Raises:
        ServerError: unreachable, refused, too old, not empty; or the role may not create databases; or the drop failed.
    """
    database = throwaway_name()
    # Open to the end: its lock says that the database is in use, and the server gives it back when this process dies.
    with connect(url) as conn:
        version = require_version(conn, url)
        _sweep(conn, report)
        roles_before = _roles(conn)
        with nullcontext() if settings.keep_db else mourning(url, database) as mourner:
            throwaway = _Throwaway(settings, url, database, roles_before, report, mourner)
            try:
                try:
                    yield throwaway.make(conn, reason, version)
                except BaseException as failure:
                    throwaway.end_after(failure)
                    raise
                throwaway.end()
            except Interrupted as late:
                # At some step of the end. It comes once, so that nothing cuts the second attempt short.
                throwaway.end_after(late)
                raise


def _sweep(conn: Connection, report: Callable[[str], None]) -> None:
    """Nothing that others left, and that cannot be looked at, holds up a run."""
    import psycopg

    try:
        sweep_databases(conn, report)
    except psycopg.Error as exc:
        words = exc.diag.message_primary or type(exc).__name__
        report(f"server   what killed runs left on it cannot be looked for: {words}")


def _create(conn: Connection, url: str, database: str, *, kept: bool) -> None:
    import psycopg
    from psycopg import sql

    try:
        # template0: what somebody put into template1 is not ours to prove, and only it takes another locale.
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}").format(
            sql.Identifier(database), sql.SQL(LOCALE)
        )
        create_recorded(conn, database, statement, Lock.take(conn), kept=kept)
    except psycopg.errors.InsufficientPrivilege as exc:
        raise NotAllowedError.create_database(address_of(url)) from exc
    except psycopg.Error as exc:
        raise NotAllowedError.creation_failed(address_of(url), exc.diag.message_primary or str(exc)) from exc


@dataclass(slots=True)
class _Throwaway:
    """One database, from its creation to its end, and who stands beside the run until it is known to be gone."""

    settings: Settings
    url: str
    database: str
    roles_before: frozenset[str]
    report: Callable[[str], None]
    mourner: Mourner | None
    over: bool = False
    interrupted: bool = False

    def make(self, conn: Connection, reason: str, version: str) -> Server:
        """Create it, and look whether it is as it should be."""
        dsn = with_database(self.url, self.database)
        _create(conn, self.url, self.database, kept=self.settings.keep_db)
        if self.settings.keep_db:
            note_kept(f"the database {self.database}", _removal(self.database), always)
        with connect(dsn) as own:
            facts = _facts(own, dsn, reason)
        require_fresh(facts, address_of(dsn), up_at_most_s=None)
        superuser = facts["owner_is_superuser"] == "true"
        if superuser:
            self.report("server   the role in DATABASE_URL is a superuser: a missing grant will not show")
        facts |= {"database": "throw-away"}
        return Server(dsn, dsn if superuser else None, "external", reason, version, facts)

    def end_after(self, failure: BaseException) -> None:
        """End it where something went wrong before: that is what is raised, and this costs a line at most.

        An interruption gives it one more attempt; a person who insists is believed.
        """
        if self.over or self.interrupted:
            return
        self.interrupted = isinstance(failure, Interrupted)
        try:
            self.end()
        except NotAllowedError as exc:
            self.report(str(exc))

    def end(self) -> None:
        """Drop it and dismiss who stands beside, or say where it is.

        Raises:
            NotAllowedError: it could not be dropped.
        """
        if self.settings.keep_db:
            self.over = True
            where = shown_url(parse_dsn(self.url) | {"dbname": self.database})
            self.report(f"server   kept: psql {shlex.quote(where)}; {_removal(self.database)} removes it")
            return
        roles = self._drop()
        if self.mourner is not None:
            self.mourner.dismiss()
        self.over = True
        if roles:
            # Roles belong to the whole server. Whether somebody else made them meanwhile cannot be known, so they stay.
            self.report(f"server   roles that appeared on it during the run, and stay: {', '.join(roles)}")

    def _drop(self) -> list[str]:
        import psycopg
        from psycopg import sql

        try:
            with connect(self.url) as conn:
                conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.database)))
                return sorted(_roles(conn) - self.roles_before)
        except (psycopg.Error, ServerError) as exc:
            words = exc.what if isinstance(exc, ServerError) else exc.diag.message_primary or str(exc)
            raise NotAllowedError.cleanup(address_of(self.url), self.database, words) from exc


def _removal(database: str) -> str:
    return f'DROP DATABASE "{database}"'


def _roles(conn: Connection) -> frozenset[str]:
    return frozenset(name for (name,) in conn.execute("SELECT rolname FROM pg_catalog.pg_roles"))
