"""The twin: it follows what the transaction sees, touches nobody, and is gone whatever happens to its run."""

from __future__ import annotations

import signal
import subprocess  # noqa: TID251 - a test starts the program it kills
import sys
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog
from scripts.result import Outcome
from scripts.verifiers.model import Findings
from scripts.verifiers.probes.stage import Stage
from scripts.verifiers.run import select_invariants, verify_invariant
from scripts.verifiers.twin.names import COMMENT, lock, new_name
from scripts.verifiers.twin.schema import Twin

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from db.verifiers.conftest import Bench

ROOT = Path(__file__).resolve().parents[3]
CLAIMS = "outbox-claim-semantics"
# Opens a twin, says its name, and waits to be killed.
VICTIM = """
import sys, psycopg
sys.path.insert(0, sys.argv[1])
from scripts.verifiers.model import Findings
from scripts.verifiers.probes.stage import Stage
from scripts.verifiers.twin.schema import Twin
connect = lambda: psycopg.connect(sys.argv[2], autocommit=True)
twin, conn = Twin(connect), connect()
with conn.transaction(force_rollback=True):
    with twin.pair(Stage(conn, Findings(), conn.info.user, keyed=True)):
        print(twin.name, flush=True)
        sys.stdin.read()
"""


def twins(conn: psycopg.Connection[Any]) -> set[str]:
    """The schemas that are called like one."""
    return {row[0] for row in conn.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^parity_twin_'")}


@contextmanager
def on_stage(bench: Bench) -> Iterator[Stage]:
    """A stage of the owner's."""
    with bench.owner.transaction(force_rollback=True):
        yield Stage(bench.owner, Findings(), bench.owner.info.user, keyed=True)


def test_nothing_is_left_of_it(bench: Bench) -> None:
    """While it lives a catalog that is read beside it is as before; afterwards schema, lock and sessions are gone."""
    before = fingerprint(read_catalog(bench.owner))
    with closing(Twin(bench.database.connect)) as twin:
        with on_stage(bench) as stage, twin.pair(stage):
            assert twins(bench.admin) == {twin.name}
            assert fingerprint(read_catalog(bench.admin)) == before
        assert fingerprint(read_catalog(bench.admin)) == before

    assert twins(bench.admin) == set()
    assert fingerprint(read_catalog(bench.owner)) == before
    for conn in bench.database.opened:
        if conn not in (bench.owner, bench.admin):
            assert conn.closed


def test_a_run_that_was_killed_is_swept_up_by_the_next(bench: Bench) -> None:
    """After SIGKILL its schema stands and is drift; the next twin drops it, and none of a run that lives."""
    before = fingerprint(read_catalog(bench.owner))
    dsn = bench.database.dsn
    command = [sys.executable, "-c", VICTIM, str(ROOT), dsn]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        name = victim.stdout.readline().strip()
        with closing(Twin(bench.database.connect)) as other, on_stage(bench) as stage, other.pair(stage):
            assert twins(bench.admin) == {name, other.name}
        victim.send_signal(signal.SIGKILL)
        victim.wait(10)
    _wait_until_free(bench, name)
    assert twins(bench.admin) == {name}
    assert fingerprint(read_catalog(bench.owner)) != before

    with closing(Twin(bench.database.connect)) as other, on_stage(bench) as stage, other.pair(stage):
        assert twins(bench.admin) == {other.name}
    assert fingerprint(read_catalog(bench.owner)) == before


def _wait_until_free(bench: Bench, name: str) -> None:
    """Until the server has noticed that the session is gone."""
    import time

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if lock(bench.admin, name):
            bench.admin.execute("SELECT pg_advisory_unlock_all()")
            return
        time.sleep(0.02)
    pytest.fail("the session of a killed process kept its lock")


def test_what_is_not_provably_a_dead_twin_of_ours_is_not_dropped(bench: Bench) -> None:
    """A schema of another name, without our comment, or of another owner stays, whoever's it is."""
    plain, foreign, near = new_name(), new_name(), "parity_twin_x"
    for name, conn in ((plain, bench.owner), (near, bench.owner), (foreign, bench.admin)):
        conn.execute(f"CREATE SCHEMA {name}".encode())
    for name, conn in ((near, bench.owner), (foreign, bench.admin)):
        conn.execute(f"COMMENT ON SCHEMA {name} IS '{COMMENT}'".encode())

    with closing(Twin(bench.database.connect)) as twin, on_stage(bench) as stage, twin.pair(stage):
        pass

    assert twins(bench.admin) == {plain, foreign, near}


def test_it_follows_what_the_transaction_sees(bench: Bench) -> None:
    """An uncommitted change of a function, index or column is in the next pair's twin, and gone with the savepoint."""
    with closing(Twin(bench.database.connect)) as twin, on_stage(bench) as stage:
        ceiling = "SELECT public.outbox_retry_ceiling()"
        unique = (
            "INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, "
            "rail_type, sequence_id, payload, attempt_no, state) VALUES "
            "('00000000-0000-0000-0000-000000000001', 'n', 'n', 'n', 'r', 1, '{}', %s, 'FAILED')"
        )

        def seen() -> tuple[object, str]:
            # Whoever asks into other findings asks at another moment.
            with twin.pair(replace(stage, findings=Findings())) as pair:
                pair.first.begin()
                pair.first.run(unique, [1])
                return pair.second.value(ceiling), pair.first.answer(unique, [2])

        refused = "23505 ux_outbox_attempts_one_terminal_per_outbox"
        assert seen() == (20, refused)
        with stage.undone():
            stage.run("CREATE OR REPLACE FUNCTION public.outbox_retry_ceiling() RETURNS int LANGUAGE sql AS 'SELECT 7'")
            assert seen() == (7, refused)
        with stage.undone():
            stage.run("DROP INDEX public.ux_outbox_attempts_one_terminal_per_outbox")
            assert seen() == (20, "accepted")
        with stage.undone():
            stage.run("ALTER TABLE public.payment_outbox_attempts ADD COLUMN more int NOT NULL DEFAULT 1")
            assert seen() == (20, refused)
        assert seen() == (20, refused)


def test_a_function_that_could_reach_outside_is_no_answer_but_red(bench: Bench) -> None:
    """A body with dynamic SQL is not run where it would be committed; the questions that need it fail, and say why."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(
            "CREATE OR REPLACE FUNCTION public.outbox_claim_limit(p_batch_size integer, p_worker_id text, "
            "p_lease_seconds integer) RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp "
            "AS 'BEGIN EXECUTE ''DELETE FROM public.tenants''; RETURN p_batch_size; END'"
        )
        result = bench.settle(CLAIMS)[CLAIMS]

    assert result.outcome is Outcome.FAIL
    observed = {check.id: check.observed for check in result.failures}
    assert observed["claims_at_once_setup"] == "execute in a body"


def test_without_room_for_it_nothing_is_claimed(bench: Bench) -> None:
    """Where the owner may not create a schema the gate says so, and is an ERROR."""
    bench.admin.execute(f"ALTER DATABASE {bench.database.name} OWNER TO CURRENT_USER".encode())
    bench.admin.execute(f"REVOKE CREATE ON DATABASE {bench.database.name} FROM {bench.owner.info.user}".encode())
    result = bench.settle(CLAIMS)[CLAIMS]

    user = bench.owner.info.user
    assert result.outcome is Outcome.ERROR
    assert result.error == (
        f"two sessions have no place to meet (missing CREATE on the database, for {user}): GRANT CREATE ON DATABASE "
        f"… TO {user}, or verify a copy of this database"
    )


def test_a_database_at_work_is_neither_heard_nor_held_up(bench: Bench) -> None:
    """With rows of others locked and uncommitted the probes are green, wake nobody, and leave no thread behind."""
    gates = (CLAIMS, "outbox-lease-fencing", "idempotency-zombie", "payer-attribution", "tenant-integrity")
    listener = bench.database.connect()
    listener.execute("LISTEN symphony_outbox")
    enqueue = "SELECT public.enqueue_payment_outbox('i', 'p', %s, 'r', '{}')"
    bench.owner.execute(enqueue, ["committed"])
    list(listener.notifies(timeout=1, stop_after=1))
    threads = threading.active_count()
    other = bench.database.connect(autocommit=False)
    other.execute(enqueue, ["open"])
    other.execute("SELECT FROM public.payment_outbox_pending FOR UPDATE")
    other.execute("INSERT INTO public.policy_versions (version, checksum, status) VALUES ('v', 'c', 'RETIRED')")

    results = bench.settle(*gates)

    assert {name: (result.error, result.failures) for name, result in results.items() if not result.passed} == {}
    assert list(listener.notifies(timeout=0.1)) == []
    assert threading.active_count() == threads
    other.rollback()


def test_a_lost_session_is_replaced(bench: Bench) -> None:
    """When a session of the twin was ended from outside, this gate has no answer, and the next one a new twin."""
    subject = bench.on(bench.owner)
    (claims,) = select_invariants([CLAIMS])
    assert verify_invariant(claims, subject).passed
    bench.admin.execute(
        "SELECT pg_terminate_backend(k.pid, 5000) FROM pg_locks AS k JOIN pg_database AS d ON d.oid = k.database "
        "WHERE k.locktype = 'advisory' AND k.objsubid = 1 AND d.datname = current_database()"
    )

    assert verify_invariant(claims, subject).outcome is Outcome.ERROR
    assert verify_invariant(claims, subject).passed
    assert len(twins(bench.admin)) == 1


def test_a_foreign_trigger_that_reaches_elsewhere_hides_no_answer(bench: Bench) -> None:
    """It is not made in the twin, where it would write somewhere for good; who owns its table tells of it."""
    bench.owner.execute(
        "CREATE SCHEMA audit; CREATE FUNCTION audit.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER zz AFTER INSERT ON public.billing_usage_events FOR EACH STATEMENT EXECUTE FUNCTION audit.f();"
        "CREATE FUNCTION public.zz_after() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER zz AFTER INSERT ON public.tenants FOR EACH STATEMENT EXECUTE FUNCTION public.zz_after()"
    )
    red = {
        name: [check.id for check in result.failures] for name, result in bench.settle().items() if not result.passed
    }

    assert "table-definitions" in red
    assert not [name for checks in red.values() for name in checks if name.endswith("_setup")]
    assert "outbox-claim-semantics" not in red
