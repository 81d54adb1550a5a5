"""What the rest of us sees of libpg_query: tokens, statements and trees, placed by characters.

Owns: the translation of the library's byte offsets, and the first use of it (its import costs 40 ms).
Promises: a text with a NUL is refused here, because the C library would silently read a part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.parser.positions import Positions

if TYPE_CHECKING:
    from types import ModuleType

COMMENTS = frozenset({"SQL_COMMENT", "C_COMMENT"})
# The tags of ScanToken's fields, as library.scan hands them on, and for each a table that finds it among others.
_START, _END, _KIND = (bytes(1 if tag == wanted else 0 for tag in range(256)) for wanted in (8, 16, 32))


class ParseError(Exception):
    """The grammar refuses the text; `offset` is the character it stopped at, None when it does not say."""

    def __init__(self, message: str, offset: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class TooDeepError(ParseError):
    """The tree is deeper than can be read back from the library."""


class Token(NamedTuple):
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


class Scan(NamedTuple):
    """The tokens of a text in three lists of one length: first byte, byte behind the last, number of the kind."""

    starts: list[int]
    ends: list[int]
    kinds: list[int]


def parse_raw(text: str) -> list[RawStatement]:
    """Parse every statement of the text.

    Raises:
        ParseError: the grammar refuses it; TooDeepError when its tree is too deep.
    """
    _require_no_nul(text)
    library = _library()
    from google.protobuf.message import DecodeError

    data = text.encode()
    try:
        parsed = library.parse(data)
    except library.LibraryError as exc:
        raise _translated(exc) from exc
    except DecodeError as exc:
        raise TooDeepError("nested too deeply", None) from exc
    spans: list[int] = []
    nodes: list[Any] = []
    for raw in parsed.stmts:
        start, length = raw.stmt_location, raw.stmt_len
        # A length of zero means "to the end of the text".
        spans += (start, start + length if length else len(data))
        nodes.append(unwrap(raw.stmt))
    offsets = Positions(text).characters(spans)
    return list(map(RawStatement, offsets[::2], offsets[1::2], nodes))


def split_raw(text: str) -> list[tuple[int, int]]:
    """First and last character offset of every statement, as `parse_raw` would give them, for a quarter of its price.

    Raises:
        ParseError: the grammar refuses it.
    """
    _require_no_nul(text)
    library = _library()
    try:
        spans = library.split(text.encode())
    except library.LibraryError as exc:
        raise _translated(exc) from exc
    offsets = Positions(text).characters(spans)
    return list(zip(offsets[::2], offsets[1::2], strict=True))


def scan_tokens(text: str) -> list[Token]:
    """Every token of the text, comments included.

    Raises:
        ParseError: an unterminated string, comment or quoted name.
    """
    starts, ends, kinds = scan(text)
    names = token_names()
    if not text.isascii():
        spans = [0] * (2 * len(starts))
        spans[::2], spans[1::2] = starts, ends
        offsets = Positions(text).characters(spans)
        starts, ends = offsets[::2], offsets[1::2]
    return [
        # A character that is in no statement, such as a brace or a control character, has no name in the grammar.
        Token(names.get(kind, "OTHER"), start, end, text[start:end])
        for start, end, kind in zip(starts, ends, kinds, strict=True)
    ]


def scan(text: str) -> Scan:
    """Every token of the text by bytes, comments included: for whole files, where an object a token is too dear.

    Raises:
        ParseError: a NUL, or an unterminated string, comment or quoted name.
    """
    _require_no_nul(text)
    library = _library()
    try:
        flat = library.scan(text.encode())
    except library.LibraryError as exc:
        raise _translated(exc) from exc
    tags, values = bytes(flat[::2]), flat[1::2]
    starts, ends, kinds = (list(compress(values, tags.translate(table))) for table in (_START, _END, _KIND))
    if len(starts) < len(ends):
        starts.insert(0, 0)  # a zero is left out on the wire; only the first token can begin there
    return Scan(starts, ends, kinds)


def deparse(node: Any) -> str:
    """The SQL text of one statement's node.

    Args:
        node: an unwrapped statement node, such as IndexStmt; it is not changed.
    """
    library = _library()
    result = library.message_class("ParseResult")()
    wrapper = result.stmts.add().stmt
    for field in wrapper.DESCRIPTOR.fields:
        if field.message_type is node.DESCRIPTOR:
            getattr(wrapper, field.name).CopyFrom(node)
            break
    text: str = library.deparse(result)
    return text


def unwrap(node: Any) -> Any:
    """The concrete message inside a `Node`; any other message as it is."""
    if node.DESCRIPTOR.name == "Node":
        which = node.WhichOneof("node")
        return node if which is None else getattr(node, which)
    return node


@cache
def token_names() -> dict[int, str]:
    """The grammar's names of the scanner's tokens, by their numbers."""
    names: dict[int, str] = _library().enum_names("Token")
    return names


@cache
def _library() -> ModuleType:
    from scripts.parser import library

    return library


def _require_no_nul(text: str) -> None:
    at = text.find("\0")
    if at >= 0:
        raise ParseError("a NUL character", at)


def _translated(exc: Any) -> ParseError:
    # Unlike every other offset of the library this one counts characters (scanner_errposition).
    return ParseError(exc.message, exc.cursor - 1 if exc.cursor > 0 else None)
