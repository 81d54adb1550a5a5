"""What takes no guarantee away raises no alarm: a list of harmless changes, under which every invariant stays green."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest
from db.verifiers.harmless import ALONE, BY_ADMIN, BY_OWNER, STRICTER

from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.run import verify_invariant

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from db.verifiers.conftest import Bench

# So many changes are made before every invariant is asked; each is asked alone only when they are red together.
TOGETHER = 9
_numbers = count(1)
_BESIDE = tuple(name for name in BY_OWNER if name not in ALONE)
OWNERS = [_BESIDE[at : at + TOGETHER] for at in range(0, len(_BESIDE), TOGETHER)]


def red_under(bench: Bench, conn: psycopg.Connection[object], changes: Sequence[str]) -> dict[str, object]:
    """What is red under the changes, and why."""
    with conn.transaction(force_rollback=True):
        for change in changes:
            conn.execute(change.replace("{n}", str(next(_numbers))).encode())
        results = bench.settle(conn=conn)
    assert len(results) == len(INVARIANTS)
    return {
        name: result.error or [(check.id, check.expected, check.observed) for check in result.failures]
        for name, result in results.items()
        if not result.passed
    }


def alarms(bench: Bench, conn: psycopg.Connection[object], changes: dict[str, str]) -> dict[str, object]:
    """Each change that raises an alarm, with the alarm; all of them are made at once first."""
    if not red_under(bench, conn, [*changes.values()]):
        return {}
    alone = {name: red_under(bench, conn, [change]) for name, change in changes.items()}
    return {name: red for name, red in alone.items() if red} or {"only all of them together": [*changes]}


@pytest.mark.parametrize("names", OWNERS, ids=lambda names: names[0])
def test_changes_by_the_owner(bench: Bench, names: tuple[str, ...]) -> None:
    """Comments, statistics, the same thing made again, other objects, further columns and indexes."""
    assert alarms(bench, bench.owner, {name: BY_OWNER[name] for name in names}) == {}


@pytest.mark.parametrize("name", ALONE)
def test_changes_that_leave_no_room_for_others(bench: Bench, name: str) -> None:
    """Each of these touches every object of its kind, so it is made alone."""
    assert alarms(bench, bench.owner, {name: BY_OWNER[name]}) == {}


def test_changes_by_a_superuser(bench: Bench) -> None:
    """Roles, logins and extensions that have nothing to do with ours."""
    assert alarms(bench, bench.admin, BY_ADMIN) == {}


def test_columns_that_are_stricter_about_null(bench: Bench) -> None:
    """NOT NULL on each column that may be empty, in the tables whose rows come from outside the schema.

    What the release before leaves out is no agreement of its own: for that alone n-minus-one is red.
    """
    changes = {f"{t}.{c}": f"ALTER TABLE public.{t} ALTER COLUMN {c} SET NOT NULL" for t, c in STRICTER}

    assert len(changes) > 20
    assert red_under(bench, bench.owner, [*changes.values()]).keys() == {"n-minus-one"}
    kept = ["ALTER TABLE public.billable_clients ALTER COLUMN regulator_ref SET NOT NULL"]
    assert red_under(bench, bench.owner, kept).keys() == {"n-minus-one"}
    unheard = ["ALTER TABLE public.evidence_pack_items ALTER COLUMN artifact_path SET NOT NULL"]
    assert red_under(bench, bench.owner, unheard) == {}


@pytest.mark.parametrize("what", ["other names", "stricter columns", "further objects"])
def test_violations_are_still_noticed_beside_them(bench: Bench, what: str) -> None:
    """Names, columns and objects that are not as usual keep no planted violation from being noticed."""
    changes = {
        "other names": [BY_OWNER["another name for whatever PostgreSQL could have named"]],
        "stricter columns": [f"ALTER TABLE public.{t} ALTER COLUMN {c} SET NOT NULL" for t, c in STRICTER],
        "further objects": [
            change for name, change in BY_OWNER.items() if name.startswith(("a further", "an unrelated"))
        ],
    }
    with bench.owner.transaction(force_rollback=True):
        for change in changes[what]:
            bench.owner.execute(change.replace("{n}", str(next(_numbers))).encode())
        subject = bench.on(bench.owner)
        results = {one.id: verify_invariant(one, subject, controls=True) for one in INVARIANTS}
        subject.close()

    red = {name: (r.error, r.failures, r.unproven[:3]) for name, r in results.items() if not r.passed}
    if what == "stricter columns":
        # What the release before sends leaves them out: that is red, as above, and no violation is planted against it.
        assert not red.pop("n-minus-one")[0]
    assert red == {}


@pytest.mark.parametrize(
    "option", ["autovacuum_enabled = off", "fillfactor = 70", "vacuum_index_cleanup = off", "toast_tuple_target = 4080"]
)
def test_tuning_is_not_switching_off(bench: Bench, option: str) -> None:
    """A queue that is not vacuumed any more, or has other room, is still told."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(f"ALTER TABLE public.payment_outbox_pending SET ({option})".encode())
        result = bench.settle("outbox-mvcc-posture")["outbox-mvcc-posture"]
    assert [check.id for check in result.failures] == ["payment_outbox_pending_storage"]


@pytest.mark.parametrize("column", ["lease_token", "tenant_id", "correlation_id"])
def test_a_column_that_the_queues_functions_leave_empty_may_not_be_stricter(bench: Bench, column: str) -> None:
    """NOT NULL there stops an enqueue, or what old rows still do: that is no false alarm."""
    change = f"ALTER TABLE public.payment_outbox_pending ALTER COLUMN {column} SET NOT NULL"

    assert "legacy-rows" in red_under(bench, bench.owner, [change])


def test_a_key_of_another_name_that_is_gone_is_told(bench: Bench) -> None:
    """A revocation recorded twice is told whatever the key was called."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute("ALTER TABLE public.revoked_tokens RENAME CONSTRAINT revoked_tokens_pkey TO tokens_key")
        bench.owner.execute("ALTER TABLE public.revoked_tokens DROP CONSTRAINT tokens_key")
        result = bench.settle("revocation-tables")["revocation-tables"]
    assert "revoked_tokens_twice" in {check.id for check in result.failures}
