"""How a statement begins, for a trace: remembered, because scanning 300 statements for it costs 10 ms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.migrations.runnable import statement_words

if TYPE_CHECKING:
    from scripts.parser.statements import Statement

_REMEMBERED: dict[tuple[str, ...], str] = {}
_REMEMBERED_MOST = 1000


def words_of(statement: Statement) -> str:
    """The first one or two words, such as CREATE TABLE."""
    head = tuple(statement.text[:80].split(None, 3)[:3])
    if len(head) < 3 or any("-" in word or "/" in word for word in head):  # a comment may stand between
        return statement_words(statement)
    known = _REMEMBERED.get(head)
    if known is None:
        if len(_REMEMBERED) >= _REMEMBERED_MOST:
            _REMEMBERED.clear()
        known = _REMEMBERED[head] = statement_words(statement)
    return known
