"""An enum type in other hands is told with whose it is and who may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("ALTER TYPE public.outbox_attempt_state OWNER TO symphony_ingest", " OWNED BY symphony_ingest"),
        ("REVOKE USAGE ON TYPE public.outbox_attempt_state FROM PUBLIC", " USED BY none"),
        (
            "GRANT USAGE ON TYPE public.outbox_attempt_state TO symphony_ingest WITH GRANT OPTION",
            " USED BY PUBLIC, symphony_ingest WITH GRANT OPTION",
        ),
    ],
)
def test_a_type_in_other_hands_is_red(bench: Bench, change: str, text: str) -> None:
    """Its labels are as they were: owner and grants alone turn it red."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(change.encode())
        result = bench.settle("table-definitions", conn=bench.admin)["table-definitions"]

    (failure,) = result.failures
    assert failure.id == "outbox_attempt_state_type"
    assert failure.observed == f"{failure.expected}{text}"
