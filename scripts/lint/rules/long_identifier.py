"""long-identifier: a name is kept as it is written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.parser.statements import ParseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput
    from scripts.parser.statements import Token

_BYTES_MAX = 63
# Without this in an ASCII text there is no such name in it, and its tokens need not be looked at.
_LONG = re.compile(r"""[\w$]{64}|"(?:[^"]|""){64}""")


def find(subject: LintInput) -> Iterator[Finding]:
    """Identifiers of more than 63 bytes, in bodies as well. The parsed tree is too late: it holds the cut name."""
    for part in subject.parts:
        if part.template or (part.body is None and part.order[1] > 0):
            continue  # its text was looked at as part of the statement around it
        if part.text.isascii() and _LONG.search(part.text) is None:
            continue
        try:
            tokens = part.tokens()
        except ParseError:
            continue  # opaque-sql has its say
        for token in tokens:
            name = _name(token)
            if len(name.encode()) > _BYTES_MAX:
                line, column = part.place_of_token(token)
                yield Finding(
                    RULE.id,
                    part.file.name,
                    line,
                    column,
                    name,
                    f"{name} has {len(name.encode())} bytes; the server keeps {_BYTES_MAX}",
                    RULE.help,
                    part.statement,
                )


def _name(token: Token) -> str:
    if token.kind != "IDENT":
        return ""
    return token.text[1:-1].replace('""', '"') if token.text.startswith('"') else token.word


RULE = Rule(
    id="long-identifier",
    gate="names-lint",
    severity="error",
    title="No name is longer than 63 bytes",
    why="The server cuts it silently: two long names become one, and nobody finds the object by the name in the file.",
    help="shorten it",
    red="CREATE TABLE public.a_very_long_name_that_says_a_little_too_much_about_the_table_itself (id bigint);",
    green="CREATE TABLE public.a_very_long_name_that_says_just_enough_about_the_table_its (id bigint);",
    find=find,
)
