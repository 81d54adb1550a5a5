"""Databases for measuring: each round's own, on one server, without a trace of the round before.

Owns: their making and removal, the project's roles included: those are the server's, and a second run that finds them
there would have less to do than the first.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.server.model import Server


class Scratch:
    """A server, and the roles it had before anything was measured."""

    def __init__(self, server: Server) -> None:
        if server.admin_dsn is None:
            msg = "measuring needs a fresh server"
            raise RuntimeError(msg)
        self._dsn = server.dsn
        self._admin_dsn = make_conninfo(server.admin_dsn, dbname="postgres")
        self._owner = str(conninfo_to_dict(server.dsn)["user"])
        self._numbers = itertools.count(1)
        with self._admin() as conn:
            self._roles = _roles(conn)

    @contextmanager
    def database(self) -> Iterator[str]:
        """An empty database of the owner, by its DSN; gone afterwards, and the roles that were made in it."""
        name = f"bench_{next(self._numbers)}"
        with self._admin() as conn:
            conn.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(self._owner)
                )
            )
        try:
            yield make_conninfo(self._dsn, dbname=name)
        finally:
            with self._admin() as conn:
                conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
                for role in _roles(conn) - self._roles:
                    conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
                # What the round left to be written is written now, and not in the next one's time.
                conn.execute("CHECKPOINT")

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection to an empty database, both gone afterwards."""
        with self.database() as dsn, psycopg.connect(dsn, autocommit=True) as conn:
            yield conn

    @contextmanager
    def _admin(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self._admin_dsn, autocommit=True) as conn:
            yield conn


def _roles(conn: psycopg.Connection[Any]) -> set[str]:
    return {row[0] for row in conn.execute("SELECT rolname FROM pg_catalog.pg_roles").fetchall()}
