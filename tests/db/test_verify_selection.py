"""`invoke verify` on an existing database: what is chosen is asked, and the exit code says what became of it."""

from __future__ import annotations

import json
import os
import subprocess  # noqa: TID251 - starts the product as its users do
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts.gates import all_gates
from scripts.verifiers.registry import INVARIANTS

if TYPE_CHECKING:
    from fix_database import ScratchDatabase

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 120


def verify(evidence: Path, database: ScratchDatabase, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `invoke verify` on this database to its end."""
    steering = ("MIGRATIONS_DIR", "PRE_CI_RUN_ID", "KEEP_DB", "MIGRATE_ROLE", "POSTGRES_DB")
    kept = {name: value for name, value in os.environ.items() if name not in steering}  # noqa: TID251 - for a child
    told = {"FRESH_DB": "0", "SERVER": "auto", "DATABASE_URL": database.url, "EVIDENCE_ROOT": str(evidence)}
    return subprocess.run(
        [sys.executable, "-m", "invoke", "verify", *arguments],
        cwd=ROOT,
        env=kept | told | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def gates_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The gates of `--json`, by name."""
    return {gate["gate"]: gate for gate in json.loads(done.stdout)["gates"]}


def test_the_lesser_ones_alone(database: ScratchDatabase, tmp_path: Path) -> None:
    """`--severity P1` asks every P1 gate and no other, and passes: exit 0; the run says how it was called."""
    done = verify(tmp_path, database, "--severity", "P1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    expected = [gate.id for gate in all_gates() if gate.needs_database and gate.severity == "P1"]

    assert [*gates_of(done)] == expected
    assert len(expected) > 3
    run = json.loads((tmp_path / "latest" / "run.json").read_text(encoding="utf-8"))
    assert "invoke verify --severity P1" in json.dumps(run)


def test_a_failing_grave_one_hides_no_other_and_is_left_out_where_it_was_not_asked(
    database: ScratchDatabase, tmp_path: Path
) -> None:
    """Exit 1 with the P0 gates that are red, all others asked; exit 0 for P1, which the breach does not concern."""
    with database.connect() as conn:
        conn.execute("DROP INDEX public.ux_outbox_attempts_one_terminal_per_outbox")
    grave = verify(tmp_path / "grave", database, "--severity", "P0", "--json")
    assert grave.returncode == 1, grave.stdout + grave.stderr
    found = gates_of(grave)
    assert found["outbox-terminal-uniqueness"]["status"] == "FAIL"
    assert found["outbox-terminal-uniqueness"]["failure_signature"] == "P0.OUTBOX.ITEM_ENDS_TWICE"
    assert {gate["status"] for gate in found.values()} <= {"PASS", "FAIL", "ERROR"}
    assert found["revocation-tables"]["status"] == "PASS"
    assert [*found] == [gate.id for gate in all_gates() if gate.needs_database and gate.severity == "P0"]

    both = verify(tmp_path / "both", database, "--severity", "P1", "--only", "outbox-notify,outbox-lease-fencing")
    assert both.returncode == 0, both.stdout + both.stderr
    assert both.stdout.rstrip().splitlines()[-1].startswith("PASSED   1 selected = 1 passed")


def test_a_gate_that_ran_into_its_deadline_is_no_pass(database: ScratchDatabase, tmp_path: Path) -> None:
    """What could not be asked in time is an ERROR, told with its code; the other gates are asked, and the exit is 1."""
    with database.connect_admin() as admin, admin.transaction(force_rollback=True):
        admin.execute("LOCK TABLE public.policy_versions IN SHARE MODE")
        done = verify(tmp_path, database, "--only", "ci-invariant-gate,outbox-notify", "--json")

    assert done.returncode == 1, done.stdout + done.stderr
    found = gates_of(done)
    assert {name: gate["status"] for name, gate in found.items()} == {
        "ci-invariant-gate": "ERROR",
        "outbox-notify": "PASS",
    }
    assert "55P03 LockNotAvailable" in found["ci-invariant-gate"]["error"]
    run = json.loads((tmp_path / "latest" / "run.json").read_text(encoding="utf-8"))
    assert run["counts"]["ERROR"] == 1


def test_a_table_that_somebody_holds_exclusively_is_not_waited_for_without_end(
    database: ScratchDatabase, tmp_path: Path
) -> None:
    """Not even the catalog can be read then: exit 3 with a sentence and the address, and no gate passes."""
    with database.connect_admin() as admin, admin.transaction(force_rollback=True):
        admin.execute("LOCK TABLE public.policy_versions IN ACCESS EXCLUSIVE MODE")
        done = verify(tmp_path, database, "--only", "outbox-notify,revocation-tables", "--json")

    assert done.returncode == 3, done.stdout + done.stderr
    assert "error[reading]: " in done.stderr
    assert "the catalog cannot be read: somebody holds a table exclusively" in done.stderr
    assert {name: gate["status"] for name, gate in gates_of(done).items()} == {
        "revocation-tables": "ERROR",
        "outbox-notify": "NOT_RUN",
    }


def test_a_history_that_is_not_the_files_is_told(database: ScratchDatabase, tmp_path: Path) -> None:
    """Exit 1: to verify is to judge, so the history is a gate that fails; exit 4 is for who would go on from it."""
    with database.connect() as conn:
        conn.execute("UPDATE public.schema_migrations SET checksum = repeat('0', 64) WHERE version LIKE '0007%'")
    done = verify(tmp_path, database, "--only", "migration-history,outbox-notify", "--json")

    assert done.returncode == 1, done.stdout + done.stderr
    assert {name: gate["status"] for name, gate in gates_of(done).items()} == {
        "migration-history": "FAIL",
        "outbox-notify": "PASS",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("--severity", "P2"),
        ("--severity", ","),
        ("--severity", "P1", "--only", "outbox-lease-fencing"),
        ("--only", "no-such-gate", "--severity", "P0"),
    ],
)
def test_nothing_selected_is_a_wrong_call(
    database: ScratchDatabase, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Exit 2, a sentence with a way out, and no run is opened."""
    done = verify(tmp_path / "evidence", database, *arguments)

    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error[usage]: ")
    assert "\n  help: " in done.stderr
    assert not (tmp_path / "evidence").exists()


def test_every_failure_in_the_output_has_its_signature_task_and_command(
    database: ScratchDatabase, tmp_path: Path
) -> None:
    """Of a gate that fails, text and JSON say its name, the task that owes it, and the command that repeats it."""
    with database.connect() as conn:
        conn.execute("DROP TABLE public.payment_outbox_pending, public.policy_versions CASCADE")
    done = verify(tmp_path, database, "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    invariants = {one.id: one for one in INVARIANTS}
    red = {name: gate for name, gate in gates_of(done).items() if gate["status"] != "PASS" and name in invariants}

    assert {"outbox-claim-semantics", "ci-invariant-gate", "table-definitions"} <= red.keys()
    for name, gate in red.items():
        assert gate["failure_signature"] == invariants[name].failure_signature
        assert gate["origin_task_id"] == invariants[name].origin_task_id
        assert gate["repro_command"] == f"invoke verify --only {name}"
    assert "Traceback" not in done.stderr
