"""How a statement begins, for a trace: remembered, because scanning 300 statements for it costs 10 ms."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from scripts.migrations.runnable import UNSAID, leading_words, statement_words

if TYPE_CHECKING:
    from scripts.parser.statements import Statement

# Two words, or one before what is surely none; anything else, a comment above all, is left to the scanner.
_HEAD = re.compile(r"""[A-Za-z]+[ \n\t]+(?:[A-Za-z]+(?=[ \n\t.(,]|\Z)|(?=[$("0-9*]))""")


def words_of(statement: Statement) -> str:
    """The first words, such as CREATE TABLE, or CREATE UNIQUE INDEX."""
    head = _HEAD.match(statement.text)
    words = _of_head(head[0]) if head else ""
    return words if words and words.rpartition(" ")[2] not in UNSAID else statement_words(statement)


@lru_cache(maxsize=1000)
def _of_head(head: str) -> str:
    return leading_words(head)
