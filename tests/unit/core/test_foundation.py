"""The foundation: error text, canonical JSON, time, and the outcome computed from checks."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.clock import iso_utc, utc_now
from scripts.digest import canonical_json, digest_of, sha256_hex
from scripts.errors.base import ExitCode, Interrupted, ProjectError
from scripts.errors.settings import UsageError
from scripts.result import Check, Outcome, Result

NOW = datetime(2026, 3, 1, 10, 22, 5, 7, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
CHECKS = st.lists(st.builds(Check, id=st.text(min_size=1, max_size=3), expected=JSON, observed=JSON), max_size=5)


def test_an_error_tells_its_four_parts() -> None:
    """What, where, expected and found, help; labels aligned, further lines indented."""
    error = ProjectError("it broke", where="a.sql:3:7", facts=[("expected", "x"), ("on disk", "y\nz")], help="mend it")
    assert str(error) == (
        "error[error]: a.sql:3:7: it broke\n  expected  x\n  on disk   y\n            z\n  help: mend it"
    )


def test_usage_errors_name_what_exists() -> None:
    """An unknown gate and an empty selection are different errors, both of exit 2."""
    unknown = UsageError.unknown_selection(["x"], ["a", "b"])
    assert "error[usage]: no gate of that name\n  found     x\n  expected  one of a, b" in str(unknown)
    empty = UsageError.empty_selection()
    assert "the selection is empty" in str(empty)
    assert unknown.exit_code is empty.exit_code is ExitCode.USAGE
    assert "only the image that needs no registry is built here" in str(UsageError.needs_offline())


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_an_interrupt_keeps_the_shells_code(signum: int, code: int) -> None:
    """128 + signal number, and it is a KeyboardInterrupt, which psycopg answers by cancelling the statement."""
    assert Interrupted(signum).exit_code == code
    assert isinstance(Interrupted(signum), KeyboardInterrupt)


@given(JSON)
def test_canonical_json_is_read_back_equal(value: Any) -> None:
    """What goes in comes out, and equal values have equal digests."""
    assert json.loads(canonical_json(value)) == value
    assert digest_of(value) == sha256_hex(canonical_json(json.loads(canonical_json(value))))


@pytest.mark.parametrize("value", [1.0, float("nan"), 2**53, [1.5], {"a": 2**60}, {1: "a"}], ids=repr)
def test_what_json_cannot_hold_exactly_is_refused(value: Any) -> None:
    """Floats, 64-bit integers and keys that are not text raise instead of being rounded."""
    with pytest.raises(ValueError, match=r"not exactly representable|JSON keys are strings"):
        canonical_json(value)


def test_times_are_utc_and_sort_as_text() -> None:
    """RFC 3339 with microseconds; a moment without a zone is refused."""
    assert iso_utc(NOW) == "2026-03-01T10:22:05.000007Z"
    assert utc_now().tzinfo is UTC
    with pytest.raises(ValueError, match="without a zone"):
        iso_utc(NOW.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (Result("g"), Outcome.NOT_RUN),
        (Result("g", started_at=NOW), Outcome.ERROR),
        (Result("g", started_at=NOW, checks=(Check("a", 1, 1),), examined=0), Outcome.ERROR),
        (Result("g", started_at=NOW, checks=(Check("a", 1, 1),), examined=1), Outcome.PASS),
        (Result("g", started_at=NOW, checks=(Check("a", 1, 2),), examined=1), Outcome.FAIL),
        (Result("g", started_at=NOW, checks=(Check("a", 1, 1),), examined=1, error="x"), Outcome.ERROR),
        (Result("g", started_at=NOW, checks=(Check("a", 1, 1),), examined=1, aborted=True), Outcome.ABORTED),
    ],
    ids=["not started", "no checks", "nothing examined", "all hold", "one does not", "broke", "interrupted"],
)
def test_the_outcome_is_computed(result: Result, outcome: Outcome) -> None:
    """No caller hands an outcome in; nothing checked never reads as passed."""
    assert result.outcome is outcome
    assert result.passed is (outcome is Outcome.PASS)


def test_true_is_not_one() -> None:
    """A check compares types too, at every depth: a driver's 1 does not stand for true."""
    assert not Check("a", True, 1).holds
    assert not Check("a", [{"b": True}], [{"b": 1}]).holds
    assert Check("a", [{"b": 1, "c": None}], [{"c": None, "b": 1}]).holds


@given(CHECKS, st.integers(0, 3))
def test_only_all_checks_holding_is_a_pass(checks: list[Check], examined: int) -> None:
    """A run passes exactly when something was examined and every check holds."""
    result = Result("g", started_at=NOW, checks=tuple(checks), examined=examined)
    assert result.passed is (bool(checks) and examined > 0 and all(check.holds for check in checks))
    assert len(result.failures) == sum(not check.holds for check in checks)
