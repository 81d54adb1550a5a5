"""A table that is missing fails the invariants that are about it, in a sentence; no verifier breaks over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.guarantees.append_only import LEDGERS
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


def test_a_ledger_that_takes_no_row_hides_no_other(bench: Bench) -> None:
    """What is tried on all ledgers at once is tried on each by itself, where one of them cannot be given a row."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute("ALTER TABLE public.evidence_packs ADD COLUMN more text DEFAULT 'x' CHECK (more IS NULL)")
        found = bench.settle("append-only-ledgers", controls=True)["append-only-ledgers"]

    ids = {check.id for check in found.checks}
    assert {(check.id, check.observed) for check in found.failures} == {
        (f"{table}_victim", "23514 evidence_packs_more_check")
        for table in ("evidence_packs", "evidence_pack_items", "evidence_pack_signatures")
    }
    assert {f"{table.name}_truncate" for table in LEDGERS} <= ids
    assert {f"{table.name}_delete" for table in LEDGERS if "pack" not in table.name} <= ids


@pytest.mark.parametrize("change", ["DROP SCHEMA public CASCADE", "ALTER SCHEMA public RENAME TO other"])
def test_the_schema_itself(bench: Bench, change: str) -> None:
    """What cannot be asked without it fails in a plain sentence, and no other says to repeat it alone."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(change.encode())
        results = bench.settle(conn=bench.admin)

    assert {one: result.error for one, result in results.items() if result.error} == {}
    assert {one for one, result in results.items() if result.passed} == set()
    (said,) = (check for check in results["table-privileges"].failures if check.id == "schema_public")
    assert (said.expected, said.observed, said.where) == ("there", "absent", "schema public")
