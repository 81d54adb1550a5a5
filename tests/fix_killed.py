"""The counts of the tests that kill the engine, printed at the end even when all is well.

Owns: `tally`, and the line. Counts travel as a test's properties, which pytest-xdist hands from its workers.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PROPERTY = "killed"
# In the order in which they are printed.
WORDS = {
    "points": "points before, in and after an exchange",
    "moments": "random moments",
    "twice": "of them killed again in the next run",
    "waiting": "with the next run waiting",
    "stops": "server stops",
    "mid": "mid-build",
    "containers": "runs with a container",
    "created": "containers never started, left to the next run",
    "runs": "runs with a server of their own",
}


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """`tally("moments", 25)`: so many of a kind were killed, recovered and compared."""

    def add(kind: str, number: int) -> None:
        assert kind in WORDS
        request.node.user_properties.append((PROPERTY, [kind, number]))

    return add


def summarised(reports: list[Any]) -> str:
    """One line for all reports; empty when none of these tests ran."""
    counts: Counter[str] = Counter()
    red = 0
    for report in reports:
        killed = [value for name, value in report.user_properties if name == PROPERTY]
        if report.when == "call" and report.passed:
            counts.update(dict(killed))
        elif report.failed and ("db/killed" in report.nodeid or "test_kills" in report.nodeid):
            red += 1
    if not counts and not red:
        return ""
    parts = [f"{counts[kind]} {words}" for kind, words in WORDS.items() if counts[kind]]
    verdict = f"{red} test{'s' if red > 1 else ''} red" if red else "every recovery green"
    return f"killed: {', '.join(parts) or 'nothing'}; {verdict}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the line."""
    reports = [
        report
        for group in ("passed", "failed", "error")
        for report in terminalreporter.stats.get(group, [])
        if hasattr(report, "user_properties")
    ]
    line = summarised(reports)
    if line:
        terminalreporter.write_line(line)
