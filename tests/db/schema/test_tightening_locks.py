"""0026 and 0027 among traffic: nobody is stalled for longer than the lock budget, and no row is rewritten or read."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from make_payments import Payments, fresh, refused

from scripts.errors.migration import MigrationFailedError
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigratedDatabase

    from scripts.migrations.folder.files import MigrationFile

TABLES = (
    "external_proofs",
    "ingress_attestations",
    "payment_outbox_pending",
    "payment_outbox_attempts",
    "tenant_members",
    "tenants",
    "billable_clients",
)
# The budget of 0026 is 100 ms for all its locks; the rest is what a busy machine of two cores adds.
LONGEST_STALL_S = 1.0
# Six holders, one after the other, add up to 420 ms.
HELD_S, STAGGERED_STALL_S = 0.07, 0.3


@pytest.fixture
def before(migrated_to: Callable[[int], MigratedDatabase]) -> MigratedDatabase:
    """A database at 0025, with a row in every table that 0026 changes."""
    made = migrated_to(25)
    payments = Payments(made.connect())
    tenant = payments.tenant(payments.payer(None))
    payments.member(tenant)
    payments.proof(payments.attestation(tenant, "i"))
    for name in ("i", "j"):
        payments.enqueue(name, tenant=tenant)
    payments.complete(payments.claim()[0], "DISPATCHED")
    return made


class Traffic:
    """Statements of the application, one after the other, until it is told to stop; each is timed."""

    def __init__(self, conn: psycopg.Connection[Any], spared: str) -> None:
        self.longest_s, self.done, self.failed = 0.0, 0, list[str]()
        self._conn, self._ended = conn, threading.Event()
        self._reads = [f"SELECT count(*) FROM public.{table}" for table in TABLES if table != spared]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop it, and wait for its last statement."""
        self._ended.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the traffic is stalled"

    def _run(self) -> None:
        payments = Payments(self._conn)
        while not self._ended.is_set():
            for query in (*self._reads, None):
                started = time.monotonic()
                try:
                    if query is None:
                        payments.enqueue(fresh("traffic"))
                    else:
                        payments.one(query)
                except psycopg.Error as exc:
                    self.failed.append(f"{exc.sqlstate}: {exc}")
                self.done += 1
                self.longest_s = max(self.longest_s, time.monotonic() - started)


class Holders:
    """One writer on each of the tables; each lets go a while after the migration has come to wait for its table."""

    def __init__(self, database: MigratedDatabase, tables: tuple[str, ...]) -> None:
        self._writers = {table: database.connect(autocommit=False) for table in tables}
        for table, writer in self._writers.items():
            writer.execute(f"LOCK TABLE public.{table} IN ROW EXCLUSIVE MODE".encode())
        self._watch = Payments(database.connect_admin())
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until the last has let go."""
        self._thread.join(30)
        assert not self._thread.is_alive(), "the migration never came to one of the tables"

    def _run(self) -> None:
        seen: dict[str, float] = {}
        while self._writers:
            waited = self._watch.rows(
                "SELECT c.relname FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
                " WHERE NOT l.granted AND l.mode IN ('AccessExclusiveLock', 'ShareRowExclusiveLock')"
            )
            for (table,) in waited:
                seen.setdefault(table, time.monotonic())
            for table in [
                table for table in self._writers if time.monotonic() - seen.get(table, time.monotonic()) > HELD_S
            ]:
                self._writers.pop(table).rollback()
            time.sleep(0.002)


@pytest.mark.parametrize("held", TABLES)
def test_a_reader_that_stays_stops_the_migration_and_nobody_else(before: MigratedDatabase, held: str) -> None:
    """One open transaction on one table: 0026 gives up after its budget, every other statement goes on (D-31, AC6)."""
    reader = before.connect(autocommit=False)
    # On tenant_members a reader conflicts with nothing that 0026 takes; a writer does.
    lock = "ROW EXCLUSIVE" if held == "tenant_members" else "ACCESS SHARE"
    reader.execute(f"LOCK TABLE public.{held} IN {lock} MODE".encode())
    writer = before.connect()
    writer.execute("SET statement_timeout = '5s'")
    traffic = Traffic(writer, spared=held)
    try:
        with pytest.raises(MigrationFailedError) as caught:
            before.migrate(26, Settings(lock_attempts=2))
    finally:
        traffic.stop()

    assert caught.value.exit_code == 5
    assert "55P03" in str(caught.value)
    assert "0026_business_foundation_delta_tightening.sql" not in before.recorded()
    assert before.value("SELECT count(*) FROM pg_attribute WHERE attname LIKE 'predates%%'") == 0
    assert traffic.failed == []
    assert traffic.done > 20
    assert traffic.longest_s < LONGEST_STALL_S

    reader.rollback()
    assert [file.name[:4] for file in before.migrate().files] == ["0026", "0027"]


def test_a_reader_that_ends_lets_a_later_try_through(before: MigratedDatabase) -> None:
    """The whole transaction is tried again, and succeeds when the reader has gone (D-31)."""
    reader = before.connect(autocommit=False)
    reader.execute("SELECT count(*) FROM public.external_proofs")
    end = threading.Timer(0.6, reader.rollback)
    end.start()

    first, _ = before.migrate(None, Settings(lock_attempts=20)).files

    end.join()
    assert first.attempts > 1


def test_holders_that_let_go_one_after_the_other_share_one_budget(before: MigratedDatabase) -> None:
    """Six writers, each gone 70 ms after its table's turn, stall nobody for their sum; retries get through (D-31)."""
    traffic = Traffic(before.connect(), spared="")
    holders = Holders(before, TABLES[1:])
    try:
        first, _ = before.migrate(None, Settings(lock_attempts=30)).files
    finally:
        traffic.stop()
    holders.join()

    assert traffic.longest_s < STAGGERED_STALL_S
    assert traffic.failed == []
    assert first.attempts > 1


def test_a_spent_budget_is_told_and_may_pass(
    before: MigratedDatabase, project_files: tuple[MigrationFile, ...]
) -> None:
    """With nothing left no lock is waited for without bound: 55P03, which the runner tries again (D-31)."""
    (file,) = [file for file in project_files if file.number == 26]
    (block,) = [statement.text for statement in file.statements if statement.kind == "DoStmt"]
    spent = block.replace("integer := 100;", "integer := 0;")
    assert spent != block

    error = refused(before.connect(), "55P03", spent)

    assert error.diag.message_primary == "the tables were not to be had within 0 ms"
    assert error.diag.message_hint == "The runner tries again; let long transactions end."


def test_each_lock_gets_what_is_left_and_the_rest_the_budget(
    before: MigratedDatabase, project_files: tuple[MigrationFile, ...]
) -> None:
    """Inside the block lock_timeout only falls, never to 0; after it the file's statements have 100 ms again (D-31)."""
    (file,) = [file for file in project_files if file.number == 26]
    conn, seen = before.connect(), list[int]()
    with conn.transaction():
        for statement in file.statements[:3]:
            conn.execute(statement.text.encode())
            seen.append(Payments(conn).one("SELECT setting::int FROM pg_settings WHERE name = 'lock_timeout'"))

    assert [statement.kind for statement in file.statements[:3]] == ["VariableSetStmt", "DoStmt", "VariableSetStmt"]
    assert (seen[0], seen[2]) == (100, 100)
    assert 0 < seen[1] <= 100


def test_nothing_fails_while_both_files_apply_under_traffic(before: MigratedDatabase) -> None:
    """Reads and enqueues all along: 0 failed statements, the longest stall within the budget (D-31, AC4)."""
    writer = before.connect()
    traffic = Traffic(writer, spared="")
    try:
        before.migrate(None, Settings(lock_attempts=50))
        time.sleep(0.2)
    finally:
        traffic.stop()

    assert traffic.failed == []
    assert traffic.longest_s < LONGEST_STALL_S


def test_no_row_is_rewritten_or_read(before: MigratedDatabase, project_files: tuple[MigrationFile, ...]) -> None:
    """0026 changes the catalog alone: the server reports no rewrite and no scan, every row is where it was (AC6)."""
    (file,) = [file for file in project_files if file.number == 26]
    owner = Payments(before.connect())
    places = {table: _places(owner, table) for table in TABLES}
    scans = "SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_xact_user_tables WHERE relname = ANY(%s)"
    told: list[str] = []
    conn = before.connect()
    conn.add_notice_handler(lambda note: told.append(note.message_primary or ""))
    conn.execute("SET client_min_messages = debug1")
    with conn.transaction():
        conn.execute(file.text.encode())
        read = Payments(conn).one(scans, list(TABLES))

    assert [line for line in told if line.startswith(("rewriting", "verifying", "validating"))] == []
    assert read == 0
    assert {table: _places(owner, table) for table in TABLES} == places
    assert all(len(rows) > 0 for _, rows in places.values())


def test_the_notices_tell_a_rewrite_and_a_scan(before: MigratedDatabase) -> None:
    """The test above can fail: a volatile default and a validated check are told in those words (AC6)."""
    told: list[str] = []
    conn = before.connect()
    conn.add_notice_handler(lambda note: told.append(note.message_primary or ""))
    conn.execute("SET client_min_messages = debug1")
    conn.execute("ALTER TABLE public.tenants ADD COLUMN a uuid DEFAULT gen_random_uuid()")
    conn.execute("ALTER TABLE public.tenants ADD CONSTRAINT a CHECK (tenant_key <> '')")

    assert {line.split()[0] for line in told} >= {"rewriting", "verifying"}


@pytest.mark.parametrize("number", [19, 24])
def test_a_validation_reads_before_any_lock_that_stops_writers(
    migrated_to: Callable[[int], MigratedDatabase], project_files: tuple[MigrationFile, ...], number: int
) -> None:
    """A constraint is validated, which reads its table, while the file holds nothing that a writer waits for (AC4)."""
    conn = migrated_to(number - 1).connect()
    stopping = (
        "SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = pg_backend_pid()"
        " AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
        " AND c.relnamespace = 'public'::regnamespace"
    )
    validations = 0
    with conn.transaction():
        for statement in next(file for file in project_files if file.number == number).statements:
            conn.execute(statement.text.encode())
            if "VALIDATE CONSTRAINT" in statement.text:
                validations += 1
                assert conn.execute(stopping).fetchall() == []

    assert validations > 0


def test_only_the_concurrent_builds_run_outside_a_transaction(project_files: tuple[MigrationFile, ...]) -> None:
    """0026 is one transaction with its ledger row; 0027 and three others build indexes outside one (AC4)."""
    assert [file.number for file in project_files if file.no_tx] == [13, 18, 21, 27]
    assert [file.number for file in project_files] == list(range(1, 28))


def _places(payments: Payments, table: str) -> tuple[int, list[tuple[Any, ...]]]:
    """The table's file, and of each row who wrote it and where it lies."""
    file = payments.one("SELECT pg_relation_filenode(%s::regclass)", f"public.{table}")
    return file, payments.rows(f"SELECT xmin::text, ctid::text FROM public.{table} ORDER BY ctid")
