"""The digest of parsed statements: two texts have the same one when they differ in comments and white space alone.

Owns: what of a statement counts, and the form in which it is hashed.
Promises: the tokens are those of PostgreSQL's own scanner; of two texts with one digest the grammar sees the same.
Never: looks into a string: a function's body is one token, kept by the catalog to the last character.

The form, which anybody can compute again (it is stored, so it never changes; another form gets another first line):
a token is its source bytes, but a keyword and an unquoted identifier have their ASCII letters in lower case, and the
`N` of N'…' is `nchar`; comments are no tokens. A statement's digest is the sha256 of its tokens with a NUL between
two. A file's digest is the sha256 of the lines `statements/1`, then `no_tx` when it is marked, then each statement's
digest in hexadecimal, every line ended by LF.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cache, lru_cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from scripts.digest import sha256_hex
from scripts.parser.native import scan, token_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FORM = "statements/1"
_QUOTE = ord('"')


@lru_cache(maxsize=64)
def statement_digest(text: str) -> str:
    """The digest of one statement, without its semicolon. The last few are remembered: a journal asks for each twice.

    Raises:
        ParseError: an unterminated string, comment or quoted name.
    """
    return _hashed(_words(text)[1])


def statement_digests(text: str, spans: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """The digests of many statements of one text, for the price of one scan.

    Args:
        text: the whole text.
        spans: first and last character offset of each statement, in ascending order, semicolons left out.

    Raises:
        ParseError: an unterminated string, comment or quoted name.
    """
    starts, words = _words(text)
    offsets = [offset for span in spans for offset in span]
    if not text.isascii():
        offsets = list(accumulate(len(text[a:b].encode()) for a, b in pairwise((0, *offsets))))
    return tuple(
        _hashed(words[bisect_left(starts, first) : bisect_left(starts, last)])
        for first, last in zip(offsets[::2], offsets[1::2], strict=True)
    )


def file_digest(digests: Iterable[str], *, no_tx: bool) -> str:
    """The digest of a file by its statements' digests; the marker is a comment that counts.

    Args:
        digests: of the statements, in order; empty statements are none.
        no_tx: whether the file is marked to run outside a transaction.
    """
    lines = [FORM, *(["no_tx"] if no_tx else []), *digests]
    return sha256_hex("".join(f"{line}\n" for line in lines).encode())


def _hashed(words: Iterable[bytes]) -> str:
    # No token holds a NUL: a text with one is refused.
    return sha256_hex(b"\0".join(words))


def _words(text: str) -> tuple[list[int], list[bytes]]:
    """Byte offset and canonical form of every token but the comments."""
    comments, name, national, keywords = _kinds()
    starts, ends, kinds = scan(text)
    data = text.encode()
    # The server folds ASCII alone in a database of a multibyte encoding; bytes.lower() does the same.
    folded = data.lower()
    words = [folded[start:end] for start, end in zip(starts, ends, strict=True)]
    dropped: list[int] = []
    for index, kind in enumerate(kinds):
        if kind < keywords:
            if kind in comments:
                dropped.append(index)
            elif kind != name or data[starts[index]] == _QUOTE:
                words[index] = data[starts[index] : ends[index]]
        elif kind == national:
            words[index] = b"nchar"
    for index in reversed(dropped):
        del words[index], starts[index]
    return starts, words


@cache
def _kinds() -> tuple[frozenset[int], int, int, int]:
    """Numbers of the comments, of IDENT, of NCHAR, and of the first keyword: the grammar's keywords come last."""
    numbers = {name: number for number, name in token_names().items()}
    comments = frozenset((numbers["SQL_COMMENT"], numbers["C_COMMENT"]))
    return comments, numbers["IDENT"], numbers["NCHAR"], numbers["ABORT_P"]
