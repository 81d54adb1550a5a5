"""Which words of the server's message may be shown: its own, and the author's; never a row's.

Owns: the search for the author's words in the file, and in the functions that it calls.
Promises: of a message made by RAISE only string constants of the source are shown, with … for what was put between
them; of any other message, whatever its SQLSTATE and severity, what it quotes, or puts unquoted where a value may
stand, only when the author wrote it or it names an object of the catalog, be it that the server said so, or that the
catalog was asked (named.py). Control characters are written out.
Limits: an unquoted value is known by the place where PostgreSQL 18 puts one in its English messages.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from scripts.errors.row_data import escaped
from scripts.migrations.told.numbers import OWN_WORDS, digit_words, without_numbers
from scripts.parser.statements import ParseError, parse_raw, scan_tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

WITHHELD = "(withheld: `invoke migrate --show-row-data` prints it on a terminal)"
_BARE = "(value withheld)"
_VALUE = f'"{_BARE}"'
# Every translation of the server has marks of its own.
_MARKS = '"\u00ab\u00bb\u201e\u201c\u201d\u2039\u203a\u201a\u2018\u2019'
_MARK = re.compile(f"[{_MARKS}]")
_QUOTED = re.compile(f"[{_MARKS}]([^{_MARKS}]*)[{_MARKS}]")
# Not the apostrophe of a word.
_SINGLE = re.compile(r"(?<!\w)'|'(?!\w)")
# Where the server puts a value without quotes; each group is one.
_UNQUOTED = (
    re.compile(
        r"(?:function|procedure|routine|aggregate|operator|column|large object|tablesample method|type)"
        r" (.+) (?:does|is) not .*",
        re.DOTALL,
    ),
    re.compile(r"more than one (?:operator|function) named (.+)", re.DOTALL),
    re.compile(r"(.+) is outside the valid range for parameter .*", re.DOTALL),
    re.compile(r"(?:byte |bit )?index (.+) out of valid range.*", re.DOTALL),
    re.compile(r"setval: value (.+) is out of bounds .*", re.DOTALL),
    re.compile(r".* with OID (\d+) .*", re.DOTALL),
)
# What may follow a colon and is the server's own.
_OWN_TAIL = re.compile(
    r"(?:setval: value|value out of range: (?:over|under)flow$|row is too big: size \d"
    r"|invalid regular expression: [a-z() ,]+$"
    r"|.*: (?:" + "|".join(sorted({re.escape(os.strerror(code)) for code in errno.errorcode})) + ")$)",
    re.DOTALL,
)
_TYPE_WORDS = frozenset(
    re.findall(
        r"\S+",
        "bigint bit boolean bytea character varying cidr date double precision inet int4range integer interval json"
        " jsonb name numeric oid real record smallint text time timestamp timestamptz unknown uuid with without zone"
        " anyelement anyarray regclass tsquery tsvector xml = < > <= >= <> || + - * / ~ @>",
    )
)
_NAME_MAX = 63
# What the server writes between two names that it quotes.
_BETWEEN = frozenset(
    re.findall(
        r"\S+",
        "a already an and as because but by cannot check column columns constraint cycle depend depends does"
        " domain due exclusion exist exists extension field for foreign from function group has have having in"
        " index inherited inherits into is its key language member missing multiple must no not null object of on"
        " operator option or owner parameter parent partition partitioned policy primary privilege procedure"
        " property publication range references relation relations role rule same schema sequence server should"
        " statistics table tablespace than the to trigger type under unique used user using value view violates"
        " was which with",
    )
)
_BYTES_BARE = "(bytes withheld)"
_BYTES = re.compile(r"(?:0x[0-9a-f]{2} ?)+")
# Placeholders of RAISE and of format(); the same text may be either.
_RAISE_HOLE = re.compile(r"%%|%")
_FORMAT_HOLE = re.compile(r"%%|%(?:\d+\$)?-?(?:\d+|\*(?:\d+\$)?)?[sIL]")
# A shorter piece in front of a message would say nothing about it.
_PREFIX_MIN = 4
_NESTING_MAX = 4


def author_texts(*sources: str) -> frozenset[str]:
    """Every string constant of SQL texts, those inside function bodies included."""
    return frozenset(text for source in sources for text in _constants(source, 0))


@dataclass(frozen=True, slots=True)
class Author:
    """What the author wrote.

    sources: SQL texts, in the forms in which the server may repeat their words. texts: their string constants.
    """

    sources: tuple[str, ...]
    texts: frozenset[str]

    def wrote(self, part: str) -> bool:
        """Whether it stands in a source, and not as a piece of a longer word, or is a string constant."""
        if not part:
            return False
        if part in self.texts:
            return True
        # A short value is a piece of many a word, or number; a piece is not what the author wrote.
        before = r"(?<!\w)" if _is_word(part[0]) else ""
        behind = r"(?!\w)" if _is_word(part[-1]) else ""
        before += r"(?<!\d\.)" if part[0].isdigit() else ""
        behind += r"(?!\.\d)" if part[-1].isdigit() else ""
        pattern = re.compile(before + re.escape(part) + behind)
        return any(pattern.search(source) for source in self.sources)


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


@lru_cache(maxsize=4)
def author(*sources: str) -> Author:
    """What the author of SQL texts wrote; names also as the server folds them, and without their quotes."""
    forms: list[str] = []
    for source in filter(None, sources):
        for form in (source, source.lower(), source.replace('"', "")):
            if form not in forms:
                forms.append(form)
    return Author(tuple(forms), author_texts(*sources))


def shown_message(
    message: str, wrote: Author, names: Collection[str] = (), asked: Collection[str] = frozenset()
) -> str:
    """One of the server's own messages or hints, without values that the author did not write.

    Args:
        message: the primary message, or the hint.
        wrote: the author's words.
        names: of the catalog's objects, as the server's own fields give them.
        asked: those of the message's words that name objects, as the catalog itself says.
    """
    # First the unquoted: such a value may hold quotes.
    message = _without_unquoted(_BYTES.sub(_BYTES_BARE, message), wrote)
    for marks, quoted in ((_MARK, _QUOTED), (_SINGLE, _SINGLE_QUOTED)):
        message = _without_quoted(message, marks, quoted, wrote, names, asked)
    known_names = {*names, *asked}
    kept = list(_kept(message, wrote, known_names))
    return escaped(without_numbers(message, wrote.wrote, names=known_names, kept=kept, withheld=_BARE))


def unknown_words(message: str, wrote: Author, names: Collection[str] = ()) -> frozenset[str]:
    """The words of a message that are withheld, unless the catalog says that they name an object of it.

    Args:
        message: the primary message, or the hint.
        wrote: the author's words.
        names: of the catalog's objects, as the server's own fields give them.
    """
    quoted = {part.strip() for pattern in (_QUOTED, _SINGLE_QUOTED) for part in pattern.findall(message)}
    found = quoted | set(digit_words(message))
    return frozenset(
        word
        for word in found
        if word and len(word) <= _NAME_MAX and word not in names and word not in OWN_WORDS and not wrote.wrote(word)
    )


def _kept(message: str, wrote: Author, names: Collection[str]) -> Iterator[tuple[int, int]]:
    """What is quoted and may be shown as a whole, whatever digits it holds."""
    for quoted in (_QUOTED, _SINGLE_QUOTED):
        for match in quoted.finditer(message):
            if match[1] in names or wrote.wrote(match[1]):
                yield match.span(1)


_SINGLE_QUOTED = re.compile(r"(?<!\w)'([^']*)'(?!\w)")


def _without_quoted(  # noqa: PLR0913, PLR0917 - two kinds of marks, three kinds of words
    message: str,
    marks: re.Pattern[str],
    quoted: re.Pattern[str],
    wrote: Author,
    names: Collection[str],
    asked: Collection[str],
) -> str:
    found = [match.start() for match in marks.finditer(message)]
    if not found:
        return message
    if len(found) == 1:
        return message[: found[0]] + _VALUE
    first, last = found[0], found[-1]
    parts = quoted.findall(message)
    # French marks stand off from what they hold.
    unknown = [
        part
        for part in parts
        if not (part in names or part == _BARE or part in OWN_WORDS or wrote.wrote(part) or wrote.wrote(part.strip()))
    ]
    if len(found) == 2 * len(parts):
        if not unknown:
            return message
        # A value that holds quotes may begin and end with names: between them must be nothing but words of the server.
        between = quoted.sub(" ", message[first : last + 1]).split()
        if all(part.strip() in asked for part in unknown) and _BETWEEN.issuperset(between):
            return message
    if wrote.wrote(message[first + 1 : last]):
        return message
    # A value may itself hold quotes, so everything between the first and the last of them goes.
    return message[:first] + _VALUE + message[last + 1 :]


def _without_unquoted(message: str, wrote: Author) -> str:
    for pattern in _UNQUOTED:
        match = pattern.fullmatch(message)
        if match is not None and not _is_quoted(match[1]) and not known(match[1], wrote):
            message = message[: match.start(1)] + _BARE + message[match.end(1) :]
    start = 0
    if len(_MARK.findall(message.partition(": ")[0])) % 2:
        # The colon is within quotes; another may follow behind them.
        start = max(match.end() for match in _MARK.finditer(message))
    colon = message.find(": ", start)
    tail = message[colon + 2 :]
    if colon < 0 or _OWN_TAIL.match(message) or _is_quoted(tail) or known(tail, wrote):
        return message
    return f"{message[:colon]}: {_BARE}"


def _is_quoted(part: str) -> bool:
    """Whether the other rule sees all of it, from its first character to its last."""
    return len(part) > 1 and bool(_MARK.match(part[0])) and bool(_MARK.match(part[-1]))


def known(part: str, wrote: Author) -> bool:
    """Whether an unquoted part is the author's, word by word, or a type of the server."""
    if wrote.wrote(part):
        return True
    words = re.split(r"[\s(),]+|\[\]", _QUOTED.sub("", part).replace(_BARE, "").replace(_BYTES_BARE, ""))
    return all(word in _TYPE_WORDS or wrote.wrote(word) for word in words if word)


def shown_raised(message: str, texts: Collection[str]) -> str:
    """A message, hint or name that PL/pgSQL's RAISE or ASSERT made.

    Args:
        message: whole, with values.
        texts: the author's.
    """
    return escaped(_raised(message, texts))


def _raised(message: str, texts: Collection[str]) -> str:
    if message in texts:
        return message
    best = ""
    for text in texts:
        for hole in (_RAISE_HOLE, _FORMAT_HOLE):
            best = max(best, _filled(message, text, hole), key=len)
    if best.strip("… "):
        return best
    prefix = max((text for text in texts if len(text) >= _PREFIX_MIN and message.startswith(text)), key=len, default="")
    return f"{prefix}…" if prefix else WITHHELD


def _filled(message: str, text: str, hole: re.Pattern[str]) -> str:
    """The constant parts of a format that gave this message; empty when it did not."""
    parts = [""]
    at = 0
    for match in hole.finditer(text):
        parts[-1] += text[at : match.start()]
        if match[0] == "%%":
            parts[-1] += "%"
        else:
            parts.append("")
        at = match.end()
    parts[-1] += text[at:]
    if len(parts) == 1:
        return parts[0] if parts[0] == message else ""
    pattern = ".*".join(map(re.escape, parts))
    return "…".join(parts) if re.fullmatch(pattern, message, re.DOTALL) else ""


def _constants(source: str, depth: int) -> Iterator[str]:
    try:
        tokens = [token for token in scan_tokens(source) if token.kind in ("SCONST", "USCONST")]
    except ParseError:
        # A body in another language.
        return
    for token in tokens:
        try:
            value = parse_raw(f"SELECT {token.text}")[0].node.target_list[0].res_target.val.a_const.sval.sval
        except ParseError:
            continue
        yield value
        if depth < _NESTING_MAX and ("'" in value or "$" in value):
            yield from _constants(value, depth + 1)
