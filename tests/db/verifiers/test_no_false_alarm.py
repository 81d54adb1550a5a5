"""What takes no guarantee away raises no alarm: a list of harmless changes, under which every invariant stays green."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest
from db.verifiers.harmless import ALONE, BY_ADMIN, BY_OWNER, FREE, HEARD
from db.verifiers.harmless_rights import RIGHTS

from scripts.verifiers.ahead import Ahead
from scripts.verifiers.model import Database
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.run import verify_invariant
from scripts.verifiers.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg
    from db.verifiers.conftest import Bench

    from scripts.result import Result

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
    assert alarms(bench, bench.admin, BY_ADMIN | RIGHTS) == {}


def stricter(columns: Iterable[tuple[str, str]]) -> list[str]:
    """NOT NULL on each of them."""
    return [f"ALTER TABLE public.{table} ALTER COLUMN {column} SET NOT NULL" for table, column in columns]


def test_an_extra_not_null(bench: Bench) -> None:
    """A column that every statement fills, or that a trigger does, may be NOT NULL: nothing is red."""
    assert len(FREE) > 35
    assert red_under(bench, bench.owner, stricter(FREE)) == {}


def test_an_extra_not_null_that_the_release_before_did_not_hear_of(bench: Bench) -> None:
    """Where one of its statements leaves the column out it would be refused: for that alone n-minus-one is red."""
    assert {table for table, _ in HEARD} == {
        "tenants", "ingress_attestations", "billable_clients", "external_proofs",
    }  # fmt: skip
    assert red_under(bench, bench.owner, stricter(HEARD)).keys() == {"n-minus-one"}
    for one in (("billable_clients", "regulator_ref"), ("external_proofs", "provider_ref")):
        assert red_under(bench, bench.owner, stricter([one])).keys() == {"n-minus-one"}


def as_a_run(bench: Bench) -> list[Result]:
    """Every invariant with its controls, what two sessions do played ahead in a thread."""
    connect = bench.database.connect
    database = Database(bench.owner, connect, bench.files, whole=True, ahead=Ahead(connect, bench.files, INVARIANTS))
    turns = Turns(database, INVARIANTS)
    try:
        return [turns.settle(invariant) for invariant in INVARIANTS]
    finally:
        database.close()


_COMMITTED = {
    "stricter columns": stricter(FREE),
    "other names, further objects, the same made again": [BY_OWNER[name] for name in _BESIDE],
}


@pytest.mark.parametrize("what", _COMMITTED)
def test_as_a_run_meets_them(bench: Bench, what: str) -> None:
    """Committed, so that the twin in which two sessions play is made of them in another thread; with all controls."""
    for change in _COMMITTED[what]:
        bench.owner.execute(change.replace("{n}", str(next(_numbers))).encode())
    red = {one.gate: (one.error, one.failures, one.unproven[:3]) for one in as_a_run(bench) if not one.passed}

    assert red == {}


def test_stricter_columns_of_each_table_as_a_run_meets_them(bench: Bench) -> None:
    """One that the release before leaves out is red for that alone, in the thread as well."""
    for change in stricter((*FREE, *HEARD)):
        bench.owner.execute(change.encode())
    assert [one.gate for one in as_a_run(bench) if not one.passed] == ["n-minus-one"]


@pytest.mark.parametrize("what", ["other names", "stricter columns", "further objects"])
def test_violations_are_still_noticed_beside_them(bench: Bench, what: str) -> None:
    """Names, columns and objects that are not as usual keep no planted violation from being noticed."""
    changes = {
        "other names": [BY_OWNER["another name for whatever PostgreSQL could have named"]],
        "stricter columns": stricter((*FREE, *HEARD)),
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
    assert "payment_outbox_pending_storage" in {check.id for check in result.failures}


@pytest.mark.parametrize(
    ("table", "column", "gate"),
    [
        ("payment_outbox_pending", "lease_token", "legacy-rows"),
        ("payment_outbox_pending", "tenant_id", "legacy-rows"),
        ("payment_outbox_pending", "upstream_ref", "idempotency-zombie"),
        ("payment_outbox_attempts", "rail_code", "outbox-lease-fencing"),
        ("tenants", "billable_client_id", "business-foundation-hooks"),
        ("billable_clients", "client_key", "business-foundation-hooks"),
        ("policy_versions", "grace_expires_at", "ci-invariant-gate"),
    ],
)
def test_a_column_that_is_promised_to_be_empty_may_not_be_stricter(
    bench: Bench, table: str, column: str, gate: str
) -> None:
    """NOT NULL there stops an enqueue, a completion, or the upsert of a row from before: that is no false alarm."""
    assert gate in red_under(bench, bench.owner, stricter([(table, column)]))


@pytest.mark.parametrize(
    ("table", "column", "gates"),
    [
        (
            "tenants",
            "billable_client_id",
            {"business-foundation-hooks", "payer-attribution", "legacy-rows", "n-minus-one"},
        ),
        ("billable_clients", "client_key", {"business-foundation-hooks", "legacy-rows", "n-minus-one"}),
        ("policy_versions", "grace_expires_at", {"ci-invariant-gate"}),
    ],
)
def test_who_is_promised_the_empty_column_is_who_is_red(bench: Bench, table: str, column: str, gates: set[str]) -> None:
    """Where n-minus-one is not alone, or not red: those whose own promise it is, and nobody else (0050)."""
    assert red_under(bench, bench.owner, stricter([(table, column)])).keys() == gates


def test_a_key_of_another_name_that_is_gone_is_told(bench: Bench) -> None:
    """A revocation recorded twice is told whatever the key was called."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute("ALTER TABLE public.revoked_tokens RENAME CONSTRAINT revoked_tokens_pkey TO tokens_key")
        bench.owner.execute("ALTER TABLE public.revoked_tokens DROP CONSTRAINT tokens_key")
        result = bench.settle("revocation-tables")["revocation-tables"]
    assert "revoked_tokens_twice" in {check.id for check in result.failures}
