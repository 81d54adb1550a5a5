"""Databases on the session's server: cloned from a migrated template, empty, or migrated up to a number.

Owns: their names, their making and their removal. A test gets its own and may do anything to it.
A failing test keeps its database when KEEP_DB=1, and prints how to reach it (no password).
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from scripts.migrations.apply import migrate
from scripts.migrations.folder.files import MigrationFile, read_files
from scripts.migrations.ledger.table import read_ledger
from scripts.migrations.template import recipe_of
from scripts.server.clones.templates import MAINTENANCE, open_templates
from scripts.server.readiness import with_database
from scripts.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import psycopg

    from scripts.migrations.model import Applied
    from scripts.server.clones.templates import Clone, Templates
    from scripts.server.model import Server

_FAILED = pytest.StashKey[bool]()


@dataclass
class ScratchDatabase:
    """One database, and the connections that were opened to it.

    dsn: as the owner, who is no superuser and runs the migrations; admin_dsn: as superuser. Both hold a password.
    """

    name: str
    dsn: str = field(repr=False)
    admin_dsn: str = field(repr=False)
    opened: list[Any] = field(default_factory=list, repr=False)

    def connect(self, role: str | None = None, *, autocommit: bool = True) -> psycopg.Connection[Any]:
        """A connection, closed with the test: the owner's, or a superuser's that became `role` by SET ROLE."""
        if role is None:
            return self._open(self.dsn, autocommit=autocommit)
        from psycopg import sql

        conn = self._open(self.admin_dsn, autocommit=True)
        conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        conn.autocommit = autocommit
        return conn

    def connect_admin(self, *, autocommit: bool = True) -> psycopg.Connection[Any]:
        """A superuser's connection, closed with the test."""
        return self._open(self.admin_dsn, autocommit=autocommit)

    def apply(self, files: Sequence[MigrationFile], settings: Settings | None = None) -> Applied:
        """Apply what is pending of the files, as the owner, over a connection of its own."""
        with self._open(self.dsn, autocommit=True) as conn:
            return migrate(conn, files, settings or Settings(), report=lambda _: None)

    @property
    def url(self) -> str:
        """The owner's libpq URL, password included: what DATABASE_URL would hold."""
        from psycopg.conninfo import conninfo_to_dict

        parts = {name: str(value) for name, value in conninfo_to_dict(self.dsn).items()}
        login = f"{quote(parts['user'])}:{quote(parts['password'], safe='')}"
        place = f"host={quote(parts['host'], safe='')}&port={parts.get('port', '5432')}"
        return f"postgresql://{login}@/{parts['dbname']}?{place}"

    def recorded(self) -> list[str]:
        """The names in the ledger, in order."""
        with self._open(self.dsn, autocommit=True) as conn:
            return sorted(row.version for row in read_ledger(conn).rows)

    def value(self, query: str, *values: object) -> Any:
        """The first column of the first row, as superuser; None when there is no row."""
        with self._open(self.admin_dsn, autocommit=True) as conn:
            row = conn.execute(query.encode(), values or None).fetchone()
        return None if row is None else row[0]

    def advisory_locks(self) -> list[int]:
        """Who holds one in this database: process ids. Whoever lends databases holds one in another."""
        here = "JOIN pg_database AS d ON d.oid = database WHERE datname = current_database()"
        with self._open(self.admin_dsn, autocommit=True) as conn:
            rows = conn.execute(f"SELECT pid FROM pg_locks {here} AND locktype = 'advisory'").fetchall()
        return [pid for (pid,) in rows]

    def close(self) -> None:
        """Close every connection."""
        for conn in self.opened:
            conn.close()

    def _open(self, dsn: str, *, autocommit: bool) -> psycopg.Connection[Any]:
        import psycopg

        conn = psycopg.connect(dsn, autocommit=autocommit)
        self.opened.append(conn)
        return conn


@dataclass
class MigratedDatabase(ScratchDatabase):
    """A database with the project's migrations up to a number; `migrate` applies more of them."""

    files: tuple[MigrationFile, ...] = ()

    def migrate(self, to: int | None = None, settings: Settings | None = None) -> Applied:
        """Apply the project's own files up to a number, or all of them."""
        return self.apply(up_to(self.files, to), settings)


@dataclass(frozen=True)
class MigrationFolder:
    """A folder of migrations of a test's own."""

    folder: Path

    def write(self, name: str, text: str) -> Path:
        """Write a file; `name` with its number and `.sql`."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8", newline="")
        return path

    def files(self) -> tuple[MigrationFile, ...]:
        """The folder as the engine reads it."""
        return read_files(self.folder)


class Databases:
    """Databases on the session's server, each until the block, or the session, is left."""

    def __init__(self, server: Server, templates: Templates) -> None:
        if server.admin_dsn is None:
            msg = "database tests need a fresh server"
            raise RuntimeError(msg)
        self.server = server
        self.admin_dsn = server.admin_dsn
        self._templates = templates

    def empty(self) -> AbstractContextManager[Clone]:
        """A database with nothing in it."""
        return self._templates.empty()

    def copy(self, source: str) -> AbstractContextManager[Clone]:
        """A copy of a database to which nobody is connected."""
        return self._templates.copy(source)

    def migrated(self, files: tuple[MigrationFile, ...]) -> AbstractContextManager[Clone]:
        """A database with these files applied."""
        return self._templates.clone(recipe_of(files, Settings()))

    def drop(self, name: str) -> None:
        """Remove one that a test made in another way, whoever is still connected."""
        from psycopg import sql

        with self.admin() as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def admin(self) -> Iterator[psycopg.Connection[Any]]:
        """A superuser's connection to the server's own database."""
        import psycopg

        with psycopg.connect(with_database(self.admin_dsn, MAINTENANCE), autocommit=True) as conn:
            yield conn

    @contextmanager
    def lend(
        self,
        request: pytest.FixtureRequest,
        made: AbstractContextManager[Clone],
        *,
        files: Sequence[MigrationFile] = (),
    ) -> Iterator[MigratedDatabase]:
        """Hand a database to a test, and remove it afterwards, unless the test failed and KEEP_DB is set.

        Args:
            request: the test's.
            made: what to hand out.
            files: what its `migrate` applies.
        """
        with made as clone:
            database = MigratedDatabase(clone.name, clone.dsn, clone.admin_dsn, files=tuple(files))
            try:
                yield database
            finally:
                database.close()
                if request.node.stash.get(_FAILED, False) and read_settings().keep_db:
                    clone.keep()


def up_to(files: Sequence[MigrationFile], number: int | None) -> tuple[MigrationFile, ...]:
    """The files up to and with a number; all of them for None."""
    return tuple(file for file in files if number is None or file.number <= number)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Remember that a test failed, for the fixtures that end after it."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(scope="session")
def databases(server: Server) -> Iterator[Databases]:
    """The maker of databases. The server itself goes with the session, and the templates with it."""
    with open_templates(server, report=_say) as templates:
        yield Databases(server, templates)


def _say(line: str) -> None:
    print(f"\n{line}")  # noqa: T201 - for a person


@pytest.fixture(scope="session")
def project_files() -> tuple[MigrationFile, ...]:
    """The project's own migrations."""
    return read_files(Settings().migrations_dir)


@pytest.fixture
def database(
    request: pytest.FixtureRequest, databases: Databases, project_files: tuple[MigrationFile, ...]
) -> Iterator[ScratchDatabase]:
    """A clone of the fully migrated template."""
    with databases.lend(request, databases.migrated(project_files)) as lent:
        yield lent


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, databases: Databases) -> Iterator[ScratchDatabase]:
    """A database with nothing in it, not even the ledger."""
    with databases.lend(request, databases.empty()) as lent:
        yield lent


@pytest.fixture
def migrated_to(
    request: pytest.FixtureRequest, databases: Databases, project_files: tuple[MigrationFile, ...]
) -> Iterator[Callable[[int], MigratedDatabase]]:
    """`migrated_to(25)`: a database with the project's files up to 0025, and `.migrate(to=None)` for the rest."""
    with ExitStack() as stack:

        def make(number: int) -> MigratedDatabase:
            made = databases.migrated(up_to(project_files, number))
            return stack.enter_context(databases.lend(request, made, files=project_files))

        yield make


@pytest.fixture
def migrations(tmp_path: Path) -> MigrationFolder:
    """An empty folder for migrations of the test's own."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    return MigrationFolder(folder)
