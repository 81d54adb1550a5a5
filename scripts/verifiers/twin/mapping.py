"""A definition with every name of ours moved to the twin, or the reason why it cannot be moved.

Owns: which tokens of a text are names of schema public, and what stands there instead.
Promises: names are found by the server's own scanner, so that what stands in a string or a comment is left alone; what
might reach a table outside the twin (a name that was not copied, another schema's, dynamic SQL) is refused, because
what runs in the twin is committed.
Never: asks a database.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from scripts.parser.native import ParseError, scan_tokens

if TYPE_CHECKING:
    from scripts.parser.native import Token

# Where the twin's name goes. No text of PostgreSQL's holds a NUL.
TWIN = "\0"
# A notification is the whole database's; in the twin it is a function that does nothing.
NOTIFIER = "pg_notify"
_BEFORE_A_TABLE = frozenset({"from", "join", "into", "update", "only", "table", "using", "references"})
_STRINGS = frozenset({"SCONST", "USCONST"})


class TwinError(Exception):
    """The twin cannot be made; `what` says why in a few words, without row data."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@lru_cache(maxsize=1024)
def mapped(text: str, copied: frozenset[str], kept: frozenset[str], schemas: frozenset[str], *, body: bool) -> str:
    """The text with `public.x` as `TWIN.x` wherever x is copied.

    Args:
        text: a statement, or the body of a function.
        copied: names of tables and functions that the twin has.
        kept: names in public that stay what they are, such as enum types.
        schemas: the other schemas of the database.
        body: whether it is a function's body: no string may speak of public, and no statement be made at run time.

    Raises:
        TwinError: a name could reach something outside the twin.
    """
    try:
        tokens = [token for token in scan_tokens(text) if not token.is_comment]
    except ParseError as exc:
        raise TwinError("a text that cannot be read") from exc
    pieces: list[str] = []
    done = 0
    for index, token in enumerate(tokens):
        new = _replaced(tokens, index, copied, kept, body=body)
        if new is None:
            _require_within(tokens, index, schemas, body=body)
            continue
        pieces += (text[done : token.start], new)
        done = token.end
    return "".join((*pieces, text[done:]))


def _replaced(
    tokens: list[Token], index: int, copied: frozenset[str], kept: frozenset[str], *, body: bool
) -> str | None:
    """What stands instead of the token, None when it stays."""
    token = tokens[index]
    if token.kind in _STRINGS:
        # The only string of a head that means a schema is an item of its search_path.
        return f"'{TWIN}'" if not body and token.text == "'public'" else None
    name = _name(token)
    if name not in ("public", "pg_catalog") or _text(tokens, index - 1) == ".":
        return None
    if _text(tokens, index + 1) != ".":
        if name == "pg_catalog":
            return None
        msg = "the schema public by itself"
        raise TwinError(msg)
    meant = _name(tokens[index + 2]) if index + 2 < len(tokens) else ""
    if name == "pg_catalog":
        return TWIN if meant == NOTIFIER else None
    if meant in copied:
        return TWIN
    if meant in kept:
        return None
    msg = f"public.{meant}, which is not copied"
    raise TwinError(msg)


def _require_within(tokens: list[Token], index: int, schemas: frozenset[str], *, body: bool) -> None:
    token, before = tokens[index], _text(tokens, index - 1)
    name = _name(token)
    if name in schemas and _text(tokens, index + 1) == "." and before != ".":
        called = _text(tokens, index + 3) == "("
        if called or before in _BEFORE_A_TABLE:
            msg = f"the schema {name}"
            raise TwinError(msg)
    if not body:
        return
    if token.kind in _STRINGS and "public" in token.text.lower():
        msg = "a string that speaks of public"
        raise TwinError(msg)
    if name in ("execute", "notify", "copy") or (name == NOTIFIER and before != "."):
        msg = f"{name} in a body"
        raise TwinError(msg)


def _name(token: Token) -> str:
    """The name that the token is, as the server folds it."""
    text = token.text
    return text[1:-1].replace('""', '"') if text.startswith('"') else token.word


def _text(tokens: list[Token], index: int) -> str:
    return tokens[index].word if 0 <= index < len(tokens) else ""
