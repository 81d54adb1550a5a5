"""A query without its constants: what may be shown of another session's work.

Owns: which tokens of a query are kept.
Promises: no string, number, bit string, dollar-quoted body, comment or COPY data of the query is in the answer, also
when the server cut the query in the middle of one (pg_stat_activity keeps 1024 bytes). Names are kept: whoever is woken
at night must know the table.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scripts.parser.native import ParseError, scan_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.parser.native import Token

LENGTH = 200
CONSTANT, CUT = "?", "…"
_CONSTANTS = frozenset({"SCONST", "USCONST", "BCONST", "XCONST", "ICONST", "FCONST"})
# A quoted name is kept when it looks like one; "4111 1111" or "a@b" is data that somebody used as an alias.
_QUOTED_NAME = re.compile(r'"[^\W\d]\w*"')


def redacted(query: str, *, length: int = LENGTH) -> str:
    """The query on one line, every constant as `?`, comments left out.

    Args:
        query: as pg_stat_activity has it: perhaps cut, perhaps no SQL at all.
        length: of the answer, in characters; `…` marks what was left out.
    """
    text, whole = _scannable(query)
    tokens, complete = _shown_tokens(scan_tokens(text))
    return _fitted(_joined(tokens), length, complete=whole and complete)


def _scannable(query: str) -> tuple[str, bool]:
    """The part before anything that the scanner refuses, and whether that is all of it."""
    text = query.partition("\0")[0].encode(errors="replace").decode()
    whole = len(text) == len(query)
    while True:
        try:
            scan_tokens(text)
        except ParseError as exc:
            whole = False
            # Every turn makes the text shorter, so this ends; a place that is not told leaves nothing.
            text = text[: min(exc.offset or 0, len(text) - 1)]
        else:
            return text, whole


def _shown_tokens(tokens: list[Token]) -> tuple[list[tuple[bool, str]], bool]:
    """Every token as it may be shown, with whether space came before it; and whether none was held back at the end."""
    shown: list[tuple[bool, str]] = []
    first, setting, value = True, False, False  # after SET name = : a bare word is a value
    end = 0
    for number, token in enumerate(tokens):
        if token.is_comment:
            continue
        if first:
            first, setting, value = False, token.word == "set", False
        shown.append((token.start > end, _shown(token, value=value)))
        value = value or (setting and token.word in ("=", "to"))
        first = first or token.kind == "ASCII_59"
        if first:
            value = False
        if _ends_certainty(token):
            return shown, number + 1 == len(tokens)
        end = token.end
    return shown, True


def _ends_certainty(token: Token) -> bool:
    """Whether what follows cannot be trusted to be SQL as we read it.

    After FROM STDIN there may be rows. A backslash in a plain string escapes a quote for a session that has
    standard_conforming_strings off: its string may end later than ours.
    """
    return token.kind == "STDIN" or (token.kind == "SCONST" and token.text[0] == "'" and "\\" in token.text)


def _shown(token: Token, *, value: bool) -> str:
    if token.kind in _CONSTANTS or token.kind == "UIDENT":
        return CONSTANT
    if token.text.startswith('"'):
        return token.text if _QUOTED_NAME.fullmatch(token.text) and not value else CONSTANT
    if value and not token.kind.startswith("ASCII_") and token.kind != "PARAM":
        return CONSTANT
    return token.text


def _joined(words: list[tuple[bool, str]]) -> str:
    return "".join(f" {word}" if apart else word for apart, word in _without_repeats(words)).strip()


def _without_repeats(words: list[tuple[bool, str]]) -> Iterator[tuple[bool, str]]:
    """`IN (?, ?, ?)` is as long as its list was: `?, …` says as much."""
    texts = [text for _, text in words]
    number = 0
    while number < len(words):
        yield words[number]
        if texts[number : number + 3] == [CONSTANT, ",", CONSTANT]:
            while texts[number + 1 : number + 3] == [",", CONSTANT]:
                number += 2
            yield from ((False, ","), (True, CUT))
        number += 1


def _fitted(text: str, length: int, *, complete: bool) -> str:
    if complete and len(text) <= length:
        return text
    return f"{text[: length - 2].rstrip()} {CUT}" if text else CUT
