"""The gates that need a database: migrate, compare the catalog, verify, and look for traces.

Owns: the one connection of the run, and what was seen before the verifiers ran.
Promises: with `apply` off nothing is written; the catalog is read from the database at hand, never from a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from scripts.clock import utc_now
from scripts.result import Check, Result
from scripts.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    import psycopg

    from scripts.catalog.read import Catalog
    from scripts.digest import Json
    from scripts.gates import Gate
    from scripts.migrations.files import MigrationFile
    from scripts.server.model import Server
    from scripts.settings import Settings
    from scripts.verifiers.model import Database

GOLDEN_CATALOG = ROOT / "schema" / "catalog.txt"


class DatabaseGates:
    """Settles the gates of kind migrate, catalog and verify on one server."""

    def __init__(
        self,
        settings: Settings,
        server: Server,
        files: tuple[MigrationFile, ...],
        *,
        learn: Callable[..., None],
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._server = server
        self._files = files
        self._learn = learn
        self._say = say
        self._catalog: Catalog | None = None
        self._before: Mapping[str, Json] | None = None
        self._database: Database | None = None

    def __enter__(self) -> Self:
        self._conn = self._connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._database is not None:
            self._database.close()
        self._conn.close()

    def migrate(self) -> None:
        """Apply what is pending."""
        from scripts.migrations.apply import migrate

        migrate(self._conn, self._files, self._settings, report=self._say)

    def settle(self, gate: Gate, *, apply: bool) -> Result:
        """Run one gate.

        Args:
            gate: of a kind that needs a database.
            apply: whether the gate of kind migrate applies what is pending before it looks.
        """
        if gate.kind == "migrate":
            return self._migrated(gate.id, apply=apply)
        if gate.id == "baseline-drift":
            return self._baseline(gate.id)
        if gate.id == "probe-traces":
            return self._traces(gate.id)
        return self._verified(gate.id)

    def _migrated(self, name: str, *, apply: bool) -> Result:
        from scripts.migrations.ledger import read_ledger

        started_at = utc_now()
        if apply:
            self.migrate()
        ledger = {row.version: row.checksum for row in read_ledger(self._conn)}
        known = {file.name: file.checksum for file in self._files}
        checks = tuple(
            Check(
                id=version,
                expected=known.get(version),
                observed=ledger.get(version),
                where=f"public.schema_migrations, {version}",
                help="run `invoke migrate`" if version in known else "restore the file from git",
            )
            for version in sorted(known.keys() | ledger.keys())
        )
        return Result(name, started_at, utc_now(), checks=checks, examined=len(ledger))

    def _baseline(self, name: str) -> Result:
        from scripts.catalog.compare import verify_baseline

        started_at = utc_now()
        catalog = self._read_catalog()
        golden = GOLDEN_CATALOG.read_text(encoding="utf-8") if GOLDEN_CATALOG.exists() else ""
        checks = verify_baseline(catalog, golden)
        return Result(name, started_at, utc_now(), checks=checks, examined=len(checks))

    def _verified(self, name: str) -> Result:
        from scripts.verifiers.model import Database
        from scripts.verifiers.run import select_invariants, verify_invariant

        if self._database is None:
            self._before = self._snapshot()
            self._read_catalog()
            self._database = Database(self._conn, self._connect, self._files)
        return verify_invariant(select_invariants([name])[0], self._database)

    def _traces(self, name: str) -> Result:
        started_at = utc_now()
        if self._before is None:
            # A snapshot compared with itself would always be equal.
            why = "no verifier ran before it, so there is nothing to look for; select one beside it"
            return Result(name, started_at, utc_now(), error=why)
        before, after = self._before, self._snapshot()
        checks = tuple(
            Check(id=key, expected=before.get(key), observed=after.get(key), where=key, help="a probe was not undone")
            for key in sorted(before.keys() | after.keys())
        )
        return Result(name, started_at, utc_now(), checks=checks, examined=len(after))

    def _read_catalog(self) -> Catalog:
        from scripts.catalog.fingerprint import fingerprint
        from scripts.catalog.read import read_catalog

        if self._catalog is None:
            self._catalog = read_catalog(self._conn)
            self._learn(catalog_before=fingerprint(self._catalog), catalog_after=fingerprint(self._catalog))
        return self._catalog

    def _snapshot(self) -> Mapping[str, Json]:
        from scripts.run.traces import read_traces

        return read_traces(self._conn, count_rows=self._settings.fresh_db)

    def _connect(self) -> psycopg.Connection[Any]:
        from scripts.server.readiness import connect

        return connect(self._server.dsn)
