"""Comparisons turned round, one at a time, in the text they stand in.

Owns: which token of an SQL text is a comparison, and what its opposite is.
Promises: a token counts only where the parsed tree has an operator, a test for null, or an AND or OR; a string or a
comment is never touched, and everything else keeps its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.parser.native import ParseError, Token, parse_raw, scan_tokens
from scripts.parser.parse import walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OPPOSITE = {
    "=": "<>",
    "<>": "=",
    "!=": "=",
    "<": ">=",
    ">=": "<",
    ">": "<=",
    "<=": ">",
    "~": "!~",
    "!~": "~",
    "~*": "!~*",
    "!~*": "~*",
}
_EDGES = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
# (what the tree has there, the word) → what stands there instead, and how it is told.
_NEGATED = {
    ("operator", "in"): ("NOT IN", "IN is NOT IN"),
    ("exists", "exists"): ("NOT EXISTS", "EXISTS is NOT EXISTS"),
    ("not", "not"): ("", "NOT is gone"),
}
_TESTS = frozenset({"NullTest", "BooleanTest"})


@dataclass(frozen=True, slots=True)
class Flip:
    """Characters start … end of a text give way to `text`; `what` says it for people."""

    start: int
    end: int
    text: str
    what: str


def flips_of(sql: str) -> Iterator[Flip]:
    """Every comparison of one statement that can be turned round.

    Args:
        sql: one statement that the grammar takes; nothing is found in another.
    """
    tree = _tree(sql)
    if tree is None:
        return
    tokens = [token for token in scan_tokens(sql) if not token.is_comment]
    places = _places(tree)
    data = sql.encode()
    for index, token in enumerate(tokens):
        if token.word == "exists" and index and tokens[index - 1].word == "not":
            continue  # the NOT before it is turned round
        kind = places.get(len(sql[: token.start].encode()) if len(data) != len(sql) else token.start, "")
        following = [other.word for other in tokens[index + 1 : index + 3]]
        flip = _at(kind, token, tokens[index + 1 : index + 2], following)
        if flip is not None:
            yield flip
        elif token.word in ("and", "or"):
            other = "OR" if token.word == "and" else "AND"
            found = Flip(token.start, token.end, other, f"{token.text.upper()} is {other}")
            # The AND of BETWEEN is none of ours: with OR in its place the grammar refuses the text.
            if _tree(sql[: found.start] + other + sql[found.end :]) is not None:
                yield found


def edges_of(sql: str) -> Iterator[Flip]:
    """Every order of one statement with its edge moved: what is equal falls to the other side."""
    tree = _tree(sql)
    if tree is None:
        return
    places = _places(tree)
    for token in scan_tokens(sql):
        other = _EDGES.get(token.text)
        if other and places.get(len(sql[: token.start].encode())) == "operator":
            yield Flip(token.start, token.end, other, f"{token.text} is {other}")


def flipped(expression: str) -> Iterator[tuple[str, str]]:
    """Every comparison of an expression turned round: what was done, and the expression."""
    head = "SELECT "
    for flip in flips_of(head + expression):
        start, end = flip.start - len(head), flip.end - len(head)
        around = expression[max(0, start - 20) : end + 20]
        yield f"{flip.what} in {' '.join(around.split())}", expression[:start] + flip.text + expression[end:]


def _at(kind: str, token: Token, following: Sequence[Token], words: list[str]) -> Flip | None:
    """The flip of the comparison that begins with this token, if one does.

    Args:
        kind: what the tree has there (`_places`); empty for nothing.
        token: the token.
        following: the next one, if there is one.
        words: the next two, as words.
    """
    word = token.word
    if kind == "operator" and token.text in _OPPOSITE:
        return Flip(token.start, token.end, _OPPOSITE[token.text], f"{token.text} is {_OPPOSITE[token.text]}")
    if kind in ("test", "operator") and word == "is" and words:
        if words[0] == "not":
            return Flip(token.start, following[0].end, "IS", f"IS NOT {words[-1].upper()} is IS {words[-1].upper()}")
        return Flip(token.start, token.end, "IS NOT", f"IS {words[0].upper()} is IS NOT {words[0].upper()}")
    if kind == "operator" and word == "not" and words[:1] == ["in"]:
        return Flip(token.start, following[0].end, "IN", "NOT IN is IN")
    found = _NEGATED.get((kind, word))
    return Flip(token.start, token.end, found[0], found[1]) if found else None


def _places(tree: Any) -> dict[int, str]:
    """Byte offset → what stands there: operator, test, exists or not."""
    places: dict[int, str] = {}
    for node in walk(tree):
        name = node.DESCRIPTOR.name
        if name == "A_Expr":
            places[node.location] = "operator"
        elif name in _TESTS:
            places[node.location] = "test"
        elif name == "SubLink":
            kind = node.DESCRIPTOR.fields_by_name["sub_link_type"].enum_type.values_by_number[node.sub_link_type].name
            places.setdefault(node.location, "exists" if kind == "EXISTS_SUBLINK" else "operator")
        elif name == "BoolExpr" and len(node.args) == 1:
            places.setdefault(node.location, "not")
    return places


def _tree(sql: str) -> Any:
    try:
        statements = parse_raw(sql)
    except ParseError:
        return None
    return statements[0].node if len(statements) == 1 else None
