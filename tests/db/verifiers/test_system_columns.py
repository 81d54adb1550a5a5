"""Grants on ctid and its like: PostgreSQL lets them be given, and tells of them only in the column's own ACL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from db.verifiers.test_hidden import reds

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench


@pytest.mark.parametrize(
    ("whom", "reds_of"),
    [
        (
            "boz_auditor, PUBLIC",
            {
                "table-privileges": {"tenants_privileges": "PUBLIC: SELECT (ctid); boz_auditor: SELECT (ctid)"},
                "boz-observability-role": {
                    "boz_tenants": "SELECT (ctid)",
                    "boz_nothing_else": "public.tenants: SELECT",
                },
            },
        ),
        ("symphony_ingest", {"table-privileges": {"tenants_privileges": "symphony_ingest: SELECT (ctid)"}}),
    ],
)
def test_a_grant_on_a_system_column_is_a_grant(bench: Bench, whom: str, reds_of: dict[str, dict[str, str]]) -> None:
    """Who may read ctid counts the rows, and sees when they move; as of any other column."""
    for gate, red in reds_of.items():
        assert reds(bench, gate, f"GRANT SELECT (ctid) ON public.tenants TO {whom}") == red


@pytest.mark.parametrize("column", ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"])
def test_every_system_column_is_read(bench: Bench, column: str) -> None:
    """Where PUBLIC must have nothing, by the gate that says so; the queue is such a table."""
    change = f"GRANT SELECT ({column}) ON public.payment_outbox_pending TO PUBLIC"
    red = reds(bench, "ci-invariant-gate", change)

    assert [str(observed) for observed in red.values()] == [f"SELECT ({column})"]


@pytest.mark.parametrize("whom", ["symphony_ingest", "PUBLIC"])
def test_a_system_column_of_a_copy_opens_it(bench: Bench, whom: str) -> None:
    """Rows of a copy are counted by its ctid as those of the table; a view has no such column."""
    made = (
        "CREATE SCHEMA side",
        "GRANT USAGE ON SCHEMA side TO PUBLIC",
        "CREATE MATERIALIZED VIEW side.copy AS TABLE public.tenants",
    )
    grant = f"GRANT SELECT (ctid) ON side.copy TO {whom}"

    assert reds(bench, "table-privileges", *made) == {}
    assert reds(bench, "table-privileges", *made, grant) == {"opened_by_views": f"{whom}: SELECT on side.copy"}


def test_a_system_column_of_anybodys_table_is_within_the_regulators_reach(bench: Bench) -> None:
    """A table that nobody reviewed is asked as well; without its schema there is no way to it."""
    made = ("CREATE SCHEMA side", "CREATE TABLE side.t (a integer)", "GRANT SELECT (ctid) ON side.t TO boz_auditor")
    open_ = "GRANT USAGE ON SCHEMA side TO PUBLIC"

    assert reds(bench, "boz-observability-role", *made) == {}
    assert reds(bench, "boz-observability-role", *made, open_) == {"boz_nothing_else": "side.t: SELECT"}
