"""Databases on the session's server: cloned from a migrated template, empty, or migrated up to a number.

Owns: their names, their making and their removal. A test gets its own and may do anything to it.
A failing test keeps its database when KEEP_DB=1, and prints how to reach it (no password).
"""

from __future__ import annotations

import itertools
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from scripts.digest import digest_of
from scripts.migrations.apply import migrate
from scripts.migrations.files import MigrationFile, migrations_digest, read_files
from scripts.migrations.ledger import LEDGER_SQL, read_ledger
from scripts.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    import psycopg

    from scripts.migrations.model import Applied
    from scripts.server.model import Server

_FAILED = pytest.StashKey[bool]()
_numbers = itertools.count(1)


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
    """Makes and drops databases on the session's server, and keeps the templates."""

    def __init__(self, server: Server) -> None:
        if server.admin_dsn is None:
            msg = "database tests need a fresh server"
            raise RuntimeError(msg)
        self.server = server
        self.admin_dsn = server.admin_dsn
        self._templates: dict[str, str] = {}

    def create(self, *, template: str | None = None) -> tuple[str, str, str]:
        """A new database of the owner: its name, the owner's DSN, the superuser's DSN."""
        from psycopg import sql
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        name = f"scratch_{os.getpid()}_{next(_numbers)}"
        owner = conninfo_to_dict(self.server.dsn)["user"]
        with self.admin() as conn:
            # file_copy is several times quicker than the default on a memory file system.
            conn.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(str(owner)), sql.Identifier(template or "template1")
                )
            )
            if template is not None:
                _copy_database_acl(conn, template, name)
        return name, make_conninfo(self.server.dsn, dbname=name), make_conninfo(self.admin_dsn, dbname=name)

    def drop(self, name: str) -> None:
        """Remove it, whoever is still connected."""
        from psycopg import sql

        with self.admin() as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def template(self, files: tuple[MigrationFile, ...]) -> str:
        """The name of a database migrated with these files: built once, renamed when it is complete."""
        from psycopg import sql

        key = digest_of([migrations_digest(files), LEDGER_SQL.read_text(encoding="utf-8"), self.server.version])[:16]
        if key not in self._templates:
            built = ScratchDatabase(*self.create())
            try:
                built.apply(files)
            finally:
                built.close()
            name = f"template_{os.getpid()}_{key}"
            with self.admin() as conn:
                conn.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(built.name), sql.Identifier(name))
                )
            self._templates[key] = name
        return self._templates[key]

    @contextmanager
    def admin(self) -> Iterator[psycopg.Connection[Any]]:
        """A superuser's connection to the server's own database."""
        import psycopg
        from psycopg.conninfo import make_conninfo

        with psycopg.connect(make_conninfo(self.admin_dsn, dbname="postgres"), autocommit=True) as conn:
            yield conn

    @contextmanager
    def lend(self, request: pytest.FixtureRequest, database: ScratchDatabase) -> Iterator[ScratchDatabase]:
        """Hand a database to a test, and remove it afterwards, unless the test failed and KEEP_DB is set."""
        try:
            yield database
        finally:
            database.close()
            if request.node.stash.get(_FAILED, False) and read_settings().keep_db:
                print(f"\nkept for inspection: {_without_password(database.admin_dsn)}")  # noqa: T201 - for a person
            else:
                self.drop(database.name)


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
def databases(server: Server) -> Databases:
    """The maker of databases. The server itself goes with the session, and the templates with it."""
    return Databases(server)


@pytest.fixture(scope="session")
def project_files() -> tuple[MigrationFile, ...]:
    """The project's own migrations."""
    return read_files(Settings().migrations_dir)


@pytest.fixture
def database(
    request: pytest.FixtureRequest, databases: Databases, project_files: tuple[MigrationFile, ...]
) -> Iterator[ScratchDatabase]:
    """A clone of the fully migrated template."""
    made = databases.create(template=databases.template(project_files))
    with databases.lend(request, ScratchDatabase(*made)) as lent:
        yield lent


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, databases: Databases) -> Iterator[ScratchDatabase]:
    """A database with nothing in it, not even the ledger."""
    with databases.lend(request, ScratchDatabase(*databases.create())) as lent:
        yield lent


@pytest.fixture
def migrated_to(
    request: pytest.FixtureRequest, databases: Databases, project_files: tuple[MigrationFile, ...]
) -> Iterator[Callable[[int], MigratedDatabase]]:
    """`migrated_to(25)`: a database with the project's files up to 0025, and `.migrate(to=None)` for the rest."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def make(number: int) -> MigratedDatabase:
            template = databases.template(up_to(project_files, number))
            made = MigratedDatabase(*databases.create(template=template), files=project_files)
            stack.enter_context(databases.lend(request, made))
            return made

        yield make


@pytest.fixture
def migrations(tmp_path: Path) -> MigrationFolder:
    """An empty folder for migrations of the test's own."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    return MigrationFolder(folder)


def _copy_database_acl(conn: psycopg.Connection[Any], template: str, name: str) -> None:
    """CREATE DATABASE … TEMPLATE leaves the database's own privileges behind."""
    from psycopg import sql

    rows = conn.execute(
        "SELECT coalesce(r.rolname, ''), e.privilege_type FROM pg_database d, aclexplode(d.datacl) e"
        " LEFT JOIN pg_roles r ON r.oid = e.grantee WHERE d.datname = %s",
        (template,),
    ).fetchall()
    if not rows:
        return
    target = sql.Identifier(name)
    conn.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(target))
    for role, privilege in rows:
        grantee = sql.Identifier(role) if role else sql.SQL("PUBLIC")
        conn.execute(sql.SQL("GRANT {} ON DATABASE {} TO {}").format(sql.SQL(privilege), target, grantee))


def _without_password(dsn: str) -> str:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    return make_conninfo("", **{key: value for key, value in conninfo_to_dict(dsn).items() if key != "password"})
