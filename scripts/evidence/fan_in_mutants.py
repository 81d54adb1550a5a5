"""The shards of the mutants, as CI delivers them: each once, and together everything.

Owns: the check of their evidence, one folder a shard.
Promises: red when a shard is missing, added, damaged, of another commit or workflow run, judged a part of something
    smaller, or judged other mutants than its neighbours. Needs the standard library alone.
Never: judges a mutant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.errors.evidence import EvidenceError
from scripts.evidence.read import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from scripts.evidence.read import RunRecord

GATE = "mutants"


def artifact_of(shard: int) -> str:
    """Name of the evidence that the job of a shard uploads."""
    return f"mutants-{shard}"


def read_shards(
    runs: Path, *, shards: int, commit: str, run_prefix: str
) -> tuple[Mapping[int, RunRecord], tuple[str, ...]]:
    """Read the evidence of every shard.

    Args:
        runs: folder with one folder of evidence a shard, named as its artifact.
        shards: how many there have to be, at least one.
        commit: what was to be proved.
        run_prefix: how every run id has to begin.

    Returns:
        Shard → its record, those that can be read; and everything that is wrong.
    """
    problems = [] if shards > 0 else ["the mutants: no shard is expected"]
    found = {path.name for path in runs.iterdir()} if runs.is_dir() else set()
    expected = {artifact_of(shard) for shard in range(1, shards + 1)}
    problems += [f"{name}: no evidence was uploaded" for name in sorted(expected - found)]
    problems += [f"{name}: no shard has that name" for name in sorted(found - expected)]
    records: dict[int, RunRecord] = {}
    for shard in range(1, shards + 1):
        name = artifact_of(shard)
        if name not in found:
            continue
        try:
            records[shard] = record = read_run(runs / name)
        except EvidenceError as exc:
            problems += [f"{name}: {value}" for _, value in exc.facts] or [f"{name}: {exc.what}"]
            continue
        problems += [f"{name}: {problem}" for problem in _problems_of(record, shard, shards, commit, run_prefix)]
    if not problems:
        problems += _together(records)
    return records, tuple(problems)


def _problems_of(record: RunRecord, shard: int, shards: int, commit: str, run_prefix: str) -> Iterator[str]:
    if record.commit != commit:
        yield f"it is of commit {record.commit}"
    if record.dirty:
        yield "its source had changes that are not committed"
    if not record.run_id.startswith(run_prefix):
        yield f"it is of another workflow run: {record.run_id}"
    gates = [gate.expected.gate for gate in record.gates]
    if gates != [GATE]:
        yield f"it is of {', '.join(gates)}, not of {GATE}"
    elif not record.passed:
        yield f"the run has not passed: {record.state}, {record.gates[0].result.outcome}"
    else:
        document = record.gates[0].document
        if document.get("shard") != [shard, shards]:
            yield f"it is of shard {document.get('shard')}, not of {[shard, shards]}"
        if document.get("only") != [] or document.get("given") is not False:
            yield "only some invariants, or another's mutants, were judged"


def _together(records: Mapping[int, RunRecord]) -> Iterator[str]:
    documents: list[Mapping[str, Any]] = [record.gates[0].document for record in records.values()]
    derived = {int(document["derived"]) for document in documents}
    judged = sum(int(document["total"]) for document in documents)
    if derived != {judged}:
        wanted = " or ".join(map(str, sorted(derived)))
        yield f"the mutants: the shards judged {judged} together, of {wanted}"
