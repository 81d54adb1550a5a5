"""Who owns public creates in it and drops what is there: its owner, or the database's by pg_database_owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

GATE = "table-privileges"
REP = "CREATE ROLE {rep} LOGIN; "
DATABASE = "ALTER DATABASE {db} OWNER TO {rep}; "
# What the tables' owner had as the owner of the database, and needs to go on migrating.
KEPT = "GRANT CREATE ON DATABASE {db} TO {app}; GRANT CREATE ON SCHEMA public TO {app}; "
OF_DATABASE, OF_SCHEMA = "{rep} (owner of the database)", "{rep} (owner of the schema)"
OURS = "ALTER SCHEMA public OWNER TO {app}; "
RED = {
    "the database is a stranger's": (REP + DATABASE + KEPT, OF_DATABASE),
    "it is, and the tables' owner may not create any more": (REP + DATABASE, OF_DATABASE),
    "the schema is a stranger's": (REP + "ALTER SCHEMA public OWNER TO {rep}; " + KEPT, OF_SCHEMA),
    "the database is a team's that the tables' owner is in": (REP + "GRANT {rep} TO {app}; " + DATABASE, OF_DATABASE),
    "a stranger has the database, and was given CREATE": (
        REP + DATABASE + OURS + "GRANT CREATE ON SCHEMA public TO {rep}",
        "{rep}",
    ),
    "a stranger has the database, and whoever does was given CREATE": (
        REP + DATABASE + OURS + "GRANT CREATE ON SCHEMA public TO pg_database_owner",
        OF_DATABASE,
    ),
}
GREEN = {
    "a superuser has the database": "ALTER DATABASE {db} OWNER TO CURRENT_USER; " + KEPT,
    "a superuser has the schema": "ALTER SCHEMA public OWNER TO CURRENT_USER; " + KEPT,
    "the tables' owner has the schema as well": OURS,
    "a stranger has the database, the tables' owner the schema": REP + OURS + DATABASE,
    "it is somebody's who acts as the tables' owner": REP + "GRANT {app} TO {rep}; " + DATABASE + KEPT,
    "it is somebody's who may become him": (
        REP + "GRANT {app} TO {rep} WITH INHERIT FALSE, SET TRUE; " + DATABASE + KEPT
    ),
    "it is somebody's who made him": (
        REP + "GRANT {app} TO {rep} WITH INHERIT FALSE, SET FALSE, ADMIN TRUE; " + DATABASE + KEPT
    ),
}


def observed(bench: Bench, change: str, *, as_owner: bool) -> dict[str, object]:
    """What the failed checks of the gate observe, asked by the tables' owner or by a superuser."""
    names = {"db": f'"{bench.database.name}"', "app": f'"{bench.owner.info.user}"', "rep": named(bench)}
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(change.format(**names).encode())
        if as_owner:
            bench.admin.execute(f"SET LOCAL ROLE {names['app']}".encode())
        result = bench.settle(GATE, conn=bench.admin)[GATE]
    assert not result.error
    return {check.id: check.observed for check in result.failures}


def named(bench: Bench) -> str:
    """A role of this test's own."""
    return f"rep_{bench.database.name[-8:]}"


@pytest.mark.parametrize("as_owner", [False, True])
@pytest.mark.parametrize("name", RED)
def test_a_stranger_who_owns_the_schema_is_red(bench: Bench, name: str, as_owner: bool) -> None:  # noqa: FBT001 - of the list
    """INV-005, INV-006, INV-014: he makes tables and functions there, and drops ours; whoever verifies is told."""
    change, red = RED[name]

    assert observed(bench, change, as_owner=as_owner) == {"schema_public_create": red.format(rep=named(bench))}


@pytest.mark.parametrize("name", GREEN)
def test_an_owner_who_could_do_so_anyway_is_green(bench: Bench, name: str) -> None:
    """A superuser, the tables' owner himself, who may act as him; and a database's owner whose schema it is not."""
    assert [observed(bench, GREEN[name], as_owner=as_owner) for as_owner in (False, True)] == [{}, {}]


def test_every_gate_is_green_where_a_superuser_has_the_database(bench: Bench) -> None:
    """As an administrator makes it, who gives the tables' owner the right to create."""
    names = {"db": f'"{bench.database.name}"', "app": f'"{bench.owner.info.user}"'}
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(GREEN["a superuser has the database"].format(**names).encode())
        results = bench.settle(conn=bench.admin)

    assert {name: (one.error, one.failures) for name, one in results.items() if not one.passed} == {}


def test_the_right_is_real(bench: Bench) -> None:
    """The owner of the database alone drops the queue and puts a function in its place."""
    names = {"db": f'"{bench.database.name}"', "rep": named(bench)}
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute((REP + DATABASE).format(**names).encode())
        bench.admin.execute(f"SET LOCAL ROLE {names['rep']}".encode())
        bench.admin.execute("DROP TABLE public.payment_outbox_pending")
        bench.admin.execute("CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql RETURN 1")


def test_the_help_names_both_ways_out(bench: Bench) -> None:
    """The schema may change its owner, or the database."""
    names = {"db": f'"{bench.database.name}"', "rep": named(bench)}
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute((REP + DATABASE).format(**names).encode())
        (check,) = bench.settle(GATE, conn=bench.admin)[GATE].failures

    assert check.where == "schema public"
    assert check.help == (
        "REVOKE it; an owner of the schema, or of the database where that is the schema's, creates in public and drops "
        "what is there: ALTER SCHEMA public OWNER TO, or ALTER DATABASE … OWNER TO the tables' owner"
    )


def test_a_right_that_everybody_has_is_told_only_where_they_have_it_not(bench: Bench) -> None:
    """USAGE of a role that nobody knows, even to hand on, changes nothing beside PUBLIC's; without, it does."""
    known = "boz_auditor, symphony_auditor, symphony_control, symphony_executor, symphony_ingest, symphony_readonly"
    change = REP + "GRANT USAGE ON SCHEMA public TO {rep} WITH GRANT OPTION"

    assert observed(bench, change, as_owner=False) == {}
    # What PUBLIC has excuses no role of ours that lost its own.
    gone = change + "; REVOKE USAGE ON SCHEMA public FROM symphony_readonly"
    (told,) = observed(bench, gone, as_owner=False).values()
    assert "symphony_readonly" not in str(told)
    assert named(bench) not in str(told)
    shut = change + "; REVOKE USAGE ON SCHEMA public FROM PUBLIC"
    told = observed(bench, shut, as_owner=False)["schema_public_usage"]
    assert str(told) == ", ".join(sorted([*known.split(", "), "test_user", named(bench)]))
