"""Dynamic SQL whose shape can be read: constants joined together, and format() with names and literals left open.

Owns: `templates`.
Promises: it gives back only what must be run in that shape; anything that could splice in SQL (%s, a variable, a
    function's result) gives nothing, and a rule refuses what gives nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scripts.lint.nodes import concrete, constant, kind_of, strings
from scripts.parser.quoting import quoted
from scripts.parser.statements import ParseError, parse_raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.parser.statements import BodyStatement

# What stands for a name or a value that is known at run time only.
NAME = "dynamic_name"
_LITERAL = "'dynamic value'"
_QUOTING = {"quote_ident": NAME, "quote_literal": _LITERAL, "quote_nullable": _LITERAL}
_SPECIFIER = re.compile(r"%(?:(\d+)\$)?(-?\d*)([sIL%])|%")


def templates(body: BodyStatement) -> Iterator[Any]:
    """The statements that a piece of dynamic SQL runs, parsed; nothing when its shape cannot be known."""
    if not body.dynamic or body.node is None or kind_of(body.node) != "SelectStmt":
        return
    targets = [concrete(target) for target in body.node.target_list]
    text = _text(targets[0].val) if targets else None
    if text is None:
        return
    try:
        statements = parse_raw(text)
    except ParseError:
        return
    for statement in statements:
        yield statement.node


def _text(node: Any) -> str | None:
    """The SQL text an expression makes, with placeholders; None when it cannot be known."""
    value = constant(node)
    if isinstance(value, str):
        return value
    item = concrete(node)
    if item is None:
        return None
    if kind_of(item) == "A_Expr" and strings(item.name) == ["||"]:
        left, right = _text(item.lexpr), _text(item.rexpr)
        return None if left is None or right is None else left + right
    if kind_of(item) != "FuncCall":
        return None
    return _called(item)


def _called(call: Any) -> str | None:
    name = strings(call.funcname)
    if len(name) == 2 and name[0] != "pg_catalog":
        return None
    if name[-1] == "format" and call.args and not call.func_variadic:
        return _formatted(call.args)
    return _QUOTING.get(name[-1])


def _formatted(args: Any) -> str | None:
    pattern = constant(args[0])
    if not isinstance(pattern, str):
        return None
    known = True
    following = 1

    def filled(match: re.Match[str]) -> str:
        nonlocal known, following
        position, _, kind = match[1], match[2], match[3]
        if kind == "%":
            return "%"
        index = int(position) if position else following
        following = index + 1
        value = constant(args[index]) if 0 < index < len(args) else None
        if kind == "I":
            return NAME if not isinstance(value, str) else quoted(value)
        if kind == "L":
            return _LITERAL
        if kind == "s" and isinstance(value, str):
            return value
        known = False
        return ""

    text = _SPECIFIER.sub(filled, pattern)
    return text if known else None
