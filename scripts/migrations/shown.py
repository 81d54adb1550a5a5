"""Which words of the server's message may be shown: its own, and the author's; never a row's.

Owns: the search for the author's words in the file, and in the functions that it calls.
Promises: of a message made by RAISE only string constants of the source are shown, with … for what was put between
them; of a message that quotes a value (class 22, or a statement made at run time), the value only when it is such a
constant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scripts.parser.statements import ParseError, parse_raw, scan_tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

WITHHELD = "(withheld: `invoke migrate --show-row-data` prints it on a terminal)"
_VALUE = '"(value withheld)"'
_QUOTED = re.compile(r'"([^"]*)"')
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


def shown_message(message: str, sqlstate: str, texts: Collection[str], *, dynamic: bool = False) -> str:
    """One of the server's own messages, without values that the author did not write.

    Args:
        message: the primary message.
        sqlstate: five characters; class 22, data exceptions, quotes values.
        texts: the author's.
        dynamic: the statement was made at run time, so that what it quotes may come from a row.
    """
    if not dynamic and not sqlstate.startswith("22"):
        return message
    message = _BYTES.sub("(bytes withheld)", message)
    quoted = _QUOTED.findall(message)
    if message.count('"') == 2 * len(quoted) and all(value in texts for value in quoted):
        return message
    # A value may itself hold quotes, so everything between the first and the last of them goes.
    first, last = message.find('"'), message.rfind('"')
    return message if first < 0 else message[:first] + _VALUE + message[last + 1 :]


def shown_raised(message: str, texts: Collection[str]) -> str:
    """A message, hint or name that PL/pgSQL's RAISE or ASSERT made.

    Args:
        message: whole, with values.
        texts: the author's.
    """
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
