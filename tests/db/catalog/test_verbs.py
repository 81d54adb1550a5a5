"""`invoke drift` and `invoke plan --trace` as their users call them: streams, exit codes, and an interrupt."""

from __future__ import annotations

import json
import os
import signal
import subprocess  # noqa: TID251 - starts the product as its users do
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigratedDatabase, ScratchDatabase

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 120


def environment(database: ScratchDatabase | None) -> dict[str, str]:
    """This process's environment, pointed at a database or at none."""
    steering = ("DATABASE_URL", "FRESH_DB", "SERVER", "MIGRATIONS_DIR", "KEEP_DB", "NO_COLOR")
    kept = {name: value for name, value in os.environ.items() if name not in steering}  # noqa: TID251 - for a child
    if database is None:
        return kept | {"SERVER": "embedded"}
    return kept | {"FRESH_DB": "0", "DATABASE_URL": database.url}


def invoke(database: ScratchDatabase | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end."""
    return subprocess.run(
        [sys.executable, "-m", "invoke", *arguments],
        cwd=ROOT,
        env=environment(database),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_drift_ends_with_0_or_1(database: ScratchDatabase) -> None:
    """Without drift 0, with drift 1; a pipe gets no colour; with --json stdout is one value."""
    clean = invoke(database, "drift")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    with database.connect() as conn:
        conn.execute("DROP INDEX public.idx_external_proofs_correlation_id")
    drifted = invoke(database, "drift")
    assert drifted.returncode == 1, drifted.stderr
    assert "- index public.idx_external_proofs_correlation_id" in drifted.stdout.splitlines()
    assert "\x1b" not in drifted.stdout
    as_json = invoke(database, "drift", "--json")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["missing"] == 1


def test_plan_trace_prints_and_changes_nothing(migrated_to: Callable[[int], MigratedDatabase]) -> None:
    """Exit 0, the files' statements on stdout, the copy's progress on stderr, and still 26 files recorded."""
    database = migrated_to(26)
    done = invoke(database, "plan", "--trace")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0027_")
    assert "copy     " in done.stderr
    assert "copy     " not in done.stdout
    assert len(database.recorded()) == 26
    value = json.loads(invoke(database, "plan", "--trace", "--json").stdout)
    assert value["recorded"] == 26


def test_a_fresh_drift_is_green() -> None:
    """The golden catalog is what the files make."""
    done = invoke(None, "drift")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_copy(migrated_to: Callable[[int], MigratedDatabase], signum: signal.Signals) -> None:
    """In the middle of making the copy: exit 130 or 143, and the copy's server is gone."""
    running = subprocess.Popen(
        [sys.executable, "-m", "invoke", "plan", "--trace"],
        cwd=ROOT,
        env=environment(migrated_to(10)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("copy     applied 0015"):
            break
    else:
        pytest.fail("the copy was never begun")
    servers = children_of(running.pid)
    assert servers
    running.send_signal(signum)
    running.communicate(timeout=TIMEOUT_S)
    assert running.returncode == 128 + signum
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in servers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in servers if Path(f"/proc/{pid}").exists()]


def children_of(pid: int) -> list[int]:
    """Every process below one."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text(encoding="utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(status.parent.name)] = int(fields[1])
    found = [child for child, parent in parents.items() if parent == pid]
    return found + [below for child in found for below in children_of(child)]
