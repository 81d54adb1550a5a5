"""The SQLSTATEs of PL/pgSQL: what RAISE raises and what EXCEPTION WHEN catches.

Owns: the reading of RAISE and EXCEPTION, by tokens and by the parsed options.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.lint.nodes import concrete, constant, kind_of, name_of, strings
from scripts.lint.sqlstates import CODE, server_conditions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scripts.lint.subject import LintInput, Part
    from scripts.parser.statements import Token

_LEVELS = frozenset({"debug", "log", "info", "notice", "warning", "exception"})


@dataclass(frozen=True, slots=True)
class Raised:
    """A code in a RAISE or in a handler.

    code: the SQLSTATE; None when it cannot be known. condition: the name it was written as, if it was a name.
    caught: it stands in EXCEPTION WHEN. raises: it ends the function (level EXCEPTION).
    """

    part: Part = field(repr=False)
    code: str | None
    condition: str | None = None
    caught: bool = False


def raised(subject: LintInput) -> Iterator[Raised]:
    """Every code that is written down, in the order of the source."""
    for part in subject.parts:
        if part.body is None:
            continue
        if part.kind == "RAISE":
            yield from _of_raise(part)
        elif part.kind == "EXCEPTION":
            yield from _of_handler(part)


def exceptions_without_code(subject: LintInput) -> Iterator[Part]:
    """Every RAISE of level EXCEPTION that names no code; a bare RAISE raises again what was caught."""
    for part in subject.parts:
        if part.body is None or part.kind != "RAISE":
            continue
        tokens = part.tokens()
        level = tokens[1].word if len(tokens) > 1 else ""
        if len(tokens) == 1 or (level in _LEVELS and level != "exception"):
            continue
        if next(_of_raise(part), None) is None:
            yield part


def raisers_now(subject: LintInput) -> Mapping[str, frozenset[str]]:
    """Code → what raises it after the last file: names of functions (the newest definition), or of files for DO."""
    newest: dict[tuple[str, tuple[str, ...]], Part] = {}
    for routines in subject.history.routines.values():
        for routine in routines:
            newest[(str(routine.name), routine.signature)] = routine.part
    current = {id(part.node) for part in newest.values()}
    found: dict[str, set[str]] = {}
    for item in raised(subject):
        if item.caught or item.code is None:
            continue
        routine = item.part.routine
        if routine is not None and id(routine) not in current:
            continue
        raiser = item.part.file.name if routine is None else name_of(routine.funcname).name
        found.setdefault(item.code, set()).add(raiser)
    return {code: frozenset(names) for code, names in found.items()}


def _of_raise(part: Part) -> Iterator[Raised]:
    tokens = part.tokens()
    at = 1
    if at < len(tokens) and tokens[at].word in _LEVELS:
        at += 1
    if at < len(tokens):
        head = tokens[at]
        if head.word == "sqlstate" and at + 1 < len(tokens):
            yield _code(part, _literal(tokens[at + 1]))
        elif head.kind not in ("SCONST", "USCONST") and head.word not in ("using", ";"):
            yield _condition(part, head.word)
    if part.node is None:
        return
    for wrapper in part.node.target_list:
        item = concrete(concrete(wrapper).val)
        if item is None or kind_of(item) != "A_Expr" or strings(item.name) != ["="]:
            continue
        left = concrete(item.lexpr)
        if left is not None and kind_of(left) == "ColumnRef" and strings(left.fields) == ["errcode"]:
            value = constant(item.rexpr)
            yield _code_or_condition(part, value) if isinstance(value, str) else Raised(part, None)


def _of_handler(part: Part) -> Iterator[Raised]:
    tokens = part.tokens()
    index = 1
    while index < len(tokens):
        token = tokens[index]
        if token.word == "sqlstate" and index + 1 < len(tokens):
            found = _code(part, _literal(tokens[index + 1]))
            yield Raised(part, found.code, found.condition, caught=True)
            index += 2
            continue
        if token.word not in ("or", "others", "then"):
            found = _condition(part, token.word)
            yield Raised(part, found.code, found.condition, caught=True)
        index += 1


def _literal(token: Token) -> str:
    return token.text.strip("'")


def _code(part: Part, value: str) -> Raised:
    return Raised(part, value)


def _condition(part: Part, name: str) -> Raised:
    return Raised(part, server_conditions().get(name.lower()), name)


def _code_or_condition(part: Part, value: str) -> Raised:
    # As PL/pgSQL reads ERRCODE: five digits or capitals are a code, anything else is a condition's name.
    if CODE.fullmatch(value):
        return _code(part, value)
    return _condition(part, value) if value.replace("_", "").isalpha() and value.islower() else _code(part, value)
