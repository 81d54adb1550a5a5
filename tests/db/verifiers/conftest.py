"""Settling invariants on a database of the test's own, and breaking it in transactions that are rolled back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from scripts.verifiers.model import Database
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.run import select_invariants, verify_invariant
from scripts.verifiers.twin.schema import Twin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg
    from db.verifiers.mutants import Mutant
    from fix_database import ScratchDatabase

    from scripts.migrations.folder.files import MigrationFile
    from scripts.result import Result


class Bench:
    """One database, its owner's and a superuser's connection, and the files it was made from."""

    def __init__(self, database: ScratchDatabase, files: tuple[MigrationFile, ...]) -> None:
        self.database = database
        self.files = files
        self.owner = database.connect()
        self.admin = database.connect_admin()
        # One for all that is settled here: it goes with the database.
        self.twin = Twin(database.connect)

    def on(self, conn: psycopg.Connection[Any], *, whole: bool = False) -> Database:
        """The database as the verifiers see it over this connection, its catalog not read yet."""
        return Database(conn, self.database.connect, self.files, twin=self.twin, whole=whole)

    def settle(
        self, *names: str, conn: psycopg.Connection[Any] | None = None, controls: bool = False
    ) -> dict[str, Result]:
        """The results of the invariants of these names, all of them without any."""
        chosen = select_invariants(names) if names else INVARIANTS
        subject = self.on(conn or self.owner, whole=not names)
        return {invariant.id: verify_invariant(invariant, subject, controls=controls) for invariant in chosen}

    @contextmanager
    def broken(self, mutant: Mutant) -> Iterator[psycopg.Connection[Any]]:
        """The database with the change in it, until the block ends."""
        conn = self.admin if mutant.admin else self.owner
        with conn.transaction(force_rollback=True):
            for function, old, new in mutant.rewrites:
                row = conn.execute("SELECT pg_get_functiondef(('public.' || %s)::regproc)", [function]).fetchone()
                assert row is not None
                assert old in row[0], f"{mutant.name}: the body of {function} reads otherwise now"
                conn.execute(row[0].replace(old, new).encode())
            for statement in mutant.sql:
                conn.execute(statement.encode())
            yield conn

    def reds(self, mutant: Mutant, names: Sequence[str] = ()) -> dict[str, set[str]]:
        """The ids of the checks that fail under the change, by invariant."""
        with self.broken(mutant) as conn:
            results = self.settle(*(names or mutant.must), conn=conn)
        for name, result in results.items():
            assert not result.error, f"{mutant.name}, {name}: {result.error}"
        return {name: {check.id for check in result.failures} for name, result in results.items()}


@pytest.fixture
def bench(database: ScratchDatabase, project_files: tuple[MigrationFile, ...]) -> Bench:
    """A fully migrated database of this test's own."""
    return Bench(database, project_files)
