"""How a statement begins, for a trace: remembered, because scanning 300 statements for it costs 10 ms."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from scripts.migrations.folder.runnable import UNSAID, leading_words, statement_words

if TYPE_CHECKING:
    from scripts.parser.statements import Statement

# Two words, with those between them that do not say what the statement is about; or one before what is surely none;
# anything else, a comment above all, is left to the scanner.
_HEAD = re.compile(
    r"[A-Za-z]+[ \n\t]+(?:(?:" + "|".join(sorted(UNSAID)) + r")[ \n\t]+)*"
    r"""(?:[A-Za-z]+(?=[ \n\t.(,]|\Z)|(?=[$("0-9*]))""",
    re.IGNORECASE,
)


def words_of(statement: Statement) -> str:
    """The first words, such as CREATE TABLE, or CREATE UNIQUE INDEX."""
    head = _HEAD.match(statement.text)
    return (head and _of_head(head[0])) or statement_words(statement)


@lru_cache(maxsize=1000)
def _of_head(head: str) -> str:
    return leading_words(head)
