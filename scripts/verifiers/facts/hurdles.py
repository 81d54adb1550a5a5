"""What nobody reviewed on a table: which of it could refuse a row that is written, or run something at it.

Owns: the judgement of one that was added.
Promises: what is worked out from nothing but columns, constants and what cannot fail of the server's own is harmless;
so is an index of columns of a fixed width or of names, of documents by their hashes, and a sequence that does not end.
Never: looks at a constraint or a unique index's uniqueness (extras.py), or at anything that was reviewed.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from scripts.verifiers.facts.workings import NAMES, WORDS, workings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scripts.verifiers.facts.added import Added, Key
    from scripts.verifiers.facts.shape import Table

# No probe writes a row of these. In every other table a default that fails for everybody stops one.
UNTRIED = frozenset({"participants", "schema_migrations"})
# A GIN index over these keeps hashes, or pieces of a limited size, and so does a BRIN index of Bloom filters.
_PIECES = frozenset({"jsonb_ops", "jsonb_path_ops", "tsvector_ops", "gin_trgm_ops"})
# An SP-GiST index divides values by these, or keeps no more of them than where they lie.
_DIVIDES = frozenset({"text_ops", "poly_ops", "inet_ops"})
# An index holds 2,704 bytes of a row; as much of them is left to names.
_HOLDS = 2_000
# A sequence whose last number is nearer to nought runs out, and so does one with fewer numbers left: a day's at a
# thousand rows a second.
_ROOM = 2**31 - 1
_LEFT = 10**8


def hurdles(expected: Table, added: Iterable[Added], kind: str) -> tuple[str, ...]:
    """Those of one kind that could refuse a row or run something: each its name and why."""
    return tuple(f"{one.name}: {why}" for one in added if one.kind == kind and (why := _trouble(expected, one)))


def _trouble(expected: Table, one: Added) -> str:
    if found := _worked_out(one, tried=one.kind == "column" and not one.generated and expected.name not in UNTRIED):
        return found
    return _indexed(expected, one) if one.kind == "index" else _stored(one) if one.kind == "column" else ""


def _worked_out(one: Added, *, tried: bool) -> str:
    strange = {name for tree in (one.tree, one.condition) for name in workings(tree, one.names, tried=tried)[1]}
    return f"works out {one.said} ({', '.join(sorted(strange))})" if strange else ""


def _indexed(expected: Table, one: Added) -> str:
    code = [key.operators for key in one.keys if key.code]
    if code:
        return f"runs the functions of {', '.join(code)}"
    kept = {name for index in expected.indexes for name in index.keys}
    kept |= {name for rule in expected.constraints if rule.kind in "pu" for name in rule.columns}
    sizes = [(what, size) for what, size in _sizes(one) if size and what not in kept]
    long = [what for what, size in sizes if size == inf]
    if not long and sum(size for _, size in sizes) > _HOLDS:
        long = [what for what, _ in sizes]
    return f"holds no long value of {', '.join(long)}" if long else ""


def _sizes(index: Added) -> Iterator[tuple[str, float]]:
    """Of each key that has no fixed size: what it is, and how many bytes it may have in the index; 0 for a name."""
    worths = iter(workings(index.tree, index.names)[0])
    for key in index.keys:
        size = _long(key) if key.column else next(worths).size
        if key.wide and not _cut(index.method, key):
            yield key.column or index.said, size


def _long(key: Key) -> float:
    return 0 if key.type in NAMES | {"citext"} and key.column not in WORDS else inf


def _cut(method: str, key: Key) -> bool:
    """Whether the index holds no more of the key than a piece of a limited size; what it includes it holds whole."""
    if not key.operators:
        return False
    if method == "spgist":
        return key.operators in _DIVIDES
    if method == "hash":
        return True
    if method == "gin":
        return key.operators in _PIECES
    return method == "brin" and key.operators.endswith("_bloom_ops")


def _stored(one: Added) -> str:
    if one.ruled:
        return "of a domain with a rule"
    if one.filled and one.numbers is None:
        values = () if one.generated else workings(one.tree, one.names)[0]
        if not values or any(value.null for value in values):
            return "NOT NULL, and nothing fills it"
    if one.numbers is not None and not one.numbers.again:
        left = one.numbers.left()
        if left is None:
            return "how many numbers it has left cannot be read"
        if abs(one.numbers.end) < _ROOM or left < _LEFT:
            return f"its numbers end at {one.numbers.end}, {left} are left"
    return "STORAGE PLAIN holds no long value" if one.plain else ""
