"""Expressions with a part less, or with other values in their lists; found in the tree, written by libpg_query.

Owns: what can be taken out of an expression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.parser.native import deparse, parse_raw, unwrap
from scripts.parser.parse import walk

if TYPE_CHECKING:
    from collections.abc import Iterator


def simpler(expression: str) -> Iterator[tuple[str, str]]:
    """The expression without one part of one AND or OR, each in turn.

    Returns:
        (what was done, the expression); nothing for an expression without either.
    """
    for at, node in enumerate(_bools(_parse(expression))):
        for index in range(len(node.args)):
            tree = _parse(expression)
            target = _bools(tree)[at]
            gone = _written(target.args[index])
            del target.args[index]
            if len(target.args) == 1:
                _replace(tree, target, target.args[0])
            yield f"without {gone}", _text(tree)


def other_values(expression: str) -> Iterator[tuple[str, str]]:
    """The expression with one value less in a list of values, and with one more when they are texts."""
    for at, node in enumerate(_lists(_parse(expression))):
        for index in range(len(node.elements)):
            tree = _parse(expression)
            elements = _lists(tree)[at].elements
            gone = _written(elements[index])
            del elements[index]
            yield f"without the value {gone}", _text(tree)
        tree = _parse(expression)
        elements = _lists(tree)[at].elements
        elements.add().CopyFrom(elements[0])
        constant = next((one for one in walk(elements[-1]) if one.DESCRIPTOR.name == "A_Const"), None)
        if constant is not None and constant.WhichOneof("val") == "sval":
            constant.sval.sval = "MUTANT"
            yield "with a value more", _text(tree)


def root_of(expression: str) -> Any:
    """The topmost node of an expression."""
    return unwrap(_parse(expression).target_list[0].res_target.val)


def _parse(expression: str) -> Any:
    (statement,) = parse_raw(f"SELECT {expression}")
    return statement.node


def _text(tree: Any) -> str:
    return deparse(tree).removeprefix("SELECT ")


def _written(node: Any) -> str:
    """One expression of a tree by itself."""
    select = _parse("1")
    select.target_list[0].res_target.val.CopyFrom(node)
    return _text(select)


def _bools(tree: Any) -> list[Any]:
    """Every AND and OR, outermost first."""
    return [node for node in walk(tree) if node.DESCRIPTOR.name == "BoolExpr" and len(node.args) > 1]


def _lists(tree: Any) -> list[Any]:
    return [node for node in walk(tree) if node.DESCRIPTOR.name == "A_ArrayExpr"]


def _replace(tree: Any, old: Any, new: Any) -> None:
    """Put `new`, a Node, where the Node that holds `old` stands."""
    kept = type(new)()
    kept.CopyFrom(new)
    holder = _holder(tree, old)
    holder.CopyFrom(kept)


def _holder(message: Any, wanted: Any) -> Any:
    """The Node that wraps a message of the tree."""
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        for child in value if hasattr(value, "append") else (value,):
            if child.DESCRIPTOR.name == "Node" and unwrap(child) is wanted:
                return child
            found = _holder(child, wanted)
            if found is not None:
                return found
    return None
