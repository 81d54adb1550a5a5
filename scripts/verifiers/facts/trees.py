"""A stored expression as the server keeps it (pg_node_tree), read into nodes.

Owns: the reading of that text, which the server's nodes/read.c describes.
Promises: every node with every field of it is told, and what a constant's bytes say. What is no such text raises
ValueError, and is never an empty tree.
Never: knows what a node means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What a text begins with in memory: its length in bytes, times four.
_HEADER = 4
# An array has its dimensions behind that, where its members begin if a map of NULLs comes first, and their type.
_ARRAY = 4 * _HEADER
_DAYS_A_YEAR, _MONTHS_A_YEAR, _MICROSECONDS_A_DAY = 365, 12, 86_400_000_000
# A blank or a bracket within a word is written behind a backslash.
_TOKEN = re.compile(r"[{}()\[\]]|(?:\\.|[^\s{}()\[\]\\])+", re.DOTALL)
# By value a constant fills a machine word.
_NUMBERS = (4, 8)
_INTERVAL = Struct("<qii")
_CLOSES = {"(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class Node:
    """A node: its kind, in capitals, and its fields by name, each with whatever stands behind the name."""

    kind: str
    fields: Mapping[str, tuple[Value, ...]]

    def children(self) -> Iterator[Node]:
        """Its nodes in order, also those in lists."""
        for values in self.fields.values():
            yield from _nodes(values)

    def under(self, name: str) -> tuple[Node, ...]:
        """The nodes in that field."""
        return tuple(_nodes(self.fields.get(name, ())))

    def word(self, name: str) -> str:
        """The first word of that field; empty where there is none."""
        first = next(iter(self.fields.get(name, ())), "")
        return first if isinstance(first, str) else ""

    def constant(self) -> bytes | None:
        """The bytes of a constant as the server has them in memory; None for NULL."""
        found = next((value for value in self.fields.get("constvalue", ()) if isinstance(value, tuple)), None)
        return None if found is None else bytes(int(one) & 0xFF for one in found if isinstance(one, str))


Value: TypeAlias = "str | Node | tuple[Value, ...]"


def parse_tree(text: str) -> tuple[Node, ...]:
    """The nodes at the top: one, or those of a list; none of an empty text.

    Raises:
        ValueError: this is no stored expression.
    """
    tokens = iter(_TOKEN.findall(text))
    values = tuple(_value(token, tokens) for token in tokens)
    nodes = tuple(_nodes(values))
    if text and not nodes:
        raise ValueError("no node in a stored expression")
    return nodes


def number_of(value: bytes) -> int | None:
    """A constant integer of four bytes, of a server that writes the lowest first; None where it is none."""
    number = int.from_bytes(value, "little", signed=True)
    return number if len(value) in _NUMBERS and abs(number) < 2**31 else None


def text_of(value: bytes) -> str | None:
    """A constant text; None where it is kept in another way."""
    if len(value) < _HEADER or int.from_bytes(value[:_HEADER], "little") != len(value) * 4:
        return None
    return value[_HEADER:].decode(errors="replace")


def whole_array(value: bytes) -> bool:
    """Whether it is a constant array without a NULL: behind its length and dimensions, it has no map of those."""
    known = len(value) >= _ARRAY and int.from_bytes(value[:_HEADER], "little") == len(value) * 4
    return known and not any(value[2 * _HEADER : 3 * _HEADER])


def interval_of(value: bytes) -> float | None:
    """A constant interval: how many years it has at most, whatever its sign; None where it is none."""
    if len(value) != _INTERVAL.size:
        return None
    microseconds, days, months = _INTERVAL.unpack(value)
    days = abs(days) + abs(microseconds) / _MICROSECONDS_A_DAY
    return float(abs(months) / _MONTHS_A_YEAR + days / _DAYS_A_YEAR)


def _nodes(values: tuple[Value, ...]) -> Iterator[Node]:
    for value in values:
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            yield from _nodes(value)


def _value(word: str, tokens: Iterator[str]) -> Value:
    if word == "{":
        return _node(tokens)
    if word in _CLOSES:
        return tuple(_until(_CLOSES[word], tokens))
    if word in "})]":
        raise ValueError("a bracket too many in a stored expression")
    return word


def _until(end: str, tokens: Iterator[str]) -> Iterator[Value]:
    for token in tokens:
        if token == end:
            return
        yield _value(token, tokens)
    raise ValueError("a stored expression that has no end")


def _node(tokens: Iterator[str]) -> Node:
    kind = next(tokens, "")
    fields: dict[str, list[Value]] = {}
    name = ""
    for value in _until("}", tokens):
        if isinstance(value, str) and value.startswith(":"):
            name = value[1:]
            fields[name] = []
        elif name:
            fields[name].append(value)
        else:
            raise ValueError("a value without a name in a stored expression")
    return Node(kind, {key: tuple(values) for key, values in fields.items()})
