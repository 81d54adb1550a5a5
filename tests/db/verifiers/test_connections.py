"""Where a login may open few connections, verify goes on with fewer; where too few, it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from scripts.gates import all_gates
from scripts.result import Outcome
from scripts.run.database import DatabaseGates
from scripts.run.room import connections_left
from scripts.server.model import Server
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import ScratchDatabase

    from scripts.migrations.folder.files import MigrationFile

PAIRED = ("ci-invariant-gate", "tenant-integrity", "outbox-claim-semantics")
SLOWER = "verify   of 3 more connections the server has 2 left for this login: slower"


class Limited:
    """A database that takes so many more connections than the test's own."""

    def __init__(self, database: ScratchDatabase, files: tuple[MigrationFile, ...]) -> None:
        self.database, self.files = database, files
        self.admin = database.connect_admin()
        self.lines: list[str] = []

    def limit(self, more: int) -> None:
        """At most this many beside those that are open now."""
        row = self.admin.execute(
            "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database()"
        ).fetchone()
        assert row is not None
        change = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(
            sql.Identifier(self.database.name), sql.Literal(row[0] + more)
        )
        self.admin.execute(change)

    def settled(self) -> dict[str, tuple[Outcome, str]]:
        """Outcome and error of each, as a run settles them."""
        server = Server(self.database.dsn, None, "external", "", "18")
        found: dict[str, tuple[Outcome, str]] = {}
        with DatabaseGates(
            Settings(), server, self.files, verifying=PAIRED, learn=lambda **_: None, say=self.lines.append
        ) as gates:
            for gate in (one for one in all_gates() if one.id in PAIRED):
                result = gates.settle(gate, apply=False)
                found[gate.id] = (result.outcome, result.error)
        return found


@pytest.fixture
def limited(database: ScratchDatabase, project_files: tuple[MigrationFile, ...]) -> Limited:
    """A migrated database without a limit yet."""
    return Limited(database, project_files)


@pytest.mark.parametrize(("more", "said"), [(4, []), (3, [SLOWER])])
def test_three_connections_are_enough(limited: Limited, more: int, said: list[str]) -> None:
    """The run's own and the twin's two; with a fourth, probes are played ahead."""
    limited.limit(more)
    assert limited.settled() == dict.fromkeys(PAIRED, (Outcome.PASS, ""))
    assert limited.lines == said


@pytest.mark.parametrize("more", [1, 2])
def test_too_few_are_told_as_what_they_are(limited: Limited, more: int) -> None:
    """By each that needs them, with whose limit it is; half a pair is asked nothing, and is left nowhere."""
    limited.limit(more)
    found = limited.settled()

    assert {outcome for outcome, _ in found.values()} == {Outcome.ERROR}
    for _, error in found.values():
        assert error.startswith("the server takes no more connections (expected room for four, or, slower, for three")
        assert f'too many connections for database "{limited.database.name}"' in error
    assert limited.admin.execute("SELECT 1 FROM pg_namespace WHERE nspname ~ '^parity_twin'").fetchall() == []


def test_what_is_left_is_of_the_least_limit(database: ScratchDatabase) -> None:
    """Of the login, of the database and of the server; a superuser's is the server's alone."""
    admin: Any = database.connect_admin()
    for statement in (
        "CREATE ROLE few_left LOGIN PASSWORD 'few' CONNECTION LIMIT 3",
        sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 50").format(sql.Identifier(database.name)),
    ):
        admin.execute(statement)
    try:
        assert connections_left(database.connect()) < 50 < connections_left(admin)
        dsn = make_conninfo(database.dsn, user="few_left", password="few")  # noqa: S106 - of a role that is dropped
        with psycopg.connect(dsn, autocommit=True) as conn:
            assert connections_left(conn) == 2
    finally:
        admin.execute("DROP ROLE few_left")
