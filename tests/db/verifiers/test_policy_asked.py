"""Whether a policy is active is asked where somebody requires it, and of no database that was only migrated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.gates import all_gates
from scripts.result import Outcome
from scripts.run.database import DatabaseGates
from scripts.server.model import Server
from scripts.settings import Settings

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

SEED = "INSERT INTO public.policy_versions (version, status, checksum) VALUES ('1', {}, 'sum')"
ACTIVE, RETIRED = SEED.format("'ACTIVE'"), SEED.format("'RETIRED'")


@pytest.mark.parametrize(
    ("planted", "fresh", "required", "red"),
    [
        ("", False, False, set()),
        ("", True, True, set()),
        ("", False, True, {"policy_is_active"}),
        (RETIRED, False, True, {"policy_is_active"}),
        (ACTIVE, False, True, set()),
    ],
)
def test_an_active_policy_is_asked_for_where_it_is_required(
    bench: Bench,
    planted: str,
    fresh: bool,  # noqa: FBT001 - a parameter of the test
    required: bool,  # noqa: FBT001 - as above
    red: set[str],
) -> None:
    """With its control, over what the settings make of it."""
    if planted:
        bench.owner.execute(planted.encode())
    settings = Settings(fresh_db=fresh, require_policy_seed=required)
    server = Server(bench.database.dsn, None, "external", "", "18")
    (gate,) = (one for one in all_gates() if one.id == "ci-invariant-gate")
    with DatabaseGates(settings, server, bench.files, learn=lambda **_: None, say=lambda _: None) as gates:
        result = gates.settle(gate, apply=False)

    assert (result.error, {check.id for check in result.failures}) == ("", red)
    assert result.outcome is (Outcome.FAIL if red else Outcome.PASS)
