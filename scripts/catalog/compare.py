"""Two catalogs, object by object: what is missing, what is extra, what differs in which fact.

Owns: `Difference` and `ObjectDifference`, and the checks of a database against the catalog it ought to have.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from scripts.catalog.read import Catalog, CatalogObject
from scripts.digest import digest_of
from scripts.result import Check

if TYPE_CHECKING:
    from scripts.digest import Json

# A function body may be long; a difference shows where it begins to differ.
SHOWN_MAX = 160


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact of one object that is not as expected.

    title: kind and name. `fact` is empty when the whole object is missing or extra; `expected` or `found` is then None.
    """

    title: str
    fact: str
    expected: Json
    found: Json

    def __str__(self) -> str:
        if not self.fact:
            return f"{self.title}: {'missing' if self.found is None else 'not expected'}"
        expected, found = _shown_apart(self.expected, self.found)
        return f"{self.title}: {self.fact}: expected {expected}, found {found}"


@dataclass(frozen=True, slots=True)
class ObjectDifference:
    """One object that is not as expected: missing (`found` is None), not expected (`expected` is None), or changed.

    facts: what differs, by name; empty unless both are there.
    """

    expected: CatalogObject | None
    found: CatalogObject | None
    facts: tuple[Difference, ...] = ()

    @property
    def either(self) -> CatalogObject:
        """The object itself, from whichever side has it."""
        item = self.found or self.expected
        if item is None:
            msg = "a difference between nothing and nothing"
            raise RuntimeError(msg)
        return item


def compare_objects(expected: Catalog, found: Catalog) -> tuple[ObjectDifference, ...]:
    """Every object that differs, sorted by kind and name; none when the two are equal."""
    wanted = _by_title(expected)
    present = _by_title(found)
    differences: list[ObjectDifference] = []
    for title in sorted(wanted.keys() | present.keys()):
        for before, after in zip_longest(wanted.get(title, []), present.get(title, [])):
            facts = () if before is None or after is None else _changed_facts(before, after)
            if before is None or after is None or facts:
                differences.append(ObjectDifference(before, after, facts))
    return tuple(differences)


def compare_catalogs(expected: Catalog, found: Catalog) -> tuple[Difference, ...]:
    """Every difference, sorted by object and fact; none when the two are equal."""
    return tuple(
        difference for item in compare_objects(expected, found) for difference in item.facts or (_whole_object(item),)
    )


def verify_baseline(catalog: Catalog, golden: Catalog) -> tuple[Check, ...]:
    """One check for each kind of object, over all of that kind; a failing one is followed by one for each difference.

    Args:
        catalog: of the database.
        golden: what it ought to be.
    """
    checks: list[Check] = []
    for kind in sorted({item.kind for item in (*golden.objects, *catalog.objects)}):
        wanted = Catalog(tuple(item for item in golden.objects if item.kind == kind))
        present = Catalog(tuple(item for item in catalog.objects if item.kind == kind))
        checks.append(
            Check(
                f"catalog_{kind.replace(' ', '_').replace('-', '_')}",
                digest_of(wanted.as_json()),
                digest_of(present.as_json()),
                where=kind,
            )
        )
        checks += [
            Check(
                "catalog_difference",
                _shown_apart(item.expected, item.found)[0] if item.fact else _presence(item.expected),
                _shown_apart(item.expected, item.found)[1] if item.fact else _presence(item.found),
                where=f"{item.title} {item.fact}".rstrip(),
                help="`invoke drift` shows it whole; undo it in the database, or make it a migration",
            )
            for item in compare_catalogs(wanted, present)
        ]
    return tuple(checks)


def _whole_object(item: ObjectDifference) -> Difference:
    return Difference(
        item.either.title,
        "",
        None if item.expected is None else "present",
        None if item.found is None else "present",
    )


def _changed_facts(before: CatalogObject, after: CatalogObject) -> tuple[Difference, ...]:
    return tuple(
        Difference(after.title, fact, before.facts.get(fact), after.facts.get(fact))
        for fact in sorted(before.facts.keys() | after.facts.keys())
        if before.facts.get(fact) != after.facts.get(fact)
        or type(before.facts.get(fact)) is not type(after.facts.get(fact))
    )


def _by_title(catalog: Catalog) -> dict[str, list[CatalogObject]]:
    found: dict[str, list[CatalogObject]] = {}
    for item in catalog.objects:
        found.setdefault(item.title, []).append(item)
    return found


def _presence(value: Json) -> str:
    return "absent" if value is None else "present"


def _shown_apart(expected: Json, found: Json) -> tuple[str, str]:
    """Both as text, cut so that the place where they part is in sight."""
    left, right = _text(expected), _text(found)
    if max(len(left), len(right)) <= SHOWN_MAX:
        return left, right
    common = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    start = max(0, common - SHOWN_MAX // 4)
    lead = "…" if start else ""

    def cut(text: str) -> str:
        return lead + text[start : start + SHOWN_MAX] + ("…" if start + SHOWN_MAX < len(text) else "")

    return cut(left), cut(right)


def _text(value: Json) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
