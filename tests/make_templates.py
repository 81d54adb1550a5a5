"""Recipes of a test's own, and a look at the databases that were made for them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scripts.server.clones.marks import Recipe, about_key, parse_name
from scripts.server.clones.templates import MAINTENANCE
from scripts.server.readiness import connect, parse_dsn, with_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    from scripts.server.model import Server


@contextmanager
def admin(server: Server, database: str = MAINTENANCE) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection."""
    assert server.admin_dsn is not None
    with connect(with_database(server.admin_dsn, database)) as conn:
        yield conn


def ours(conn: psycopg.Connection[Any], kind: str = "") -> set[str]:
    """The databases with a name of ours."""
    names = {row[0] for row in conn.execute("SELECT datname::text FROM pg_database")}
    return {name for name in names if (found := parse_name(name)) and kind in ("", found.kind)}


def templates_of(conn: psycopg.Connection[Any], recipe: Recipe, server: Server) -> list[str]:
    """The names of a recipe's templates."""
    about = about_key(recipe.key(version=server.version, owner=parse_dsn(server.dsn)["user"]))
    return [
        name for name in ours(conn) if (found := parse_name(name)) and (found.kind, found.about) == ("template", about)
    ]


# Where each recipe was built, by its name.
BUILT: dict[str, list[str]] = {}


def making(name: str, *statements: str, **parts: Any) -> Recipe:
    """A recipe that runs some statements, and notes in BUILT that it did."""
    built = BUILT[name] = []

    def build(dsn: str) -> None:
        built.append(parse_dsn(dsn)["dbname"])
        with connect(dsn) as conn:
            for statement in statements:
                conn.execute(statement.encode())

    return Recipe(name, "", build, **parts)


def tables(dsn: str) -> list[str]:
    """The tables in public."""
    query = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    with connect(dsn) as conn:
        return [row[0] for row in conn.execute(query)]


def wait(condition: Callable[[], bool]) -> None:
    """Fail unless it becomes true within five seconds."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
