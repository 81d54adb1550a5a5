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
