"""What the server itself has sessions start with counts like what is stored for a role; on a server of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from scripts.gates import all_gates
from scripts.migrations.apply import migrate
from scripts.run.database import DatabaseGates
from scripts.server.embedded.origin import open_embedded
from scripts.server.readiness import connect
from scripts.settings import Settings
from scripts.verifiers.facts.server import read_server_settings
from scripts.verifiers.model import Database
from scripts.verifiers.run import select_invariants, verify_invariant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.migrations.folder.files import MigrationFile
    from scripts.server.model import Server

# What the owner's login can see.
RED = (
    ("session_replication_role", "replica"),
    ("search_path", "pg_temp, public"),
    # What stands in that schema nobody asks; stored for a database it would be.
    ("search_path", "public, extensions"),
    ("row_security", "off"),
    ("default_transaction_read_only", "on"),
    ("default_transaction_isolation", "serializable"),
    ("exit_on_error", "on"),
    ("standard_conforming_strings", "off"),
    ("backslash_quote", "on"),
    ("zero_damaged_pages", "on"),
    ("ignore_checksum_failure", "on"),
    ("lo_compat_privileges", "on"),
    ("local_preload_libraries", "nonesuch"),
    ("lock_timeout", "10"),
    ("idle_in_transaction_session_timeout", "1"),
)
# What only a superuser can: the others are hidden by the server, or by what our own connection asks for.
RED_TO_A_SUPERUSER = (
    ("session_preload_libraries", "nonesuch"),
    ("dynamic_library_path", "/nonesuch"),
    ("statement_timeout", "5"),
    ("transaction_timeout", "5"),
    ("idle_session_timeout", "5"),
    ("client_encoding", "LATIN1"),
)
GREEN = (
    ("statement_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("search_path", '"$user", public'),
    ("work_mem", "64kB"),
    ("quote_all_identifiers", "on"),
    ("client_encoding", "utf-8"),
    ("DateStyle", "German, DMY"),
    ("enable_seqscan", "off"),
    ("symphony.outbox_retry_ceiling", "5"),
)


@pytest.fixture(scope="module")
def own_server(project_files: tuple[MigrationFile, ...]) -> Iterator[Server]:
    """A migrated database on a server that nobody else has."""
    with open_embedded(Settings(server="embedded"), reason="a test that changes the server") as opened:
        with psycopg.connect(opened.dsn, autocommit=True) as conn:
            migrate(conn, project_files, Settings(), report=lambda _: None)
        yield opened


class Desk:
    """A superuser's session, which changes the server, and those that verify."""

    def __init__(self, server: Server, files: tuple[MigrationFile, ...]) -> None:
        assert server.admin_dsn is not None
        self.files = files
        self.dsn = server.dsn
        self.admin = connect(server.admin_dsn)
        self.owner = connect(server.dsn)
        # Statements that the server would end, or a library that keeps everybody out, must not be ours.
        self.admin.execute("SET statement_timeout = 0; SET transaction_timeout = 0")

    def set(self, name: str, value: str) -> None:
        """Change the server's own value, and wait until the sessions have it."""
        items = [item.strip(' "') for item in value.split(",")] if name in ("search_path", "DateStyle") else [value]
        values = sql.SQL(", ").join(sql.Literal(item) for item in items)
        self.admin.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.SQL(name), values))
        self._reload()

    def reset(self) -> None:
        """As it was."""
        try:
            self.admin.execute("ALTER SYSTEM RESET ALL")
            self._reload()
        finally:
            self.admin.close()
            self.owner.close()

    def red(self, conn: psycopg.Connection[Any] | None = None, *, lasting: bool = False) -> str:
        """What sessions start with and should not, `none` when all is well."""
        at = Database(conn or self.owner, lambda: connect(self.dsn), self.files, lasting=lasting)
        result = verify_invariant(select_invariants(["role-login-posture"])[0], at)
        assert not result.error
        assert {check.id for check in result.failures} <= {"sessions_start_with"}
        return next(str(check.observed) for check in result.checks if check.id == "sessions_start_with")

    def kept(self, *, lasting: bool = True) -> str:
        """What keeps vacuum from the queue, `none` when it comes."""
        at = Database(self.owner, lambda: connect(self.dsn), self.files, lasting=lasting)
        result = verify_invariant(select_invariants(["outbox-mvcc-posture"])[0], at)
        assert not result.error
        return next((str(check.observed) for check in result.failures), "none")

    def _reload(self) -> None:
        before = [self._loaded(conn) for conn in (self.admin, self.owner)]
        self.admin.execute("SELECT pg_catalog.pg_reload_conf()")
        for conn, loaded in zip((self.admin, self.owner), before, strict=True):
            deadline = time.monotonic() + 10
            while self._loaded(conn) == loaded and time.monotonic() < deadline:
                time.sleep(0.005)

    @staticmethod
    def _loaded(conn: psycopg.Connection[Any]) -> Any:
        row = conn.execute("SELECT pg_catalog.pg_conf_load_time()::text").fetchone()
        assert row is not None
        return row[0]


@pytest.fixture
def desk(own_server: Server, project_files: tuple[MigrationFile, ...]) -> Iterator[Desk]:
    """A desk whose changes end with the test."""
    made = Desk(own_server, project_files)
    try:
        yield made
    finally:
        made.reset()


@pytest.mark.parametrize(("name", "value"), RED)
def test_a_setting_of_the_server_counts_as_one_of_every_role(desk: Desk, name: str, value: str) -> None:
    """Seen by the owner, by name and value; gone when it is taken back."""
    assert desk.red() == "none"
    desk.set(name, value)

    assert desk.red().startswith(f"the server: {name}={value[:8]}")


@pytest.mark.parametrize(("name", "value"), RED_TO_A_SUPERUSER)
def test_what_the_owner_cannot_see_a_superuser_does(desk: Desk, name: str, value: str) -> None:
    """The owner says nothing false about it."""
    desk.set(name, value)

    assert desk.red() == "none"
    assert desk.red(desk.admin) == f"the server: {name}={value}"


@pytest.mark.parametrize(("name", "value"), GREEN)
def test_a_harmless_setting_of_the_server_is_none(desk: Desk, name: str, value: str) -> None:
    """As for a role."""
    desk.set(name, value)

    assert (desk.red(lasting=False), desk.red(desk.admin)) == ("none", "none")


def test_what_is_stored_for_the_database_stands_before_the_servers(desk: Desk) -> None:
    """Nobody begins with the server's value; of the verifying login's own value, nobody else has any."""
    name = desk.owner.info.dbname
    desk.set("row_security", "off")
    try:
        for whose, said in (
            (f"DATABASE {name}", "none"),
            (f"ROLE ALL IN DATABASE {name}", "none"),
            # Hidden, and not false: nobody told.
            (f"ROLE {desk.owner.info.user}", "none"),
            ("ROLE symphony_control", "the server: row_security=off"),
        ):
            desk.admin.execute(f"ALTER {whose} SET row_security = on".encode())
            with connect(desk.dsn) as conn:
                assert (whose, desk.red(conn)) == (whose, said)
            desk.admin.execute(f"ALTER {whose} RESET row_security".encode())
    finally:
        for whose in (f"DATABASE {name}", f"ROLE {desk.owner.info.user}", "ROLE symphony_control"):
            desk.admin.execute(f"ALTER {whose} RESET ALL".encode())


def test_what_the_connection_asks_for_is_not_the_servers(desk: Desk) -> None:
    """Options of the DSN are the verifying run's own affair, also once they were set again."""
    options = "-c row_security=off --default-transaction-read-only=on"
    with psycopg.connect(desk.dsn, autocommit=True, options=options) as conn:
        conn.execute("SET row_security = on")
        assert desk.red(conn) == "none"
    with psycopg.connect(desk.dsn, autocommit=True, options="-c work_mem=64kB") as conn:
        found = [one.text for one in read_server_settings(conn, ["row_security", "role", "session_authorization"])]
    assert found == ["the server: row_security=on"]


def test_what_only_keeps_rows_from_a_crash_is_asked_where_rows_are_kept(desk: Desk) -> None:
    """Not on a server that writes nothing down, as our own, and not of a database that is thrown away."""
    assert (desk.red(), desk.red(lasting=True)) == ("none", "none")
    desk.set("fsync", "on")
    assert (desk.red(), desk.red(lasting=True)) == ("none", "the server: synchronous_commit=off")
    desk.set("synchronous_commit", "local")
    assert desk.red(lasting=True) == "none"


def test_a_run_on_a_database_that_stays_says_so(
    desk: Desk, project_files: tuple[MigrationFile, ...], own_server: Server
) -> None:
    """The whole gate, over what FRESH_DB=0 and 1 make of it."""
    desk.set("fsync", "on")
    (gate,) = [gate for gate in all_gates() if gate.id == "role-login-posture"]
    for fresh, passes in ((True, True), (False, False)):
        settings = Settings(fresh_db=fresh)
        with DatabaseGates(settings, own_server, project_files, learn=lambda **_: None, say=lambda _: None) as gates:
            assert gates.settle(gate, apply=False).passed is passes


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("track_counts", "off", "the server: track_counts=off"),
        ("autovacuum_vacuum_threshold", "2147483647", "at 100,000,000 dead rows"),
        ("autovacuum_vacuum_scale_factor", "100", "at 10,000,050 dead rows"),
        ("autovacuum_naptime", "2147483", "the server: autovacuum_naptime=2147483"),
    ],
)
def test_vacuum_is_asked_for_where_rows_are_kept(desk: Desk, name: str, value: str, said: str) -> None:
    """Of our own servers, which have it off and write nothing down, nobody asks; nor of a database of the run's own."""
    assert desk.kept() == "none"
    desk.set("fsync", "on")
    assert desk.kept() == "never, or late: the server: autovacuum=off"
    desk.set("autovacuum", "on")
    assert desk.kept() == "none"
    desk.set(name, value)

    assert (desk.kept(lasting=False), desk.kept()) == ("none", f"never, or late: {said}")
