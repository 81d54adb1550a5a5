"""How the server reads a parameter that is a list: names of schemas, files of libraries.

Owns: its two ways of splitting one (SplitIdentifierString and SplitDirectoriesString of its source).
Promises: what stands between quotes is one item, whatever is in it; what the server would refuse to read is None.
Never: judges an item (stored.py).
"""

from __future__ import annotations

import re

# What the server skips between items.
_SPACE = " \t\n\r\f\v"
_QUOTED = r'"((?:[^"]|"")*)"'
_NAME = re.compile(rf'{_QUOTED}|([^",{_SPACE}][^,{_SPACE}]*)')
_FILE = re.compile(rf'{_QUOTED}|([^",{_SPACE}][^,]*)')
_LONGEST_NAME = 63


def names_listed(value: str) -> list[str] | None:
    """The names, as they are looked up: in small letters and cut to 63 bytes, as an identifier is; quoted, as they are.

    Args:
        value: as it is stored, or in a file of the server's.
    """
    items = _split(value, _NAME)
    return None if items is None else [_cut(item if quoted else _small(item)) for item, quoted in items]


def files_listed(value: str) -> list[str] | None:
    """The files, in the letters that they are given in."""
    items = _split(value, _FILE)
    return None if items is None else [item for item, _ in items]


def _split(value: str, item: re.Pattern[str]) -> list[tuple[str, bool]] | None:
    """Each item, and whether it was quoted."""
    rest = value.lstrip(_SPACE)
    if not rest:
        return []
    found: list[tuple[str, bool]] = []
    while read := item.match(rest):
        quoted = read[1] is not None
        found.append((read[1].replace('""', '"') if quoted else read[2].rstrip(_SPACE), quoted))
        rest = rest[read.end() :].lstrip(_SPACE)
        if not rest:
            return found
        if rest[0] != ",":
            break
        rest = rest[1:].lstrip(_SPACE)
    return None


def _small(name: str) -> str:
    """In an encoding of several bytes the server makes small letters of A to Z alone."""
    return "".join(letter.lower() if "A" <= letter <= "Z" else letter for letter in name)


def _cut(name: str) -> str:
    return name.encode()[:_LONGEST_NAME].decode(errors="ignore")
