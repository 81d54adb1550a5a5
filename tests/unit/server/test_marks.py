"""Names and marks of our own databases: each is told from anybody else's, and a key holds all that a template is of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.server.clones.marks import KINDS, Mark, Recipe, about_key, lock_of, name_of, parse_mark, parse_name

if TYPE_CHECKING:
    from scripts.server.clones.marks import Kind

ABOUT = st.text("0123456789abcdef", min_size=16, max_size=16)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXT
RECIPES = st.builds(
    Recipe,
    migrations=TEXT,
    ledger=TEXT,
    build=st.just(print),
    options=st.dictionaries(TEXT, JSON, max_size=3),
    settings=st.dictionaries(TEXT, TEXT, max_size=3),
)


def key_of(recipe: Recipe, version: str = "18.6", owner: str = "o") -> str:
    """The key on a server."""
    return recipe.key(version=version, owner=owner)


@given(RECIPES, RECIPES)
def test_a_key_is_the_same_exactly_when_every_part_is(one: Recipe, other: Recipe) -> None:
    """The parts are compared as values: neither their order nor where one ends and another begins can be mistaken."""
    assert (key_of(one) == key_of(other)) is (one == other)


@given(RECIPES, st.data())
def test_each_part_changes_the_key(recipe: Recipe, data: st.DataObject) -> None:
    """Migrations, ledger, options, settings, the server's version and the owner."""
    changed = [
        key_of(replace(recipe, migrations=recipe.migrations + data.draw(st.sampled_from("ab")))),
        key_of(replace(recipe, ledger=recipe.ledger + "x")),
        key_of(replace(recipe, options={**recipe.options, "an option": data.draw(JSON)})),
        key_of(replace(recipe, settings={**recipe.settings, "a setting": data.draw(TEXT)})),
        key_of(recipe, version="18.7"),
        key_of(recipe, owner="other"),
    ]
    assert len({key_of(recipe), *changed}) == 1 + len(changed)


def test_how_it_is_built_does_not_change_the_key() -> None:
    """A function has no value to compare; the parts say what it does."""
    recipe = Recipe("m", "l", print)
    assert key_of(recipe) == key_of(replace(recipe, build=repr))
    assert "build" not in repr(recipe)


@given(st.sampled_from(KINDS), ABOUT)
def test_a_name_says_what_it_is(kind: Kind, about: str) -> None:
    """It is short enough, needs no quotes, and is another one each time."""
    name = name_of(kind, about)
    found = parse_name(name)
    assert found is not None
    assert (found.kind, found.about) == (kind, about)
    assert len(name) <= 63
    assert name.isidentifier()
    assert name == name.lower()
    assert name != name_of(kind, about)


@given(st.sampled_from(KINDS), ABOUT, st.integers(0, 62), st.characters(codec="ascii"))
def test_a_name_with_another_letter_is_nobody_of_ours(kind: Kind, about: str, at: int, letter: str) -> None:
    """Its last part is a digest of the rest."""
    name = name_of(kind, about)
    at %= len(name)
    other = name[:at] + letter + name[at + 1 :]
    assert (parse_name(other) is None) is (other != name)
    assert parse_name(name + letter) is None
    assert parse_name(name[:at]) is None


@given(TEXT)
def test_any_name_is_not_ours(name: str) -> None:
    """Nor one that begins as ours do."""
    for prefix in ("", "parity_", "parity_clone_", "parity_half_0123456789abcdef_"):
        assert parse_name(prefix + name) is None


def test_locks_are_of_the_template_or_of_the_clones_maker() -> None:
    """What is half-made has the lock of its template, whatever its random number; they fit pg_advisory_lock."""
    about = about_key("0123456789abcdef" * 4)
    half, again, clone = (parse_name(name_of(kind, about)) for kind in ("half", "template", "clone"))
    assert half is not None
    assert again is not None
    assert clone is not None
    assert half.lock == again.lock == lock_of("template", about)
    assert clone.lock == lock_of("clone", about) != half.lock
    assert -(2**63) <= half.lock < 2**63


@given(TEXT, TEXT, TEXT, TEXT, st.none() | TEXT)
def test_a_mark_is_read_as_it_was_written(key: str, xid: str, settings: str, name: str, comment: str | None) -> None:
    """The comment that the migrations gave the database is in it."""
    mark = Mark("template", key, xid, settings, comment)
    assert parse_mark(mark.text()) == mark
    assert parse_mark(mark.text() + " ") is None
    assert parse_mark(name) is None


@pytest.mark.parametrize(
    "comment",
    [None, "", "mine", "{}", "[]", "null", "1", '{"by":"parity-runner"}', '{"kind":1.5}', "[" * 5000],
    ids=lambda comment: str(comment)[:20],
)
def test_anybody_s_comment_is_no_mark(comment: Any) -> None:
    """Whatever it is made of."""
    assert parse_mark(comment) is None


def test_a_mark_with_anything_changed_is_none() -> None:
    """Other values of other kinds, too."""
    text = Mark("template", "k", "7", "s").text()
    for was, now in (
        ('"7"', "7.5"),
        ('"7"', "{}"),
        ("parity-runner", "another"),
        ('"form":1', '"form":2'),
        ("null", "[]"),
    ):
        assert was in text
        assert parse_mark(text.replace(was, now)) is None
