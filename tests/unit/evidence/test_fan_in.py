"""Many jobs, one verdict: green only when every job of the plan is, and the evidence of all is whole and agrees."""

from __future__ import annotations

import json
import shutil
import subprocess  # noqa: TID251 - the program is run as the workflow runs it
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from make_results import COMMIT, SOURCE, failing, inventory, passing, ticking

from scripts.errors.base import ExitCode
from scripts.errors.evidence import FanInError
from scripts.evidence.fan_in import Job, parse_matrix, verify_jobs
from scripts.evidence.store import open_run
from scripts.server.model import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[3]
JOBS = (Job("docker", "3.11", 2), Job("embedded", "3.11", 2), Job("embedded", "3.14", 2))
PREFIX = "ci-77-"
SHARDS = 2


def matrix_json(jobs: Sequence[Job] = JOBS) -> str:
    """The matrix as `scripts.gates` prints it."""
    return json.dumps({"include": [{"origin": j.origin, "python": j.python, "gates": j.gates} for j in jobs]})


def needs_json(**changes: Any) -> str:
    """The `needs` context of a green workflow run, changed here and there."""
    needs: dict[str, Any] = {
        "plan": {"result": "success", "outputs": {"matrix": matrix_json()}},
        "verify": {"result": "success", "outputs": {}},
        "checks": {"result": "success", "outputs": {}},
        "mutants": {"result": "success", "outputs": {}},
    }
    return json.dumps(needs | changes)


def deliver(runs: Path, job: Job, **changes: Any) -> Path:
    """The evidence of one job, as it arrives from the artifact store."""
    told: dict[str, Any] = {
        "source": SOURCE,
        "run_id": f"{PREFIX}1-{job.origin}-{job.python}",
        "python": f"CPython {job.python}.4",
        "origin": job.origin,
        "gates": ("a", "b"),
        "make": passing,
        "fingerprint": "f" * 64,
        "migrations": "m" * 64,
    } | changes
    store = runs.parent / "store"
    with open_run(
        store, told["run_id"], inventory(*told["gates"]),
        source=told["source"], tools={"python": told["python"]}, command="x", clock=ticking(),
    ) as run:  # fmt: skip
        if told["origin"]:
            server = Server(dsn="", admin_dsn=None, origin=told["origin"], reason="r", version="18.6")
            run.learn(server=server, migrations_digest=told["migrations"], catalog_after=told["fingerprint"])
        for gate in told["gates"]:
            run.settle(told["make"](gate))
        run.close()
    runs.mkdir(exist_ok=True)
    shutil.rmtree(runs / job.artifact, ignore_errors=True)
    shutil.move(run.path, runs / job.artifact)
    return runs / job.artifact


def deliver_shard(mutants: Path, shard: int, **changes: Any) -> Path:
    """The evidence of one shard of the mutants."""
    told: dict[str, Any] = {
        "source": SOURCE,
        "run_id": f"{PREFIX}1-mutants-{shard}",
        "gate": "mutants",
        "make": passing,
        "details": {},
        "fingerprint": "f" * 64,
    } | changes
    details = {"shard": [shard, SHARDS], "total": 10 + shard, "derived": 23, "only": [], "given": False}
    store = mutants.parent / "store"
    with open_run(
        store, told["run_id"], inventory(told["gate"]), source=told["source"], tools={}, command="x", clock=ticking()
    ) as run:
        run.learn(catalog_before=told["fingerprint"])
        run.settle(replace(told["make"](told["gate"]), details=details | told["details"]))
        run.close()
    mutants.mkdir(exist_ok=True)
    place = mutants / f"mutants-{shard}"
    shutil.rmtree(place, ignore_errors=True)
    shutil.move(run.path, place)
    return place


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The evidence of a green workflow run; that of the mutants beside it."""
    for job in JOBS:
        deliver(tmp_path / "runs", job)
    for shard in range(1, SHARDS + 1):
        deliver_shard(tmp_path / "mutants", shard)
    return tmp_path / "runs"


def judge(runs: Path, needs: str | None = None) -> tuple[str, ...]:
    """Judge as the workflow does."""
    mutants = runs.parent / "mutants"
    return verify_jobs(
        needs or needs_json(), runs, mutants, jobs=len(JOBS), shards=SHARDS, commit=COMMIT, run_prefix=PREFIX
    )


def reasons(runs: Path, needs: str | None = None) -> list[str]:
    """Why a workflow run is red."""
    with pytest.raises(FanInError) as caught:
        judge(runs, needs)
    assert caught.value.exit_code is ExitCode.FAILED
    return [value for _, value in caught.value.facts]


def test_all_green(runs: Path) -> None:
    """Every job green, every evidence whole: one line a job."""
    assert judge(runs) == (
        "evidence-docker-3.11   2 gates   ci-77-1-docker-3.11",
        "evidence-embedded-3.11   2 gates   ci-77-1-embedded-3.11",
        "evidence-embedded-3.14   2 gates   ci-77-1-embedded-3.14",
        "mutants-1   11 mutants   ci-77-1-mutants-1",
        "mutants-2   12 mutants   ci-77-1-mutants-2",
    )


def test_a_shard_that_is_not_there_or_too_much(runs: Path) -> None:
    """Each shard once, and no other folder (D-28)."""
    mutants = runs.parent / "mutants"
    shutil.move(mutants / "mutants-2", mutants / "mutants-3")
    assert reasons(runs) == ["mutants-2: no evidence was uploaded", "mutants-3: no shard has that name"]
    shutil.rmtree(mutants)
    assert reasons(runs) == ["mutants-1: no evidence was uploaded", "mutants-2: no evidence was uploaded"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"make": failing}, "mutants-2: the run has not passed: finished, FAIL"),
        ({"source": replace(SOURCE, commit="b" * 40)}, f"mutants-2: it is of commit {'b' * 40}"),
        ({"run_id": "ci-78-1-mutants-2"}, "mutants-2: it is of another workflow run: ci-78-1-mutants-2"),
        ({"gate": "migrate"}, "mutants-2: it is of migrate, not of mutants"),
        ({"details": {"shard": [1, 2]}}, "mutants-2: it is of shard [1, 2], not of [2, 2]"),
        ({"details": {"shard": [2, 4]}}, "mutants-2: it is of shard [2, 4], not of [2, 2]"),
        ({"details": {"only": ["x"]}}, "mutants-2: only some invariants, or another's mutants, were judged"),
        ({"details": {"given": True}}, "mutants-2: only some invariants, or another's mutants, were judged"),
        ({"details": {"total": 3}}, "the mutants: the shards judged 14 together, of 23"),
        ({"details": {"derived": 24}}, "the mutants: the shards judged 23 together, of 23 or 24"),
        ({"fingerprint": "e" * 64}, "gate mutants: the jobs saw 2 schemas"),
    ],
    ids=[
        "red", "another commit", "another run", "another gate", "another shard", "of more", "some", "given",
        "too few", "other mutants", "another schema",
    ],
)  # fmt: skip
def test_a_shard_that_proves_something_else(runs: Path, changes: dict[str, Any], reason: str) -> None:
    """Each way in which a shard is not this shard of this run is told (D-21, D-22)."""
    deliver_shard(runs.parent / "mutants", 2, **changes)
    assert reasons(runs) == [reason]


def test_a_damaged_shard(runs: Path) -> None:
    """A byte that changed is seen, and so is an unfinished run."""
    file = next((runs.parent / "mutants" / "mutants-1").glob("*/*.json"))
    file.write_bytes(file.read_bytes().replace(b'"total": 11', b'"total": 12'))
    (reason,) = reasons(runs)
    assert reason.startswith("mutants-1: ")


@pytest.mark.parametrize("result", ["failure", "skipped", "cancelled", "neutral", ""])
@pytest.mark.parametrize("job", ["plan", "verify", "checks"])
def test_a_job_that_is_not_green(runs: Path, job: str, result: str) -> None:
    """Red, skipped, cancelled or anything else but success: red (D-09, D-28)."""
    needs = json.loads(needs_json())
    needs[job]["result"] = result
    assert reasons(runs, json.dumps(needs)) == [f"job {job}: {result}"]


def test_a_job_without_a_result(runs: Path) -> None:
    """A job that says nothing is missing."""
    assert reasons(runs, needs_json(checks={})) == ["job checks: missing"]
    assert reasons(runs, needs_json(checks=None)) == ["job checks: missing"]


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        ("{}", "there are no results of jobs"),
        ("[]", "there are no results of jobs"),
        ("", "the results of the jobs are not JSON"),
    ],
)
def test_no_results_at_all(runs: Path, needs: str, reason: str) -> None:
    """Nothing to judge is not a pass."""
    with pytest.raises(FanInError, match=reason):
        verify_jobs(needs, runs, runs.parent, jobs=3, shards=SHARDS, commit=COMMIT, run_prefix=PREFIX)


def test_evidence_is_missing(runs: Path) -> None:
    """A job of the matrix without evidence; none at all."""
    shutil.rmtree(runs / "evidence-docker-3.11")
    assert reasons(runs) == ["evidence-docker-3.11: no evidence was uploaded"]
    shutil.rmtree(runs)
    assert len(reasons(runs)) == len(JOBS)


def test_evidence_that_nobody_promised(runs: Path) -> None:
    """A folder that no job of the matrix made."""
    (runs / "evidence-docker-9.9").mkdir()
    assert reasons(runs) == ["evidence-docker-9.9: no job of the matrix has that name"]


def test_damaged_evidence(runs: Path) -> None:
    """Files changed on the way, or not there."""
    (runs / "evidence-docker-3.11" / "phase0" / "a.json").write_text("{}")
    (runs / "evidence-embedded-3.11" / "run.json").unlink()
    assert reasons(runs) == [
        "evidence-docker-3.11: phase0/a.json: its bytes are not in the form they were written in",
        "evidence-embedded-3.11: a folder with run.json",
        "evidence-embedded-3.11: none",
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"make": failing}, "the run has not passed: finished, 2 FAIL"),
        ({"source": replace(SOURCE, commit="0" * 40)}, f"it is of commit {'0' * 40}"),
        ({"source": replace(SOURCE, dirty=True)}, "its source had changes that are not committed"),
        ({"run_id": "ci-76-1-x"}, "it is of another workflow run: ci-76-1-x"),
        ({"gates": ("a",)}, "1 gates, expected 2"),
        ({"origin": "docker"}, "its server came from docker"),
        ({"python": "CPython 3.1.1"}, "it was run by CPython 3.1.1"),
        ({"python": "CPython 3.110.1"}, "it was run by CPython 3.110.1"),
    ],
)
def test_evidence_of_something_else(runs: Path, changes: dict[str, Any], reason: str) -> None:
    """A failed run, another commit, workflow run, server or interpreter, fewer gates: named (D-21, D-22)."""
    deliver(runs, JOBS[1], **changes)
    assert reasons(runs) == [f"evidence-embedded-3.11: {reason}"]


def test_evidence_without_a_server(runs: Path) -> None:
    """Gates that never met a server prove nothing of one."""
    deliver(runs, JOBS[1], origin=None)
    assert "evidence-embedded-3.11: its server came from nowhere" in reasons(runs)


def test_jobs_that_saw_different_schemas(runs: Path) -> None:
    """Parity is what the matrix is for: one schema and one set of migrations, everywhere."""
    deliver(runs, JOBS[1], fingerprint="0" * 64, migrations="1" * 64)
    assert reasons(runs) == [
        "gate a: the jobs saw 2 schemas",
        "gate b: the jobs saw 2 schemas",
        "gate a: the jobs saw 2 migrations",
        "gate b: the jobs saw 2 migrations",
    ]


def test_every_reason_is_told(runs: Path) -> None:
    """The whole text, with the way on."""
    (runs / "extra").mkdir()
    needs = needs_json(checks={"result": "skipped"})
    with pytest.raises(FanInError) as caught:
        judge(runs, needs)
    assert str(caught.value) == (
        "error[ci]: the jobs do not add up to a proof, for 2 reasons\n"
        "  found  job checks: skipped\n"
        "  found  extra: no job of the matrix has that name\n"
        "  help: open the job or the evidence named above; a job that was skipped or cancelled has to run again"
    )


@pytest.mark.parametrize(
    ("text", "jobs", "found"),
    [
        ("", 3, "no such JSON"),
        ("[]", 3, "no such JSON"),
        ('{"include": [{}]}', 1, "no such JSON"),
        ('{"include": []}', 3, "0 jobs"),
        ('{"include": []}', 0, "0 jobs"),
        (matrix_json(JOBS[:2]), 3, "2 jobs"),
        (matrix_json((*JOBS, Job("docker", "3.9", 2))), 3, "4 jobs"),
        (matrix_json((*JOBS[:2], JOBS[0])), 3, "one job twice"),
        (matrix_json((*JOBS[:2], Job("docker", "3.9", 0))), 3, "a job without gates"),
    ],
)
def test_a_matrix_that_lost_something(text: str, jobs: int, found: str) -> None:
    """An empty, shrunken, doubled or hollow list is an error before any job starts."""
    with pytest.raises(FanInError) as caught:
        parse_matrix(text, jobs=jobs)
    assert str(caught.value) == (
        "error[ci]: the job matrix is not the one expected\n"
        f"  expected  {jobs} jobs, each an origin, a Python version and its number of gates\n"
        f"  found     {found}\n"
        "  help: see `python -m scripts.gates --matrix`; if that is meant, change the number in the workflow too"
    )


def test_a_plan_without_its_matrix(runs: Path) -> None:
    """A plan job that delivered no matrix is no proof."""
    with pytest.raises(FanInError, match="no such JSON"):
        judge(runs, needs_json(plan={"result": "success", "outputs": {}}))


def run_program(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The program as the workflow starts it: bare interpreter, no installed package in sight."""
    command = [sys.executable, "-S", "-m", "scripts.evidence.fan_in", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)


def test_the_program_plans() -> None:
    """A whole matrix is handed on as one line; a shrunken one ends with exit 1 and nothing on stdout."""
    done = run_program("plan", "--jobs", "3", stdin=matrix_json() + "\n")
    assert (done.returncode, done.stdout) == (0, matrix_json() + "\n")
    done = run_program("plan", "--jobs", "4", stdin=matrix_json())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error[ci]: the job matrix is not the one expected\n")


def test_the_program_judges(runs: Path) -> None:
    """Exit 0 with a line a job; exit 1 with the reasons. It needs the standard library alone."""
    places = ["--runs", str(runs), "--mutants", str(runs.parent / "mutants"), "--shards", str(SHARDS)]
    arguments = ["verdict", "--jobs", "3", *places, "--commit", COMMIT, "--run-prefix", PREFIX, "--needs"]
    done = run_program(*arguments, needs_json())
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 5), done.stderr
    done = run_program(*arguments, needs_json(verify={"result": "cancelled"}))
    assert (done.returncode, done.stdout) == (1, "")
    assert "found  job verify: cancelled" in done.stderr
