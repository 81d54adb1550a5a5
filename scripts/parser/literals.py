"""String constants: their value, and where each of its characters stands in the file.

Owns: the decoding of '…', E'…' and $tag$…$tag$ tokens, for the sake of line numbers inside function bodies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.parser.native import Token

_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_DOLLAR = re.compile(r"\$[^$]*\$")
# One unit of an E'' string: an escape of any form, a doubled quote, or a plain character.
_UNIT = re.compile(r"\\x[0-9A-Fa-f]{1,2}|\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}|\\[0-7]{1,3}|\\.|''|.", re.DOTALL)
# '…' newline '…' is one constant.
_CONTINUED = re.compile(r"'[ \t\r\f\v]*\n\s*'")


@dataclass(frozen=True, slots=True)
class Source:
    """A piece of text that lies somewhere in a file.

    start: the file offset of text[0]; used when `offsets` is None.
    offsets: the file offset of each character, one more for the end; None when text and file run in step.
    """

    text: str
    start: int
    offsets: Sequence[int] | None = None

    def in_file(self, offset: int) -> int:
        """The file offset of a character of the text."""
        if self.offsets is None:
            return self.start + offset
        return self.offsets[min(offset, len(self.offsets) - 1)]

    def part(self, start: int, end: int) -> Source:
        """A piece of the piece."""
        if self.offsets is None:
            return Source(self.text[start:end], self.start + start)
        return Source(self.text[start:end], self.in_file(start), self.offsets[start : end + 1])


def literal_source(token: Token, value: str, within: Source) -> Source:
    """The value of a string token as a `Source` in the file.

    Args:
        token: an SCONST (or USCONST) token of `within.text`.
        value: what the parser made of it; if our own reading differs, every character is given the token's place.
        within: the text the token was scanned from.
    """
    if token.text.startswith("$"):
        opening = _DOLLAR.match(token.text)
        if opening is not None:
            at = token.start + opening.end()
            return within.part(at, at + len(value))
    decoded, places = _decode_quoted(token)
    if decoded == value:
        return Source(value, within.in_file(token.start), [within.in_file(place) for place in places])
    return Source(value, within.in_file(token.start), [within.in_file(token.start)] * (len(value) + 1))


def _decode_quoted(token: Token) -> tuple[str, list[int]]:
    text = token.text
    opening = text.find("'") + 1
    escapes = text[: opening - 1].lower() == "e"
    characters: list[str] = []
    places: list[int] = []
    at, end = opening, len(text) - 1
    while at < end:
        continued = _CONTINUED.match(text, at, end) if text[at] == "'" else None
        if continued is not None and not text.startswith("''", at):
            at = continued.end()
            continue
        unit = _unit(text, at, end, escapes=escapes)
        characters.append(_character(unit, escapes=escapes))
        places.append(token.start + at)
        at += len(unit)
    places.append(token.start + end)
    return "".join(characters), places


def _unit(text: str, at: int, end: int, *, escapes: bool) -> str:
    if escapes:
        match = _UNIT.match(text, at, end)
        return text[at] if match is None else match[0]
    return "''" if text.startswith("''", at) and at + 1 < end else text[at]


def _character(unit: str, *, escapes: bool) -> str:
    if unit == "''":
        return "'"
    if not escapes or len(unit) == 1:
        return unit
    body = unit[1:]
    if body[0] in "xuU" and len(body) > 1:
        return chr(int(body[1:], 16))
    if body.isdigit():
        return chr(int(body, 8) & 0xFF)
    return _ESCAPES.get(body, body)
