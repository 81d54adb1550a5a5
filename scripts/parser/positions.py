"""Where something stands in a text: line, column, and a picture of it with a caret.

Owns: the translation between byte offsets (libpg_query), character offsets (the server, Python) and lines.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from itertools import accumulate

# A source line longer than this is cut around the caret: one-line dumps would fill the screen.
CARET_WIDTH = 110


class Positions:
    """Offsets of one text. Lines end at LF alone, as the server counts them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts: list[int] | None = None
        self._encoded = None if text.isascii() else text.encode()

    def characters(self, byte_offsets: list[int]) -> list[int]:
        """Character offsets for byte offsets in ascending order; those beyond the end give the end."""
        if self._encoded is None:
            return byte_offsets
        found: list[int] = []
        byte = character = 0
        for offset in byte_offsets:
            character += len(self._encoded[byte:offset].decode(errors="replace"))
            byte = max(byte, offset)
            found.append(character)
        return found

    def character(self, byte_offset: int) -> int:
        """The character offset of one byte offset."""
        return self.characters([byte_offset])[0]

    def line_column(self, offset: int) -> tuple[int, int]:
        """1-based line and column, in characters, of a character offset."""
        starts = self._line_starts()
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    def label(self, where: str, offset: int) -> str:
        """`file:line:column`."""
        line, column = self.line_column(offset)
        return f"{where}:{line}:{column}"

    def caret(self, offset: int) -> str:
        """The line the offset stands in, and a caret under the place."""
        starts = self._line_starts()
        line, column = self.line_column(offset)
        start = starts[line - 1]
        end = self.text.find("\n", start)
        source = self.text[start : len(self.text) if end < 0 else end].replace("\t", " ")
        at = column - 1
        if len(source) > CARET_WIDTH:
            cut = max(0, min(at - CARET_WIDTH // 2, len(source) - CARET_WIDTH))
            at -= cut
            tail = "…" if cut + CARET_WIDTH < len(source) else ""
            source = ("…" if cut else "") + source[cut : cut + CARET_WIDTH] + tail
            at += 1 if cut else 0
        return f"{source}\n{' ' * _columns(source[:at])}^"

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            lengths = (len(line) + 1 for line in self.text.split("\n"))
            self._starts = list(accumulate(lengths, initial=0))[:-1]
        return self._starts


def _columns(text: str) -> int:
    # A terminal gives wide characters two cells and combining marks none.
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
