"""A name as SQL: for statements that are put together where no connection is at hand to ask for its quoting.

Owns: the form of a quoted identifier.
"""

from __future__ import annotations


def quoted(name: str) -> str:
    """A name as an SQL identifier, always in quotes."""
    return '"' + name.replace('"', '""') + '"'
