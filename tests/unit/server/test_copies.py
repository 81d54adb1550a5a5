"""Carrying a database's own privileges and settings over: the pure parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors.base import ExitCode
from scripts.errors.templates import CopyError, TemplateError
from scripts.server.clones.copies import Grant, in_order, names_of

LETTERS = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
NAMES = st.lists(st.text(LETTERS, min_size=1, max_size=8), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("", [""]),
        ("public", ["public"]),
        ('"$user", public', ["$user", "public"]),
        ('a,b , "c d"', ["a", "b", "c d"]),
        ('"a "" b", "c, d"', ['a " b', "c, d"]),
        ('""', [""]),
        ('"x"', ["x"]),
    ],
)
def test_a_list_of_names_is_taken_apart(value: str, names: list[str]) -> None:
    """As the catalog holds it."""
    assert names_of(value) == names


@given(NAMES)
def test_every_quoted_list_comes_back(names: list[str]) -> None:
    """Whatever is in the names."""
    assert names_of(", ".join('"' + name.replace('"', '""') + '"' for name in names)) == names


def test_nobody_grants_before_it_can() -> None:
    """A chain of three, in the order in which it was built, whatever the letters; and one that cannot be, last."""
    chain = [
        Grant("owner", "z", "CREATE", grantable=True),
        Grant("z", "m", "CREATE", grantable=True),
        Grant("m", "a", "CREATE", grantable=False),
    ]
    stray = Grant("b", "c", "CONNECT", grantable=False)
    assert in_order(frozenset([*chain[::-1], stray]), "owner") == [*chain, stray]


TEXTS = {
    CopyError.differs("parity_clone_1", ["the comment", "the settings"]): """\
error[server]: the copy "parity_clone_1" does not have what its source has beside its tables
  expected  the owner, limit, comment, privileges and settings of the source
  found     others: the comment, the settings
  help: somebody changed source or copy meanwhile, or a grantor lost its rights; run again""",
    TemplateError.busy("o@/s/d", 600): """\
error[server]: o@/s/d: another run has been building this template for too long
  expected  a template within 600 s
  found     a builder that still holds its lock
  help: end that run; what it left half-made is then dropped by itself""",
    TemplateError.unstable("o@/s/d", 3): """\
error[server]: o@/s/d: the template is changed or dropped as often as it is made
  expected  one that nobody touches
  found     3 attempts, none of which had one
  help: find out who else works on this server""",
    TemplateError.in_use("parity_half_1"): """\
error[server]: parity_half_1: the template was built, and is not let go of
  expected  nobody connected
  found     a session that does not end
  help: a migration must not leave sessions behind that cannot be ended""",
}


@pytest.mark.parametrize("error", TEXTS, ids=lambda error: error.what)
def test_the_texts(error: CopyError | TemplateError) -> None:
    """Four parts, exit 3."""
    assert str(error) == TEXTS[error]
    assert error.exit_code is ExitCode.NO_SERVER
