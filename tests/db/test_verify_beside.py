"""`invoke verify` beside others of its kind: what a killed run left is swept, what a living one holds is let be."""

from __future__ import annotations

import json
import os
import signal
import subprocess  # noqa: TID251 - starts the product as its users do, and kills it
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import psycopg
    from fix_database import ScratchDatabase

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 120
TWINS = "SELECT nspname::text FROM pg_namespace WHERE nspname ~ '^parity_twin_' ORDER BY 1"
# Its session has the twin's name as the key of a lock: none of these is held.
LIVING = (
    "SELECT n.nspname::text FROM pg_namespace AS n WHERE n.nspname ~ '^parity_twin_' AND EXISTS (SELECT FROM pg_locks "
    "AS k WHERE k.locktype = 'advisory' AND k.objsubid = 1 AND lpad(to_hex(k.classid::oid::bigint), 8, '0') || "
    "lpad(to_hex(k.objid::oid::bigint), 8, '0') = substr(n.nspname, 13))"
)


def started(evidence: Path, database: ScratchDatabase) -> subprocess.Popen[str]:
    """`invoke verify --json` on this database, under way."""
    steering = ("MIGRATIONS_DIR", "PRE_CI_RUN_ID", "KEEP_DB", "MIGRATE_ROLE", "POSTGRES_DB")
    kept = {name: value for name, value in os.environ.items() if name not in steering}  # noqa: TID251 - for a child
    told = {"FRESH_DB": "0", "SERVER": "auto", "DATABASE_URL": database.url, "EVIDENCE_ROOT": str(evidence)}
    return subprocess.Popen(
        [sys.executable, "-m", "invoke", "verify", "--json"],
        cwd=ROOT,
        env=kept | told | {"NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(run: subprocess.Popen[str]) -> dict[str, str]:
    """Its exit code is 0 and every gate passed; else what did not, and why."""
    out, err = run.communicate(timeout=TIMEOUT_S)
    gates: list[dict[str, Any]] = json.loads(out)["gates"] if out else []
    red = {gate["gate"]: json.dumps(gate)[:600] for gate in gates if gate["status"] != "PASS"}
    return red if run.returncode or red else {} if gates else {"no gate": err}


def names(conn: psycopg.Connection[Any], query: str) -> set[str]:
    """The first column."""
    return {row[0] for row in conn.execute(query.encode())}


def awaited(conn: psycopg.Connection[Any], *, living: bool) -> str:
    """The one twin there is, once it lives, or is dead."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        there, alive = names(conn, TWINS), names(conn, LIVING)
        if there and bool(alive) is living:
            return next(iter(there))
        time.sleep(0.005)
    pytest.fail("no twin was seen")


def killed(evidence: Path, database: ScratchDatabase, conn: psycopg.Connection[Any]) -> str:
    """The twin that a run leaves which is killed while its twin lives."""
    with started(evidence, database) as run:
        name = awaited(conn, living=True)
        run.send_signal(signal.SIGKILL)
        run.communicate(timeout=TIMEOUT_S)
    awaited(conn, living=False)
    return name


def test_what_a_killed_run_left_is_gone_before_anything_is_read(database: ScratchDatabase, tmp_path: Path) -> None:
    """After SIGKILL in mid-run the twin stands; the next run drops it and is green, drift and traces included."""
    with database.connect() as conn:
        left = killed(tmp_path / "killed", database, conn)
        assert names(conn, TWINS) == {left}
        with started(tmp_path / "next", database) as run:
            assert ended(run) == {}
        assert names(conn, TWINS) == set()


def test_what_stands_beside_a_dead_twin_is_still_told(database: ScratchDatabase, tmp_path: Path) -> None:
    """The sweep takes its own alone: a schema of nobody's, dead twin or not, is drift as before."""
    with database.connect() as conn:
        killed(tmp_path / "killed", database, conn)
        conn.execute("CREATE SCHEMA parity_twin_0123456789abcdef")
        with started(tmp_path / "next", database) as run:
            assert ended(run).keys() == {"baseline-drift"}
        assert names(conn, TWINS) == {"parity_twin_0123456789abcdef"}


@pytest.mark.parametrize("pause_s", [0.0, 0.3])
def test_two_at_once_do_not_see_each_other(database: ScratchDatabase, tmp_path: Path, pause_s: float) -> None:
    """Two runs on one database: neither reads, awaits or drops what the other keeps for its two sessions."""
    with started(tmp_path / "one", database) as one:
        time.sleep(pause_s)
        with started(tmp_path / "other", database) as other:
            assert [ended(one), ended(other)] == [{}, {}]
    with database.connect() as conn:
        assert names(conn, TWINS) == set()


def test_one_that_is_killed_beside_a_living_one(database: ScratchDatabase, tmp_path: Path) -> None:
    """A twin that was somebody's when the run began and nobody's when it ended is no trace of its own probes."""
    with database.connect() as conn:
        with started(tmp_path / "killed", database) as victim:
            awaited(conn, living=True)
            with started(tmp_path / "other", database) as other:
                victim.send_signal(signal.SIGKILL)
                victim.communicate(timeout=TIMEOUT_S)
                assert ended(other) == {}
        assert names(conn, TWINS) == set()
