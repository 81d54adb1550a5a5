"""Databases for the lanes: the migrated one, and copies of it.

Owns: the names of the copies, their making and their end; the memberships that let the owner play every role.
Promises: only what was made here is dropped, with whoever is connected to it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from scripts.errors.mutants import NoSuperuserError
from scripts.server.external import throwaway_name
from scripts.server.readiness import connect, parse_dsn, with_database
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.mutants.lanes import Lane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scripts.server.model import Server


@contextmanager
def open_lanes(server: Server, folder: Path, count: int) -> Iterator[tuple[Lane, ...]]:
    """So many lanes on a fresh server whose database is migrated, and to which nobody is connected.

    Args:
        server: with a superuser.
        folder: of the migrations.
        count: at least one.

    Raises:
        NoSuperuserError: the server has no superuser for us.
    """
    from psycopg import sql

    if server.admin_dsn is None:
        raise NoSuperuserError.of()
    admin_dsn = server.admin_dsn
    parts = parse_dsn(server.dsn)
    owner, original = parts["user"], parts["dbname"]
    with connect(with_database(admin_dsn, "postgres")) as admin:
        _let_act(admin_dsn, owner)
        names = [original]
        try:
            for _ in range(count - 1):
                name = throwaway_name()
                admin.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY file_copy").format(
                        sql.Identifier(name), sql.Identifier(original), sql.Identifier(owner)
                    )
                )
                names.append(name)
            yield tuple(Lane(with_database(admin_dsn, name), with_database(server.dsn, name), folder) for name in names)
        finally:
            for name in names[1:]:
                admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _let_act(admin_dsn: str, owner: str) -> None:
    """Give the owner the roles once: granted in each transaction, they would make the lanes wait for each other."""
    from psycopg import sql

    with connect(with_database(admin_dsn, "postgres")) as admin:
        row = admin.execute(
            "SELECT pg_catalog.array_agg(r.rolname::text) FROM pg_catalog.pg_roles AS r "
            "WHERE r.rolname = ANY (%s) AND NOT pg_catalog.pg_has_role(%s, r.oid, 'SET')",
            [list(ROLES), owner],
        ).fetchone()
        if row and row[0]:
            admin.execute(
                sql.SQL("GRANT {} TO {} WITH INHERIT FALSE, SET TRUE").format(
                    sql.SQL(", ").join(map(sql.Identifier, row[0])), sql.Identifier(owner)
                )
            )
