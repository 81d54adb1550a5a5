"""The rules as records: each is listed, explained, and has an example that it finds and one that it does not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from make_lints import lint, with_before

from scripts.lint.documents import render_lints
from scripts.lint.gates import LINT_GATES, gate_of
from scripts.lint.landed import RULES as LANDED
from scripts.lint.registry import RULES
from scripts.lint.run import lint_rules

if TYPE_CHECKING:
    from conftest import Golden

    from scripts.lint.model import Rule

ROOT = Path(__file__).resolve().parents[3]
IDS = [rule.id for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_red_example_is_found(rule: Rule) -> None:
    """What a rule shows as wrong, it finds, and it explains the way out."""
    findings = lint(rule, *with_before(rule, rule.red))

    assert findings
    assert {finding.rule for finding in findings} == {rule.id}
    assert all(finding.help and finding.object and finding.message for finding in findings)


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_green_example_is_not_found(rule: Rule) -> None:
    """What a rule shows as right, it leaves alone."""
    assert lint(rule, *with_before(rule, rule.green)) == []


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_every_rule_is_told_whole(rule: Rule) -> None:
    """A rule has a title, a reason and a way out, and belongs to a gate of the kind that runs rules."""
    assert rule.title
    assert rule.why.endswith(".")
    assert rule.help
    assert gate_of(rule.gate).kind == "rules"


def test_the_folder_and_the_registry_are_the_same() -> None:
    """A rule file that is not in the registry would never run."""
    files = {p.stem for p in (ROOT / "scripts/lint/rules").glob("*.py")} - {"__init__"}

    assert files == {rule.id.replace("-", "_") for rule in RULES}
    assert not [name for name, count in Counter(IDS).items() if count > 1]
    assert lint_rules() is RULES


def test_every_gate_has_rules_of_its_own() -> None:
    """No gate passes for want of rules, and no two share a name in evidence."""
    assert {gate.id for gate in LINT_GATES if gate.kind == "rules"} == {rule.gate for rule in RULES}
    for names in zip(*((g.id, g.check_id, g.stem) for g in LINT_GATES), strict=True):
        assert len(set(names)) == len(LINT_GATES)
    assert {gate.kind for gate in LINT_GATES} == {"rules", "landed", "squawk", "allowlist"}
    assert LANDED


def test_unknown_gate_is_our_own_mistake() -> None:
    """Names come from the list of gates; another one is a bug and says so."""
    with pytest.raises(LookupError, match="no lint gate is called nonsense"):
        gate_of("nonsense")


def test_document_is_made_from_the_rules(golden: Golden) -> None:
    """docs/lints.md tells exactly the rules that run."""
    golden.require_equal(ROOT / "docs" / "lints.md", render_lints())
