"""libpg_query, PostgreSQL's own grammar, reached through postgast.

Owns: the only import of postgast, made at the first use (it costs 80 ms), and the translation of its byte offsets.
Promises: a text with a NUL is refused here, because the C library would silently read a part of it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from scripts.parser.positions import Positions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_TOKEN = attrgetter("start", "end", "token", "keyword_kind")
COMMENTS = frozenset({"SQL_COMMENT", "C_COMMENT"})


class ParseError(Exception):
    """The grammar refuses the text; `offset` is the character it stopped at, None when it does not say."""

    def __init__(self, message: str, offset: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class TooDeepError(ParseError):
    """The tree is deeper than can be read back from the library."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `kind` is the grammar's name (IDENT, SCONST, SQL_COMMENT, …), offsets are in characters."""

    kind: str
    start: int
    end: int
    text: str

    @property
    def word(self) -> str:
        """The text in lower case; a quoted identifier keeps its quotes, so it never equals a keyword."""
        return self.text.lower()

    @property
    def is_comment(self) -> bool:
        """Whether it is a comment of either form."""
        return self.kind in COMMENTS


@dataclass(frozen=True, slots=True)
class RawStatement:
    """A parsed statement: character offsets of its source, and the unwrapped protobuf node."""

    start: int
    end: int
    node: Any


def parse_raw(text: str) -> list[RawStatement]:
    """Parse every statement of the text.

    Raises:
        ParseError: the grammar refuses it; TooDeepError when its tree is too deep.
    """
    _require_no_nul(text)
    library = _library()
    from google.protobuf.message import DecodeError

    try:
        parsed = library.parse(text)
    except library.PgQueryError as exc:
        raise _translated(exc) from exc
    except DecodeError as exc:
        raise TooDeepError("nested too deeply", None) from exc
    spans: list[int] = []
    size = len(text) if text.isascii() else len(text.encode())
    for raw in parsed.stmts:
        # A length of zero means "to the end of the text".
        spans += [raw.stmt_location, raw.stmt_location + raw.stmt_len if raw.stmt_len else size]
    offsets = Positions(text).characters(spans)
    return [
        RawStatement(offsets[2 * index], offsets[2 * index + 1], unwrap(raw.stmt))
        for index, raw in enumerate(parsed.stmts)
    ]


def scan_tokens(text: str) -> list[Token]:
    """Every token of the text, comments included.

    Raises:
        ParseError: an unterminated string, comment or quoted name.
    """
    _require_no_nul(text)
    library = _library()
    try:
        tokens = library.scan(text).tokens
    except library.PgQueryError as exc:
        raise _translated(exc) from exc
    names = token_names()
    spans: list[int] = []
    for token in tokens:
        spans += [token.start, token.end]
    offsets = Positions(text).characters(spans)
    return [
        Token(names[token.token], offsets[2 * i], offsets[2 * i + 1], text[offsets[2 * i] : offsets[2 * i + 1]])
        for i, token in enumerate(tokens)
    ]


def scan_raw(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """First byte, last byte, number of its kind and keyword kind (0: none) of every token, comments included.

    Args:
        data: UTF-8.

    Raises:
        ParseError: a NUL, or an unterminated string, comment or quoted name.
    """
    text = data.decode()
    _require_no_nul(text)
    library = _library()
    try:
        tokens = library.scan(text).tokens
    except library.PgQueryError as exc:
        raise _translated(exc) from exc
    return map(_TOKEN, tokens)


def deparse(node: Any) -> str:
    """The SQL text of one statement's node.

    Args:
        node: an unwrapped statement node, such as IndexStmt; it is not changed.
    """
    result = _library().ParseResult()
    wrapper = result.stmts.add().stmt
    for field in wrapper.DESCRIPTOR.fields:
        if field.message_type is node.DESCRIPTOR:
            getattr(wrapper, field.name).CopyFrom(node)
            break
    text: str = _library().deparse(result)
    return text


def unwrap(node: Any) -> Any:
    """The concrete message inside a `Node`; any other message as it is."""
    if node.DESCRIPTOR.name == "Node":
        which = node.WhichOneof("node")
        return node if which is None else getattr(node, which)
    return node


@cache
def _library() -> ModuleType:
    # The default limit of 100 levels is reached by `a || b || …` with fifty terms; the grammar itself stops thousands
    # of levels later, long before the C stack does. With another protobuf implementation the limit stays, and a text
    # that is too deep is refused, never passed.
    with suppress(ImportError):
        import_module("google._upb._message").SetAllowOversizeProtos(True)
    return import_module("postgast")  # its type stubs do not parse, so mypy must not follow an import statement


@cache
def token_names() -> dict[int, str]:
    """The grammar's names of the scanner's tokens, by their numbers."""
    return {value.number: value.name for value in _library().pg_query_pb2.DESCRIPTOR.enum_types_by_name["Token"].values}


def _require_no_nul(text: str) -> None:
    at = text.find("\0")
    if at >= 0:
        raise ParseError("a NUL character", at)


def _translated(exc: Any) -> ParseError:
    # Unlike every other offset of the library this one counts characters (scanner_errposition), whatever postgast says.
    return ParseError(exc.message, exc.cursorpos - 1 if exc.cursorpos > 0 else None)
