"""The golden text: without loss for any names and values, and strict about anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.catalog.compare import Difference, compare_catalogs, verify_baseline
from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import Catalog, CatalogObject
from scripts.catalog.render import KINDS, parse_catalog, render_catalog
from scripts.errors.history import GoldenCatalogError

if TYPE_CHECKING:
    from scripts.digest import Json

TEXT = st.text(alphabet='ab \\\n\r\t"|#:=é🙂s', max_size=12)
FACTS = st.dictionaries(
    st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True),
    st.one_of(TEXT, st.booleans(), st.integers(-99, 99), st.lists(TEXT, max_size=3)),
    max_size=4,
)
OBJECTS = st.builds(CatalogObject, st.sampled_from(KINDS), TEXT.filter(str.strip), FACTS)


@given(st.lists(OBJECTS, max_size=5))
def test_nothing_is_lost(objects: list[CatalogObject]) -> None:
    """Rendered and read back, every catalog is itself."""
    catalog = Catalog(tuple(objects))
    text = render_catalog(catalog)
    assert parse_catalog(text) == catalog
    assert text.endswith("\n")
    assert not any(line != line.rstrip(" ") for line in text.split("\n"))
    assert "\r" not in text


@given(st.lists(OBJECTS, min_size=1, max_size=4, unique_by=lambda item: item.title), st.data())
def test_any_changed_fact_is_a_difference(objects: list[CatalogObject], data: st.DataObject) -> None:
    """Change one fact of one object: another fingerprint, exactly that difference, and a failing baseline."""
    index = data.draw(st.integers(0, len(objects) - 1))
    changed = list(objects)
    facts = {**changed[index].facts, "planted": "x"}
    changed[index] = CatalogObject(changed[index].kind, changed[index].name, facts)
    before, after = Catalog(tuple(objects)), Catalog(tuple(changed))
    assert fingerprint(before) != fingerprint(after)
    (difference,) = compare_catalogs(before, after)
    assert (difference.title, difference.fact, difference.found) == (objects[index].title, "planted", "x")
    assert not all(check.holds for check in verify_baseline(after, before))
    assert all(check.holds for check in verify_baseline(after, after))


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("tabel public.t\n", 1, "tabel public.t"),
        ("# head\n\ntable public.t\n  not_null ? true\n", 4, "  not_null ? true"),
        ("table public.t\n  acl = [\n", 2, "  acl = ["),
        ("  owner: x\n", 1, "  owner: x"),
        ("<<<<<<< HEAD\n", 1, "<<<<<<< HEAD"),
        ("table public.t\n  owner: x\n    | y\n", 3, "    | y"),
    ],
)
def test_anything_else_is_refused(text: str, line: int, found: str) -> None:
    """A merge marker or a hand-made line is not read as something else."""
    with pytest.raises(GoldenCatalogError) as caught:
        parse_catalog(text)
    assert str(caught.value) == (
        f"error[golden catalog]: line {line}: not a line of a golden catalog\n"
        "  expected  `kind name`, or `  fact: value`\n"
        f"  found     {found.removeprefix('  ') if line > 1 else found}\n"
        "  help: restore the file from git, or make it anew with `invoke catalog.update`"
    )
    assert caught.value.exit_code == 4


def test_the_text_of_an_object() -> None:
    """A paragraph: the title, then the facts by name; several lines behind bars."""
    facts: dict[str, Json] = {"body": "BEGIN\n\n  x;\nEND ", "acl": ["a=X"], "owner": "<owner>", "q": ""}
    text = render_catalog(Catalog((CatalogObject("function", "public.f()", facts),)))
    assert text.split("\n\n", 1)[1].splitlines() == [
        "function public.f()",
        '  acl = ["a=X"]',
        "  body:",
        "    | BEGIN",
        "    |",
        "    |   x;",
        "    | END\\s",
        "  owner: <owner>",
        '  q = ""',
    ]


def test_the_text_of_a_difference() -> None:
    """Missing, not expected, or the fact with both values, cut where they part."""
    assert str(Difference("table a", "", "present", None)) == "table a: missing"
    assert str(Difference("table a", "", None, "present")) == "table a: not expected"
    assert str(Difference("table a", "owner", "x", None)) == 'table a: owner: expected "x", found nothing'
    long = "y" * 500
    text = str(Difference("function f()", "body", long + "a" + long, long + "b" + long))
    assert "…" in text
    assert len(text) < 500
    assert "yay" in text
    assert "yby" in text


def test_a_boolean_is_not_a_number() -> None:
    """True and 1 are different facts."""
    one = Catalog((CatalogObject("table", "t", {"x": 1}),))
    true = Catalog((CatalogObject("table", "t", {"x": True}),))
    assert len(compare_catalogs(one, true)) == 1
    assert fingerprint(one) != fingerprint(true)
