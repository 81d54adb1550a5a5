"""Text from outside, made safe to print: what it says is shown, what it would do to a terminal is not done.

Owns: the escaping of control characters and of characters that reorder or hide text.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# Controls, formats (bidirectional overrides, zero-width), lone surrogates, private use, unassigned, separators: nothing
# a name or a message needs, everything a terminal can be tricked with, and spaces that only look like one.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})


def escape(text: str) -> str:
    r"""The text on one line: every unsafe character as \n, \t, \xNN, \uNNNN or \UNNNNNNNN."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spelled(char) if char != " " and unicodedata.category(char) in _UNSAFE else char for char in text)


def escape_lines(text: str) -> list[str]:
    """The text line by line, each escaped. Only line feeds end a line; a trailing one adds none."""
    lines = text.split("\n")
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return [escape(line) for line in lines]


def _spelled(char: str) -> str:
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char)
    if short is not None:
        return short
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
