"""Edits of a function's body: each statement and clause left out, each comparison turned round, each condition denied.

Owns: where in a body an edit is made.
Promises: places come from the scanner and from parsed trees; text around an edit stays as it is, so what people read
in a report is the line they know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.parser.native import Token, parse_raw, scan_tokens, unwrap
from scripts.parser.plpgsql import cut_plpgsql
from scripts.verifiers.mutants.clauses import without_clauses
from scripts.verifiers.mutants.flips import Flip, edges_of, flips_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scripts.parser.cutter import Piece

# Pieces that hold others, or that say nothing that could be left out.
_HEADS = frozenset({"IF", "WHILE", "FOR", "FOREACH", "CASE", "WHEN", "EXCEPTION", "DECLARE", "NULL"})
_CONDITIONS = frozenset({"IF", "WHILE", "WHEN"})
_OPENS = {"IF": "if", "WHILE": "loop", "FOR": "loop", "FOREACH": "loop", "CASE": "case"}
_SELECT = len("SELECT ")


def edits_of(language: str, body: str) -> Iterator[Flip]:
    """Every edit of a body, in the order of its text within each kind of edit.

    Args:
        language: plpgsql or sql.
        body: the text between the dollar quotes.
    """
    if language == "sql":
        yield from _of_sql(body)
        return
    tokens = [token for token in scan_tokens(body) if not token.is_comment]
    pieces = cut_plpgsql(body, tokens)
    for piece in pieces:
        yield from _without(body, piece, tokens)
    for piece in pieces:
        yield from _turned(body, piece)


def _of_sql(body: str) -> Iterator[Flip]:
    statements = parse_raw(body)
    for raw in statements[:-1]:
        end = body.index(";", raw.end) + 1 if body[raw.end : raw.end + 1] != ";" else raw.end + 1
        yield Flip(raw.start, end, "", f"{_line(body, raw.start)}without {_short(body[raw.start : raw.end])}")
    for raw in statements:
        text = body[raw.start : raw.end]
        for flip in (*flips_of(text), *edges_of(text), *without_clauses(text)):
            yield _placed(body, flip, raw.start)


def _without(body: str, piece: Piece, tokens: Sequence[Token]) -> Iterator[Flip]:
    """The statement left out; of a head, with all that it holds."""
    text = body[piece.start : piece.end]
    line = _line(body, piece.start)
    if piece.kind not in _HEADS:
        yield Flip(piece.start, piece.end, "NULL", f"{line}without {_short(text)}")
    elif piece.kind == "DECLARE" and piece.sql and "constant" not in [t.word for t in scan_tokens(text)]:
        # Up to the assignment that precedes the value.
        head = body[piece.start : piece.sql_start + _SELECT].rstrip().removesuffix(":=").removesuffix("=").rstrip()
        if head.lower().endswith("default"):
            head = head[: -len("default")].rstrip()
        yield Flip(piece.start, piece.end, head, f"{line}without the value of {_short(text)}")
    elif piece.kind in _OPENS:
        end = _end_of(piece, tokens)
        if end is not None:
            yield Flip(piece.start, end, "NULL", f"{line}without all of {_short(text)}")


def _end_of(piece: Piece, tokens: Sequence[Token]) -> int | None:
    """Where the statement ends that a head opens; None for ELSIF, which opens none."""
    word = _OPENS[piece.kind]
    first = next(index for index, token in enumerate(tokens) if token.start == piece.start)
    if tokens[first].word in ("elsif", "elseif"):
        return None
    depth = 0
    for index in range(first, len(tokens)):
        here, before = tokens[index].word, tokens[index - 1].word if index else ""
        if here != word:
            continue
        if before != "end":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return tokens[index].end
    return None


def _turned(body: str, piece: Piece) -> Iterator[Flip]:
    """Each comparison turned round; a condition without one is denied as a whole."""
    if not piece.sql:
        return
    named = _option_names(piece)
    flips = [flip for flip in flips_of(piece.sql) if flip.start not in named]
    for flip in (*flips, *edges_of(piece.sql), *without_clauses(piece.sql)):
        yield _placed(body, flip, piece.sql_start)
    if piece.kind in _CONDITIONS and len(flips) != 1:
        start, end = piece.sql_start + _SELECT, piece.sql_start + len(piece.sql)
        text = body[start:end]
        yield Flip(start, end, f"NOT coalesce({text}, false)", f"{_line(body, start)}not {_short(text)}")


def _option_names(piece: Piece) -> frozenset[int]:
    """Where the = of an option of RAISE … USING stands: it compares nothing."""
    if piece.kind != "RAISE":
        return frozenset()
    (raw,) = parse_raw(piece.sql)
    values = [unwrap(target.res_target.val) for target in raw.node.target_list]
    data = piece.sql.encode()
    return frozenset(len(data[: one.location].decode()) for one in values if one.DESCRIPTOR.name == "A_Expr")


def _placed(body: str, flip: Flip, offset: int) -> Flip:
    start, end = flip.start + offset, flip.end + offset
    around = " ".join(body[max(0, start - 25) : end + 25].split())
    return Flip(start, end, flip.text, f"{_line(body, start)}{flip.what} in {around}")


def _line(body: str, offset: int) -> str:
    """Where it stands: line and column of the body, 1-based."""
    return f"{body.count(chr(10), 0, offset) + 1}:{offset - body.rfind(chr(10), 0, offset)} "


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 60 else words[:59] + "…"
