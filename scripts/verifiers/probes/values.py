"""A statement's values in its text, quoted by the driver.

Owns: where values stand in a text (`%s`, `%(name)s`; `%%` is a percent sign, as for the driver's cursors).
Why: the driver's own `mogrify` finds out anew for each statement where its values stand and how each is written, which
takes longer than sending it. The same few hundred texts are asked again and again, with values of a few types.
Never: quotes anything itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

_PLACE = re.compile(r"%(?:([%s])|\((\w+)\)s)?")


class Values:
    """The quoting of one connection."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        """Begin.

        Args:
            conn: whose settings and encoding the literals are for.
        """
        from psycopg.adapt import Transformer

        # One for all statements: it knows how a type is written once it has written one of it.
        self._literal = Transformer.from_context(conn).as_literal

    def put(self, text: str, params: Sequence[Any] | Mapping[str, Any]) -> str:
        """The text with its values.

        Args:
            text: with a place for each value.
            params: in the order of the places, or by name.

        Raises:
            ValueError: places and values do not belong together.
        """
        texts, places = _taken_apart(text)
        if isinstance(params, Mapping):
            if None in places:
                msg = "a place without a name, and values that have one"
                raise ValueError(msg)
            values = [self._written(params[name]) for name in places if name is not None]
        else:
            if len(places) != len(params) or any(name is not None for name in places):
                msg = f"{len(places)} places for values, {len(params)} values in order"
                raise ValueError(msg)
            values = [self._written(value) for value in params]
        return "".join(piece for pair in zip(texts, (*values, ""), strict=True) for piece in pair)

    def _written(self, value: object) -> str:
        return "NULL" if value is None else bytes(self._literal(value)).decode()


@lru_cache(maxsize=2048)
def _taken_apart(text: str) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """The texts between the places, and the name of each place; None where it has none."""
    texts, places, begun, done = list[str](), list[str | None](), "", 0
    for found in _PLACE.finditer(text):
        begun += text[done : found.start()]
        done = found.end()
        if found[1] == "%":
            begun += "%"
        elif found[1] or found[2]:
            texts.append(begun)
            places.append(found[2])
            begun = ""
        else:
            msg = "a percent sign that is no place; %% is one"
            raise ValueError(msg)
    return (*texts, begun + text[done:]), tuple(places)
