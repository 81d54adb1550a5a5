"""The JUnit export: nothing that is not a pass reads as one, and any text survives XML."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from make_results import NOW, failing, inventory, mixes, passing

from scripts.report.junit import render_junit
from scripts.result import Check, Outcome, Result

if TYPE_CHECKING:
    from conftest import Golden


def test_how_it_looks(golden: Golden) -> None:
    """A pass, a failure and a gate that did not run."""
    gates = inventory("a", "b", "c")
    results = (passing("a"), failing("b"), Result("c", not_run_because="no server"))
    golden.require_equal(
        "report_junit.xml", render_junit("run-1", list(zip(gates, results, strict=True)), evidence="evidence/run-1")
    )


@given(mixes())
def test_only_a_pass_reads_as_one(mix: list[Result]) -> None:
    """Any mix: counts add up; a case without failure or error is a pass, and none is skipped."""
    gates = list(zip(inventory(*(result.gate for result in mix)), mix, strict=True))
    suite = ET.fromstring(render_junit("run-1", gates))  # noqa: S314 - our own text
    assert int(suite.attrib["tests"]) == len(mix) == len(suite)
    assert suite.attrib["skipped"] == "0"
    for case, result in zip(suite, mix, strict=True):
        assert (len(case) == 0) is (result.outcome is Outcome.PASS)
    bad = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    assert bad == sum(len(case) for case in suite)


def test_characters_that_xml_does_not_know() -> None:
    """Control characters and lone surrogates are shown by their code; the file stays well-formed."""
    checks = (Check("\x00\x1b<&]]>", "\ud800", "\ufffe", "\x0b"),)
    text = render_junit("\x01", [(inventory("a")[0], Result("a", NOW, NOW, checks, 1))])
    text.encode()
    case = ET.fromstring(text)[0]  # noqa: S314 - our own text
    assert "\\x00\\x1b<&]]>" in str(case[0].text)


def test_a_report_of_nothing() -> None:
    """No gate, no report: many readers colour an empty one green."""
    with pytest.raises(RuntimeError, match=r"^a report without gates would read as green$"):
        render_junit("run-1", [])
