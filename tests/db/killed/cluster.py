"""A PostgreSQL of these tests' own, which may be stopped at once and started again on the same data.

Owns: its durability (a commit is in the log before it is answered, pages are written whole), its stops and starts, and
its databases. fsync stays off: the machine does not lose power here, only processes end.
The programs, the folder and the watcher that cleans up are those of the product's embedded server.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from scripts.server.embedded.account import find_account
from scripts.server.embedded.binaries import find_binaries
from scripts.server.embedded.layout import make_layout, runnable, tail_of
from scripts.server.embedded.leash import Leash
from scripts.server.provision import INITDB_OPTIONS, OWNER, SUPERUSER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_S = 60.0
# As in production where it matters here; a statement whose client was killed goes on, as on a system where the server
# cannot see that: the DSN's word counts before the one that our connections come with.
OPTIONS = {
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "fsync": "off",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
}
UNNOTICED = "-c client_connection_check_interval=0"
_SYSTEM_ROLES = (SUPERUSER, OWNER)


class Cluster:
    """The server; `dsn(name)` reaches a database of it as the owner, `admin_dsn(name)` as superuser."""

    def __init__(self, leash: Leash) -> None:
        self._leash = leash
        self._account = find_account()
        self._layout = make_layout(leash, self._account)
        self._programs = runnable(find_binaries(None), leash, self._account)
        self._numbers = itertools.count(1)
        self._pid = 0
        self._admin: psycopg.Connection[Any] | None = None
        options = [option for option in INITDB_OPTIONS if not option.startswith("--auth")]
        # Only this user and root can enter the socket's folder; a password for each of a thousand connections is slow.
        argv: list[str | Path] = [self._programs.initdb, "-D", self._layout.data, *options, "--auth=trust", "--no-sync"]
        leash.begin(argv, account=self._account, log=self._layout.log)
        assert leash.finish(timeout_s=START_S) == 0, tail_of(self._layout.log)
        self.start()
        self.admin.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(sql.Identifier(OWNER)))
        with psycopg.connect(self.admin_dsn("template1"), autocommit=True) as conn:
            # What is left of the rebuild of a TOAST index is its owner's, but cannot be named without this.
            conn.execute(sql.SQL("GRANT USAGE ON SCHEMA pg_toast TO {}").format(sql.Identifier(OWNER)))

    @property
    def admin(self) -> psycopg.Connection[Any]:
        """A superuser's connection, opened anew after a stop."""
        if self._admin is None or self._admin.closed:
            self._admin = psycopg.connect(self.admin_dsn("postgres"), autocommit=True)
        return self._admin

    def dsn(self, database: str) -> str:
        """For the engine."""
        return f"host={self._layout.socket} user={OWNER} dbname={database} options='{UNNOTICED}'"

    def admin_dsn(self, database: str) -> str:
        """For those who look on."""
        return f"host={self._layout.socket} user={SUPERUSER} dbname={database}"

    def start(self) -> None:
        """Start it on the data as they are, and wait until it has recovered."""
        argv: list[str | Path] = [self._programs.postgres, "-D", self._layout.data, "-k", self._layout.socket]
        argv += ["-c", f"config_file={self._layout.config}"]
        for name, value in OPTIONS.items():
            argv += ["-c", f"{name}={value}"]
        self._pid = self._leash.start(argv, account=self._account, log=self._layout.log)
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.admin.execute("SELECT 1")
            except psycopg.OperationalError:
                status = self._leash.ended()
                assert not status, f"the server {status}:\n{tail_of(self._layout.log)}"
                assert time.monotonic() < deadline, f"the server does not start:\n{tail_of(self._layout.log)}"
                time.sleep(0.005)
            else:
                return

    def stop_at_once(self) -> None:
        """SIGQUIT to the postmaster: no checkpoint, nothing is finished; then wait until it is gone."""
        os.kill(self._pid, signal.SIGQUIT)
        deadline = time.monotonic() + START_S
        while not self._leash.ended():
            assert time.monotonic() < deadline, "the server does not end"
            time.sleep(0.002)
        if self._admin is not None:
            self._admin.close()

    def create(self, *, name: str = "", template: str = "template1") -> str:
        """A new database of the owner; returns its name."""
        name = name or f"killed_{next(self._numbers)}"
        query = "CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy"
        self.admin.execute(sql.SQL(query).format(*(sql.Identifier(part) for part in (name, OWNER, template))))
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        self.admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def drop_roles(self) -> None:
        """Remove the roles that migrations made: they belong to the cluster and outlive their database.

        No database may be left that knows them.
        """
        roles = self.admin.execute(
            "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' AND rolname <> ALL (%s)",
            (list(_SYSTEM_ROLES),),
        ).fetchall()
        for (role,) in roles:
            self.admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    def close(self) -> None:
        """The watcher ends the server; only our connection is ours to close."""
        if self._admin is not None:
            self._admin.close()


@contextmanager
def open_cluster() -> Iterator[Cluster]:
    """Make it, lend it, and remove every trace of it."""
    with Leash() as leash:
        cluster = Cluster(leash)
        try:
            yield cluster
        finally:
            cluster.close()
