"""The one ordered list of gates: pre-ci, Nox and the CI matrix are made from it.

Owns: the order, and what every gate is called in evidence.
Promises: an empty selection or matrix and an unknown name are errors; importing it needs the standard library alone.
Never: runs anything (`scripts/run`).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from scripts.errors.settings import UsageError
from scripts.evidence.expected import Expected

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind = Literal["lint", "migrate", "verify", "catalog"]
# Grave first. P0 stops a release, P1 has a deadline.
SEVERITIES = ("P0", "P1")

# Where the gates are to hold. The first of each is what a developer most likely has.
ORIGINS = ("embedded", "docker")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: what kind of thing settles it, its place in evidence, and how grave its failure is."""

    kind: Kind
    expected: Expected
    severity: str = "P0"

    @property
    def id(self) -> str:
        """Its name for people, kebab-case."""
        return self.expected.gate

    @property
    def needs_database(self) -> bool:
        """Whether a server must run."""
        return self.kind != "lint"


MIGRATE = Gate(
    "migrate",
    Expected(
        gate="migrate",
        check_id="DB-MIGRATE",
        folder="phase0",
        stem="migrate",
        verb="migrate",
        title="every file applied once, in order, as it was recorded",
        invariants=("INV-001", "INV-003"),
        criteria=("AC4",),
        answers=("D-09", "D-19"),
        repro_command="invoke migrate",
    ),
)
BASELINE = Gate(
    "catalog",
    Expected(
        gate="baseline-drift",
        check_id="DB-BASELINE-DRIFT",
        folder="phase0",
        stem="baseline_drift",
        title="the catalog is the reviewed one, schema/catalog.txt",
        invariants=("INV-004",),
        answers=("D-27",),
    ),
    severity="P1",
)
TRACES = Gate(
    "catalog",
    Expected(
        gate="probe-traces",
        check_id="DB-PROBE-TRACES",
        folder="phase0",
        stem="probe_traces",
        title="the verifiers leave the database as they found it",
        answers=("D-28",),
    ),
)


def all_gates() -> tuple[Gate, ...]:
    """Every gate in the order in which it runs: files first, then the database, its traces last."""
    from scripts.lint.run import LINT_GATES
    from scripts.verifiers.registry import INVARIANTS
    from scripts.verifiers.registry.numbers import numbers_of_gate

    lints = (
        Gate(
            "lint",
            Expected(
                gate=g.id,
                check_id=g.check_id,
                folder="phase0",
                stem=g.stem,
                verb="lint",
                title=g.promise,
                repro_command=f"invoke lint --only {g.id}",
                invariants=tuple(number.id for number in numbers_of_gate(g.id)),
            ),
            # As grave as the gravest promise it holds; one that holds no number of its own is a matter of form.
            severity=min((number.severity for number in numbers_of_gate(g.id)), default="P1"),
        )
        for g in LINT_GATES
    )
    invariants = (
        Gate(
            "verify",
            Expected(
                gate=i.id,
                check_id=i.check_id,
                folder=i.folder,
                stem=i.stem,
                title=i.promise,
                failure_signature=i.failure_signature,
                origin_task_id=i.origin_task_id,
                invariants=i.invariant_ids,
                criteria=i.criteria,
                answers=i.answers,
            ),
            severity=i.severity,
        )
        for i in INVARIANTS
    )
    return (*lints, MIGRATE, BASELINE, *invariants, TRACES)


def select_gates(gates: Sequence[Gate], only: Iterable[str]) -> tuple[Gate, ...]:
    """The gates of these names, in the list's order.

    Args:
        gates: what may be chosen.
        only: ids, check ids or evidence names, or a number, INV-nnn, or its alias: every gate that holds it. In any
            letter case; one string may hold several, with commas between.

    Raises:
        UsageError: an unknown name, or nothing selected.
    """
    wanted = [name.strip() for part in only for name in part.split(",")]
    names: dict[str, set[str]] = {}
    for gate in gates:
        for alias in _aliases(gate):
            names.setdefault(_folded(alias), set()).add(gate.id)
    unknown = [name for name in wanted if _folded(name) not in names]
    if unknown:
        raise UsageError.unknown_selection([name or "(an empty name)" for name in unknown], [gate.id for gate in gates])
    chosen = {gate for name in wanted for gate in names[_folded(name)]}
    if not chosen:
        raise UsageError.empty_selection()
    return tuple(gate for gate in gates if gate.id in chosen)


def select_severity(gates: Sequence[Gate], severities: Iterable[str]) -> tuple[Gate, ...]:
    """The gates of these severities, in the list's order.

    Args:
        gates: what may be chosen, in part chosen by name already.
        severities: P0 or P1, in any letter case; one string may hold both, with a comma between.

    Raises:
        UsageError: another severity, or nothing left.
    """
    wanted = {name.strip().upper() for part in severities for name in part.split(",")}
    unknown = sorted(wanted - set(SEVERITIES))
    if unknown:
        raise UsageError.unknown_severity([name or "(an empty name)" for name in unknown], SEVERITIES)
    chosen = tuple(gate for gate in gates if gate.severity in wanted)
    if not chosen:
        raise UsageError.none_of_severity(sorted(wanted), [(gate.id, gate.severity) for gate in gates])
    return chosen


def matrix() -> dict[str, list[dict[str, str | int]]]:
    """The CI job matrix: one job an origin and Python version, each with the number of gates it has to show."""
    count = len(all_gates())
    include: list[dict[str, str | int]] = [
        {"origin": origin, "python": python, "gates": count} for origin in ORIGINS for python in PYTHONS
    ]
    if not include or not count:
        raise UsageError.empty_selection()
    return {"include": include}


def _aliases(gate: Gate) -> tuple[str, ...]:
    from scripts.verifiers.registry.numbers import number_of

    held = gate.expected.invariants
    return gate.id, gate.expected.check_id, gate.expected.stem, *held, *(number_of(name).alias for name in held)


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.gates", description="The list of gates, for CI.")
    parser.add_argument("--matrix", action="store_true", required=True, help="print the job matrix as one line of JSON")
    parser.parse_args()
    sys.stdout.write(json.dumps(matrix()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
