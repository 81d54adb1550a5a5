"""Which of all mutants a run judges: a shard of them, or those of some invariants.

Owns: the form of `--shard`, and how mutants fall to shards.
Promises: the shards of one count are disjoint and together everything; none has two mutants more than another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from scripts.errors.mutants import SelectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.verifiers.mutants.model import Mutant

_T = TypeVar("_T")


def parse_shard(text: str) -> tuple[int, int]:
    """`k/n` as numbers: 1 ≤ k ≤ n.

    Raises:
        SelectionError: another form.
    """
    first, slash, second = text.partition("/")
    if not (slash and first.isascii() and first.isdigit() and second.isascii() and second.isdigit()):
        raise SelectionError.bad_shard(text)
    shard, count = int(first), int(second)
    if not 1 <= shard <= count:
        raise SelectionError.bad_shard(text)
    return shard, count


def shard_of(items: Sequence[_T], shard: int, count: int) -> tuple[_T, ...]:
    """Every count-th item, beginning with the shard-th: neighbours, which cost about the same, fall to all shards."""
    return tuple(items[shard - 1 :: count])


def owned_by(mutants: Sequence[Mutant], owners: frozenset[str]) -> tuple[Mutant, ...]:
    """The mutants that one of these invariants must see; an empty set means all."""
    return tuple(mutant for mutant in mutants if not owners or owners & set(mutant.owners))
