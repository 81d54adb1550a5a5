"""Attacks that are made together: each is told as it is by itself, in the order asked, and nothing is left of any."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, LiteralString, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.errors.verifiers import UnaskedError
from scripts.verifiers.model import Findings
from scripts.verifiers.probes.attacks import Attack, make
from scripts.verifiers.probes.stage import ACCEPTED, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.verifiers.conftest import Bench

INGEST = "symphony_ingest"
# No attack's answer: so that what was observed is kept with the constraint's name.
OTHER = "00000 none"


class Try(NamedTuple):
    """An attack, and what is said of it."""

    sql: LiteralString
    told: str
    role: str = ""


TRIES = {
    "let through": Try("INSERT INTO t VALUES (1)", ACCEPTED),
    "refused at once": Try("INSERT INTO t VALUES (11)", "23514 small"),
    "refused at the end": Try("INSERT INTO t VALUES (1), (1)", "23505 late"),
    "refused to the role": Try("INSERT INTO t VALUES (1)", "42501", INGEST),
    "let through for the role": Try("SELECT current_user", ACCEPTED, INGEST),
    "of nobody": Try("SELECT 1", "22023", "nobody_of_that_name"),
    "a percent sign, a quote, a dollar": Try("SELECT '%s', 'it''s $attacks$ \\'", ACCEPTED),
    "in the block's own words": Try("DO $$ BEGIN RAISE EXCEPTION 'undone'; END $$", "P0001"),
    "an assertion, which no block catches": Try("DO $$ BEGIN ASSERT false; END $$", "P0004"),
    "settings": Try(
        "SELECT set_config('parity.told', '[]', true), set_config('role', 'symphony_ingest', true)", ACCEPTED
    ),
    "a definition": Try("ALTER TABLE t ADD COLUMN m int", ACCEPTED),
    "a lock": Try("LOCK TABLE t IN ACCESS EXCLUSIVE MODE", ACCEPTED),
    "a savepoint, which no block may begin": Try("SAVEPOINT mine", ACCEPTED),
}


@pytest.fixture
def stage(bench: Bench) -> Iterator[Stage]:
    """A stage whose home is the owner, with a table of the test's own."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute("CREATE TEMPORARY TABLE t (n int CONSTRAINT small CHECK (n < 10))")
        bench.owner.execute("ALTER TABLE t ADD CONSTRAINT late UNIQUE (n) DEFERRABLE INITIALLY DEFERRED")
        bench.owner.execute("GRANT symphony_ingest TO CURRENT_USER WITH INHERIT FALSE, SET TRUE")
        yield Stage(bench.owner, Findings(), bench.owner.info.user, keyed=True)


def made(stage: Stage, names: list[str]) -> list[tuple[str, object]]:
    """Each attack of these names, all of them asked before anything else is."""
    asking = replace(stage, findings=Findings())
    with asking.undone():
        for number, name in enumerate(names):
            asking.refused(f"{number}", OTHER, TRIES[name].sql, role=TRIES[name].role)
    return [(check.id, check.observed) for check in asking.findings.checks]


@pytest.mark.parametrize("name", sorted(TRIES))
def test_an_attack_by_itself_is_told(stage: Stage, name: str) -> None:
    """What the others are compared with."""
    assert stage.attempt(TRIES[name].sql, role=TRIES[name].role) == TRIES[name].told


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(sorted(TRIES)), max_size=8))
def test_together_they_are_told_as_each_by_itself(stage: Stage, names: list[str]) -> None:
    """In order, and nothing is left: no row, column, role, lock or budget."""
    told = [(f"{number}", TRIES[name].told) for number, name in enumerate(names)]

    assert made(stage, names) == told
    assert stage.rows("TABLE t") == []
    assert stage.value("SELECT current_user::text") == stage.home
    assert stage.value("SELECT current_setting('lock_timeout')") == "0"
    assert stage.value("SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0") == 1


def test_the_block_itself_tells_all_that_a_block_can(stage: Stage) -> None:
    """So that what is told alike is not told by attacks that were made one by one."""
    plain = [one for name, one in sorted(TRIES.items()) if "no block" not in name]
    plain.append(Try("INSERT INTO t VALUS (1)", "42601"))
    with stage.undone():
        told = make(stage.wire, [Attack(one.sql, one.role) for one in plain], stage.home)
    assert [one or ACCEPTED for one in told] == [one.told for one in plain]


def test_whoever_may_not_run_a_block_makes_them_one_by_one(bench: Bench, stage: Stage) -> None:
    """The answers are the same."""
    names = ["let through", "refused at once", "refused to the role"]
    bench.admin.execute("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC")
    try:
        assert [told for _, told in made(stage, names)] == [TRIES[name].told for name in names]
    finally:
        bench.admin.execute("GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC")


def test_a_lock_that_others_hold_is_told_as_theirs(bench: Bench, stage: Stage) -> None:
    """With the table's name, within the budget of a strong lock, and what was asked before it is kept."""
    bench.owner.execute("CREATE TEMPORARY TABLE mine (n int)")
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute("LOCK TABLE public.participants IN ACCESS SHARE MODE")
        attack: LiteralString = "LOCK TABLE public.participants IN ACCESS EXCLUSIVE MODE"
        stage.wire.save()
        stage.refused("before", "23514", "INSERT INTO t VALUES (11)")
        stage.refused("busy", "42501", attack, where="public.participants", lock="ACCESS EXCLUSIVE")
        stage.refused("after", "23514", "INSERT INTO t VALUES (11)")
        with pytest.raises(UnaskedError) as caught:
            stage.wire.let()
        stage.wire.undo()

    assert "ACCESS EXCLUSIVE" in caught.value.sentence
    assert "public.participants" in caught.value.sentence
    assert [check.id for check in stage.findings.checks] == ["before"]


def test_a_check_that_is_made_between_them_stays_between_them(stage: Stage) -> None:
    """Whether it asks the server or not."""
    with stage.undone():
        stage.refused("first", "23514", "INSERT INTO t VALUES (11)")
        stage.refused("second", "23514", "INSERT INTO t VALUES (11)")
        stage.findings.check("third", expected=1, observed=1)
        stage.refused("fourth", "23514", "INSERT INTO t VALUES (11)")
        stage.run("INSERT INTO t VALUES (1)")
        stage.refused("fifth", "23505", "INSERT INTO t VALUES (1)")

    assert [(check.id, check.holds) for check in stage.findings.checks] == [
        (name, True) for name in ("first", "second", "third", "fourth", "fifth")
    ]


def test_attacks_are_made_on_what_was_there_when_they_were_asked(stage: Stage) -> None:
    """A row that is planted after them, or a role that is taken after them, is not there yet."""
    with stage.undone():
        stage.accepted("without", "INSERT INTO t VALUES (1)")
        stage.accepted("without too", "INSERT INTO t VALUES (1)")
        stage.plant("INSERT INTO t VALUES (1)")
        stage.refused("with", "23505", "INSERT INTO t VALUES (1)")
        stage.accepted("as the owner", "TABLE t")
        stage.become(INGEST)
        stage.refused("as the role", "42501", "TABLE t")

    assert [check.id for check in stage.findings.checks if not check.holds] == []
    assert len(stage.findings.checks) == 5


def test_each_stage_keeps_its_own(stage: Stage) -> None:
    """Two that share a wire, as a probe under a control does, keep the checks of their own findings."""
    other = replace(stage, findings=Findings())
    with stage.undone():
        stage.accepted("mine", "SELECT 1")
        other.accepted("theirs", "SELECT 1")
        stage.accepted("mine too", "SELECT 1")

    assert [check.id for check in stage.findings.checks] == ["mine", "mine too"]
    assert [check.id for check in other.findings.checks] == ["theirs"]


def test_none_is_made_where_the_play_was_broken_off(stage: Stage) -> None:
    """The error is told; an attack that waited when it came is neither made nor passed off as made."""

    def within() -> None:
        with stage.undone():
            stage.accepted("never", "INSERT INTO t VALUES (1)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        within()
    stage.accepted("later", "INSERT INTO t VALUES (1)")
    stage.wire.let()

    assert [check.id for check in stage.findings.checks] == ["later"]
