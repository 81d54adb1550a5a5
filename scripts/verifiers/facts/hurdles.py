"""What nobody reviewed on a table: which of it could refuse a row that is written, or run something at it.

Owns: the judgement of one that was added.
Promises: what is worked out from nothing but columns, constants and what cannot fail of the server's own is harmless;
so is an index of columns of a fixed width or of names, of documents by their hashes, and a sequence that does not end.
Never: looks at a constraint or a unique index's uniqueness (extras.py), or at anything that was reviewed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scripts.verifiers.facts.shape import Table

# What a stored expression may consist of: columns and constants, and what the server joins them with. What casts as it
# likes (COERCEVIAIO, COERCETODOMAIN) or takes a place out of an array is not among them.
_PLAIN = frozenset(
    {
        "VAR", "CONST", "FUNCEXPR", "OPEXPR", "DISTINCTEXPR", "SCALARARRAYOPEXPR", "BOOLEXPR", "NULLTEST",
        "BOOLEANTEST", "RELABELTYPE", "COALESCEEXPR", "CASEEXPR", "CASEWHEN", "ARRAYEXPR", "SQLVALUEFUNCTION",
    }
)  # fmt: skip
# None of these raises, whatever it is given.
_FUNCTIONS = frozenset(
    {
        "lower(text)", "upper(text)", "btrim(text)", "length(text)", "octet_length(text)", "octet_length(bytea)",
        '"left"(text,integer)', '"right"(text,integer)', "substr(text,integer,integer)", "substr(text,integer)",
        "jsonb_typeof(jsonb)", "now()", "clock_timestamp()", "statement_timestamp()", "transaction_timestamp()",
        "gen_random_uuid()", "uuidv4()", "uuidv7()", "random()", "pg_backend_pid()", "text(boolean)", "text(name)",
        "int8(integer)", '"numeric"(integer)', '"numeric"(bigint)',
    }
)  # fmt: skip
# What takes a member out of a document, which may be as long as the document.
_MEMBERS = frozenset({"->", "->>", "#>", "#>>"})
_OPERATORS = _MEMBERS | frozenset({"=", "<>", "<", ">", "<=", ">=", "||", "@>", "<@", "?", "?|", "?&", "&&", "^@"})
# Only with these for its length does substr refuse nothing; a number with a sign is written with a cast.
_SUBSTR = re.compile(r"\bsubstr\(")
_SUBSTR_OF = re.compile(r"\bsubstr\([\w.]+, \d+(, \d+)?\)")
# A GIN index over these keeps hashes, or pieces of a limited size, and so does a BRIN index of Bloom filters.
_PIECES = frozenset({"jsonb_ops", "jsonb_path_ops", "tsvector_ops", "gin_trgm_ops"})
# An SP-GiST index divides values by these, or keeps no more of them than where they lie.
_DIVIDES = frozenset({"text_ops", "poly_ops", "inet_ops"})
# Columns of text that hold more than a name: what failed, in whatever words; a signature of whatever algorithm.
_WORDS = frozenset({"error_message", "signature"})
_NAMES = frozenset({"text", "character varying", "character", "name"})
# A sequence whose last number is nearer to nought runs out, and so does one with fewer numbers left: a day's at a
# thousand rows a second.
_ROOM = 2**31 - 1
_LEFT = 10**8


@dataclass(frozen=True, slots=True)
class Key:
    """A key of an index; `column` is empty for an expression. `wide`: of no fixed size. `code`: nobody reviewed it."""

    column: str
    type: str
    wide: bool
    operators: str
    code: bool


@dataclass(frozen=True, slots=True)
class Numbers:
    """A sequence behind a column: its bounds, and where it is. `again`: it begins anew at its end.

    `last` is the number that it gave last, or, where none was `given`, that it gives next; None: it cannot be read.
    """

    lowest: int
    highest: int
    step: int
    cached: int
    again: bool
    last: int | None
    given: bool | None

    @property
    def end(self) -> int:
        """The number behind which there is none."""
        return self.highest if self.step > 0 else self.lowest

    def left(self) -> int | None:
        """How many numbers it still gives, fewer where a session takes several and uses one."""
        if self.last is None:
            return None
        following = self.last + self.step if self.given else self.last
        return max((self.end - following) // self.step + 1, 0) // self.cached


@dataclass(frozen=True, slots=True)
class Added:
    """A column, an index or statistics that nobody reviewed. `said` is what it works out, in the server's words.

    `nodes`, `functions` and `operators` are all that its stored expressions consist of. Of a column: `filled`, it is
    NOT NULL; `plain`, a long value cannot leave its row; `numbers`, its own sequence; `ruled`, its type is a domain
    with a rule.
    """

    kind: str
    name: str
    said: str = ""
    nodes: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    filled: bool = False
    generated: bool = False
    plain: bool = False
    numbers: Numbers | None = None
    ruled: bool = False
    method: str = ""
    keys: tuple[Key, ...] = ()


def added_of(rows: Iterable[Mapping[str, Any]] | None) -> tuple[Added, ...]:
    """The rows of added.sql."""
    return tuple(
        Added(
            kind=row["kind"],
            name=row["name"],
            said=row["said"] or "",
            nodes=tuple(row["nodes"] or ()),
            functions=tuple(row["functions"] or ()),
            operators=tuple(row["operators"] or ()),
            filled=row["filled"],
            generated=row["generated"],
            plain=row["plain"],
            numbers=Numbers(**row["numbers"]) if row["numbers"] else None,
            ruled=bool(row["ruled"]),
            method=row["method"] or "",
            keys=tuple(
                Key(one["column"] or "", one["type"], one["wide"], one["class"] or "", one["code"])
                for one in row["keys"] or ()
            ),
        )
        for row in rows or ()
    )


def hurdles(expected: Table, added: Iterable[Added], kind: str) -> tuple[str, ...]:
    """Those of one kind that could refuse a row or run something: each its name and why."""
    return tuple(f"{one.name}: {why}" for one in added if one.kind == kind and (why := _trouble(expected, one)))


def _trouble(expected: Table, one: Added) -> str:
    if found := _worked_out(one):
        return found
    return _indexed(expected, one) if one.kind == "index" else _stored(one) if one.kind == "column" else ""


def _worked_out(one: Added) -> str:
    strange = [
        *sorted(name for name in one.functions if name not in _FUNCTIONS),
        *sorted(name for name in one.operators if name.partition("(")[0] not in _OPERATORS),
        *sorted(node for node in one.nodes if node not in _PLAIN),
    ]
    if not strange and len(_SUBSTR.findall(one.said)) > len(_SUBSTR_OF.findall(one.said)):
        strange = ["substr"]
    return f"works out {one.said} ({', '.join(strange)})" if strange else ""


def _indexed(expected: Table, one: Added) -> str:
    code = [key.operators for key in one.keys if key.code]
    if code:
        return f"runs the functions of {', '.join(code)}"
    kept = {name for index in expected.indexes for name in index.keys}
    kept |= {name for rule in expected.constraints if rule.kind in "pu" for name in rule.columns}
    wide = [
        key.column or one.said
        for key in one.keys
        if key.wide and key.column not in kept and not _cut(one.method, key) and _long(one, key)
    ]
    return f"holds no long value of {', '.join(wide)}" if wide else ""


def _long(index: Added, key: Key) -> bool:
    """Whether a value may be longer than an index holds (2,704 bytes): whatever has no fixed size and is no name."""
    if key.type not in _NAMES:
        return True
    if key.column:
        return key.column in _WORDS
    taken = {name.partition("(")[0] for name in index.operators}
    return bool(taken & _MEMBERS) or not _WORDS.isdisjoint(re.findall(r"\w+", index.said))


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
    if one.filled and (one.generated or not one.said) and one.numbers is None:
        return "NOT NULL, and nothing fills it"
    if one.numbers is not None and not one.numbers.again:
        left = one.numbers.left()
        if left is None:
            return "how many numbers it has left cannot be read"
        if abs(one.numbers.end) < _ROOM or left < _LEFT:
            return f"its numbers end at {one.numbers.end}, {left} are left"
    return "STORAGE PLAIN holds no long value" if one.plain else ""
