"""The templates of one server: which there is, how one is built and completed, when one is thrown away.

Owns: the lock under which a template is built; the transaction that completes it; the sweep of what killed builders
    and users left.
Promises: a template is complete or not there: it is built under another name, and gets its own, its mark and its flags
    in one transaction, last. Only what has a name of ours (marks.py), and whose maker's lock is free, is ever dropped.

What shows of a changed template: its row in pg_database has another last transaction than the one that completed it,
and nobody can connect to it without a change of that row. What does not: files changed on the disk, a background worker
that asks to be let in all the same, a superuser who forges the mark.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, LiteralString

from scripts.digest import digest_of
from scripts.errors.templates import TemplateError
from scripts.server.clones.copies import drop_database, make_database, read_prefixed, read_seen, undone
from scripts.server.clones.marks import PREFIX, Mark, about_key, lock_of, name_of, parse_mark, parse_name
from scripts.server.provision import explaining
from scripts.server.readiness import address_of, parse_dsn, with_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection

    from scripts.server.clones.copies import Seen, Shared
    from scripts.server.clones.marks import Name, Recipe
    from scripts.server.model import Server

# As long as a folder of migrations may take; after that its builder is stuck.
BUILD_WAIT_MS = 600_000
# From the moment at which nobody can connect any more.
LET_GO_S = 10.0
# Templates on one server, about 9 MB each; the oldest goes first.
KEEP = 32
_CONNECTED: LiteralString = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE datname = %s"
_END_SESSIONS: LiteralString = (
    "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = %s"
)
_WAIT: LiteralString = "SELECT pg_catalog.set_config('lock_timeout', %s, false)"


@dataclass(frozen=True, slots=True)
class Template:
    """One that is complete. `xid` is the transaction that completed it; `shared` is what a clone is to have."""

    name: str
    xid: str
    shared: Shared

    def is_still(self, seen: Seen | None) -> bool:
        """Whether what is there is what was completed."""
        return seen is not None and seen.xid == self.xid and seen.shared.settings == self.shared.settings


class Shelf:
    """The templates, over a superuser's connection of readiness.connect (its search_path is settled)."""

    def __init__(self, conn: Connection, server: Server, maker: str, report: Callable[[str], None]) -> None:
        """Hold them.

        Args:
            conn: to a database to which nothing is applied.
            server: what it is connected to.
            maker: the number in the names of the clones of this very session.
            report: takes a line about a template that is not used.
        """
        self._conn = conn
        self._dsn = server.dsn
        self._owner = parse_dsn(server.dsn)["user"]
        self._maker = maker
        self._report = report
        self._told: set[str] = set()

    def take(self, recipe: Recipe, key: str) -> Template:
        """Find the template, or build it while everybody else who wants it waits.

        Raises:
            TemplateError: somebody else builds it for too long, or it is not let go of.
            ServerError: the server refuses a step.
            Exception: whatever `recipe.build` raises; the half-made one is dropped.
        """
        with explaining("the search for a template"):
            found = self._find(key, alone=False)
        if found is not None:
            return found
        with self._alone(key):
            with explaining("the search for a template"):
                found = self._find(key, alone=True)
            return found or self._build(recipe, key)

    def _find(self, key: str, *, alone: bool) -> Template | None:
        """Look at every database with a name of ours: take the template, drop what nobody needs any more.

        Args:
            key: the template's.
            alone: the lock for it is ours, so what is half-made of it is nobody's.
        """
        found: Template | None = None
        others: list[str] = []
        for seen in read_prefixed(self._conn, PREFIX):
            name, mark = parse_name(seen.name), parse_mark(seen.shared.comment)
            if name is None:
                continue
            if name.kind != "template":
                if mark is None:
                    self._sweep(seen.name, name, ours=about_key(key) if alone else "")
            elif mark is not None and mark.kind == "template":
                why = _changed(seen, mark) if mark.key == key else ""
                if mark.key != key:
                    others.append(seen.name)
                elif why:
                    self._throw_away(seen.name, why)
                else:
                    found = Template(seen.name, seen.xid, replace(seen.shared, comment=mark.comment))
        if found is None and alone:
            for old in others[: max(0, len(others) + 1 - KEEP)]:
                self._throw_away(old, "")
        return found

    def _sweep(self, database: str, name: Name, *, ours: str) -> None:
        """Drop what a builder or user left that is provably gone: its session would hold the lock.

        Args:
            database: what the name was read from.
            name: half-made, or a clone.
            ours: of which template whatever is half-made is nobody's.
        """
        if name.kind == "clone" and name.about == self._maker:
            return  # a session does not wait for its own lock
        if name.kind == "half" and name.about == ours:
            drop_database(self._conn, database)
            return
        if not _first(self._conn, "SELECT pg_catalog.pg_try_advisory_lock(%s)", name.lock):
            return
        try:
            # Its maker may have renamed or marked it between our look and our lock.
            seen = read_seen(self._conn, [database]).get(database)
            if seen is not None and parse_mark(seen.shared.comment) is None:
                drop_database(self._conn, database)
        finally:
            self._conn.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", [name.lock])

    def _throw_away(self, name: str, why: str) -> None:
        """Drop a template of ours, unless somebody is looking at it; say once why it is not used."""
        import psycopg
        from psycopg import sql

        stays = ""
        if _first(self._conn, _CONNECTED, name):
            stays = ", and stays, since somebody is connected to it"
        else:
            try:
                self._conn.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(name)))
                self._conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
            except psycopg.errors.InvalidCatalogName:
                pass  # another run was quicker
            except psycopg.errors.ObjectInUse:
                stays = ", and stays, since somebody has just connected to it"
        if why and name not in self._told:
            self._told.add(name)
            self._report(f"server   the template {name} is not used{stays}: {why}; a new one is made")

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Hold the lock for a template; it is free as soon as the session of a killed builder ends."""
        import psycopg

        lock = lock_of("template", about_key(key))
        self._conn.execute(_WAIT, [str(BUILD_WAIT_MS)])
        try:
            self._conn.execute("SELECT pg_catalog.pg_advisory_lock(%s)", [lock])
        except psycopg.errors.LockNotAvailable as exc:
            raise TemplateError.busy(address_of(self._dsn), BUILD_WAIT_MS / 1000) from exc
        finally:
            self._conn.execute(_WAIT, ["0"])
        try:
            yield
        finally:
            self._conn.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", [lock])

    def _build(self, recipe: Recipe, key: str) -> Template:
        half = name_of("half", about_key(key))
        with undone(self._conn, half):
            with explaining("the creation of a template"):
                make_database(self._conn, half, self._owner)
                self._set(half, recipe)
            recipe.build(with_database(self._dsn, half))
            with explaining("the completion of a template"):
                return self._complete(half, key)

    def _set(self, name: str, recipe: Recipe) -> None:
        from psycopg import sql

        for setting, value in recipe.settings.items():
            target = sql.SQL(".").join(map(sql.Identifier, setting.split(".")))  # an extension's has two parts
            statement = sql.SQL("ALTER DATABASE {} SET {} TO {}")
            self._conn.execute(statement.format(sql.Identifier(name), target, sql.Literal(value)))

    def _complete(self, half: str, key: str) -> Template:
        """Shut everybody out; then, in one transaction, give it name, flag and mark."""
        from psycopg import sql

        name = name_of("template", about_key(key))
        was, now = sql.Identifier(half), sql.Identifier(name)
        self._conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(was))
        self._require_let_go(half)
        with self._conn.transaction():
            xid = str(_first(self._conn, "SELECT pg_catalog.pg_current_xact_id()::pg_catalog.xid::text"))
            self._conn.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(was, now))
            self._conn.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(now))
            shared = read_seen(self._conn, [name])[name].shared
            mark = Mark("template", key, xid, _digest_of(shared), shared.comment)
            self._conn.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(now, sql.Literal(mark.text())))
        return Template(name, xid, shared)

    def _require_let_go(self, half: str) -> None:
        """End every session: a copy is refused while there is one, and a rename, which would look every 0.1 s."""
        self._conn.execute(_END_SESSIONS, [half])
        deadline = time.monotonic() + LET_GO_S
        while _first(self._conn, _CONNECTED, half):
            if time.monotonic() > deadline:
                raise TemplateError.in_use(half)
            time.sleep(0.001)


def _changed(seen: Seen, mark: Mark) -> str:
    """How a template shows that it is not what was completed; empty when it does not."""
    if seen.xid != mark.xid:
        return "it was opened or changed after it was made"
    if _digest_of(seen.shared) != mark.settings:
        return "its settings were changed after it was made"
    return ""


def _digest_of(shared: Shared) -> str:
    return digest_of(sorted([role or "", setting] for role, setting in shared.settings))


def _first(conn: Connection, query: LiteralString, *values: Any) -> Any:
    row = conn.execute(query, values or None).fetchone()
    return None if row is None else row[0]
