"""docs/invariants.md tells exactly what the registry holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.verifiers.documents import render_invariants
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.registry.numbers import NUMBERS, ROADMAP

if TYPE_CHECKING:
    from conftest import Golden

ROOT = Path(__file__).resolve().parents[3]


def test_the_document_is_current(golden: Golden) -> None:
    """docs/invariants.md is what the registry makes."""
    golden.require_equal(ROOT / "docs" / "invariants.md", render_invariants())


def test_an_auditor_finds_each_invariant_whole() -> None:
    """Promise, holders, probes, failure, evidence and the command that repeats it, for every one of them."""
    text = render_invariants()
    paragraphs = dict(re.findall(r"^## ([a-z0-9-]+)\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL))

    assert list(paragraphs) == [one.id for one in INVARIANTS]
    for one in INVARIANTS:
        paragraph = paragraphs[one.id]
        assert f"**Promise:** {one.promise}." in paragraph
        assert all(f"`{name}`" in paragraph for name in one.held_by)
        assert all(name in paragraph for name in (*one.invariant_ids, *one.criteria, *one.answers))
        assert f"Failure: `{one.failure_signature}`, owed by {one.origin_task_id}" in paragraph
        assert f"`{one.folder}/{one.stem}.json`" in paragraph
        assert f"`invoke verify --only {one.id}`" in paragraph
        assert not re.search(r": \.$", paragraph, re.MULTILINE), f"{one.id}: something says nothing of itself"
    assert "- Probe `policy_setup`: Every rule of the policy ledger" in paragraphs["ci-invariant-gate"]


def test_what_is_not_built_is_said_to_be() -> None:
    """Each number is in the table; one of the roadmap has no gate beside it, and its reason."""
    text = render_invariants()
    for number in NUMBERS:
        (row,) = re.findall(rf"^\| {number.id} \|.*$", text, re.MULTILINE)
        assert row.endswith("| **not built** |") == bool(number.not_built), number.id
        assert not row.endswith("|  |")
    for number in ROADMAP:
        assert f"- **{number.id}** ({number.alias}, {number.severity}): " in text
        assert f"Not built: {number.not_built}." in text
