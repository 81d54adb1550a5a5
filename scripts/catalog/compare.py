"""Two catalogs, object by object: what is missing, what is extra, what differs in which fact.

Owns: `Difference`, and the checks of a database against the golden catalog.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.catalog.read import Catalog, CatalogObject
from scripts.catalog.render import parse_catalog
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


def compare_catalogs(expected: Catalog, found: Catalog) -> tuple[Difference, ...]:
    """Every difference, sorted by object and fact; none when the two are equal."""
    wanted = _by_title(expected)
    present = _by_title(found)
    differences: list[Difference] = []
    for title in sorted(wanted.keys() | present.keys()):
        left, right = wanted.get(title, []), present.get(title, [])
        for index in range(max(len(left), len(right))):
            before = left[index] if index < len(left) else None
            after = right[index] if index < len(right) else None
            differences += _of_object(title, before, after)
    return tuple(differences)


def verify_baseline(catalog: Catalog, golden_text: str) -> tuple[Check, ...]:
    """One check for each kind of object, over all of that kind; a failing one is followed by one for each difference.

    Args:
        catalog: of the database.
        golden_text: schema/catalog.txt.

    Raises:
        GoldenCatalogError: the golden text is not one.
    """
    golden = parse_catalog(golden_text)
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
                help="undo the change in the database, or make it a migration and run `invoke catalog.update`",
            )
            for item in compare_catalogs(wanted, present)
        ]
    return tuple(checks)


def _of_object(title: str, before: CatalogObject | None, after: CatalogObject | None) -> list[Difference]:
    if before is None or after is None:
        return [Difference(title, "", None if before is None else "present", None if after is None else "present")]
    return [
        Difference(title, fact, before.facts.get(fact), after.facts.get(fact))
        for fact in sorted(before.facts.keys() | after.facts.keys())
        if before.facts.get(fact) != after.facts.get(fact)
        or type(before.facts.get(fact)) is not type(after.facts.get(fact))
    ]


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
