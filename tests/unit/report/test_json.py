"""The JSON report holds the same values as the text report."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from make_results import failing, inventory, mixes, passing

from scripts.evidence.record import run_passed
from scripts.report.json import gate_json, render_json
from scripts.report.text import render_failure
from scripts.result import Outcome, Planted, Result

(ONE,) = inventory("g-0")


def test_a_failure_has_everything() -> None:
    """All that the text shows of a failure is there for a program."""
    assert gate_json(ONE, failing("g-0"), evidence="evidence/run-1") == {
        "gate": "g-0",
        "check_id": "DB-G-0",
        "verb": "verify",
        "title": "",
        "status": "FAIL",
        "duration_ms": 3,
        "examined": 12,
        "checks": 2,
        "failures": [
            {
                "id": "t_reject",
                "where": "public.t",
                "expected": "enabled",
                "observed": "disabled",
                "help": "enable the trigger",
            }
        ],
        "error": None,
        "not_run_because": None,
        "evidence": "evidence/run-1/phase0/g_0.json",
        "failure_signature": "P0.DB_G_0.FAILED",
        "origin_task_id": "TSK-P0-149",
        "repro_command": "invoke verify --only g-0",
    }
    assert "failure_signature" not in gate_json(ONE, passing("g-0"))
    assert gate_json(ONE, passing("g-0"))["evidence"] is None


def test_every_error_has_its_sentence() -> None:
    """A gate without a verdict says why, also where no question failed: the text report's words."""
    unseen = replace(passing("g-0"), controls=(Planted("a shadow", ("t_reject",), trouble="SQLSTATE 42501"),))
    for result, why in (
        (unseen, "were not seen to fail when they had to"),
        (replace(passing("g-0"), checks=()), "nothing was checked"),
        (replace(passing("g-0"), examined=0), "nothing was examined"),
        (replace(passing("g-0"), error="the connection was lost"), "the connection was lost"),
    ):
        told = gate_json(ONE, result)
        assert told["status"] == "ERROR"
        assert why in told["error"]
        assert told["error"] in render_failure(ONE, result)
    assert gate_json(ONE, passing("g-0"))["error"] is None


@given(mixes())
def test_any_mix_adds_up(mix: list[Result]) -> None:
    """Counts add up to the gates selected; passed is what the run's files would say."""
    gates = list(zip(inventory(*(result.gate for result in mix)), mix, strict=True))
    value = json.loads(render_json("run-1", "finished", gates, evidence="evidence/run-1"))
    assert sum(value["counts"].values()) == value["selected"] == len(mix)
    assert value["passed"] is run_passed("finished", mix)
    assert [gate["status"] for gate in value["gates"]] == [str(result.outcome) for result in mix]
    assert list(value["counts"]) == [str(outcome) for outcome in Outcome]


def test_an_aborted_run() -> None:
    """State and reason are told; it has not passed."""
    value = json.loads(render_json("run-1", "aborted", [(ONE, passing("g-0"))], reason="interrupted by signal 2"))
    assert (value["state"], value["reason"], value["passed"]) == ("aborted", "interrupted by signal 2", False)
