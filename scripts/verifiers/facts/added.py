"""What is on a reviewed table beside the reviewed, as the catalog tells it.

Owns: the shapes of it, and how the rows of added.sql become them.
Never: judges anything (hurdles.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.verifiers.facts.workings import Names, Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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

    `tree` is its stored expression, of an index one for each of its keys that is none of the columns, `condition` its
    predicate's; `names` what is in them. Of a column: `filled`, it is
    NOT NULL; `plain`, a long value cannot leave its row; `numbers`, its own sequence; `ruled`, its type is a domain
    with a rule.
    """

    kind: str
    name: str
    said: str = ""
    tree: str = ""
    condition: str = ""
    names: Names = field(default_factory=Names)
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
            tree=row["tree"],
            condition=row["condition"],
            names=Names(
                row["functions"] or {},
                row["operators"] or {},
                {oid: Type(*one) for oid, one in (row["types"] or {}).items()},
                row["columns"] or {},
                frozenset(row["settled"] or ()),
                frozenset(row["zones"] or ()),
            ),
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
