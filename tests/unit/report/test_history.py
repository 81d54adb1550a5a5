"""`invoke plan` and `invoke status`: what is applied and what would run, counted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_results import NOW

from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.ledger.table import LedgerRow
from scripts.migrations.plan import Plan
from scripts.report.history import plan_json, render_plan, render_status, status_json

FIRST = MigrationFile.of_text("0001_tenants.sql", "CREATE TABLE public.t (id int);\n")
SECOND = MigrationFile.of_text("0002_tenants_name_idx.sql", "ALTER TABLE public.t ADD COLUMN n int;\n")
THIRD = MigrationFile.of_text(
    "0003_index.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY t_n_idx ON public.t (n);\n"
)
PLAN = Plan((FIRST,), (SECOND, THIRD), sums_checked=True)
ROWS = (LedgerRow(FIRST.name, FIRST.checksum, NOW),)
NO_SUMS = "the folder has no list of sums: a file that was edited before it ever ran is not noticed"


def test_what_would_run() -> None:
    """Each pending file with how it runs; counted; said that nothing ran."""
    assert render_plan(PLAN) == (
        "0002_tenants_name_idx.sql   in one transaction\n"
        "0003_index.sql              statement by statement, outside a transaction\n"
        "3 files = 1 applied + 2 pending; nothing was run"
    )


def test_nothing_to_run() -> None:
    """An up-to-date database is one line."""
    assert render_plan(Plan((FIRST,), (), sums_checked=True)) == "1 file = 1 applied + 0 pending"


def test_what_is_applied() -> None:
    """Each file with its time, then what is pending."""
    assert render_status(PLAN, ROWS) == (
        "0001_tenants.sql            applied   2026-03-01T10:22:05.123456Z\n"
        "0002_tenants_name_idx.sql   pending\n"
        "0003_index.sql              pending\n"
        "3 files = 1 applied + 2 pending"
    )


@pytest.mark.parametrize("text", [render_plan, lambda plan: render_status(plan, ROWS)])
def test_files_without_sums(text: object) -> None:
    """Without a list of sums the reader is told what that means."""
    assert callable(text)
    assert NO_SUMS in text(Plan((FIRST,), (), sums_checked=False)).splitlines()
    assert NO_SUMS not in text(PLAN)


def test_the_same_for_programs() -> None:
    """Names, checksums, times, and how each pending file runs."""
    value = json.loads(status_json(PLAN, ROWS))
    assert value["applied"] == [
        {"name": FIRST.name, "checksum": FIRST.checksum, "applied_at": "2026-03-01T10:22:05.123456Z"}
    ]
    assert [(entry["name"], entry["no_tx"]) for entry in value["pending"]] == [
        ("0002_tenants_name_idx.sql", False),
        ("0003_index.sql", True),
    ]
    assert json.loads(plan_json(PLAN))["pending"] == value["pending"]
    assert value["sums_checked"] is True


@given(st.integers(0, 5), st.integers(0, 5))
def test_the_count_adds_up(applied: int, pending: int) -> None:
    """Any plan: one line a file, and the sum is their number."""
    files = [MigrationFile.of_text(f"{number:04}_a.sql", "SELECT 1;\n") for number in range(1, applied + pending + 1)]
    plan = Plan(tuple(files[:applied]), tuple(files[applied:]), sums_checked=True)
    rows = [LedgerRow(file.name, file.checksum, NOW) for file in plan.applied]
    lines = render_status(plan, rows).splitlines()
    assert len(lines) == applied + pending + 1
    assert lines[-1].endswith(f" = {applied} applied + {pending} pending")
    assert int(lines[-1].split(" ")[0]) == applied + pending
