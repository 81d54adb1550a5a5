"""Every behaviour of the schema that is written down is asked by a probe, and every probe's check is of one of them."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from scripts.settings import ROOT
from scripts.verifiers.hollow.reading import NAME as HOLLOW_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from db.verifiers.conftest import Bench

    from scripts.result import Result

LIST = ROOT / "docs" / "behaviours.md"
# Its statements are its list: schema/n_minus_one.yml.
ELSEWHERE = {"n-minus-one"}
_ROW = re.compile(
    r"^\| (?!when \|)(?P<when>[^|]+) \| (?P<then>[^|]+) \| (?P<invariant>[a-z0-9-]+) \| (?P<checks>.+) \|$"
)
_CODE = re.compile(r"`([0-9A-Z]{5})`")


class Behaviour(NamedTuple):
    """One row: what happens, with which codes (nothing but that one where `only`), seen by which invariant's checks."""

    when: str
    codes: tuple[str, ...]
    only: bool
    invariant: str
    checks: tuple[str, ...]


def read_behaviours(path: Path = LIST) -> list[Behaviour]:
    """The rows of every table; a line of a table that is none of the known forms is an error."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = _ROW.match(line)
        if row:
            checks = tuple(re.findall(r"`([^`]+)`", row["checks"]))
            codes, only = tuple(_CODE.findall(row["then"])), bool(_CODE.fullmatch(row["then"]))
            found.append(Behaviour(row["when"], codes, only, row["invariant"], checks))
        else:
            assert not line.startswith("|") or line.startswith(("|---", "| when |")), line
    return found


def played(result: Result) -> set[str]:
    """The checks that a probe made: those that a violation was planted for, save the facts' one."""
    return {name for one in result.controls or () if not one.name.startswith(HOLLOW_NAME) for name in one.must}


def troubles(behaviours: list[Behaviour], results: dict[str, Result]) -> list[str]:
    """What is in one of the two and not in the other."""
    wrong = []
    named: dict[str, set[str]] = {}
    for row in behaviours:
        checks = {check.id: check for check in results[row.invariant].checks}
        asked = checks.keys() & played(results[row.invariant])
        met: set[str] = set()
        for pattern in row.checks:
            matching = {name for name in asked if fnmatchcase(name, pattern)}
            if not matching:
                wrong.append(f"{row.when}: {row.invariant} asks no {pattern}")
            met |= matching
        named.setdefault(row.invariant, set()).update(met)
        wrong += [f"{row.when}: {name} does not hold" for name in sorted(met) if not checks[name].holds]
        expected = {name: json.dumps(checks[name].expected) for name in met}
        wrong += [
            f"{row.when}: no check of it expects {code}"
            for code in row.codes
            if not any(code in text for text in expected.values())
        ]
        if row.only:
            wrong += [
                f"{row.when}: {name} expects {text}"
                for name, text in sorted(expected.items())
                if row.codes[0] not in text
            ]
    for invariant, result in results.items():
        if invariant not in ELSEWHERE:
            missing = played(result) - named.get(invariant, set())
            wrong += [f"{invariant}: no behaviour names {name}" for name in sorted(missing)]
    return wrong


def test_each_behaviour_is_asked_and_each_question_is_of_a_behaviour(bench: Bench, tmp_path: Path) -> None:
    """Rows and probes are the same, with the SQLSTATE that the row says; a list that says otherwise is seen (D-30)."""
    results = bench.settle(controls=True)
    behaviours = read_behaviours()
    assert len(behaviours) > 100
    assert troubles(behaviours, results) == []

    text = LIST.read_text(encoding="utf-8")
    for old, new, told in (
        ("`numbers_have_no_gap` ", "`numbers_have_gaps` ", "asks no numbers_have_gaps"),
        ("`numbers_have_no_gap` ", "", "no behaviour names numbers_have_no_gap"),
        ("| `P7104` |", "| `P7105` |", "no check of it expects P7105"),
    ):
        assert old in text
        path = tmp_path / "behaviours.md"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        assert any(told in trouble for trouble in troubles(read_behaviours(path), results))
