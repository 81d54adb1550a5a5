"""Which programs catch errors: what their blocks did before an error was caught is undone, and leaves nothing to ask.

Owns: the search for exception handlers in DO blocks, and in functions of the same file that a statement calls; and
whether a handler's block is all that a program does, so that it was undone as a whole or not at all.
Limits: a function of an earlier file, and one that a trigger calls, is not looked into.
"""

from __future__ import annotations

import itertools
import re
from functools import cached_property
from typing import TYPE_CHECKING

from scripts.migrations.trace.effects import PROGRAMS
from scripts.parser.bodies import body_text
from scripts.parser.statements import ParseError, scan_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.migrations.folder.files import MigrationFile
    from scripts.parser.statements import Statement

# Only to spare the scanner nine bodies of ten; it is the scanner that decides.
_MAYBE = re.compile(r"exception\s*(?:when|--|/\*)", re.IGNORECASE)


class Handlers:
    """Knows it of the statements of one file."""

    def __init__(self, file: MigrationFile) -> None:
        """Nothing is searched before the first program is asked about: most files have none."""
        self._file = file
        self._caught: dict[int, bool] = {}
        self._whole: dict[int, bool] = {}

    def prepare(self) -> None:
        """Ask it of every statement: the answers are remembered, and had while the server is busy they cost nothing."""
        for statement in self._file.statements:
            if self.catches(statement):
                self.all_or_nothing(statement)

    def catches(self, statement: Statement) -> bool:
        """Whether a statement is a program in which an error may be caught."""
        if statement.kind not in PROGRAMS:
            return False
        known = self._caught.get(statement.index)
        if known is None:
            known = self._caught[statement.index] = self._may_catch(statement)
        return known

    def _may_catch(self, statement: Statement) -> bool:
        if statement.kind == "DoStmt" and _has_handler(statement):
            return True
        return any(_is_called(name, statement.text) for name in self._functions)

    def all_or_nothing(self, statement: Statement) -> bool:
        """Whether all that a DO block does is in the one block whose errors are caught, with handlers that do nothing.

        A lock that is left then says that nothing was rolled back. False where that cannot be read.
        """
        known = self._whole.get(statement.index)
        if known is None:
            known = self._whole[statement.index] = self._is_whole(statement)
        return known

    def _is_whole(self, statement: Statement) -> bool:
        if statement.kind != "DoStmt" or any(_is_called(name, statement.text) for name in self._functions):
            return False
        try:
            words = [token.word for token in scan_tokens(body_text(statement.node) or "") if not token.is_comment]
        except ParseError:
            return False
        return _is_one_block(words)

    @cached_property
    def _functions(self) -> frozenset[str]:
        """Functions of the file that catch errors."""
        if b"exception" not in self._file.data.lower():
            return frozenset()
        return frozenset(
            statement.node.funcname[-1].string.sval
            for statement in self._file.statements
            if statement.kind == "CreateFunctionStmt" and _has_handler(statement)
        )


def _has_handler(statement: Statement) -> bool:
    body = body_text(statement.node) or ""
    if _MAYBE.search(body) is None:
        return False
    try:
        words = [token.word for token in scan_tokens(body) if not token.is_comment]
    except ParseError:  # a body in another language
        return False
    return ("exception", "when") in itertools.pairwise(words)


def _is_one_block(words: list[str]) -> bool:
    """Of `BEGIN … EXCEPTION WHEN … THEN NULL; END`, or that inside blocks which hold nothing else."""
    if "begin" not in words:
        return False
    first = words.index("begin")
    # What a variable begins with is read before the block is entered: a query, a call or a type may leave its locks.
    if {"(", "%", "select"} & set(words[:first]):
        return False
    inner = first + 1
    while words[inner : inner + 1] == ["begin"]:
        inner += 1
    rest = words[inner:]
    caught = [at for at, pair in enumerate(itertools.pairwise(rest)) if pair == ("exception", "when")]
    if len(caught) != 1 or "begin" in rest:
        return False
    return all(_does_nothing(part) for part in _parts(rest[caught[0] + 1 :]))


def _parts(words: list[str]) -> Iterator[list[str]]:
    """What stands between semicolons, and of a handler what follows its THEN."""
    part: list[str] = []
    for word in words:
        if word == ";":
            yield part
        part = [] if word in (";", "then") else [*part, word]
    yield part


def _does_nothing(part: list[str]) -> bool:
    return part in ([], ["null"], ["end"]) or (part[0] == "raise" and not {"(", "select"} & set(part))


def _is_called(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None
