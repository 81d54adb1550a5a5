"""The gates that need a database: migrate, compare the catalog, verify, and look for traces.

Owns: the one connection of the run, and what was seen before the verifiers ran.
Promises: with `apply` off nothing is written; the catalog is read from the database at hand, never from a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from scripts.catalog.golden import golden_name
from scripts.clock import utc_now
from scripts.result import Check, Result
from scripts.run.room import FOR_ALL, connections_left

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType

    import psycopg

    from scripts.catalog.read import Catalog
    from scripts.digest import Json
    from scripts.gates import Gate
    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.model import Applied
    from scripts.server.model import Server
    from scripts.settings import Settings
    from scripts.verifiers.model import Database


class DatabaseGates:
    """Settles the gates of kind migrate, catalog and verify on one server."""

    def __init__(  # noqa: PLR0913 - what a run hands over, by keyword
        self,
        settings: Settings,
        server: Server,
        files: tuple[MigrationFile, ...],
        *,
        verifying: Sequence[str] = (),
        learn: Callable[..., None],
        say: Callable[[str], None],
    ) -> None:
        """Open nothing yet.

        Args:
            settings: which role migrates, and whether the database is the run's own.
            server: where.
            files: the migrations.
            verifying: every invariant among the gates that will be settled, in order. What of them can be asked ahead
                of its turn is, in another thread; with none named, nothing is.
            learn: takes what the evidence tells of the whole run.
            say: takes a line for the person who waits.
        """
        self._settings = settings
        self._server = server
        self._files = files
        self._verifying = tuple(verifying)
        self._learn = learn
        self._say = say
        self._catalog: Catalog | None = None
        self._before: Mapping[str, Json] | None = None
        self._numbers: Mapping[str, str | None] = {}
        self._database: Database | None = None

    def __enter__(self) -> Self:
        self._open()
        return self

    def _open(self) -> None:
        from scripts.server.readiness import settle

        self._conn = self._connect()
        # Even a definition waits for whoever holds its table exclusively; nobody is waited for without end.
        settle(self._conn, {"lock_timeout": f"{self._settings.lock_timeout_ms}ms"})

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._database is not None:
            self._database.close()
        self._conn.close()

    def migrate(self) -> Applied:
        """Apply what is pending."""
        from scripts.errors.migration import MigrationFailedError
        from scripts.migrations.apply import migrate
        from scripts.server.telling import require_room

        try:
            return migrate(self._conn, self._files, self._settings, report=self._say)
        except MigrationFailedError as error:
            # A machine without room says nothing of the file.
            require_room(self._server, error.sqlstate, error.what, error.where)
            raise

    def settle(self, gate: Gate, *, apply: bool) -> Result:
        """Run one gate.

        Args:
            gate: of a kind that needs a database.
            apply: whether the gate of kind migrate applies what is pending before it looks.

        Raises:
            ReadingError: somebody holds a table exclusively, so that the catalog cannot be read.
            ConnectionLostError: the server went away while the gate asked something itself.
            DiskFullError: the server has no room left, or no memory.
        """
        from psycopg import Error, errors

        from scripts.errors.drift import ReadingError
        from scripts.errors.migration import ConnectionLostError
        from scripts.errors.verifiers import UnaskedError
        from scripts.server.readiness import address_of
        from scripts.server.telling import require_room

        started_at = utc_now()
        try:
            return self._settled(gate, apply=apply)
        except errors.InsufficientPrivilege as exc:
            # What this login may not ask another gate may not need.
            unasked = UnaskedError.no_right(self._conn.info.user, sqlstate=exc.sqlstate or "")
            return Result(gate.id, started_at, utc_now(), error=unasked.sentence)
        except errors.LockNotAvailable:
            address = address_of(self._server.dsn)
            raise ReadingError.locked(address, waited_ms=self._settings.lock_timeout_ms) from None
        except Error as exc:
            words = exc.diag.message_primary or ""
            require_room(self._server, exc.sqlstate or "", words, f"the gate {gate.id}")
            # A verifier's own connection may be another by now.
            lost = self._conn.closed or self._conn.broken or (gate.kind == "verify" and exc.sqlstate is None)
            # Somebody ended the session, or the question, and the server is there: the other gates can be asked.
            passes = gate.kind != "migrate" and (
                self._opened_again() if lost else isinstance(exc, errors.QueryCanceled)
            )
            if not passes and lost:
                raise ConnectionLostError.between_files(sqlstate=exc.sqlstate or "") from None
            if not passes:
                raise
            if lost:
                unasked = UnaskedError.connection_lost()
            else:
                unasked = UnaskedError.refused(sqlstate=exc.sqlstate or "", name="QueryCanceled")
            return Result(gate.id, started_at, utc_now(), error=unasked.sentence)

    def _opened_again(self) -> bool:
        from psycopg import Error

        from scripts.errors.base import ProjectError

        self._conn.close()
        try:
            self._open()
        except (ProjectError, Error):
            return False
        return True

    def _settled(self, gate: Gate, *, apply: bool) -> Result:
        if gate.kind == "migrate":
            return self._migrated(gate.id, apply=apply)
        if gate.id == "baseline-drift":
            return self._baseline(gate.id)
        if gate.id == "probe-traces":
            return self._traces(gate.id)
        return self._verified(gate.id)

    def _migrated(self, name: str, *, apply: bool) -> Result:
        from scripts.errors.history import HistoryError
        from scripts.errors.migration import LedgerAccessError
        from scripts.migrations.ledger.table import LEDGER, read_ledger
        from scripts.migrations.session.role import acting_as

        started_at = utc_now()
        applied = self.migrate() if apply else None
        try:
            with acting_as(self._conn, self._settings.migrate_role):
                read = read_ledger(self._conn)
        except HistoryError as error:
            if apply:
                raise
            # To verify is to judge: a ledger that is none fails this gate, and whatever else there is is asked.
            wrong = Check("ledger", "one that can be read", error.what, where=error.where or LEDGER, help=error.help)
            return Result(name, started_at, utc_now(), checks=(wrong,), examined=1)
        except LedgerAccessError as error:
            if apply:
                raise
            return Result(name, started_at, utc_now(), error=f"{error.kind}: {error.sentence}")
        ledger = {row.version: row.checksum for row in read.rows}
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
        # The head of the chain, kept where nobody who can write to the database can reach it, and what each file did.
        head = read.head
        volatile: dict[str, Json] = {
            "ledger": None if head is None else {"records": head.seq, "head": head.hash},
            "applied": [] if applied is None else [file.as_json() for file in applied.files],
        }
        details: dict[str, Json] = {"volatile": volatile}
        return Result(name, started_at, utc_now(), checks=checks, examined=len(ledger), details=details)

    def _baseline(self, name: str) -> Result:
        """The catalog against what the recorded files make; without golden file, copy or ledger it alone errs."""
        from scripts.errors.history import HistoryError
        from scripts.errors.migration import MigrationError
        from scripts.errors.server import ServerError

        started_at = utc_now()
        try:
            return self._compared(name, started_at)
        except (HistoryError, ServerError, MigrationError) as error:
            return Result(name, started_at, utc_now(), error=f"{error.kind}: {error.what}")

    def _compared(self, name: str, started_at: datetime) -> Result:
        from scripts.catalog.compare import verify_baseline
        from scripts.catalog.drift import leave_out_newer_ledger
        from scripts.migrations.ledger.table import read_ledger
        from scripts.migrations.session.role import acting_as
        from scripts.run.drift import expected_catalog, require_golden
        from scripts.run.original import Recorded, runs_as_superuser

        catalog = self._read_catalog()
        if self._settings.fresh_db:
            expected, origin = require_golden(self._settings.migrations_dir), golden_name(self._settings.migrations_dir)
        else:
            ledger = any(item.title == "table public.schema_migrations" for item in catalog.objects)
            with acting_as(self._conn, self._settings.migrate_role):
                recorded = Recorded(read_ledger(self._conn).rows, ledger, runs_as_superuser(self._conn))
            wanted = expected_catalog(self._settings, self._files, recorded, report=self._say)
            expected, origin = wanted.catalog, wanted.origin
        told, notes = leave_out_newer_ledger(expected, catalog)
        checks = verify_baseline(catalog, told)
        details: dict[str, Json] = {"expected_from": origin} | ({"notes": list(notes)} if notes else {})
        return Result(name, started_at, utc_now(), checks=checks, examined=len(checks), details=details)

    def _verified(self, name: str) -> Result:
        from scripts.verifiers.ahead import Ahead
        from scripts.verifiers.model import Database
        from scripts.verifiers.registry import INVARIANTS
        from scripts.verifiers.run import select_invariants
        from scripts.verifiers.turns import Turns

        if self._database is None:
            self._before, self._numbers = self._snapshot(), self._numbering()
            self._read_catalog()
            coming = select_invariants(self._verifying) if self._verifying else ()
            ahead = Ahead(self._connect, self._files, coming) if coming and self._has_room() else None
            lasting = not self._settings.fresh_db
            seeded = lasting and self._settings.require_policy_seed
            self._database = Database(
                self._conn,
                self._connect,
                self._files,
                ahead=ahead,
                whole={*INVARIANTS} <= {*coming},
                lasting=lasting,
                seeded=seeded,
            )
            self._turns = Turns(self._database, coming)
        (invariant,) = select_invariants([name])
        return self._turns.settle(invariant)

    def _has_room(self) -> bool:
        """Whether there are connections enough to play ahead in another thread; without, all takes longer."""
        left = connections_left(self._conn)
        if left < FOR_ALL:
            self._say(
                f"verify   of {FOR_ALL} more connections the server has {max(left, 0)} left for this login: slower"
            )
        return left >= FOR_ALL

    def _traces(self, name: str) -> Result:
        started_at = utc_now()
        if self._before is None or self._database is None:
            # A snapshot compared with itself would always be equal.
            why = "no verifier ran before it, so there is nothing to look for; select one beside it"
            return Result(name, started_at, utc_now(), error=why)
        # What the verifiers keep between them ends with the last of them; it is not to be left by them either.
        self._database.close()
        before, after = self._before, self._snapshot()
        checks = tuple(
            Check(id=key, expected=before.get(key), observed=after.get(key), where=key, help="a probe was not undone")
            for key in sorted(before.keys() | after.keys())
        )
        moved = [one for one, last in self._numbering().items() if self._numbers.get(one) != last]
        notes: list[Json] = [
            f"sequence {one} gave out numbers: to rows of probes, which are gone, or to others" for one in moved
        ]
        details: dict[str, Json] = {"notes": notes} if notes else {}
        return Result(name, started_at, utc_now(), checks=checks, examined=len(after), details=details)

    def _read_catalog(self) -> Catalog:
        from scripts.catalog.fingerprint import fingerprint
        from scripts.run.seen import read_seen

        if self._catalog is None:
            self._catalog = read_seen(self._conn)
            self._learn(catalog_before=fingerprint(self._catalog), catalog_after=fingerprint(self._catalog))
        return self._catalog

    def _snapshot(self) -> Mapping[str, Json]:
        from scripts.run.traces import read_traces

        return read_traces(self._conn, count_rows=self._settings.fresh_db)

    def _numbering(self) -> Mapping[str, str | None]:
        from scripts.run.traces import read_numbering

        return read_numbering(self._conn)

    def _connect(self) -> psycopg.Connection[Any]:
        from scripts.server.readiness import connect

        return connect(self._server.dsn)
