"""The table of kinds in docs/mutants.md is what is derived, no kind more and none less."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.verifiers.mutants.kinds import BEGIN, END, kind_of, render_kinds
from scripts.verifiers.mutants.model import Mutant

if TYPE_CHECKING:
    from conftest import Golden

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "mutants.md"


def test_the_table_is_made_from_the_mutants(golden: Golden, mutants: dict[str, Mutant]) -> None:
    """What stands around the table is written by hand; `--update-golden` writes the table."""
    before, begin, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin
    assert end

    golden.require_equal(DOCUMENT, before + render_kinds(mutants.values()) + after)


def test_a_kind_names_nothing_of_this_schema(mutants: dict[str, Mutant]) -> None:
    """Kinds are few where mutants are many, and hold no table's, column's or role's name."""
    kinds = {kind_of(mutant) for mutant in mutants.values()}

    assert len(kinds) < len(mutants) / 30
    for word in ("symphony_", "boz_auditor", "tenant_id", "payment_outbox", "policy_versions"):
        assert [how for _, how in kinds if word in how] == []


@pytest.mark.parametrize(
    ("thing", "change", "kind"),
    [
        ("body of f", "3:14 = is <> in WHERE a = b", ("bodies of functions", "`=` is `<>`")),
        ("body of f", "3:14 without FOR UPDATE in FOR UPDATE; IF x", ("bodies of functions", "without `FOR UPDATE`")),
        ("constraint c on public.t", "with a value more", ("constraints", "with a value of a list")),
        ("index public.i", "of tenant_id", ("indexes", "of a column")),
        (
            "privileges on public.t.c",
            "SELECT to x_y to hand on",
            ("privileges", "SELECT to PUBLIC or a role to hand on"),
        ),
        ("something new", "done", ("something", "done")),
    ],
)
def test_names_become_kinds(thing: str, change: str, kind: tuple[str, str]) -> None:
    """Places and names go; what is not known stands as it is."""
    assert kind_of(Mutant(thing, change, (), ())) == kind


def test_a_kind_that_is_new_changes_the_table(mutants: dict[str, Mutant]) -> None:
    """A table that nobody wrote anew is found out."""
    table = render_kinds(mutants.values())
    more = [*mutants.values(), Mutant("table public.t", "painted", (), ())]

    assert "painted" not in table
    assert "painted" in render_kinds(more)
