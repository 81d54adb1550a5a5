"""Split a file into statements, each with its place and its tree.

Owns: `Statement`, and the errors of a text that PostgreSQL's grammar refuses.
Promises: `text` is exactly what is sent to the server, so that the server's positions can be added to `offset`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from scripts.errors.sql_text import ClientCommandError, CopyStreamError, SqlSyntaxError
from scripts.parser.digests import statement_digest
from scripts.parser.native import ParseError, TooDeepError, parse_raw, scan_tokens, split_raw, unwrap
from scripts.parser.positions import Positions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from scripts.errors.history import HistoryError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a file.

    index: 0-based in the file.
    text: the source from its first token to its last, without the semicolon.
    offset: character offset of text[0] in the file; `line` and `column` are 1-based.
    node: the protobuf message, such as IndexStmt; `kind` is that message's name.
    """

    index: int
    text: str
    offset: int
    line: int
    column: int
    node: Any = field(repr=False, compare=False)
    kind: str = ""

    @property
    def digest(self) -> str:
        """What the statement says, comments and white space left out (digests.py)."""
        return statement_digest(self.text)

    @property
    def end(self) -> int:
        """Character offset behind its last token."""
        return self.offset + len(self.text)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One statement of a file before it is taken apart: the fields are those of `Statement`, without a tree."""

    index: int
    text: str
    offset: int
    line: int
    column: int

    @property
    def end(self) -> int:
        """Character offset behind its last token."""
        return self.offset + len(self.text)

    def parsed(self, *, where: str) -> Statement:
        """The same with its tree, whose locations count from the statement's own start.

        Raises:
            SqlSyntaxError: the tree is too deep to be read back.
        """
        (raw,) = _read(parse_raw, self.text, where)
        return self.with_node(raw.node)

    def with_node(self, node: Any) -> Statement:
        """The same with a tree that was made elsewhere."""
        return Statement(self.index, self.text, self.offset, self.line, self.column, node, node.DESCRIPTOR.name)


def parse_statements(text: str, *, where: str) -> tuple[Statement, ...]:
    """Parse every statement of the text.

    Args:
        text: the whole file.
        where: how errors name it, usually the file name.

    Raises:
        SqlSyntaxError: PostgreSQL's grammar refuses it: file:line:column and a caret.
        ClientCommandError: a psql command or variable stands at that place.
        CopyStreamError: the text there is the data of a COPY … FROM STDIN.
    """
    raw = _read(parse_raw, text, where)
    excerpts = _excerpts(text, [(item.start, item.end) for item in raw])
    return tuple(excerpt.with_node(item.node) for excerpt, item in zip(excerpts, raw, strict=True))


def cut_statements(text: str, *, where: str) -> tuple[Excerpt, ...]:
    """The statements of a text that the grammar takes, without their trees, which cost four times as much as all this.

    Args, raises: as `parse_statements`.
    """
    return tuple(_excerpts(text, _read(split_raw, text, where)))


def _read(grammar: Callable[[str], _T], text: str, where: str) -> _T:
    """What the grammar makes of a text; what it refuses is told by its place."""
    try:
        return grammar(text)
    except ParseError as exc:
        raise _explained(exc, Positions(text), where) from exc


def _excerpts(text: str, spans: Iterable[tuple[int, int]]) -> Iterator[Excerpt]:
    line, before = 1, 0
    for index, (start, end) in enumerate(spans):
        line += text.count("\n", before, start)
        before = start
        yield Excerpt(index, _trimmed(text[start:end]), start, line, start - text.rfind("\n", 0, start))


def walk(node: Any) -> Iterator[Any]:
    """The message itself and every message below it, depth first, `Node` wrappers left out."""
    stack = [unwrap(node)]
    while stack:
        message = stack.pop()
        yield message
        children: list[Any] = []
        for descriptor, value in message.ListFields():
            if descriptor.message_type is None:
                continue
            children.extend(map(unwrap, value) if hasattr(value, "append") else (unwrap(value),))
        stack.extend(reversed(children))


def _trimmed(source: str) -> str:
    """Cut white space and comments off the end, by tokens: `--` may also stand in a string."""
    source = source.rstrip()
    if source.endswith("*/") or "--" in source[source.rfind("\n") + 1 :]:
        tokens = [token for token in scan_tokens(source) if not token.is_comment]
        return source[: tokens[-1].end]
    return source


def _explained(exc: ParseError, positions: Positions, where: str) -> HistoryError:
    if isinstance(exc, TooDeepError):
        return SqlSyntaxError.too_deep(where=where)
    text = positions.text
    at = len(text) if exc.offset is None else exc.offset
    label, source = positions.label(where, at), positions.caret(at)
    if text[at : at + 1] == "\0":
        return SqlSyntaxError.nul(where=label)
    copy = _copy_before(text[:at])
    if copy is not None:
        return CopyStreamError.of("… FROM STDIN", where=positions.label(where, copy), source=positions.caret(copy))
    if text[at : at + 1] == "\\":
        return ClientCommandError.meta_command(where=label, source=source)
    if (
        text[at : at + 1] == ":"
        and text[at + 1 : at + 2].replace("'", "_").replace('"', "_").replace("{", "_").isidentifier()
    ):
        return ClientCommandError.variable(where=label, source=source)
    return SqlSyntaxError.at(exc.message, where=label, source=source)


def _copy_before(text: str) -> int | None:
    """Where a COPY … FROM STDIN begins whose data the grammar may have stumbled over."""
    try:
        tokens = [token for token in scan_tokens(text) if not token.is_comment]
    except ParseError:
        return None
    start: int | None = None
    previous = ";"
    for token in tokens:
        if token.text == ";":
            start = None
        elif previous == ";":
            start = token.start if token.kind == "COPY" else None
        elif start is not None and token.kind == "STDIN":
            return start
        previous = token.text
    return None
