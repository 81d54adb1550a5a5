"""The stage: an attack leaves nothing, and whoever needs less than every answer is asked no more than that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import errors

from scripts.errors.verifiers import UnaskedError
from scripts.result import Outcome
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.model import Findings, Invariant, Settled
from scripts.verifiers.probes.playing import Control, Probe, play, play_controls
from scripts.verifiers.probes.stage import ACCEPTED, Stage
from scripts.verifiers.run import select_invariants, verify_invariant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.verifiers.conftest import Bench

    from scripts.verifiers.model import Database


@pytest.fixture
def stage(bench: Bench) -> Iterator[Stage]:
    """A stage whose home is the owner, with a table of the test's own."""
    owner = bench.owner.info.user
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute("CREATE TEMPORARY TABLE t (n int CONSTRAINT small CHECK (n < 10), UNIQUE (n))")
        bench.owner.execute("ALTER TABLE t ADD CONSTRAINT late UNIQUE (n) DEFERRABLE INITIALLY DEFERRED")
        bench.owner.execute("ALTER TABLE t DROP CONSTRAINT t_n_key")
        bench.owner.execute("GRANT symphony_ingest TO CURRENT_USER WITH INHERIT FALSE, SET TRUE")
        yield Stage(bench.owner, Findings(), owner, keyed=True)


def one(verify: Callable[[Database, Findings], None]) -> Invariant:
    """An invariant of the test's own."""
    (some,) = select_invariants(["outbox-mvcc-posture"])
    return replace(some, id="test", verify=verify)


def test_an_attack_is_told_and_leaves_nothing(stage: Stage) -> None:
    """Accepted, refused at once, refused at the end and refused to the role: each is told, and all of it undone."""
    assert stage.attempt("INSERT INTO t VALUES (%s)", [1]) == ACCEPTED
    assert stage.attempt("INSERT INTO t VALUES (%s)", [11]) == "23514 small"
    assert stage.attempt("INSERT INTO t VALUES (%(n)s), (%(n)s)", {"n": 1}) == "23505 late"
    assert stage.attempt("INSERT INTO t VALUES (1)", role="symphony_ingest") == "42501"
    assert stage.attempt("SELECT 1", role="nobody_of_that_name") == "22023"

    assert stage.value("SELECT count(*) FROM t") == 0
    assert stage.value("SELECT current_user::text") == stage.home


def test_a_role_is_given_back(stage: Stage) -> None:
    """After an attack, a question or a savepoint of a role's own the owner acts again, and no setting is left."""
    assert stage.value("SELECT current_user::text", role="symphony_ingest") == "symphony_ingest"
    assert stage.attempt("SELECT 1", role="symphony_ingest", lock="SHARE", table="public.t") == ACCEPTED
    with stage.undone():
        stage.become("symphony_ingest")
        with pytest.raises(errors.InsufficientPrivilege), stage.undone():
            stage.run("INSERT INTO t VALUES (1)")
        assert stage.value("SELECT current_user::text") == "symphony_ingest"

    assert stage.value("SELECT current_user::text") == stage.home
    assert stage.value("SELECT current_setting('lock_timeout')") == "0"


def test_a_column_that_changed_its_type_is_asked_as_it_is(stage: Stage) -> None:
    """However often a statement was sent, its plan is not what is asked about."""
    for _ in range(10):
        stage.value("SELECT n FROM t")
    stage.run("ALTER TABLE t ALTER n TYPE bigint")

    assert stage.value("SELECT n FROM t") is None
    assert stage.attempt("SELECT n FROM t") == ACCEPTED


def test_what_nobody_wants_is_not_asked(stage: Stage) -> None:
    """With ids that are wanted, an attack for another is left out, and the last wanted answer ends the play."""
    findings = Findings(wanted=frozenset({"b"}))
    wanting = replace(stage, findings=findings)
    wanting.refused("a", ACCEPTED, "this is no statement")
    with pytest.raises(Settled):
        wanting.accepted("b", "SELECT 1")

    assert [check.id for check in findings.checks] == ["b"]


def test_a_control_asks_only_for_what_it_breaks(bench: Bench) -> None:
    """Under a violation only the checks it must break are asked; one that stays green, or is not asked, was missed."""
    asked: list[str] = []

    def behaviour(stage: Stage) -> None:
        for name in ("a", "b", "c"):
            stage.refused(name, "23514 small", "INSERT INTO pg_temp.t VALUES (11)")
            asked.append(name)

    def plain(stage: Stage) -> None:
        stage.run("CREATE TEMPORARY TABLE t (n int)")

    def kept(stage: Stage) -> None:
        stage.run("CREATE TEMPORARY TABLE t (n int CONSTRAINT small CHECK (n < 10))")

    def none(stage: Stage) -> None:
        stage.run("SELECT 1 / 0")

    controls = (
        Control("lost", plain, ("b",)),
        Control("kept", kept, ("a", "c")),
        Control("unasked", plain, ("d",)),
        Control("failing", none, ("a",)),
    )
    with bench.owner.transaction(force_rollback=True):
        found = play_controls(bench.owner, [Probe("p", behaviour, controls)])

    assert [(one.name, one.missed, one.trouble) for one in found] == [
        ("p: lost", (), ""),
        ("p: kept", ("a", "c"), ""),
        ("p: unasked", ("d",), ""),
        ("p: failing", (), "could not be planted: 22012"),
    ]
    # The first stopped in the midst of b; a was passed over.
    assert asked == ["a", *("a", "b"), *("a", "b", "c")]


def test_the_first_red_check_can_be_enough(bench: Bench) -> None:
    """Until red, what comes after the first check that fails is not asked; the result says so and is a failure."""

    def verify(database: Database, findings: Findings) -> None:
        def behaviour(stage: Stage) -> None:
            stage.accepted("green", "SELECT 1")
            stage.refused("red", "23505", "SELECT 1")
            stage.refused("after", "23505", "SELECT 1")

        play(database.conn, findings, [Probe("p", behaviour)])

    cut = verify_invariant(one(verify), bench.on(bench.owner), until_red=True)
    whole = verify_invariant(one(verify), bench.on(bench.owner))

    assert [check.id for check in cut.checks] == ["green", "red"]
    assert (cut.outcome, cut.cut_short, cut.error) == (Outcome.FAIL, True, "")
    assert [check.id for check in whole.failures] == ["red", "after"]
    assert not whole.cut_short
    with pytest.raises(RuntimeError, match="what is cut short proves nothing"):
        verify_invariant(one(verify), bench.on(bench.owner), until_red=True, controls=True)


def test_every_invariant_that_holds_is_asked_to_its_end(bench: Bench) -> None:
    """Until red, on a database that is as it should be, every check is asked all the same."""
    names = ("outbox-retry-ceiling", "tenant-integrity")
    subject = bench.on(bench.owner)
    for invariant in select_invariants(names):
        cut = verify_invariant(invariant, subject, until_red=True)
        whole = verify_invariant(invariant, subject)

        assert cut.passed
        assert [check.id for check in cut.checks] == [check.id for check in whole.checks]


def test_the_first_error_is_the_one_that_is_told(bench: Bench) -> None:
    """When the connection is lost within a savepoint, its loss is told, and not that the savepoint is gone."""
    lost = bench.database.connect()
    lost.autocommit = True
    (pid,) = lost.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    stage = Stage(lost, Findings(), bench.owner.info.user, keyed=True)

    def within() -> None:
        with lost.transaction(force_rollback=True), stage.undone():
            bench.admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            stage.attempt("SELECT 1")

    with pytest.raises(psycopg.OperationalError) as caught:
        within()

    assert caught.value.sqlstate in {"57P01", None}
    assert lost.closed


def test_the_surroundings_are_asked_once_a_database(bench: Bench) -> None:
    """Who owns the schema is asked at the first probe; a database that is looked at anew is asked anew."""
    subject = bench.on(bench.owner)
    assert subject.around == []
    for invariant in select_invariants(["outbox-retry-ceiling", "outbox-terminal-uniqueness"]):
        assert verify_invariant(invariant, subject).passed

    (around,) = subject.around
    assert around.home == bench.owner.info.user
    assert (around.keyed, "symphony_ingest" in around.beyond) == (True, True)
    assert bench.on(bench.owner).around == []


def test_a_login_that_cannot_come_to_act_as_the_roles_is_told_so(bench: Bench) -> None:
    """It administers none of them: an ERROR that names them, and no check that fails instead."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute("CREATE ROLE looks_on; SET LOCAL ROLE looks_on")
        (found,) = bench.settle("outbox-terminal-uniqueness", conn=bench.admin).values()

    assert found.outcome is Outcome.ERROR
    assert "symphony_ingest" in (found.error or "")
    assert found.error == UnaskedError.role_out_of_reach(", ".join(sorted(ROLES)), sqlstate="42501").sentence
