"""Numbers in a message of the server: which of them are the server's own or the author's, and may be shown.

Owns: the few places where PostgreSQL 18 writes a limit of its own, or a type as the schema has it, and the words it
    writes with a digit in them.
Promises: every other run of characters with a digit in it is withheld, unless the author wrote it or it is the name of
    an object that the server's own fields or the catalog give. What is not known here is withheld, not shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

# What stands between blanks, quotes, brackets, commas and marks of equality, and has a digit of any script.
_RUN = re.compile(r"[^\s\"'()\[\]{},;=\u00ab\u00bb\u201e\u201c\u201d\u2039\u203a\u201a\u2018\u2019]*\d"
                  r"[^\s\"'()\[\]{},;=\u00ab\u00bb\u201e\u201c\u201d\u2039\u203a\u201a\u2018\u2019]*")  # fmt: skip
# Two ends of a range are two numbers.
_RANGE = re.compile(r"\.\.+")
_AROUND = ".:!?<>|*\u2026"
_SIGN = "+-"
_IDENTIFIER = re.compile(r"[^\W\d]\w*")

# Words of the server with a digit in them; a row that holds one says nothing with it.
OWN_WORDS = frozenset(
    re.findall(
        r"\S+",
        "int2 int4 int8 float4 float8 int4range int8range int4multirange int8multirange macaddr8 int2vector UTF8 UTF-8"
        " UTF16 LATIN1 LATIN9 WIN1252 EUC_JIS_2004 SHIFT_JIS_2004 MD5 md5 sha224 sha256 sha384 sha512 SHA-256 base64"
        " SCRAM-SHA-256 uuidv4 uuidv7 xid8 1-D 2-element 12-hour 24-hour",
    )
)
_N = r"(-?\d+(?:\.\d+)?)"
_UNIT = r"(-?\d+(?:\.\d+)?(?: ?[kMGT]?B| ?(?:us|ms|s|min|h|d))?)"
_THINGS = r"(?:argument|column|key|entr|element|dimension|character|byte|runs|command|subtransaction|attribute)\w*"
# A type as the schema has it, with its modifiers: `character varying(10)`, `numeric(10,2)[]`.
_TYPE = rf"(?:[a-z]+(?: [a-z]+)*(?:\({_N}(?:,{_N})?\))?(?: [a-z]+)*(?:\[\])*|.+)"
# Where the server writes a limit of its own, or a type; each group is one. A value may hold what looks like a part of a
# message, so each is a whole one.
_LIMITS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rf"NUMERIC (?:precision|scale) \S+ must be between {_N} and {_N}",
        rf"(?:interval|timestamp|time)\(\S+\) precision must be between {_N} and {_N}",
        rf"(?:parallel option requires a value|parallel workers for vacuum must be) between {_N} and {_N}",
        rf"BUFFER_USAGE_LIMIT option must be {_N} or between {_UNIT} and {_UNIT}",
        rf"value too long for type character(?: varying)?\({_N}\)",
        rf"bit string length \S+ does not match type bit\({_N}\)",
        rf"bit string too long for type bit varying\({_N}\)",
        # Names are short; a long message is not tried in all ways.
        rf"(?=.{{0,600}}\Z)cannot change data type of view column .* from {_TYPE} to {_TYPE}",
        rf"bit width must be between {_N} and {_N} inclusive",
        rf"column number must be in range from {_N} to {_N}",
        rf"value too long for restore point \(maximum {_N} characters\)",
        rf"setseed parameter \S+ is out of allowed range \[{_N},{_N}\]",
        rf"percentile value \S+ is not between {_N} and {_N}",
        rf"(?:INTERVAL|TIMESTAMP|TIME)\(\S+\).* precision reduced to maximum allowed, {_N}",
        rf"\S+ ?\S* is outside the valid range for parameter \S+(?: \S+)? \({_UNIT} \.\. {_UNIT}\)",
        rf"length for type \S+ (?:cannot exceed|must be at least) {_N}",
        rf"(?:tables|joins|functions in FROM|target lists|ROW .*|column .*) can (?:have|return) at most {_N} {_THINGS}",
        rf"(?:aggregates|functions|procedures) cannot have more than {_N} {_THINGS}",
        rf"cannot (?:have|pass|use|partition using) more than {_N} {_THINGS}(?: (?:to|in) an? [a-z ]+| in statistics)?",
        rf"GROUPING must have fewer than {_N} arguments",
        rf"CUBE is limited to {_N} elements",
        rf"number of (?:array dimensions|\w*\s?columns)(?: \(\S+\))? exceeds (?:the maximum allowed|limit) \({_N}\)",
        rf"(?:array size|bit string length|number of jsonb \w+ \w+) exceeds the maximum allowed \({_N}\)",
        rf"index row size \S+ exceeds btree version {_N} maximum {_N} for index .*",
        rf"index row size \S+ exceeds (?:hash )?maximum {_N}(?: for index .*)?",
        rf"index row requires \S+ bytes, maximum size is {_N}",
        rf"row is too big: size \S+, maximum size {_N}",
        rf"(?:word|string|lexeme) is too long(?: for tsvector)? \(\S+ bytes, max {_N} bytes\)",
        rf"Identifier must be less than {_N} characters\.",
        rf"Use the 24-hour clock, or give an hour between {_N} and {_N}\.",
        rf"Increase .{{0,80}}\(currently {_UNIT}\).*",
        rf"UUID version {_N} .*",
        rf"(?:bit )?index (?:\S+|\(value withheld\)) out of valid range,? \(?{_N}\.\..*",
    )
)  # fmt: skip


def without_numbers(
    message: str,
    wrote: Callable[[str], bool],
    *,
    names: Collection[str],
    kept: Collection[tuple[int, int]],
    withheld: str,
) -> str:
    """The message, and every number that is neither the author's nor the server's own replaced.

    Args:
        message: of the server.
        wrote: whether the author wrote a part.
        names: of the catalog's objects.
        kept: from where to where it is known already that all may be shown.
        withheld: what stands in a number's place.
    """
    own = [*kept, *_limits(message)]

    def known(part: str) -> bool:
        return part in names or wrote(part)

    pieces: list[str] = []
    done = 0
    for start, end in _runs(message):
        run = message[start:end]
        if any(first <= start and end <= last for first, last in own):
            continue
        if run in OWN_WORDS or _wrote(run, known):
            continue
        if message[start - 1 : start] + message[end : end + 1] == "()":
            start, end = start - 1, end + 1  # noqa: PLW2901 - the placeholder has brackets of its own
        pieces += [message[done:start], withheld]
        done = end
    return "".join([*pieces, message[done:]])


def digit_words(message: str) -> Iterator[str]:
    """Every run with a digit in it; and the names of a dotted one, by themselves."""
    for start, end in _runs(message):
        run = message[start:end]
        yield run
        parts = run.split(".")
        if len(parts) > 1 and all(map(_IDENTIFIER.fullmatch, parts)):
            yield from parts


def _runs(message: str) -> Iterator[tuple[int, int]]:
    """Where the runs with a digit stand: without the points and marks around them."""
    for match in _RUN.finditer(message):
        start = match.start()
        for part in [*_RANGE.finditer(match[0]), None]:
            end = match.end() if part is None else match.start() + part.start()
            run = message[start:end]
            first = start + len(run) - len(run.lstrip(_AROUND))
            last = end - len(run) + len(run.rstrip(_AROUND))
            if any(character.isdigit() for character in message[first:last]):
                yield first, last
            start = end if part is None else match.start() + part.end()


def _limits(message: str) -> Iterator[tuple[int, int]]:
    for pattern in _LIMITS:
        match = pattern.fullmatch(message)
        if match is not None:
            yield from (match.span(group) for group in range(1, pattern.groups + 1))


def _wrote(run: str, wrote: Callable[[str], bool]) -> bool:
    """Whether the author did: the run, the run without its sign, or every name of a dotted one."""
    if wrote(run) or (run[0] in _SIGN and wrote(run[1:])):
        return True
    parts = run.split(".")
    return all(map(_IDENTIFIER.fullmatch, parts)) and all(
        part in OWN_WORDS or wrote(part) for part in parts if any(character.isdigit() for character in part)
    )
