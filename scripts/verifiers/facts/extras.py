"""What a table has beside what was reviewed and could refuse rows that must be taken: constraints and unique indexes.

Owns: when one of them counts as known.
Promises: one that says what a reviewed one says is known under any name, and so is one that stands in the place of a
reviewed one that is gone: that one's own check tells of it. Indexes that refuse nothing are anybody's.
Never: compares a reviewed object with what it must be (compare.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.verifiers.facts.shape import Constraint, Index, Table

# Kinds of constraint that an index stands behind, of the constraint's name.
_INDEXED = "pux"


def other_constraints(
    expected: Table, found: Table, aligned: Callable[[Constraint, Constraint], Constraint]
) -> tuple[str, ...]:
    """Constraints that nobody reviewed, in order of their names: each its name and meaning.

    Args:
        expected: the table as reviewed.
        found: the table as it is.
        aligned: the first of two constraints, spelled as the second where both mean the same.
    """
    missing = [one for one in expected.constraints if not any(_same(one, it, aligned) for it in found.constraints)]
    strange = [it for it in found.constraints if not any(_same(one, it, aligned) for one in expected.constraints)]
    return tuple(f"{one.name}: {one.text}" for one in strange) if len(strange) > len(missing) else ()


def other_unique_indexes(expected: Table, found: Table) -> tuple[str, ...]:
    """Unique indexes behind no constraint that nobody reviewed: each its name and meaning.

    What is being built once more beside a reviewed one, or behind a key, has its meaning and is known.
    """
    behind = {one.name for one in found.constraints if one.kind in _INDEXED}
    names = {one.name for one in expected.indexes}
    known = {_meaning(one) for one in found.indexes if one.name in behind or one.name in names}
    return tuple(
        f"{one.name}: {one.text}"
        for one in found.indexes
        if one.unique and one.name not in behind | names and _meaning(one) not in known
    )


def _same(expected: Constraint, found: Constraint, aligned: Callable[[Constraint, Constraint], Constraint]) -> bool:
    return found.name == expected.name or aligned(found, expected).text == expected.text


def _meaning(index: Index) -> str:
    return index.text if index.valid and index.ready else replace(index, valid=True, ready=True).text
