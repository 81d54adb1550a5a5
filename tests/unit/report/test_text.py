"""The console report: short when green, whole when red, a sum that adds up, and nothing that steers the terminal."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_results import NOW, SOURCE, TOOLS, failing, inventory, mixes, passing, results, ticking

from scripts.evidence.expected import Expected
from scripts.evidence.read import read_run
from scripts.evidence.store import open_run
from scripts.report.text import label_of, render_failure, render_progress, render_run, render_summary
from scripts.result import Check, Outcome, Result

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Golden

ONE = Expected(
    "append-only",
    "DB-APPEND-ONLY",
    "phase0",
    "append_only",
    title="attestations append-only",
    invariants=("INV-011",),
    origin_task_id="TSK-P0-149",
    failure_signature="P0.BIZ.APPEND_ONLY.MISSING",
)
BODY = "BEGIN\n  RAISE EXCEPTION 'append-only' USING ERRCODE = 'P0001';\nEND;\n"
HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202eevil\r\n\x00\u2028x\ud800"


def mixed(place: Path) -> Path:
    """A run with everything that can become of a gate."""
    names = ("no-tx-marker-lint", "append-only", "tenant-hooks", "claim", "nothing", "proofs", "late")
    gates = inventory(*names)
    gates = (replace(gates[0], verb="lint"), ONE, *gates[2:])
    many = (
        Check("trg_body", BODY, BODY.replace("P0001", "P0002"), "public.reject_change()", "restore 0011\nfrom git"),
        Check(
            "ingress_index",
            {"columns": ["tenant_id", "correlation_id"], "unique": False, "where": None},
            {"columns": ["correlation_id"], "unique": 0, "valid": False},
            "public.ingress_attestations",
        ),
        Check("fk", True, None),
    )
    with open_run(place, "run-1", gates, source=SOURCE, tools=TOOLS, command="invoke pre-ci", clock=ticking()) as run:
        run.settle(passing("no-tx-marker-lint", examined=27))
        run.settle(passing("append-only"))
        run.settle(passing("tenant-hooks", checks=many, examined=18))
        run.settle(passing("claim", error="server: it went away\nwhile claiming", checks=many[2:]))
        run.settle(passing("nothing", examined=0))
        run.settle(Result("proofs", not_run_because="migration: 0014 failed"))
        run.close()
    return run.path


def test_a_whole_run(tmp_path: Path, golden: Golden) -> None:
    """Every gate, every failure with all its values, the sum: as it is shown."""
    text = render_run(read_run(mixed(tmp_path)), evidence="evidence/run-1")
    golden.require_equal("report_mixed.txt", text + "\n")


def test_a_whole_run_in_colour(tmp_path: Path, golden: Golden) -> None:
    """The same words; only the outcomes are coloured."""
    record = read_run(mixed(tmp_path))
    colored = render_run(record, evidence="evidence/run-1", color=True)
    golden.require_equal("report_mixed_colour.txt", colored.replace("\x1b", "<ESC>") + "\n")
    assert re.sub(r"\x1b\[\d*m", "", colored) == render_run(record, evidence="evidence/run-1")


def test_a_green_run(tmp_path: Path, golden: Golden) -> None:
    """Green output is short: a line a gate and the sum."""
    with open_run(
        tmp_path, "run-1", (ONE, *inventory("b")), source=SOURCE, tools=TOOLS, command="x", clock=ticking()
    ) as run:
        run.settle(passing("append-only"))
        run.settle(passing("b"))
        run.close()
    golden.require_equal("report_green.txt", render_run(read_run(run.path), evidence="evidence/run-1") + "\n")


def test_a_dead_run(tmp_path: Path, golden: Golden) -> None:
    """A run that was killed is called unfinished, and the gate it was at is named."""
    run = open_run(
        tmp_path, "run-1", inventory("a", "b", "c"),
        source=replace(SOURCE, dirty=True), tools=TOOLS, command="x", clock=ticking(),
    )  # fmt: skip
    run.settle(passing("a"))
    run.start("b")
    run.release()
    golden.require_equal("report_dead.txt", render_run(read_run(run.path), evidence="evidence/run-1") + "\n")


def test_an_aborted_run(tmp_path: Path, golden: Golden) -> None:
    """An interrupted run says by what."""
    with open_run(
        tmp_path, "run-1", inventory("a", "b"), source=SOURCE, tools=TOOLS, command="x", clock=ticking()
    ) as run:
        run.settle(passing("a"))
        run.abort("interrupted by signal 15")
    golden.require_equal("report_aborted.txt", render_run(read_run(run.path), evidence="evidence/run-1") + "\n")


def test_lines_of_gates() -> None:
    """The columns: verb, label, outcome, time, what was looked at."""
    assert render_progress(ONE, passing("append-only")) == ("verify    append-only   PASS      3 ms   examined 3")
    assert render_progress(ONE, failing("append-only"), label_width=34) == (
        "verify    append-only                          FAIL      3 ms   1 finding of 12 examined"
    )
    two = failing("append-only", checks=(Check("a", 1, 2), Check("b", 1, 2)), examined=9)
    assert render_progress(ONE, two).endswith("2 findings of 9 examined")
    assert render_progress(ONE, Result("append-only")) == "verify    append-only   NOT_RUN   -"
    assert label_of(inventory("g-0")[0]) == "g-0"


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (passing("append-only", checks=()), "nothing was checked"),
        (passing("append-only", examined=0), "nothing was examined"),
        (passing("append-only", error="it broke\nbadly"), "it broke"),
        (passing("append-only", error="stopped", aborted=True), "stopped"),
        (Result("append-only", not_run_because="no server"), "no server"),
    ],
)
def test_why_there_is_no_verdict(result: Result, sentence: str) -> None:
    """Whatever is neither pass nor fail says why on its line and in its block."""
    assert render_progress(ONE, result).endswith(f"   {sentence}")
    word = "error" if result.outcome is Outcome.ERROR else "why  "
    assert f"\n  {word}  {sentence}" in render_failure(ONE, result)


def test_a_failure_can_be_pasted() -> None:
    """Signature, task, command and evidence stand under a failure."""
    assert render_failure(ONE, failing("append-only"), evidence="evidence/run-1") == (
        "FAIL      append-only   1 finding of 12 examined\n  promise  INV-011 attestations append-only\n"
        "  t_reject   public.t\n"
        '    expected  "enabled"\n'
        '    observed  "disabled"\n'
        "    help: enable the trigger\n"
        "  failure_signature  P0.BIZ.APPEND_ONLY.MISSING\n"
        "  origin_task_id     TSK-P0-149\n"
        "  repro_command      invoke verify --only append-only\n"
        "  evidence           evidence/run-1/phase0/append_only.json"
    )


def test_a_pass_has_no_failure_block() -> None:
    """Nothing is printed for what passed."""
    assert render_failure(ONE, passing("append-only")) == ""


@given(results("append-only"))
def test_red_output_is_complete(result: Result) -> None:
    """Whatever became of a gate: each check that does not hold is named, and every block can be repeated."""
    text = render_failure(ONE, result)
    assert bool(text) is (result.outcome is not Outcome.PASS)
    if text:
        assert text.count("\n    expected  ") + text.count("\n    differs   - expected") == len(result.failures)
        assert "repro_command      invoke verify --only append-only" in text


@given(mixes(), st.sampled_from(["finished", "aborted", "running"]))
def test_the_sum_adds_up(mix: list[Result], state: str) -> None:
    """Any mix of results: the terms add up to the selected; PASSED is said of a finished, all-passed run alone."""
    line = render_summary(state, mix, evidence="evidence/x")
    found = re.fullmatch(r"([A-Z]+)   (\d+) selected = (.*?)   evidence/x", line)
    assert found is not None
    terms = [int(term.split(" ")[0]) for term in found[3].split(" + ")]
    assert sum(terms) == int(found[2]) == len(mix)
    assert (found[1] == "PASSED") is (state == "finished" and all(result.passed for result in mix))
    words = {"finished": {"PASSED", "FAILED"}, "aborted": {"ABORTED"}, "running": {"UNFINISHED"}}
    assert found[1] in words[state]


def test_nothing_selected_is_not_passed() -> None:
    """An empty run has not passed."""
    line = "FAILED   0 selected = 0 passed + 0 failed + 0 errors + 0 skipped"
    assert render_summary("finished", []) == line


def test_the_last_line() -> None:
    """As documented: the four usual words always, the others when there are any."""
    mix = [passing("a"), failing("b"), Result("c"), passing("d", aborted=True)]
    assert render_summary("finished", mix, evidence="evidence/run-1") == (
        "FAILED   4 selected = 1 passed + 1 failed + 0 errors + 0 skipped + 1 not run + 1 aborted   evidence/run-1"
    )
    assert render_summary("finished", [passing("a")], color=True) == (
        "\x1b[32mPASSED\x1b[0m   1 selected = 1 passed + 0 failed + 0 errors + 0 skipped"
    )


def test_nothing_steers_the_terminal() -> None:
    """Control characters and direction overrides from anywhere are shown, not done."""
    expected = Expected("g", "G", "phase0", "g", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, (HOSTILE,))
    checks = (
        Check(HOSTILE, HOSTILE, "x", HOSTILE, HOSTILE),
        Check("y", {HOSTILE: [HOSTILE]}, {HOSTILE: 1}, HOSTILE),
    )
    result = Result("g", NOW, NOW, checks, 1, HOSTILE)
    for text in (
        render_progress(expected, result),
        render_failure(expected, result, evidence=HOSTILE),
        render_summary("finished", [result], evidence=HOSTILE),
    ):
        assert all(char.isprintable() or char == "\n" for char in text)
        assert "\\x1b[2J" in text
