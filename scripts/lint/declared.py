"""Types and relations in DECLARE sections of PL/pgSQL, which the SQL grammar does not see.

Owns: the reading of one declaration, `name [CONSTANT] type […]`, by tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.nodes import kind_of, strings
from scripts.parser.statements import ParseError, parse_raw, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import Part
    from scripts.parser.statements import Token

_ENDS = frozenset({"not", ":=", "=", "default", "collate"})


def declared_names(part: Part, relations: frozenset[str]) -> Iterator[tuple[str, str]]:
    """(what, name) of every bare type or relation that a declaration mentions.

    Args:
        part: of kind DECLARE.
        relations: names of relations the files create, as `schema.name`: they tell `table.column%TYPE` from
            `record.field%TYPE`.
    """
    tokens = part.tokens()[1:]
    if tokens and tokens[0].word == "constant":
        tokens = tokens[1:]
    if any(token.word in ("cursor", "alias") for token in tokens[:3]):
        return
    end = next((index for index, token in enumerate(tokens) if token.word in _ENDS), len(tokens))
    tokens = tokens[:end]
    percent = next((index for index, token in enumerate(tokens) if token.text == "%"), None)
    if percent is not None:
        yield from _copied(tokens[:percent], tokens[percent + 1].word if percent + 1 < len(tokens) else "", relations)
    elif tokens:
        yield from _written(part.text[tokens[0].start : tokens[-1].end])


def _copied(tokens: list[Token], kind: str, relations: frozenset[str]) -> Iterator[tuple[str, str]]:
    words = [token.word.strip('"') for token in tokens if token.text != "."]
    of_row = kind == "rowtype" and len(words) == 1
    of_column = kind == "type" and len(words) == 2 and any(name.endswith(f".{words[0]}") for name in relations)
    if of_row or of_column:
        yield "relation", words[0]


def _written(text: str) -> Iterator[tuple[str, str]]:
    try:
        statement = parse_raw(f"SELECT NULL::{text}")[0]
    except (ParseError, IndexError):
        return  # not a type of SQL, such as refcursor with arguments: the server will say
    for message in walk(statement.node):
        if kind_of(message) == "TypeName" and len(strings(message.names)) == 1:
            yield "type", strings(message.names)[0]
