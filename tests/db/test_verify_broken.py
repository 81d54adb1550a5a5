"""`invoke verify` where parts are missing, or out of the caller's reach: each gate says so, and none hides another."""

from __future__ import annotations

import json
import os
import subprocess  # noqa: TID251 - starts the product as its users do
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts.gates import all_gates

if TYPE_CHECKING:
    from fix_database import ScratchDatabase

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 120
LEDGERS = ("schema_migrations", "schema_migrations_history", "schema_migrations_journal")


def verified(evidence: Path, url: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Exit code, gates by name and stderr of `invoke verify --json`."""
    steering = ("MIGRATIONS_DIR", "PRE_CI_RUN_ID", "KEEP_DB", "MIGRATE_ROLE", "POSTGRES_DB")
    kept = {name: value for name, value in os.environ.items() if name not in steering}  # noqa: TID251 - for a child
    told = {"FRESH_DB": "0", "SERVER": "auto", "DATABASE_URL": url, "EVIDENCE_ROOT": str(evidence), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "verify", "--json"],
        cwd=ROOT,
        env=kept | told,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    gates = {gate["gate"]: gate for gate in json.loads(done.stdout)["gates"]}
    assert [*gates] == [gate.id for gate in all_gates() if gate.needs_database]
    return done.returncode, gates, done.stderr


def by_status(gates: dict[str, dict[str, Any]], status: str) -> set[str]:
    """The names of the gates with it."""
    return {name for name, gate in gates.items() if gate["status"] == status}


def test_without_the_ledger_everything_else_is_asked(database: ScratchDatabase, tmp_path: Path) -> None:
    """A dropped ledger fails the gates that are about it, each with a sentence; all others are green: exit 1."""
    with database.connect() as conn:
        conn.execute("DROP TABLE public.schema_migrations")
    code, gates, _ = verified(tmp_path, database.url)

    assert code == 1
    assert by_status(gates, "NOT_RUN") == set()
    assert by_status(gates, "FAIL") >= {"migrate", "migration-history", "no-tx-migrations", "table-definitions"}
    assert by_status(gates, "ERROR") == {"baseline-drift"}
    assert len(by_status(gates, "PASS")) > 20
    assert {"append-only-ledgers", "outbox-claim-semantics", "legacy-rows", "probe-traces"} <= by_status(gates, "PASS")
    assert "the ledger is gone, its history is there" in json.dumps(gates["migrate"])
    assert "public.schema_migrations: not there" in json.dumps(gates["migration-history"])
    assert "the ledger is gone" in gates["baseline-drift"]["error"]


@pytest.mark.parametrize("name", LEDGERS[1:])
def test_without_a_part_of_the_ledger(database: ScratchDatabase, tmp_path: Path, name: str) -> None:
    """A dropped history or journal is told by the gate that reads it, by name, and hides nothing."""
    with database.connect() as conn:
        conn.execute(f"DROP TABLE public.{name}".encode())
    code, gates, _ = verified(tmp_path, database.url)

    assert code == 1
    assert by_status(gates, "PASS") == gates.keys() - {"migration-history"}
    assert f"public.{name}: not there" in json.dumps(gates["migration-history"])


@pytest.mark.parametrize("name", LEDGERS)
def test_a_ledger_of_another_shape(database: ScratchDatabase, tmp_path: Path, name: str) -> None:
    """A column that the runner did not make is told by name; everything else is asked."""
    with database.connect() as conn:
        conn.execute(f"ALTER TABLE public.{name} ADD COLUMN note text".encode())
    code, gates, _ = verified(tmp_path, database.url)

    assert code == 1
    assert "migration-history" in by_status(gates, "FAIL")
    assert f"public.{name}: not of the ledger's shape" in json.dumps(gates["migration-history"])
    assert by_status(gates, "NOT_RUN") == by_status(gates, "ERROR") == set()
    assert by_status(gates, "FAIL") <= {"migration-history", "baseline-drift", "table-definitions", "table-conventions"}


def test_a_login_without_rights(database: ScratchDatabase, tmp_path: Path) -> None:
    """Whoever may not ask gets an ERROR for each gate, with role, SQLSTATE and a way out, and no pass: exit 1."""
    name, password = f"stranger_{database.name[-12:]}", "not-a-secret"
    with database.connect_admin() as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'".encode())
        try:
            parts = database.url.partition("@")
            code, gates, stderr = verified(tmp_path, f"postgresql://{name}:{password}@{parts[2]}")
        finally:
            admin.execute(f"DROP ROLE {name}".encode())

    assert code == 1
    assert by_status(gates, "PASS") == {"probe-traces"}
    assert by_status(gates, "ERROR") == gates.keys() - {"probe-traces"}
    assert gates["migrate"]["error"].startswith("ledger: the ledger may not be read (role stranger_")
    assert gates["migration-history"]["error"] == (
        f"the role {name} may not ask (SQLSTATE 42501): verify as the owner of the schema, the role that the "
        "migrations ran as, or as a superuser"
    )
    assert "the probes cannot act as boz_auditor" in gates["append-only-ledgers"]["error"]
    assert password not in stderr + json.dumps(gates)


def test_a_schema_that_the_login_may_not_use(database: ScratchDatabase, tmp_path: Path) -> None:
    """Without USAGE on public every gate that reads in it is an ERROR with a sentence; none is a fault of ours."""
    name, password = f"outsider_{database.name[-12:]}", "not-a-secret"
    with database.connect_admin() as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'".encode())
        try:
            admin.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
            parts = database.url.partition("@")
            code, gates, _ = verified(tmp_path, f"postgresql://{name}:{password}@{parts[2]}")
        finally:
            admin.execute(f"DROP ROLE {name}".encode())

    assert code == 1
    assert by_status(gates, "NOT_RUN") == set()
    assert by_status(gates, "PASS") == set()
    assert "the verifier itself failed" not in json.dumps(gates)
    assert gates["baseline-drift"]["error"].startswith(f"the role {name} may not ask (SQLSTATE 42501): verify as the")


def test_a_schema_that_is_gone(database: ScratchDatabase, tmp_path: Path) -> None:
    """Without schema public at all every gate fails or says why it could not be asked."""
    with database.connect_admin() as admin:
        admin.execute("DROP SCHEMA public CASCADE")
    code, gates, _ = verified(tmp_path, database.url)

    assert code == 1
    assert by_status(gates, "NOT_RUN") == set()
    assert by_status(gates, "PASS") <= {"probe-traces", "role-login-posture"}
    assert "the verifier itself failed" not in json.dumps(gates)
