"""Databases for the lanes: the migrated one, and copies of it.

Owns: how many copies there are, and the memberships that let the owner play every role. A copy's making and its end are
    the server room's.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from scripts.errors.mutants import NoSuperuserError
from scripts.server.clones.templates import MAINTENANCE, open_templates
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
    if server.admin_dsn is None:
        raise NoSuperuserError.of()
    parts = parse_dsn(server.dsn)
    _let_act(server.admin_dsn, parts["user"])
    original = Lane(server.admin_dsn, server.dsn, folder)
    with open_templates(server, report=_quiet) as templates, ExitStack() as copies:
        made = [copies.enter_context(templates.copy(parts["dbname"])) for _ in range(count - 1)]
        yield (original, *(Lane(copy.admin_dsn, copy.dsn, folder) for copy in made))


def _quiet(_line: str) -> None:
    """Of copies of the run's own database there is nothing to report."""


def _let_act(admin_dsn: str, owner: str) -> None:
    """Give the owner the roles once: granted in each transaction, they would make the lanes wait for each other."""
    from psycopg import sql

    with connect(with_database(admin_dsn, MAINTENANCE)) as admin:
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
