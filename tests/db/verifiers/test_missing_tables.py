"""A table that is missing fails the invariants that are about it, in a sentence; no verifier breaks over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.registry import INVARIANTS

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench


@pytest.mark.parametrize("name", sorted(TABLES))
def test_each_in_turn(bench: Bench, name: str) -> None:
    """Without it table-definitions says `absent`, nothing is a fault of ours, and what does not need it is green."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(f"DROP TABLE public.{name} CASCADE".encode())
        results = bench.settle()

    assert len(results) == len(INVARIANTS)
    assert {one: result.error for one, result in results.items() if result.error} == {}
    red = {one for one, result in results.items() if not result.passed}
    assert "table-definitions" in red
    assert red != results.keys()
    for one in red:
        assert all(check.id and check.expected != check.observed for check in results[one].failures)
