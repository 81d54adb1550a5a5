"""The tools to cut PL/pgSQL with: what a piece is, and a cursor over tokens that minds parentheses and CASE.

Owns: `Piece` and `Cutter`. What the pieces of each statement are is said in plpgsql.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.parser.native import Token

OPENING, CLOSING = frozenset("(["), frozenset(")]")


@dataclass(frozen=True, slots=True)
class Piece:
    """One PL/pgSQL statement, or the head of one that holds others.

    kind: its first keyword in upper case (IF, RETURN, RAISE, …), ASSIGN, DECLARE, or SQL.
    start, end: character offsets of its source in the body, without the semicolon.
    sql: text to give to the SQL grammar, in step with the source from `sql_start` on; empty when there is none.
    dynamic: the SQL that runs is made at run time, by the expression in `sql`.
    """

    kind: str
    start: int
    end: int
    sql: str = ""
    sql_start: int = 0
    dynamic: bool = False


@dataclass
class Cutter:
    """A place in the tokens of a body, what is open there, and the pieces cut so far."""

    text: str
    tokens: Sequence[Token]
    at: int = 0
    pieces: list[Piece] = field(default_factory=list)
    # What is open: block, handler, if, case, loop.
    open: list[str] = field(default_factory=list)
    declaring: bool = False
    # Every token in lower case: asked for again and again.
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Fold the tokens once."""
        self.words = [token.word for token in self.tokens]

    def word(self, ahead: int = 0) -> str:
        """The token ahead in lower case; empty behind the last."""
        index = self.at + ahead
        return self.words[index] if index < len(self.words) else ""

    def until(self, *ends: str, first: int | None = None) -> int:
        """The index of the first token that is one of `ends`, outside parentheses and CASE … END."""
        depth = cases = 0
        start = self.at if first is None else first
        for index in range(start, len(self.words)):
            word = self.words[index]
            if word == ";" and depth == 0:
                return index
            if depth == 0 and cases == 0 and word in ends:
                return index
            if word in OPENING:
                depth += 1
            elif word in CLOSING:
                depth -= 1
            elif word == "case":
                cases += 1
            elif word == "end" and cases:
                cases -= 1
        return max(start, len(self.words))

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Offsets of the tokens first … last-1; an empty range gives an empty span."""
        if first >= last:
            return (self.tokens[first].start if first < len(self.tokens) else len(self.text),) * 2
        return self.tokens[first].start, self.tokens[last - 1].end

    def add(
        self, kind: str, end: int, *, sql: tuple[int, int] | None = None, prefix: str = "", dynamic: bool = False
    ) -> None:
        """Keep the tokens from `at` to `end` as a piece, with SQL from a range of tokens behind a prefix."""
        start, stop = self.span(self.at, end)
        if sql is None or sql[0] >= sql[1]:
            self.pieces.append(Piece(kind, start, stop))
            return
        sql_start, sql_stop = self.span(*sql)
        text = prefix + self.text[sql_start:sql_stop]
        self.pieces.append(Piece(kind, start, stop, text, sql_start - len(prefix), dynamic))
