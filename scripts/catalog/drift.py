"""Drift: what a database's catalog has become, against what its recorded migrations make of it.

Owns: `Drift`, and the two things that are not told as drift of an object: a ledger that an older runner made, and the
    place of a column that moved only because another one came or went.
Promises: pure; a drift without differences means that every object and every fact is as expected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from scripts.catalog.compare import ObjectDifference, compare_objects
from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scripts.catalog.read import CatalogObject
    from scripts.digest import Json

_LEDGER: Final = "public.schema_migrations"
_OLDER_LEDGER: Final = "the ledger was made by an older runner, without {}; the next `invoke migrate` makes it"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two catalogs: where it is from, in words for people, and what it holds."""

    origin: str
    objects: int
    fingerprint: str

    def as_json(self) -> dict[str, Json]:
        """For `--json`."""
        return {"from": self.origin, "objects": self.objects, "fingerprint": self.fingerprint}


@dataclass(frozen=True, slots=True)
class Drift:
    """What a database is compared with, what it is, and every object that differs.

    notes: what the reader must know beside that, a sentence each.
    """

    expected: Side
    found: Side
    differences: tuple[ObjectDifference, ...]
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """How many objects ought to be there and are not."""
        return sum(item.found is None for item in self.differences)

    @property
    def unexpected(self) -> int:
        """How many objects are there and ought not to be."""
        return sum(item.expected is None for item in self.differences)

    @property
    def changed(self) -> int:
        """How many objects are there with other facts."""
        return len(self.differences) - self.missing - self.unexpected


def find_drift(expected: Catalog, found: Catalog, *, expected_origin: str, found_origin: str) -> Drift:
    """Compare the two.

    Args:
        expected: what the recorded migrations make.
        found: of the database.
        expected_origin: where the expected catalog is from, for people.
        found_origin: which database this is, for people; without a password.
    """
    told, notes = leave_out_newer_ledger(expected, found)
    return Drift(
        Side(expected_origin, len(told.objects), fingerprint(told)),
        Side(found_origin, len(found.objects), fingerprint(found)),
        _without_shifts(compare_objects(told, found), told, found),
        notes,
    )


def leave_out_newer_ledger(expected: Catalog, found: Catalog) -> tuple[Catalog, tuple[str, ...]]:
    """The expected catalog without those tables of the ledger that an older runner did not make, and a note of it.

    Unchanged, without a note, when the ledger is whole, or when there is none.
    """
    present = {item.name for item in found.objects if item.kind == "table"}
    newer = sorted(
        item.name
        for item in expected.objects
        if item.kind == "table" and item.name.startswith(f"{_LEDGER}_") and item.name not in present
    )
    if _LEDGER not in present or not newer:
        return expected, ()
    kept = tuple(item for item in expected.objects if not any(_belongs(item, table) for table in newer))
    return Catalog(kept), (_OLDER_LEDGER.format(" and ".join(newer)),)


def _belongs(item: CatalogObject, table: str) -> bool:
    """Whether an object is the table, a part of it, or an index or a sequence of it."""
    owner = str(item.facts.get("table") or item.facts.get("owned_by") or "")
    return item.name == table or item.name.startswith(f"{table}.") or owner == table or owner.startswith(f"{table}.")


def _without_shifts(
    differences: tuple[ObjectDifference, ...], expected: Catalog, found: Catalog
) -> tuple[ObjectDifference, ...]:
    """Leave out a column's position where the columns that both tables have stand in the same order.

    Something else of that table is told then: the column that came or went, which shifted the others.
    """
    before, after = _columns(expected.objects), _columns(found.objects)
    kept: list[ObjectDifference] = []
    for item in differences:
        left = item
        if any(fact.fact == "position" for fact in item.facts) and item.either.kind == "column":
            table = _table_of(item.either)
            if _shared(before[table], after[table]) == _shared(after[table], before[table]):
                left = replace(item, facts=tuple(fact for fact in item.facts if fact.fact != "position"))
        if left.facts or left.expected is None or left.found is None:
            kept.append(left)
    return tuple(kept)


def _columns(objects: Iterable[CatalogObject]) -> dict[str, list[str]]:
    """The columns' names by table, in their order."""
    tables: dict[str, list[CatalogObject]] = {}
    for item in objects:
        if item.kind == "column":
            tables.setdefault(_table_of(item), []).append(item)
    return {table: [item.name for item in sorted(items, key=_position)] for table, items in tables.items()}


def _table_of(column: CatalogObject) -> str:
    """The name before the column's own, which may be quoted and hold dots itself."""
    name = column.name
    if not name.endswith('"'):
        return name.rpartition(".")[0]
    start = len(name) - 1
    while True:  # a quote inside a quoted name is doubled
        start = name.rfind('"', 0, start)
        if start > 0 and name[start - 1] == '"':
            start -= 1
            continue
        return name[: max(start - 1, 0)]


def _position(column: CatalogObject) -> int:
    position = column.facts.get("position")
    return position if isinstance(position, int) else 0


def _shared(one: list[str], other: list[str]) -> list[str]:
    known = set(other)
    return [name for name in one if name in known]
