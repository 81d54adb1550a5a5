"""No detour leads a worker to the owner's rights: not with a login of its own, not by rules, policies or switches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from make_payments import Payments, refused
from psycopg.conninfo import make_conninfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_database import ScratchDatabase

ROLES = (
    "symphony_control",
    "symphony_executor",
    "symphony_ingest",
    "symphony_readonly",
    "symphony_auditor",
    "test_user",
    "boz_auditor",
)


@pytest.fixture
def worker(database: ScratchDatabase) -> Iterator[psycopg.Connection[Any]]:
    """A login in the role of the executor: what a worker really connects as, with no superuser behind it."""
    login, password = f"login_{uuid4().hex[:12]}", uuid4().hex
    admin = database.connect_admin()
    admin.execute(f"CREATE ROLE {login} LOGIN PASSWORD '{password}' IN ROLE symphony_executor".encode())
    with psycopg.connect(make_conninfo(database.dsn, user=login, password=password), autocommit=True) as conn:
        yield conn
    admin.execute(f"DROP OWNED BY {login}".encode())
    admin.execute(f"DROP ROLE {login}".encode())


@pytest.mark.parametrize("table", ["payment_outbox_attempts", "payment_outbox_pending", "payment_outbox_idempotency"])
def test_a_workers_own_table_of_that_name_stays_empty(
    database: ScratchDatabase, worker: psycopg.Connection[Any], table: str
) -> None:
    """A worker with a login of its own makes a temporary ledger; the real one has the attempt all the same (D-05)."""
    owner = Payments(database.connect())
    item = owner.enqueue("i")
    worker.execute(
        f"CREATE TEMPORARY TABLE {table} (outbox_id uuid, attempt_no int, state text, lease_token uuid,"
        " lease_expires_at timestamptz, next_attempt_at timestamptz, created_at timestamptz)".encode()
    )
    worker.execute("SET search_path = pg_temp, public")
    mine = Payments(worker)
    (lease,) = mine.claim()
    assert mine.complete(lease, "DISPATCHED") == (1, "DISPATCHED")

    assert owner.attempts(item.outbox_id) == [(1, "DISPATCHED")]
    assert owner.queue(item.outbox_id, "1") is None
    assert mine.one(f"SELECT count(*) FROM pg_temp.{table}") == 0


def test_a_default_of_its_own_login_moves_no_ceiling(
    database: ScratchDatabase, worker: psycopg.Connection[Any]
) -> None:
    """ALTER ROLE … SET on the worker's login, and its session's setting, count for nothing (D-38, INV-015)."""
    database.connect_admin().execute(f"ALTER ROLE {worker.info.user} SET symphony.outbox_retry_ceiling = 1".encode())
    Payments(database.connect()).enqueue("i")
    with psycopg.connect(worker.info.dsn, password=worker.info.password, autocommit=True) as again:
        assert again.execute("SHOW symphony.outbox_retry_ceiling").fetchone() == ("1",)
        again.execute("SET symphony.outbox_retry_ceiling = 1")
        (lease,) = Payments(again).claim()
        assert Payments(again).complete(lease, "RETRYABLE") == (1, "RETRYABLE")


def test_a_worker_cannot_become_somebody_else(worker: psycopg.Connection[Any]) -> None:
    """Neither the owner, nor another runtime role, nor without its guards (D-06)."""
    for role in ("symphony_owner", "postgres", *(role for role in ROLES if role != "symphony_executor")):
        refused(worker, "42501", f"SET ROLE {role}")
    refused(worker, "42501", "SET session_replication_role = replica")
    refused(worker, "42501", "ALTER FUNCTION public.complete_outbox_attempt RESET ALL")


@pytest.mark.parametrize("role", ROLES)
def test_no_role_plants_code_or_takes_a_guard_away(database: ScratchDatabase, role: str) -> None:
    """No rule, policy, row security or disabled trigger on a table that a DEFINER function writes (D-06, D-12)."""
    conn = database.connect(role)
    for table in ("payment_outbox_pending", "payment_outbox_attempts", "payment_outbox_idempotency"):
        for attack in (
            f"CREATE RULE r AS ON INSERT TO public.{table} DO INSTEAD NOTHING",
            f"CREATE POLICY p ON public.{table}",
            f"ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE public.{table} DISABLE TRIGGER ALL",
            f"CREATE INDEX i ON public.{table} ((1 / 0))",
            f"COMMENT ON TABLE public.{table} IS 'x'",
        ):
            refused(conn, "42501", attack)
