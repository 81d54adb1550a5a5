"""Whether vacuum comes to the queue: storage parameters of both tables, what is stored for workers, the help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.verifiers.facts.sessions import Setting
from scripts.verifiers.model import Database
from scripts.verifiers.run import select_invariants, verify_invariant

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

GATE, CHECK, STORAGE = "outbox-mvcc-posture", "payment_outbox_pending_vacuumed", "payment_outbox_pending_storage"
SET = "ALTER TABLE public.payment_outbox_pending SET ({})"
NEVER = "never, or late: "


def reds(bench: Bench, *changes: str) -> dict[str, object]:
    """What the failed checks observe under a superuser's changes."""
    with bench.admin.transaction(force_rollback=True):
        for change in changes:
            bench.admin.execute(change.replace("{db}", f'"{bench.database.name}"').encode())
        result = bench.settle(GATE, conn=bench.admin)[GATE]
    assert not result.error
    return {check.id: check.observed for check in result.failures}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("toast.autovacuum_enabled = false", "toast.autovacuum_enabled=false"),
        ("toast.vacuum_index_cleanup = off", "toast.vacuum_index_cleanup=off"),
        (
            "autovacuum_vacuum_threshold = 2147483647, autovacuum_vacuum_max_threshold = -1",
            "at 2,147,503,647 dead rows",
        ),
        (
            "autovacuum_vacuum_scale_factor = 100, autovacuum_vacuum_max_threshold = 2147483647",
            "at 10,000,050 dead rows",
        ),
        ("toast.autovacuum_vacuum_threshold = 2147483647", "long values: at 100,000,000 dead rows"),
    ],
)
def test_a_queue_that_is_not_vacuumed_is_red(bench: Bench, options: str, said: str) -> None:
    """Though each option is one that tunes; what tunes and brings it stays green (harmless.py)."""
    assert reds(bench, SET.format(options)) == {CHECK: NEVER + said}


def test_the_switch_is_told_twice(bench: Bench) -> None:
    """It is no option of the queue's, and without it nothing comes."""
    assert reds(bench, SET.format("autovacuum_enabled = false")) == {
        CHECK: f"{NEVER}autovacuum_enabled=false",
        STORAGE: ["autovacuum_enabled=false", "fillfactor=80"],
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER DATABASE {db} SET track_counts = off", "every role: track_counts=off"),
        ("ALTER ROLE symphony_control SET track_counts = off", "symphony_control: track_counts=off"),
        ("ALTER ROLE ALL SET track_counts = off", "every role: track_counts=off"),
    ],
)
def test_dead_rows_that_nobody_counts_are_red(bench: Bench, change: str, said: str) -> None:
    """The server learns of them from the sessions that made them."""
    assert reds(bench, change) == {CHECK: NEVER + said}


def test_a_reader_counts_nothing(bench: Bench) -> None:
    """He makes no dead rows."""
    assert reds(bench, "ALTER ROLE boz_auditor SET track_counts = off") == {}


def test_a_queue_of_another_kind_is_never_vacuumed(bench: Bench) -> None:
    """A view in its place; and where nothing is, that is said."""
    gone = "ALTER TABLE public.payment_outbox_pending RENAME TO was"
    view = "CREATE VIEW public.payment_outbox_pending AS TABLE public.was"

    assert reds(bench, gone)[CHECK] == "absent"
    assert reds(bench, gone, view)[CHECK] == "never: relation kind v"


def test_the_servers_own_count_and_the_help_says_what_to_do(bench: Bench) -> None:
    """As server.py tells them of a database that stays; the way out names every place."""
    server = (Setting("", "autovacuum", "off", of_server=True),)
    (invariant,) = select_invariants([GATE])
    result = verify_invariant(invariant, Database(bench.owner, bench.database.connect, bench.files, server=server))
    (check,) = result.failures

    assert (check.id, check.observed) == (CHECK, f"{NEVER}the server: autovacuum=off")
    assert check.expected == "by 1,000,000 dead rows beside 100,000 live ones"
    assert check.where == "public.payment_outbox_pending"
    assert check.help == (
        "RESET what is named, of the table, of its long values (toast.…), of the role or the database, or of the "
        "server: otherwise the room of dead rows is never given back"
    )
