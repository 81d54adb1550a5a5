"""An index that sorts otherwise than its column does not serve the column's queries: it is told with its collation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

_NAME = "idx_ingress_attestations_instruction"


@pytest.mark.parametrize("key", ['instruction_id COLLATE "POSIX"', "instruction_id text_pattern_ops"])
def test_an_index_that_sorts_otherwise_is_red(bench: Bench, key: str) -> None:
    """Name, column and table are as they were; collation or operator class alone turns it red."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(f"DROP INDEX public.{_NAME}".encode())
        bench.owner.execute(f"CREATE INDEX {_NAME} ON public.ingress_attestations ({key})".encode())
        result = bench.settle("table-definitions")["table-definitions"]

    assert [(check.id, check.observed) for check in result.failures] == [(_NAME, f"INDEX USING btree ({key})")]
