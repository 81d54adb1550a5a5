"""A publication under which the server lets no row of a table be changed is told by table-definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

GATE = "table-definitions"


@pytest.mark.parametrize(
    ("published", "told"),
    [
        ("ALL TABLES", False),
        ("TABLES IN SCHEMA public", False),
        ("TABLE public.participants WHERE (legal_name <> 'x')", True),
        ("TABLE public.participants WHERE (participant_id <> 'x')", False),
        ("TABLE public.participants (legal_name)", True),
        ("TABLE public.participants (participant_id, legal_name)", False),
        ("TABLE public.participants", False),
    ],
)
def test_a_publication_that_lets_no_row_be_changed(bench: Bench, published: str, told: bool) -> None:  # noqa: FBT001
    """The server refuses an UPDATE (42P10) where a filter asks for more than the key, or a list has less of it."""
    change = "UPDATE public.participants SET legal_name = 'y'"
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(f"CREATE PUBLICATION further FOR {published}".encode())
        result = bench.settle(GATE, conn=bench.admin)[GATE]
        seen = [check.observed for check in result.failures]
        if told:
            with pytest.raises(psycopg.errors.InvalidColumnReference), bench.admin.transaction():
                bench.admin.execute(change.encode())
        else:
            bench.admin.execute(change.encode())
    assert seen == (["no UPDATE under publication further"] if told else [])


_FULL, _VERSIONS = "ALTER TABLE public.policy_versions REPLICA IDENTITY FULL", "public.policy_versions"
_BY_STATE = (
    "ALTER TABLE public.participants ADD COLUMN state text NOT NULL GENERATED ALWAYS AS (lower(status)) STORED; "
    "CREATE UNIQUE INDEX further ON public.participants (participant_id, state) INCLUDE (legal_name); "
    "ALTER TABLE public.participants REPLICA IDENTITY USING INDEX further"
)


@pytest.mark.parametrize(
    ("table", "before", "published", "sqlstate"),
    [
        (_VERSIONS, _FULL, f"TABLE {_VERSIONS}", "42P10"),
        (_VERSIONS, _FULL, "ALL TABLES", "42P10"),
        (_VERSIONS, _FULL, "TABLES IN SCHEMA public", "42P10"),
        (_VERSIONS, _FULL, f"TABLE {_VERSIONS} (version)", "42P10"),
        (_VERSIONS, _FULL, "ALL TABLES WITH (publish_generated_columns = stored)", ""),
        (_VERSIONS, _FULL, "ALL TABLES WITH (publish = 'insert, truncate')", ""),
        (_VERSIONS, _FULL, "TABLES IN SCHEMA elsewhere", ""),
        (_VERSIONS, "", "ALL TABLES", ""),
        (
            _VERSIONS,
            f"{_FULL}; ALTER TABLE {_VERSIONS} ADD COLUMN s text GENERATED ALWAYS AS (lower(checksum)) VIRTUAL",
            "ALL TABLES WITH (publish_generated_columns = stored)",
            "42P10",
        ),
        ("public.participants", _BY_STATE, "ALL TABLES", "42P10"),
        ("public.participants", _BY_STATE, "ALL TABLES WITH (publish_generated_columns = stored)", ""),
        ("public.participants", _BY_STATE, "TABLE public.participants (participant_id, state, status)", ""),
        ("public.participants", f"{_BY_STATE}; DROP INDEX public.further", "ALL TABLES", "55000"),
    ],
)
def test_a_publication_of_more_than_a_table(
    bench: Bench, table: str, before: str, published: str, sqlstate: str
) -> None:
    """What the publication takes in by itself counts too, and so do generated columns that it does not publish."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(
            "INSERT INTO public.policy_versions (version, checksum) VALUES ('1', 'c'); "
            "INSERT INTO public.participants (participant_id, legal_name, participant_kind) VALUES ('p', 'n', 'BANK'); "
            f"CREATE SCHEMA elsewhere; {before}; CREATE PUBLICATION further FOR {published}".encode()
        )
        result = bench.settle(GATE, conn=bench.admin)[GATE]
        change = f"UPDATE {table} SET created_at = created_at"
        if sqlstate:
            with pytest.raises(psycopg.Error) as caught, bench.admin.transaction():
                bench.admin.execute(change.encode())
            assert caught.value.sqlstate == sqlstate
        else:
            bench.admin.execute(change.encode())
    seen = {check.id: check.observed for check in result.failures}
    # A unique index that nobody reviewed is told anyway, and a generated column that must not be empty.
    for other in ("participants_no_other_unique_index", "participants_no_column_in_the_way"):
        seen.pop(other, None)
    told = {f"{table.removeprefix('public.')}_table": "no UPDATE under publication further"}
    assert seen == (told if sqlstate else {})
