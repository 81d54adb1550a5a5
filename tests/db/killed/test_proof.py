"""The proof itself: every kind of damage that a killed run could leave is seen, and named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from db.killed.proof import describe, problems_of
from fix_killed import PROPERTY, summarised

if TYPE_CHECKING:
    from db.killed.bench import Bench

FOLDER = "every kind"

DAMAGES = {
    "a file ran twice": (
        "INSERT INTO public.marks VALUES ('0003_events.sql')",
        "0003_events.sql was applied 2 times",
    ),
    "a backfill ran twice": (
        "UPDATE public.accounts SET amount = amount + 1",
        "rows of public.accounts: expected 300 ",
    ),
    "a row is not in the ledger": (
        "DELETE FROM public.schema_migrations WHERE version LIKE '0011%'",
        "ledger: expected ['0001_accounts.sql', ",
    ),
    "a record is not in the history": (
        "DELETE FROM public.schema_migrations_history WHERE seq = 3",
        "history: expected one record a file, in order, found ",
    ),
    "a file is in the history twice": (
        (
            "INSERT INTO public.schema_migrations_history SELECT seq + 100, kind, version, checksum, replaces,"
            " statements_digest, recorded_at, recorded_by, reason, trace_digest, previous_hash, hash, trace"
            " FROM public.schema_migrations_history WHERE seq = 3"
        ),
        "history: expected one record a file, in order, found ",
    ),
    "a statement is not done": (
        (
            "UPDATE public.schema_migrations_journal SET state = 'started', done_at = NULL"
            " WHERE version = '0006_builds.sql' AND statement = 2"
        ),
        "journal: 0006_builds.sql statement 2 is started",
    ),
    "a statement is not in the journal": (
        "DELETE FROM public.schema_migrations_journal WHERE version = '0013_vacuum.sql'",
        "journal: expected ",
    ),
    "an index is not valid": (
        "UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = 'public.accounts_email'::regclass",
        "accounts_email is not valid",
    ),
    "an index is not live": (
        "UPDATE pg_catalog.pg_index SET indislive = false WHERE indexrelid = 'public.accounts_email'::regclass",
        "accounts_email is not valid",
    ),
    "a rebuild left its twin": (
        "CREATE INDEX accounts_amount_ccnew ON public.accounts (amount DESC)",
        "accounts_amount_ccnew",
    ),
    "an index is missing": ("DROP INDEX public.accounts_email_lower", "accounts_email_lower: expected "),
    "a value was added twice": ("ALTER TYPE public.kind ADD VALUE 'moved again'", "kind: expected "),
    "a partition is still there": (
        "ALTER TABLE public.events ATTACH PARTITION public.events_3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
        "events_3",
    ),
    "a twin of a table is left": ("CREATE TABLE public.twin_1 (a integer)", "rows of public.twin_1: expected no table"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_seen(bench: Bench, damage: str) -> None:
    """A recovered database that is damaged by hand does not pass for an undisturbed one."""
    query, expected = DAMAGES[damage]
    template = bench.template(FOLDER)
    with bench.database(FOLDER, template=template) as database:
        with psycopg.connect(bench.cluster.admin_dsn(database), autocommit=True) as conn:
            conn.execute(query.encode())
        state = bench.state(FOLDER, database)
        problems = problems_of(state, bench.undisturbed(FOLDER).state, bench.files[FOLDER])
        assert any(expected in problem for problem in problems), problems


def test_what_is_sound_is_not_complained_of(bench: Bench) -> None:
    """An undisturbed copy has no problem, and its description says that nothing is left."""
    with bench.database(FOLDER, template=bench.template(FOLDER)) as database:
        state = bench.state(FOLDER, database)
    assert problems_of(state, bench.undisturbed(FOLDER).state, bench.files[FOLDER]) == []
    files = len(bench.files[FOLDER])
    assert describe(state).startswith(f"recorded {files}; history {files}; journal ")
    assert describe(state).endswith("invalid none; left nothing")


def test_what_goes_on_is_seen(bench: Bench) -> None:
    """A session, its lock, a pending detachment: nothing of a run may go on after it."""
    with bench.database(FOLDER, template=bench.template(FOLDER)) as database:
        dsn = bench.cluster.admin_dsn(database)
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("SELECT pg_catalog.pg_advisory_lock(1)")
            left = bench.state(FOLDER, database).left
    assert [what.partition(":")[0] for what in left] == ["a session", "a lock"]


def test_a_point_that_is_not_reached_is_no_kill(bench: Bench) -> None:
    """A run that ends before its exchange comes does not count as killed."""
    beyond = bench.undisturbed(FOLDER).exchanges + 1
    with bench.database(FOLDER) as database:
        run = bench.zygote.run(FOLDER, bench.cluster.dsn(database), kill={"at": beyond, "when": "before"})
    assert not run.killed
    assert run.first("done")


def test_the_line_is_printed_green_and_red() -> None:
    """Counts of passed tests are added up over processes; a red test is counted as such."""

    class Report:
        def __init__(self, when: str, properties: list[tuple[str, object]], *, passed: bool) -> None:
            self.when, self.user_properties, self.passed, self.failed = when, properties, passed, not passed
            self.nodeid = "tests/db/killed/test_moments.py::test_it"

    green = [
        Report("call", [(PROPERTY, ["points", 30])], passed=True),
        Report("teardown", [(PROPERTY, ["points", 30])], passed=True),
        Report("call", [(PROPERTY, ["points", 12]), (PROPERTY, ["mid", 1]), ("other", 1)], passed=True),
    ]
    assert summarised(green) == "killed: 42 points before, in and after an exchange, 1 mid-build; every recovery green"
    red = Report("call", [], passed=False)
    assert summarised([*green, red]).endswith("; 1 test red")
    assert summarised([red]) == "killed: nothing; 1 test red"
    assert summarised([]) == ""
