"""Many CI jobs, one verdict: what the plan promised, every job delivered, and their evidence agrees.

Owns: the check of the job matrix, and the check of all jobs' evidence against it (the mutants': fan_in_mutants.py).
Promises: red when a job is red, skipped, cancelled or missing, when evidence is missing, added, damaged, of another
    commit, server or interpreter, and when two jobs saw different schemas. Needs the standard library alone.
Never: makes the matrix (`scripts/gates.py`), or runs a gate.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.errors.base import ProjectError
from scripts.errors.evidence import EvidenceError, FanInError
from scripts.evidence.fan_in_mutants import artifact_of, read_shards
from scripts.evidence.read import read_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scripts.evidence.read import RunRecord

GREEN = "success"


@dataclass(frozen=True, slots=True)
class Job:
    """One job of the matrix: where it runs, on which Python, and how many gates it has to show."""

    origin: str
    python: str
    gates: int

    @property
    def artifact(self) -> str:
        """Name of the evidence that the job uploads."""
        return f"evidence-{self.origin}-{self.python}"


def parse_matrix(text: str, *, jobs: int) -> tuple[Job, ...]:
    """Read the job matrix and require that nothing of it has got lost.

    Args:
        text: JSON, `{"include": [{"origin": …, "python": …, "gates": …}, …]}`.
        jobs: how many there have to be; the number stands in the workflow, so that it shrinks in sight of a reviewer.

    Raises:
        FanInError: no such JSON, another number of jobs, one twice, or one without gates.
    """
    expected = f"{jobs} jobs, each an origin, a Python version and its number of gates"
    try:
        found = tuple(
            Job(str(entry["origin"]), str(entry["python"]), int(entry["gates"]))
            for entry in json.loads(text)["include"]
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise FanInError.matrix_refused("no such JSON", expected=expected) from exc
    if len(found) != jobs or jobs < 1:
        raise FanInError.matrix_refused(f"{len(found)} jobs", expected=expected)
    if len({job.artifact for job in found}) != len(found):
        raise FanInError.matrix_refused("one job twice", expected=expected)
    if any(job.gates < 1 for job in found):
        raise FanInError.matrix_refused("a job without gates", expected=expected)
    return found


def verify_jobs(  # noqa: PLR0913 - what a workflow run is told by, by keyword
    needs: str, runs: Path, mutants: Path, *, jobs: int, shards: int, commit: str, run_prefix: str
) -> tuple[str, ...]:
    """Judge all jobs of one workflow run.

    Args:
        needs: the `needs` context as JSON: job → result and outputs; job `plan` has the output `matrix`.
        runs: folder with one folder of evidence for each job of the matrix, named as its artifact.
        mutants: folder with one folder of evidence for each shard of the mutants, named as its artifact.
        jobs: how many jobs the matrix has to have.
        shards: into how many shards the mutants were divided.
        commit: what was to be proved, 40 or 64 hex digits.
        run_prefix: how the run id of every evidence has to begin: it names this workflow run.

    Returns:
        One line for each job of the matrix and each shard, to be shown.

    Raises:
        FanInError: anything is missing or not green; names everything that is.
    """
    problems: list[str] = []
    results = _results_of(needs)
    problems += [f"job {name}: {result}" for name, result in results.items() if result != GREEN]
    matrix = parse_matrix(_matrix_of(needs), jobs=jobs)
    found = {path.name for path in runs.iterdir()} if runs.is_dir() else set()
    expected = {job.artifact for job in matrix}
    problems += [f"{name}: no evidence was uploaded" for name in sorted(expected - found)]
    problems += [f"{name}: no job of the matrix has that name" for name in sorted(found - expected)]
    records: dict[Job, RunRecord] = {}
    for job in matrix:
        if job.artifact not in found:
            continue
        try:
            records[job] = read_run(runs / job.artifact)
        except EvidenceError as exc:
            problems += [f"{job.artifact}: {value}" for _, value in exc.facts] or [f"{job.artifact}: {exc.what}"]
    for job, record in records.items():
        problems += [f"{job.artifact}: {problem}" for problem in _problems_of(job, record, commit, run_prefix)]
    broken, wrong = read_shards(mutants, shards=shards, commit=commit, run_prefix=run_prefix)
    problems += [*wrong, *_disagreements([*records.values(), *broken.values()])]
    if problems:
        raise FanInError.not_one_proof(problems)
    proofs = (f"{job.artifact}   {len(record.gates)} gates   {record.run_id}" for job, record in records.items())
    scores = (
        f"{artifact_of(shard)}   {record.gates[0].document['total']} mutants   {record.run_id}"
        for shard, record in broken.items()
    )
    return (*proofs, *scores)


def _needs_of(needs: str) -> Mapping[str, Any]:
    try:
        context = json.loads(needs)
    except ValueError as exc:
        raise FanInError.not_one_proof(["the results of the jobs are not JSON"]) from exc
    if not isinstance(context, dict) or not context:
        raise FanInError.not_one_proof(["there are no results of jobs"])
    return context


def _results_of(needs: str) -> dict[str, str]:
    return {
        name: str(job.get("result", "missing")) if isinstance(job, dict) else "missing"
        for name, job in _needs_of(needs).items()
    }


def _matrix_of(needs: str) -> str:
    try:
        return str(_needs_of(needs)["plan"]["outputs"]["matrix"])
    except (KeyError, TypeError):
        return ""


def _problems_of(job: Job, record: RunRecord, commit: str, run_prefix: str) -> list[str]:
    servers = [gate.document["volatile"]["server"] for gate in record.gates]
    origins = {str(server["origin"]) for server in servers if server}
    pythons = {str(gate.document["volatile"]["tools"].get("python")) for gate in record.gates}
    checks = (
        (record.passed, f"the run has not passed: {record.state}, {_counted(record.counts)}"),
        (record.commit == commit, f"it is of commit {record.commit}"),
        (not record.dirty, "its source had changes that are not committed"),
        (record.run_id.startswith(run_prefix), f"it is of another workflow run: {record.run_id}"),
        (len(record.gates) == job.gates, f"{len(record.gates)} gates, expected {job.gates}"),
        (origins == {job.origin}, f"its server came from {', '.join(sorted(origins)) or 'nowhere'}"),
        (all(f" {job.python}." in found for found in pythons), f"it was run by {', '.join(sorted(pythons))}"),
    )
    return [problem for holds, problem in checks if not holds]


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _disagreements(records: Sequence[RunRecord]) -> list[str]:
    """Gates whose jobs saw different schemas or migrations: parity is what the matrix is for."""
    problems: list[str] = []
    for key, what in (("schema_fingerprint", "schemas"), ("migrations_digest", "migrations")):
        seen: dict[str, set[str | None]] = {}
        for record in records:
            for gate in record.gates:
                seen.setdefault(gate.expected.gate, set()).add(gate.document[key])
        problems += [
            f"gate {gate}: the jobs saw {len(values)} {what}" for gate, values in seen.items() if len(values) > 1
        ]
    return problems


def _main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m scripts.evidence.fan_in", description="One verdict of many jobs.")
    commands = parser.add_subparsers(dest="command", required=True)
    plan = commands.add_parser("plan", help="read the matrix on stdin, require it whole, print it on one line")
    verdict = commands.add_parser("verdict", help="judge all jobs and their evidence")
    for command in (plan, verdict):
        command.add_argument("--jobs", type=int, required=True, help="how many jobs the matrix has to have")
    verdict.add_argument("--needs", required=True, help="the workflow's `needs` context as JSON")
    verdict.add_argument("--runs", type=Path, required=True, help="folder with one folder of evidence a job")
    verdict.add_argument("--mutants", type=Path, required=True, help="folder with one folder of evidence a shard")
    verdict.add_argument("--shards", type=int, required=True, help="how many shards the mutants have to have")
    verdict.add_argument("--commit", required=True, help="the commit that was to be proved")
    verdict.add_argument("--run-prefix", required=True, help="how every run id has to begin")
    told = parser.parse_args(arguments)
    if told.command == "plan":
        text = sys.stdin.read()
        parse_matrix(text, jobs=told.jobs)
        return json.dumps(json.loads(text))
    lines = verify_jobs(
        told.needs,
        told.runs,
        told.mutants,
        jobs=told.jobs,
        shards=told.shards,
        commit=told.commit,
        run_prefix=told.run_prefix,
    )
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        sys.stdout.write(_main(sys.argv[1:]) + "\n")
    except ProjectError as error:
        sys.exit(str(error))
