"""Every probe of two sessions, and of the edges: green, each of its checks seen to fail; and every code met."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from scripts.errors.verifiers import UnaskedError
from scripts.verifiers.model import Database, Findings
from scripts.verifiers.probes import (
    at_once,
    at_once_leases,
    at_once_tenancy,
    borders,
    derived,
    edges,
    keys,
    limits,
    one_id,
    order,
    outcomes,
    packs,
)
from scripts.verifiers.probes.playing import play, play_controls
from scripts.verifiers.twin.schema import Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from db.verifiers.conftest import Bench

    from scripts.verifiers.probes.playing import Probe

MODULES = (
    at_once,
    at_once_leases,
    at_once_tenancy,
    borders,
    derived,
    edges,
    keys,
    limits,
    one_id,
    order,
    outcomes,
    packs,
)
CODES = json.loads((Path(__file__).resolve().parents[3] / "schema" / "sqlstates.yml").read_text())["codes"]


def probes_of(name: str, database: Database) -> tuple[Probe, ...]:
    """The probes that the module lists under the name, or makes for a database."""
    module, _, attribute = name.partition(".")
    (found,) = (getattr(one, attribute) for one in MODULES if one.__name__.endswith(f".{module}"))
    make: Callable[[Database], tuple[Probe, ...]] | tuple[Probe, ...] = found
    return make if isinstance(make, tuple) else make(database)


NAMES = sorted(
    f"{module.__name__.rpartition('.')[2]}.{name}"
    for module in MODULES
    for name in vars(module)
    if name.endswith(("_PROBES", "_probes"))
)


@pytest.mark.parametrize("name", NAMES)
def test_each_check_is_kept_and_can_be_broken(bench: Bench, name: str) -> None:
    """Green as it is; under the violations planted for it every check fails, and afterwards all is green again."""
    database, findings = bench.on(bench.owner), Findings()
    probes = probes_of(name, database)
    with bench.owner.transaction(force_rollback=True):
        play(bench.owner, findings, probes)
    assert [(check.id, check.observed) for check in findings.checks if not check.holds] == []

    with bench.owner.transaction(force_rollback=True):
        planted = play_controls(bench.owner, probes)
    assert [(one.name, one.missed, one.trouble) for one in planted if one.missed or one.trouble] == []
    broken = {name for probe in probes for control in probe.controls for name in control.breaks}
    assert {check.id for check in findings.checks} == broken

    again = Findings()
    with bench.owner.transaction(force_rollback=True):
        play(bench.owner, again, probes)
    assert again.failed() == ()


def test_a_server_that_looks_for_a_deadlock_too_late_is_an_error(bench: Bench) -> None:
    """D-45: where the question's own deadline would end the wait first, nothing was asked, and that is told."""
    _look_late(bench, "3s")
    database, findings = bench.on(bench.owner), Findings()
    with bench.owner.transaction(force_rollback=True), pytest.raises(UnaskedError) as caught:
        play(bench.owner, findings, order.enqueue_order_probes(database))

    assert str(caught.value).splitlines() == [
        "error[unasked]: two sessions that wait for each other were not asked: the server would look for them too late",
        "  deadlock_timeout            3000 ms",
        "  longest wait of a question  2000 ms",
        "  help: verify with deadlock_timeout at 1s or less, or GRANT SET ON PARAMETER deadlock_timeout to the login",
    ]


def test_where_the_login_may_say_so_a_deadlock_is_looked_for_at_once(bench: Bench) -> None:
    """A superuser, or whoever was granted SET on the parameter, waits for no second, whatever the server says."""
    _look_late(bench, "3s")
    owner = sql.Identifier(bench.owner.info.user)
    try:
        for connect in (bench.database.connect_admin, bench.database.connect):
            twin, conn, findings = Twin(connect), connect(), Findings()
            database = Database(conn, connect, bench.files, twin=twin)
            with closing(twin), conn.transaction(force_rollback=True):
                play(conn, findings, order.enqueue_order_probes(database))
            assert findings.failed() == ()
            assert "of_two_in_opposite_order_one_repeats" in {check.id for check in findings.checks}
            # For the second turn: the owner, who is no superuser.
            bench.admin.execute(sql.SQL("GRANT SET ON PARAMETER deadlock_timeout TO {}").format(owner))
    finally:
        bench.admin.execute(sql.SQL("REVOKE SET ON PARAMETER deadlock_timeout FROM {}").format(owner))


def _look_late(bench: Bench, timeout: str) -> None:
    """Have every session that opens this database from now on begin with such a deadlock_timeout."""
    change = sql.SQL("ALTER DATABASE {} SET deadlock_timeout TO {}")
    bench.admin.execute(change.format(sql.Identifier(bench.database.name), sql.Literal(timeout)))


def test_every_code_of_a_function_is_met_by_a_probe(bench: Bench) -> None:
    """Each SQLSTATE that a function of the schema raises is what some check expects; a file's own is no probe's."""
    expected = json.dumps([check.expected for result in bench.settle().values() for check in result.checks])
    raised = {code for code, entry in CODES.items() if any(not name.endswith(".sql") for name in entry["raised_by"])}
    assert len(raised) > 15
    assert {code for code in raised if code not in expected} == set()
