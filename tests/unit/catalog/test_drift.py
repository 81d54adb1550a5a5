"""Drift: every differing object once; an older ledger and shifted columns are not told as drift of an object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.catalog.compare import compare_objects
from scripts.catalog.drift import Drift, find_drift, leave_out_newer_ledger
from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.golden import golden_name, golden_path, read_golden, write_golden
from scripts.catalog.read import Catalog, CatalogObject
from scripts.errors.drift import NoGoldenCatalogError
from scripts.errors.history import GoldenCatalogError
from scripts.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.digest import Json

HISTORY, JOURNAL = "public.schema_migrations_history", "public.schema_migrations_journal"


def item(kind: str, name: str, **facts: Json) -> CatalogObject:
    """An object."""
    return CatalogObject(kind, name, facts)


def table(name: str, *columns: str) -> list[CatalogObject]:
    """A table and its columns, in their order."""
    return [
        item("table", name, owner="<owner>"),
        *(item("column", f"{name}.{column}", position=place) for place, column in enumerate(columns, start=1)),
    ]


def catalog(*parts: CatalogObject | list[CatalogObject]) -> Catalog:
    """A catalog in order."""
    objects = [one for part in parts for one in (part if isinstance(part, list) else [part])]
    return Catalog(tuple(sorted(objects, key=lambda one: (one.kind.encode(), one.name.encode()))))


def drift_of(expected: Catalog, found: Catalog) -> Drift:
    """The two compared."""
    return find_drift(expected, found, expected_origin="the golden", found_origin="the database")


def test_missing_unexpected_and_changed_are_counted() -> None:
    """One of each, and both sides' size and fingerprint."""
    expected = catalog(table("public.a", "x"), item("view", "public.v", definition="SELECT 1"))
    found = catalog(table("public.a", "x"), item("view", "public.w"), item("view", "public.v", definition="SELECT 2"))
    left = catalog(table("public.a", "x", "y"), item("view", "public.v", definition="SELECT 1"))
    drift = drift_of(left, found)
    assert (drift.missing, drift.unexpected, drift.changed) == (1, 1, 1)
    assert [one.either.title for one in drift.differences] == ["column public.a.y", "view public.v", "view public.w"]
    assert drift.expected.objects == len(left.objects)
    assert drift.found.fingerprint == fingerprint(found)
    assert drift_of(expected, expected).differences == ()


LEDGER = [
    *table("public.schema_migrations", "version"),
    *table(HISTORY, "seq"),
    item("index", "public.schema_migrations_history_pkey", table=HISTORY),
    item("constraint", f"{HISTORY}.schema_migrations_history_pkey"),
    item("sequence", "public.numbers", owned_by=f"{HISTORY}.seq"),
    *table(JOURNAL, "version"),
]


def test_a_ledger_of_an_older_runner_is_a_note() -> None:
    """Without history and journal: no object is told as missing, one note is."""
    old = catalog(table("public.schema_migrations", "version"), table("public.a", "x"))
    drift = drift_of(catalog(LEDGER, table("public.a", "x")), old)
    assert drift.differences == ()
    assert drift.notes == (
        (
            "the ledger was made by an older runner, without public.schema_migrations_history and "
            "public.schema_migrations_journal; the next `invoke migrate` makes it"
        ),
    )


def test_a_ledger_that_lost_one_table_names_that_one() -> None:
    """The other one's objects are still compared."""
    found = catalog([one for one in LEDGER if JOURNAL not in one.name and one.kind != "index"])
    drift = drift_of(catalog(LEDGER), found)
    assert [one.either.title for one in drift.differences] == ["index public.schema_migrations_history_pkey"]
    assert "without public.schema_migrations_journal;" in drift.notes[0]


def test_no_ledger_at_all_is_drift() -> None:
    """Where nothing records anything, a missing ledger is missing."""
    drift = drift_of(catalog(LEDGER), catalog(table("public.a", "x")))
    assert drift.missing == len(LEDGER)
    assert drift.notes == ()
    whole = catalog(LEDGER)
    assert leave_out_newer_ledger(whole, whole) == (whole, ())


def test_a_column_that_went_does_not_drag_the_others_along() -> None:
    """The columns behind it have moved up; only the one that went is told."""
    drift = drift_of(catalog(table("public.a", "w", "x", "y", "z")), catalog(table("public.a", "w", "y", "z")))
    assert [one.either.title for one in drift.differences] == ["column public.a.x"]


def test_columns_in_another_order_are_told() -> None:
    """A real change of order stays, also when a column went at the same time."""
    drift = drift_of(catalog(table("public.a", "w", "x", "y", "z")), catalog(table("public.a", "w", "z", "y")))
    assert [(one.either.name, len(one.facts)) for one in drift.differences] == [("public.a.x", 0), ("public.a.z", 1)]


@pytest.mark.parametrize("name", ['public."C d"', 'public."a.b"', 'public.""""', 'public."x""y"'])
@pytest.mark.parametrize("column", ['"E f"', '"a.b"', '""""', '"x""."', "plain"])
def test_quoted_names_keep_their_table(name: str, column: str) -> None:
    """Whatever a quoted name holds, a column belongs to its own table."""
    before = catalog(table(name, "a", column, "b"))
    assert [one.either.name for one in drift_of(before, catalog(table(name, column, "b"))).differences] == [f"{name}.a"]


COLUMNS = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)


@given(COLUMNS, COLUMNS)
def test_a_shift_is_only_hidden_where_something_else_is_told(before: list[str], after: list[str]) -> None:
    """Any two tables that differ still differ; equal ones do not."""
    one, other = catalog(table("public.t", *before)), catalog(table("public.t", *after))
    drift = drift_of(one, other)
    assert bool(drift.differences) is (before != after)
    assert {item.either.title for item in drift.differences} <= {
        item.either.title for item in compare_objects(one, other)
    }


def test_where_the_golden_catalog_lies(tmp_path: Path) -> None:
    """Beside the folder; a foreign folder may have none; written once, it is current."""
    folder = tmp_path / "db" / "migrations"
    folder.mkdir(parents=True)
    assert golden_path(folder) == tmp_path / "db" / "catalog.txt"
    assert golden_name(folder) == "db/catalog.txt"
    assert read_golden(folder) is None
    mine = catalog(table("public.a", "x"))
    assert write_golden(folder, mine)
    assert not write_golden(folder, mine)
    assert read_golden(folder) == mine
    golden_path(folder).write_bytes(b"\xff\xfe")
    with pytest.raises(GoldenCatalogError, match="not a line of a golden catalog"):
        read_golden(folder)


def test_the_projects_own_is_never_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its golden catalog gone: an error, not a comparison with something else."""
    monkeypatch.setattr("scripts.catalog.golden.NAME", "no-such-catalog.txt")
    with pytest.raises(NoGoldenCatalogError) as caught:
        read_golden(Settings().migrations_dir)
    assert str(caught.value) == (
        "error[golden catalog]: schema/no-such-catalog.txt: the golden catalog is not there\n"
        "  expected  the catalog after the last migration\n"
        "  found     no file\n"
        "  help: restore it from git, or make it anew with `invoke catalog.update` and review it"
    )
    assert caught.value.exit_code == 4
