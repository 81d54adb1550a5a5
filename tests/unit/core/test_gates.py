"""The list of gates, and what is chosen from it by name and by severity."""

from __future__ import annotations

import pytest

from scripts.errors.base import ExitCode
from scripts.errors.settings import UsageError
from scripts.gates import SEVERITIES, all_gates, select_gates, select_severity
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.registry.numbers import number_of

GATES = all_gates()


def test_every_gate_has_a_severity() -> None:
    """P0 or P1; an invariant its own, any other that of the gravest number it stands for."""
    own = {one.id: one.severity for one in INVARIANTS}
    for gate in GATES:
        assert gate.severity in SEVERITIES
        if gate.id in own:
            assert gate.severity == own[gate.id]
        elif gate.expected.invariants:
            assert gate.severity == min(number_of(name).severity for name in gate.expected.invariants), gate.id


@pytest.mark.parametrize(
    ("wanted", "severities"),
    [(["P0"], {"P0"}), (["p1"], {"P1"}), (["P0", "P1"], {"P0", "P1"}), (["P1, P0"], {"P0", "P1"})],
)
def test_a_severity_chooses_in_the_lists_order(wanted: list[str], severities: set[str]) -> None:
    """In any letter case, repeated or with commas; both together are everything."""
    assert select_severity(GATES, wanted) == tuple(gate for gate in GATES if gate.severity in severities)
    assert set(select_severity(GATES, ["P0"])) | set(select_severity(GATES, ["P1"])) == set(GATES)


def test_name_and_severity_leave_what_is_in_both() -> None:
    """What is named and of another severity is not asked."""
    named = select_gates(GATES, ["outbox-notify,outbox-lease-fencing", "usage-billing"])

    assert [gate.id for gate in select_severity(named, ["P1"])] == ["outbox-notify", "usage-billing"]
    assert [gate.id for gate in select_severity(named, ["P0"])] == ["outbox-lease-fencing"]


@pytest.mark.parametrize("name", ["INV-091", "inv-091", "I-PROOF-HOOK-01", "i_proof_hook_01"])
def test_a_number_chooses_every_gate_that_holds_it(name: str) -> None:
    """By its id and by its alias, in any letter case; beside a gate's own name, too."""
    holding = tuple(gate for gate in GATES if "INV-091" in gate.expected.invariants)

    assert len(holding) > 1
    assert select_gates(GATES, [name]) == holding
    both = {gate.id for gate in select_gates(GATES, [f"{name},migrate"])}
    assert both == {"migrate", *(gate.id for gate in holding)}


@pytest.mark.parametrize("name", ["INV-039", "I-DB-FAILCLOSED-01", "INV-000"])
def test_a_number_that_no_gate_holds_selects_nothing(name: str) -> None:
    """What is not built, or held by no gate, is a wrong call: it never reads as passed."""
    with pytest.raises(UsageError) as caught:
        select_gates(GATES, [name])
    assert f"no gate of that name\n  found     {name}\n  expected  one of " in str(caught.value)


def test_no_two_names_of_gates_are_one() -> None:
    """Only numbers stand for more than one gate."""
    own = [name.lower().replace("_", "-") for gate in GATES for name in {gate.id, gate.expected.stem.replace("_", "-")}]
    assert len(own) == len(set(own))
    assert all(len(select_gates(GATES, [name])) == 1 for name in own)


@pytest.mark.parametrize(
    ("names", "severities", "text"),
    [
        (
            [],
            ["P2"],
            (
                "error[usage]: no such severity\n  expected  P0 or P1\n  found     P2\n"
                "  help: P0 stops a release, P1 has a deadline; docs/invariants.md says which gate has which"
            ),
        ),
        (
            [],
            ["P0,", "high"],
            (
                "error[usage]: no such severity\n  expected  P0 or P1\n  found     (an empty name), HIGH\n"
                "  help: P0 stops a release, P1 has a deadline; docs/invariants.md says which gate has which"
            ),
        ),
        (
            ["outbox-lease-fencing"],
            ["p1"],
            (
                "error[usage]: the selection is empty\n"
                "  expected  at least one gate of severity P1 among those named\n  found     outbox-lease-fencing P0\n"
                "  help: leave --only or --severity out"
            ),
        ),
    ],
)
def test_a_selection_that_is_none_is_an_error(names: list[str], severities: list[str], text: str) -> None:
    """An unknown severity and an empty intersection never read as everything, or as passed."""
    named = select_gates(GATES, names) if names else GATES
    with pytest.raises(UsageError) as caught:
        select_severity(named, severities)

    assert str(caught.value) == text
    assert caught.value.exit_code is ExitCode.USAGE
