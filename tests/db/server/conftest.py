"""Fixtures of the server's tests: runs about to be killed, templates, servers that stay, somebody else's server."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from make_foreign import PASSWORD, url_of
from make_runs import Run
from make_stays import Stays
from make_templates import admin, ours
from psycopg import sql

from scripts.server import folders
from scripts.server.clones.templates import Templates, open_templates
from scripts.server.folders import MEMORY
from scripts.server.readiness import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.server.model import Server


@pytest.fixture
def run_folder() -> Iterator[Path]:
    """An empty folder with a short name; like /tmp, every user may make folders in it."""
    base = Path(tempfile.mkdtemp(prefix="t-", dir=MEMORY if MEMORY.is_dir() else None))
    base.chmod(0o1777)
    yield base
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def begin(run_folder: Path) -> Iterator[Callable[..., Run]]:
    """Begin a run; all that were begun are ended with the test."""
    runs: list[Run] = []

    def begin(user: str | None = None, *, fork: bool = False, watcher: Path | None = None) -> Run:
        runs.append(Run(run_folder, user=user, fork=fork, watcher=watcher))
        return runs[-1]

    yield begin
    for run in runs:
        run.close()


@pytest.fixture
def run(begin: Callable[..., Run]) -> Run:
    """A run that has just begun."""
    return begin()


@pytest.fixture
def lines() -> list[str]:
    """What was reported."""
    return []


@pytest.fixture
def templates(server: Server, lines: list[str]) -> Iterator[Templates]:
    """Templates of the test's own; those that it made are gone afterwards."""
    with open_templates(server, report=lines.append) as opened, admin(server) as conn:
        before = ours(conn)
        yield opened
        for name in ours(conn) - before:
            conn.execute(f'ALTER DATABASE "{name}" IS_TEMPLATE false'.encode())
            conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture
def foreign(server: Server) -> Iterator[str]:
    """DATABASE_URL of a role that may create databases, on a database of its own."""
    assert server.admin_dsn is not None
    name = f"app_{secrets.token_hex(4)}"
    identifier = sql.Identifier(name)
    with connect(server.admin_dsn) as conn:
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(identifier, PASSWORD))
        conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(identifier, identifier))
    yield url_of(server.dsn, user=name, password=PASSWORD, dbname=name)
    with connect(server.admin_dsn) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))
        conn.execute(sql.SQL("DROP ROLE {}").format(identifier))


@pytest.fixture(scope="session")
def kept_clusters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for kept clusters that these tests share."""
    return tmp_path_factory.mktemp("clusters") / "kept"


@pytest.fixture
def stays(run_folder: Path, kept_clusters: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stays]:
    """Folders of this test's own."""
    made = Stays(run_folder, kept_clusters)
    made.memory.mkdir()
    (run_folder / "state").mkdir()
    monkeypatch.setattr(folders, "MEMORY", made.memory)
    monkeypatch.setattr(folders, "ROOM_IN_MEMORY", 0)
    monkeypatch.setenv("TMPDIR", str(run_folder))
    yield made
    made.close()
