"""`invoke plan --trace` as text and JSON: what was seen, what was not, and how large the real tables are."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.catalog.sizes import TableSize
from scripts.migrations.model import Applied, AppliedFile
from scripts.migrations.trace.model import FileTrace, HeldLock, LockTaken, Notice, PhaseSeen, StatementTrace
from scripts.report.trace import Foreseen, render_size, render_trace, trace_json

SIZES = (
    TableSize("public.big", "r", 12_000_000, 5 * 1024**3),
    TableSize("public.new", "r", None, 8192),
)
COPY = "a throw-away copy on PostgreSQL 18.6"
FILE = AppliedFile(
    "0026_more.sql",
    "0" * 64,
    no_tx=False,
    statements=3,
    duration_ms=14,
    notes=("one note",),
    trace=FileTrace(
        (
            StatementTrace(0, 3, "SET", None),
            StatementTrace(
                1,
                5,
                "ALTER TABLE",
                2_345,
                locks=(
                    LockTaken("public.big", "r", "AccessExclusiveLock"),
                    LockTaken("public.big_pkey", "i", "AccessExclusiveLock", on="public.big"),
                    LockTaken("public.v", "v", "AccessShareLock", source="documented"),
                ),
                effect="rewrite",
                rewritten=("public.big",),
                scanned=("public.new",),
                proved=("public.big.x",),
                notices=(Notice("NOTICE", "00000", "x\x1b[31m"), Notice("WARNING", "01000")),
            ),
            StatementTrace(2, 9, "UPDATE", 400, effect="data", rows=1),
        ),
        held=(HeldLock("public.big", 1, 1, 2_745),),
        unplaced=(Notice("NOTICE", "42P07", "there already"),),
    ),
)
BUILD = AppliedFile(
    "0027_index.sql",
    "1" * 64,
    no_tx=True,
    statements=2,
    duration_ms=40,
    trace=FileTrace(
        (
            StatementTrace(
                0,
                2,
                "CREATE INDEX CONCURRENTLY",
                30_000,
                locks=(LockTaken("public.big", "r", "ShareUpdateExclusiveLock", source="sampled"),),
                effect="index",
                built=("public.big_x_idx",),
                source="sampled",
                phases=(
                    PhaseSeen("building index: scanning table", "", "", True, 1_000, 21_000, 4),
                    PhaseSeen("", "public.big", "ShareLock", False, 2_000, 3_000, 1),
                ),
                samples=5,
            ),
            StatementTrace(
                1,
                3,
                "DROP INDEX CONCURRENTLY",
                900,
                locks=(LockTaken("public.big", "r", "ShareUpdateExclusiveLock", source="documented"),),
                source="documented",
                samples=0,
            ),
        )
    ),
)
APPLIED = Applied((FILE, BUILD), before=25, total=27)
TEXT = """\
0026_more.sql   in one transaction   14 ms
  line 3      SET                   -   setting
  line 5      ALTER TABLE      2.3 ms   rewrites
    rewrites   public.big   ~12,000,000 rows, 5.0 GB
    scans      public.new   rows not known: never analysed, 8.0 kB
    proved     public.big.x   by a constraint, so it is not scanned
    locks      public.big   ACCESS EXCLUSIVE   ~12,000,000 rows, 5.0 GB
    locks      public.big_pkey   index of public.big   ACCESS EXCLUSIVE
    locks      public.v   view   ACCESS SHARE   documented, not seen
    notice     00000   x\\x1b[31m
    warning    01000   (not shown: it may hold a row)
  line 9      UPDATE           0.4 ms   changes rows   1 row
  held       public.big   ACCESS EXCLUSIVE for 2.7 ms: from line 5 on, while 1 more statement ran   \
~12,000,000 rows, 5.0 GB
  notice     42P07   there already
  note     one note

0027_index.sql   statement by statement   40 ms
  line 2      CREATE INDEX CONCURRENTLY     30.0 ms   builds   sampled
    builds     public.big_x_idx
    locks      public.big   SHARE UPDATE EXCLUSIVE   sampled   ~12,000,000 rows, 5.0 GB
    seen       building index: scanning table   1 to 21 ms   4 times
    seen       waiting for SHARE on public.big   2 to 3 ms   once
  line 3      DROP INDEX CONCURRENTLY        0.9 ms   catalog only   documented, not seen
    locks      public.big   SHARE UPDATE EXCLUSIVE   documented, not seen   ~12,000,000 rows, 5.0 GB
    seen       it was over before the first look

2 pending files applied after 25 recorded files to a throw-away copy on PostgreSQL 18.6, which holds no rows: \
times and row counts are of empty tables; sizes and counts are the database's own, where nothing of a file was run"""


def test_the_whole_text() -> None:
    """Every statement with time, effect, locks and messages; measured, sampled and documented are told apart."""
    assert render_trace(Foreseen(APPLIED, COPY, 25, SIZES)) == TEXT


def test_a_program_that_catches_errors() -> None:
    """What is rolled back in it was not seen, and so it is not called catalog only."""
    trace = FileTrace((StatementTrace(0, 1, "DO", 1_089_000, effect="unseen", rows=0, catches=True),))
    file = replace(FILE, trace=trace, notes=())
    lines = render_trace(Foreseen(Applied((file,), before=0, total=1), COPY, 0)).splitlines()
    assert lines[1:3] == [
        "  line 1      DO   1089.0 ms   nothing seen   0 rows",
        "    catches    errors: what is rolled back in it is not seen, but for rewrites, scans and builds",
    ]


def test_without_a_database() -> None:
    """A fresh run has no sizes, and says that nothing else was run."""
    last = render_trace(Foreseen(Applied((BUILD,), 0, 1), COPY, 0)).splitlines()[-1]
    assert last.startswith("1 pending file applied after 0 recorded files to a throw-away copy on PostgreSQL 18.6,")
    assert last.endswith("times and row counts are of empty tables; nothing else was run")


def test_nothing_pending() -> None:
    """One line."""
    assert render_trace(Foreseen(Applied((), 27, 27), "", 27, SIZES)) == "nothing is pending; nothing was run"


@pytest.mark.parametrize("trace", [None, FileTrace((), complete=False)])
def test_a_file_that_could_not_be_traced(trace: FileTrace | None) -> None:
    """It is said, not passed over."""
    file = AppliedFile("0001_a.sql", "0" * 64, no_tx=False, statements=1, duration_ms=3, trace=trace)
    assert render_trace(Foreseen(Applied((file,), 0, 1), COPY, 0)).splitlines()[:2] == [
        "0001_a.sql   in one transaction   3 ms",
        "  not traced: the file changes its session in a way that the questions do not survive",
    ]


def test_colour_is_added_only_when_asked_for() -> None:
    """Red for rewrites and ACCESS EXCLUSIVE, yellow for what stops writes; the same text below it."""
    painted = render_trace(Foreseen(APPLIED, COPY, 25, SIZES), color=True)
    assert "\x1b[31mACCESS EXCLUSIVE\x1b[0m" in painted
    assert "\x1b[31mline 5" in painted
    plain = painted
    for code in ("\x1b[31m", "\x1b[33m", "\x1b[0m"):
        plain = plain.replace(code, "")
    assert plain == TEXT


def test_the_same_for_programs() -> None:
    """What was applied with its traces, what it was applied to, and the sizes as text."""
    value = json.loads(trace_json(Foreseen(APPLIED, COPY, 25, SIZES)))
    assert [file["name"] for file in value["applied"]] == ["0026_more.sql", "0027_index.sql"]
    assert value["applied"][0]["trace"]["statements"][1]["strongest"] == "ACCESS EXCLUSIVE"
    assert (value["copy"], value["recorded"]) == (COPY, 25)
    assert value["tables"] == [
        {"relation": "public.big", "relkind": "r", "rows": "12000000", "size": "5368709120"},
        {"relation": "public.new", "relkind": "r", "rows": None, "size": "8192"},
    ]


@pytest.mark.parametrize(
    ("rows", "size", "text"),
    [
        (0, 0, "~0 rows, 0 bytes"),
        (1, 1023, "~1 row, 1023 bytes"),
        (1_500, 1024, "~1,500 rows, 1.0 kB"),
        (None, 20 * 1024**2, "rows not known: never analysed, 20 MB"),
        (10**12, 3 * 1024**5, "~1,000,000,000,000 rows, 3.0 PB"),
    ],
)
def test_a_size(rows: int | None, size: int, text: str) -> None:
    """Rows are an estimate; bytes in powers of 1024."""
    assert render_size(TableSize("public.t", "r", rows, size)) == text
    assert render_size(None) == ""


@given(st.integers(0, 2**62))
def test_any_size_is_short(size: int) -> None:
    """At most four digits and a unit."""
    assert len(render_size(TableSize("t", "r", 0, size)).removeprefix("~0 rows, ")) <= len("1023 bytes")
