"""Throw-away databases on a server of our own: clones of a migrated template, made once and copied for each use.

Owns: the clones, their end, and what is said of one that stays. The templates themselves are shelf.py's.
Promises: a clone is of a template that nobody had changed when the copy was done; it has the privileges, settings and
    comment of the database, too; it is dropped with everybody in it, or reported.
Never: is used on a server that is not ours, or for `pre-ci`, which builds from 0001.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.errors.server import NotAllowedError
from scripts.errors.templates import TemplateError
from scripts.server.clones.copies import Shared, copy_database, drop_database, make_database, read_seen, undone
from scripts.server.clones.marks import Mark, lock_of, name_of
from scripts.server.clones.shelf import Shelf, Template
from scripts.server.provision import explaining
from scripts.server.readiness import address_of, connect, parse_dsn, with_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection

    from scripts.server.clones.copies import Seen
    from scripts.server.clones.marks import Recipe
    from scripts.server.model import Server

MAINTENANCE = "postgres"
ATTEMPTS = 3


@dataclass(slots=True)
class Clone:
    """A database of one's own. Both addresses hold a password: `dsn` is the owner's, `admin_dsn` the superuser's."""

    name: str
    dsn: str = field(repr=False)
    admin_dsn: str = field(repr=False)
    kept: bool = False

    def keep(self) -> None:
        """Let it stay when the block is left; where it is, and how it is removed, is reported then."""
        self.kept = True


@contextmanager
def open_templates(server: Server, *, report: Callable[[str], None]) -> Iterator[Templates]:
    """The templates of a server, for as long as clones of them are used.

    Args:
        server: one of our own, fresh or kept.
        report: takes a line about a template that was not used, and about a clone that stays.

    Raises:
        RuntimeError: a server that is not ours.
        ServerError: it cannot be reached.
    """
    if server.origin == "external" or server.admin_dsn is None:
        raise RuntimeError("templates are made on a server of our own")
    with connect(with_database(server.admin_dsn, MAINTENANCE)) as conn:
        yield Templates(conn, server, server.admin_dsn, report)


@contextmanager
def open_clone(
    server: Server, recipe: Recipe, *, report: Callable[[str], None], keep_failed: bool = False
) -> Iterator[Clone]:
    """One clone, where no more are wanted: `Templates.clone` with a connection of its own.

    Raises:
        RuntimeError: a server that is not ours.
        ServerError: no template, or no copy, can be had.
    """
    with open_templates(server, report=report) as templates, templates.clone(recipe, keep_failed=keep_failed) as clone:
        yield clone


class Templates:
    """Makes clones, and holds the lock that says that they are in use. For one thread."""

    def __init__(self, conn: Connection, server: Server, admin_dsn: str, report: Callable[[str], None]) -> None:
        self._conn = conn
        self._server = server
        self._admin_dsn = admin_dsn
        self._report = report
        self._owner = parse_dsn(server.dsn)["user"]
        self._known: dict[str, Template] = {}
        # In the name of every clone; whoever can have the lock of that number knows that we are gone.
        self._maker = secrets.token_hex(8)
        conn.execute("SELECT pg_catalog.pg_advisory_lock(%s)", [lock_of("clone", self._maker)])
        self._shelf = Shelf(conn, server, self._maker, report)

    @contextmanager
    def clone(self, recipe: Recipe, *, keep_failed: bool = False) -> Iterator[Clone]:
        """A clone of the recipe's template, dropped with everybody in it when the block is left.

        Args:
            recipe: what the template is made of; it is built where there is none.
            keep_failed: whether the clone stays when the block raises.

        Raises:
            TemplateError: none can be had.
            ServerError: the server refuses the copy or its removal.
            Exception: whatever `recipe.build` raises; nothing of a half-made template stays.
        """
        with self._lent(self._copied(recipe), keep_failed=keep_failed) as clone:
            yield clone

    @contextmanager
    def copy(self, source: str, *, keep_failed: bool = False) -> Iterator[Clone]:
        """The same of any database to which nobody is connected; its owner is the source's.

        Raises:
            ServerError: it is not there, somebody is connected to it, or as above.
        """
        name = self._new_name()
        with explaining(f'the copy of "{source}"'):
            found = read_seen(self._conn, [source]).get(source)
            # Where it is not there, the server says so.
            shared = Shared(self._owner, -1, None, None, frozenset()) if found is None else found.shared
            self._made(source, shared, name)
        with self._lent(name, keep_failed=keep_failed) as clone:
            yield clone

    @contextmanager
    def empty(self, *, keep_failed: bool = False) -> Iterator[Clone]:
        """The same with nothing in it.

        Raises:
            ServerError: as above.
        """
        name = self._new_name()
        with explaining("the creation of a database"), undone(self._conn, name):
            make_database(self._conn, name, self._owner)
        with self._lent(name, keep_failed=keep_failed) as clone:
            yield clone

    def _new_name(self) -> str:
        return name_of("clone", self._maker)

    @contextmanager
    def _lent(self, name: str, *, keep_failed: bool) -> Iterator[Clone]:
        clone = Clone(name, with_database(self._server.dsn, name), with_database(self._admin_dsn, name))
        try:
            yield clone
        except BaseException as exc:
            # An interruption is nobody's failure to look into.
            clone.kept = clone.kept or (keep_failed and isinstance(exc, Exception))
            try:
                self._end(clone)
            except NotAllowedError as second:  # what went wrong first is what is raised
                self._report(str(second))
            raise
        self._end(clone)

    def _end(self, clone: Clone) -> None:
        """Drop it, or mark it as one that stays and say where it is."""
        import psycopg
        from psycopg import sql

        try:
            if not clone.kept:
                drop_database(self._conn, clone.name)
                return
            found = read_seen(self._conn, [clone.name]).get(clone.name)
            mark = Mark("kept", comment=None if found is None else found.shared.comment)
            statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
            self._conn.execute(statement.format(sql.Identifier(clone.name), sql.Literal(mark.text())))
        except psycopg.Error as exc:
            words = exc.diag.message_primary or str(exc)
            raise NotAllowedError.cleanup(address_of(self._admin_dsn), clone.name, words) from exc
        where, how = address_of(clone.admin_dsn), f'DROP DATABASE "{clone.name}" WITH (FORCE)'
        self._report(f"server   kept: {where}; {how} removes it")

    def _copied(self, recipe: Recipe) -> str:
        """Copy the template, until what was copied is one that nobody has changed; returns the copy's name."""
        import psycopg

        # Dropped meanwhile; opened, and somebody is in it; a role that it names is called otherwise now.
        outdated = (
            psycopg.errors.InvalidCatalogName,
            psycopg.errors.ObjectInUse,
            psycopg.errors.UndefinedObject,
        )
        key = recipe.key(version=self._server.version, owner=self._owner)
        for _ in range(ATTEMPTS):
            template = self._known.get(key) or self._shelf.take(recipe, key)
            self._known[key] = template
            name = self._new_name()
            with explaining("the copy of a template"):
                try:
                    source = self._made(template.name, template.shared, name)
                except outdated:
                    source = None
                if template.is_still(source):
                    return name
                drop_database(self._conn, name)
            del self._known[key]
        raise TemplateError.unstable(address_of(self._admin_dsn), ATTEMPTS)

    def _made(self, source: str, shared: Shared, name: str) -> Seen | None:
        with undone(self._conn, name):
            return copy_database(self._conn, source, shared, name)
