"""On a database at work the verifiers hold nobody up: what needs a strong lock gives up first, and says so."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import uuid4

from psycopg import errors, sql

from scripts.result import Outcome
from scripts.verifiers.facts.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg
    from db.verifiers.conftest import Bench

    from scripts.result import Result

LONGEST_STALL_S = 0.5
EXCLUSIVE = "ACCESS EXCLUSIVE"
# Gate → the table whose lock it asks for first.
STRONG = {
    "append-only-ledgers": "payment_outbox_attempts",
    "ci-invariant-gate": "policy_versions",
    "ingress-attestation": "ingress_attestations",
    "legacy-rows": "payment_outbox_pending",
    "revocation-tables": "revoked_client_certs",
}


def busy(*tables: str, mode: str = EXCLUSIVE) -> str:
    """The sentence of a gate that did not get its lock."""
    names = ", ".join(f"public.{table}" for table in tables)
    return (
        f"the {mode} lock on {names} was not free within 100 ms (SQLSTATE 55P03 LockNotAvailable): repeat it "
        f"when no open transaction has used {names} or a table that refers to it; while it waits, others wait "
        "behind it, so it does not wait longer"
    )


class Traffic:
    """Somebody who reads every table in turn, again and again; `longest` is the longest time one look took."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self.longest: dict[str, float] = dict.fromkeys(TABLES, 0.0)
        self.looks = 0
        self._conn = conn
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Read until the block ends."""
        thread = threading.Thread(target=self._read)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _read(self) -> None:
        while not self._over.is_set():
            for name in TABLES:
                started = time.monotonic()
                self._conn.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier("public", name)))
                self.longest[name] = max(self.longest[name], time.monotonic() - started)
            self.looks += 1


def settled_beside(bench: Bench, tables: Iterable[str], *gates: str) -> tuple[dict[str, Result], Traffic]:
    """The results while a transaction that has read these tables stays open, and the traffic meanwhile."""
    traffic = Traffic(bench.database.connect())
    with bench.admin.transaction(force_rollback=True):
        for name in tables:
            bench.admin.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier("public", name)))
        with traffic.running():
            return bench.settle(*gates), traffic


def test_an_idle_reader_is_no_reason_to_stop_the_others(bench: Bench) -> None:
    """D-28: with a transaction open on every table no reader waits half a second, and no gate passes unasked."""
    results, traffic = settled_beside(bench, TABLES)
    errors = {name: result.error for name, result in results.items() if result.error}

    assert max(traffic.longest.values()) < LONGEST_STALL_S
    assert traffic.looks > 1
    assert errors == {gate: busy(table) for gate, table in STRONG.items()}
    assert {result.outcome for name, result in results.items() if name in STRONG} == {Outcome.ERROR}
    assert {result.outcome for name, result in results.items() if name not in STRONG} == {Outcome.PASS}


def test_a_reader_of_what_refers_to_the_table_stops_no_one_either(bench: Bench) -> None:
    """D-28: emptying a table asks for the locks of those that refer to it, while it has its own."""
    results, traffic = settled_beside(bench, ["external_proofs"], "ingress-attestation")

    assert results["ingress-attestation"].error == busy("ingress_attestations")
    assert max(traffic.longest.values()) < LONGEST_STALL_S


def test_an_idle_writer_stops_no_other_writer(bench: Bench) -> None:
    """D-28: a trigger asks for its lock before it is refused; the wait for that is as short."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute("DELETE FROM public.payment_outbox_attempts WHERE false")
        result = bench.settle("table-privileges")["table-privileges"]

    assert result.outcome is Outcome.ERROR
    assert result.error == busy("payment_outbox_attempts", mode="SHARE ROW EXCLUSIVE")


class Vacuum:
    """A VACUUM that somebody runs on a table, as slowly as it is told; it holds what an autovacuum holds."""

    def __init__(
        self, conn: psycopg.Connection[Any], watch: psycopg.Connection[Any], table: str, delay_ms: int
    ) -> None:
        self.error: Exception | None = None
        self._conn = conn
        conn.execute(f"SET vacuum_cost_limit = 1; SET vacuum_cost_delay = {delay_ms}".encode())
        self._thread = threading.Thread(target=self._run, args=(table,))
        self._thread.start()
        deadline = time.monotonic() + WAIT_S
        while not watch.execute(_VACUUMED, [conn.info.backend_pid, table]).fetchone():
            assert time.monotonic() < deadline, "the vacuum has not begun, or is over"
            time.sleep(0.002)

    def _run(self, table: str) -> None:
        try:
            self._conn.execute(sql.SQL("VACUUM {}").format(sql.Identifier("public", table)))
        except Exception as exc:  # noqa: BLE001 - looked at by the test
            self.error = exc

    @property
    def running(self) -> bool:
        """Whether it is still at it."""
        return self._thread.is_alive()

    def end(self) -> None:
        """Stop it."""
        self._conn.cancel_safe(timeout=WAIT_S)
        self._thread.join(WAIT_S)


WAIT_S = 20.0
# Longer than one wait for a lock, and shorter than all the pauses in which it is asked for again.
MOMENT_S = 0.3
_VACUUMED = (
    "SELECT 1 FROM pg_locks WHERE pid = %s AND relation = ('public.' || %s)::regclass "
    "AND mode = 'ShareUpdateExclusiveLock' AND granted"
)
# Attempts as anybody's, so that a vacuum has something to read.
_ROWS = (
    "INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, "
    "rail_type, sequence_id, payload, attempt_no, state) "
    "SELECT gen_random_uuid(), n, n, n, 'RAIL', 1, '{}', 1, 'RETRYABLE' "
    "FROM (SELECT n::text FROM generate_series(1, 2000) AS n) AS s"
)


def test_a_vacuum_that_ends_in_time_is_waited_out(bench: Bench) -> None:
    """D-28: a table that is vacuumed for a moment makes no gate ERROR, with controls and without."""
    for controls in (False, True):
        bench.owner.execute(_ROWS)
        # As slow as can be, and ended at a set moment: how long a vacuum takes by itself is the machine's to say.
        vacuum = Vacuum(bench.database.connect_admin(), bench.admin, "payment_outbox_attempts", delay_ms=100)
        moment = threading.Timer(MOMENT_S, vacuum.end)
        started = time.monotonic()
        moment.start()
        result = bench.settle("table-privileges", controls=controls)["table-privileges"]
        took = time.monotonic() - started
        moment.join()
        assert isinstance(vacuum.error, errors.QueryCanceled), "the vacuum was over before anybody ended it"
        assert (result.outcome, result.error) == (Outcome.PASS, "")
        assert took > MOMENT_S, "nobody waited for the vacuum"


def test_a_vacuum_that_goes_on_is_told_and_not_disturbed(bench: Bench) -> None:
    """D-28: after the last try the gate is an ERROR that names the lock; nobody was held up, nothing was cancelled."""
    bench.owner.execute(_ROWS)
    vacuum = Vacuum(bench.database.connect_admin(), bench.admin, "payment_outbox_attempts", delay_ms=100)
    traffic = Traffic(bench.database.connect())
    try:
        with traffic.running():
            result = bench.settle("append-only-ledgers")["append-only-ledgers"]
        assert vacuum.running
    finally:
        vacuum.end()

    assert result.outcome is Outcome.ERROR
    assert result.error == busy("payment_outbox_attempts")
    assert max(traffic.longest.values()) < LONGEST_STALL_S


class Payments:
    """An application that makes payments, each in a transaction of its own that takes a while; what it was told."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self.made = 0
        self.errors: list[str] = []
        self._conn = conn

    def make(self, over: threading.Event) -> None:
        """One after the other: a payer, its tenant, an instruction, its queue item and its proof."""
        while not over.is_set():
            payer, tenant, attestation, name = (str(uuid4()) for _ in range(4))
            try:
                with self._conn.transaction():
                    self._ask(
                        "INSERT INTO billable_clients (billable_client_id, legal_name, client_type, client_key) "
                        "VALUES (%s, 'x', 'BANK', %s)",
                        *(payer, name),
                    )
                    time.sleep(0.02)
                    self._ask(
                        "INSERT INTO tenants (tenant_id, tenant_key, tenant_name, tenant_type, billable_client_id) "
                        "VALUES (%s, %s, 'n', 'NGO', %s)",
                        *(tenant, name, payer),
                    )
                    self._ask(
                        "INSERT INTO ingress_attestations (attestation_id, instruction_id, tenant_id, payload_hash) "
                        "VALUES (%s, %s, %s, 'h')",
                        *(attestation, name, tenant),
                    )
                    self._ask("SELECT enqueue_payment_outbox(%s, %s, %s, 'rail', '{}', %s)", name, name, name, tenant)
                    self._ask(
                        "INSERT INTO external_proofs (attestation_id, provider, request_hash, response_hash) "
                        "VALUES (%s, 'p', 'q', 'r')",
                        attestation,
                    )
                self.made += 1
            except errors.Error as exc:
                self.errors.append(f"{exc.sqlstate} {exc.diag.message_primary}")

    def _ask(self, question: LiteralString, *values: str) -> None:
        self._conn.execute(question, values)


def test_an_application_at_work_is_no_more_disturbed_than_it_disturbs(bench: Bench) -> None:
    """Of several tables all are locked or none: nobody who pays ends in a deadlock, and the gates get their turn."""
    over = threading.Event()
    payments = [Payments(bench.database.connect()) for _ in range(2)]
    threads = [threading.Thread(target=one.make, args=(over,)) for one in payments]
    for thread in threads:
        thread.start()
    try:
        results = bench.settle("table-privileges", "business-foundation-hooks", "usage-billing", controls=True)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert {name: (one.outcome, one.error) for name, one in results.items()} == dict.fromkeys(
        results, (Outcome.PASS, "")
    )
    assert [one.errors for one in payments] == [[], []]
    assert min(one.made for one in payments) > 3
