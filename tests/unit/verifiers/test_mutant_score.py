"""Shards, waivers and the score: nothing is judged twice or never, and nothing is waived by accident."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors.base import ExitCode
from scripts.errors.mutants import (
    LaneLostError,
    NoSuperuserError,
    NotGreenError,
    SelectionError,
    UnownedError,
    WaiverError,
)
from scripts.report.mutants import render_score, score_json
from scripts.result import Outcome
from scripts.settings import Settings
from scripts.verifiers.mutants.model import Fate, Mutant, Score, Verdict
from scripts.verifiers.mutants.owners import (
    BEHAVIOUR_OWNERS,
    COLUMN_OWNERS,
    CONSTRAINT_KIND_OWNERS,
    CONSTRAINT_OWNERS,
    INDEX_OWNERS,
    TABLE_OWNERS,
    TRIGGER_OWNERS,
)
from scripts.verifiers.mutants.select import owned_by, parse_shard, shard_of
from scripts.verifiers.mutants.settled import Selection, result_of
from scripts.verifiers.mutants.waivers import parse_waivers, read_waivers, require_known, waived
from scripts.verifiers.registry import INVARIANTS

if TYPE_CHECKING:
    from pathlib import Path


def mutant(name: str = "table t", change: str = "dropped", owner: str = "table-definitions") -> Mutant:
    """A mutant that nobody applies."""
    return Mutant(name, change, (owner,), ("DROP TABLE t",))


def score(*fates: Fate, waived: frozenset[str] = frozenset()) -> Score:
    """A score of mutants with these fates."""
    verdicts = tuple(
        Verdict(mutant(change=str(number)), fate, reason="why" if fate is Fate.FAILED else "")
        for number, fate in enumerate(fates)
    )
    return Score(verdicts, waived, 2.0, 2)


@given(st.lists(st.integers()), st.integers(min_value=1, max_value=12))
def test_shards_are_disjoint_and_cover_everything(items: list[int], count: int) -> None:
    """Each item is in exactly one shard, and no shard has two more than another."""
    numbered = list(enumerate(items))
    shards = [shard_of(numbered, shard, count) for shard in range(1, count + 1)]

    assert sorted(item for shard in shards for item in shard) == numbered
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@given(st.integers(min_value=1, max_value=99), st.integers(min_value=1, max_value=99))
def test_a_shard_is_read(first: int, second: int) -> None:
    """k/n with 1 ≤ k ≤ n, and nothing else."""
    if first <= second:
        assert parse_shard(f"{first}/{second}") == (first, second)
    else:
        with pytest.raises(SelectionError):
            parse_shard(f"{first}/{second}")


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2", "1/2/3", "1 / 2", "²/3", "1/"])
def test_another_shard_is_refused(text: str) -> None:
    """With what was expected and what was found."""
    with pytest.raises(SelectionError, match="not a shard") as caught:
        parse_shard(text)

    assert dict(caught.value.facts)["found"] == repr(text)
    assert caught.value.exit_code is ExitCode.USAGE


def test_only_takes_what_an_invariant_owns() -> None:
    """One of several owners is enough; no name means all."""
    mine, other = mutant(owner="usage-billing"), mutant(owner="table-definitions")

    assert owned_by([mine, other], frozenset({"usage-billing"})) == (mine,)
    assert owned_by([mine, other], frozenset()) == (mine, other)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[", "Expecting value"),
        ("[]", "no list `waivers`"),
        ('{"waivers": {}}', "no list `waivers`"),
        ('{"waivers": [], "version": 1}', "something beside it"),
        ('{"waivers": ["x"]}', "something missing or too much"),
        ('{"waivers": [{"name": "x"}]}', "something missing or too much"),
        ('{"waivers": [{"name": "x", "reason": " "}]}', "without text"),
        ('{"waivers": [{"name": "x", "reason": "a"}, {"name": "x", "reason": "b"}]}', "stands there already: x"),
    ],
)
def test_a_list_of_waivers_that_cannot_be_used(text: str, found: str) -> None:
    """Every form but the one is refused, with the entry's number."""
    with pytest.raises(WaiverError) as caught:
        parse_waivers(text)

    assert found in str(caught.value)
    assert caught.value.where == "mutant_waivers.yml"


def test_a_waiver_that_names_no_mutant_is_an_error() -> None:
    """No wildcard, no leftovers."""
    with pytest.raises(WaiverError, match="a waiver names no mutant") as caught:
        require_known(["table t: dropped", "table t: *"], [mutant()])

    assert "table t: *" in str(caught.value)
    assert caught.value.exit_code is ExitCode.FAILED


def test_a_waiver_of_a_killed_mutant_is_an_error() -> None:
    """It would hide the next survivor of that name; one that is not judged in this shard is not asked about."""
    verdicts = [Verdict(mutant(), Fate.KILLED, by="x/y")]
    with pytest.raises(WaiverError, match="a waiver is killed"):
        waived(["table t: dropped"], verdicts)
    assert waived(["elsewhere: dropped"], verdicts) == frozenset()
    assert waived(["table t: dropped"], [Verdict(mutant(), Fate.SURVIVED)]) == {"table t: dropped"}


def test_a_mutant_that_failed_is_not_waived() -> None:
    """A waiver is for what survives, not for what could not be judged."""
    assert waived(["table t: dropped"], [Verdict(mutant(), Fate.FAILED, reason="x")]) == frozenset()


def test_the_lists_beside_other_migrations_are_not_ours(tmp_path: Path) -> None:
    """No file, no waivers; the project's own can be read."""
    assert read_waivers(tmp_path / "migrations") == {}
    assert isinstance(read_waivers(Settings().migrations_dir), dict)


def test_only_killed_and_waived_pass() -> None:
    """Nothing judged is no pass, nor is one survivor or one error; a stalled question is a kill that is told."""
    assert not score().passed
    assert score(Fate.KILLED, Fate.STALLED).passed
    assert not score(Fate.KILLED, Fate.SURVIVED).passed
    assert not score(Fate.KILLED, Fate.FAILED).passed
    assert score(Fate.KILLED, Fate.SURVIVED, waived=frozenset({"table t: 1"})).passed
    assert score(Fate.KILLED, Fate.KILLED, Fate.KILLED, Fate.KILLED).per_second == 1.0


def test_the_score_as_json() -> None:
    """The keys that others read, and survivors with their owner and their SQL."""
    value = json.loads(
        score_json(
            score(Fate.KILLED, Fate.SURVIVED, Fate.SURVIVED, Fate.FAILED, waived=frozenset({"table t: 2"})),
            evidence="e/1",
        )
    )

    assert (value["total"], value["killed"], value["waived"], value["seconds"]) == (4, 1, 1, 2.0)
    assert value["survivors"] == [
        {
            "name": "table t: 1",
            "object": "table t",
            "change": "1",
            "owner": "table-definitions",
            "sql": "DROP TABLE t",
        }
    ]
    assert [(one["name"], one["reason"]) for one in value["errors"]] == [("table t: 3", "why")]


def test_the_score_as_text() -> None:
    """Survivors and errors in full, one line that counts."""
    text = render_score(score(Fate.KILLED, Fate.STALLED, Fate.SURVIVED, Fate.FAILED), evidence="e/1")

    assert "SURVIVED table t: 2\n  not seen by table-definitions\n  | DROP TABLE t" in text
    assert "ERROR table t: 3\n  why" in text
    last = text.splitlines()[-1]
    assert last.endswith("   e/1")
    assert last.startswith("FAILED   4 mutants = 2 killed (1 of them ran into the deadline) + 0 waived + 1 survived")


def test_the_score_as_a_result() -> None:
    """A check an owner: what it did not see, and what could not be judged, fails; a waived one does not (D-28)."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    one = score(Fate.KILLED, Fate.SURVIVED, Fate.SURVIVED, Fate.FAILED, waived=frozenset({"table t: 2"}))
    result = result_of(one, Selection(4, (2, 3), ("table-definitions",)), now, now)

    assert result.outcome is Outcome.FAIL
    assert [(check.id, check.observed) for check in result.failures] == [
        ("all_seen_by_table-definitions", ["table t: 1", "table t: 3"])
    ]
    details = dict(result.details)
    volatile = details.pop("volatile")
    assert details == {
        "total": 4,
        "killed": 1,
        "waived": ["table t: 2"],
        "survivors": ["table t: 1"],
        "unjudged": ["table t: 3: why"],
        "mutants_of": {"table-definitions": 4},
        "derived": 4,
        "shard": [2, 3],
        "only": ["table-definitions"],
        "given": False,
    }
    assert volatile == {"seconds": "2.000", "processes": 2, "stalled": []}
    assert result_of(score(Fate.KILLED, Fate.STALLED), Selection(2), now, now).outcome is Outcome.PASS
    assert result_of(score(), Selection(2), now, now).outcome is Outcome.ERROR


def test_owners_are_invariants() -> None:
    """A map that names what is not in the registry would let everything survive."""
    ids = {invariant.id for invariant in INVARIANTS}
    maps = (
        TABLE_OWNERS,
        COLUMN_OWNERS,
        CONSTRAINT_OWNERS,
        CONSTRAINT_KIND_OWNERS,
        INDEX_OWNERS,
        TRIGGER_OWNERS,
    )
    assert {owner for one in maps for owner in one.values()} <= ids
    assert {owner for owners in BEHAVIOUR_OWNERS.values() for owner in owners} <= ids


def test_the_words_of_errors() -> None:
    """What, expected and found, help."""
    assert "2 of" not in str(UnownedError.of(["table public.x"]))
    assert "table public.x" in str(UnownedError.of(["table public.x"]))
    assert "and 5 more" in str(UnownedError.of([f"table {n}" for n in range(25)]))
    assert "usage-billing: usage-billing/x" in str(NotGreenError.of({"usage-billing": "usage-billing/x"}))
    assert "before it had answered" in str(LaneLostError.of())
    assert NoSuperuserError.of().exit_code is ExitCode.USAGE
    assert "FRESH_DB=0" in str(SelectionError.existing_database())
    assert "no mutant is selected" in str(SelectionError.nothing())
