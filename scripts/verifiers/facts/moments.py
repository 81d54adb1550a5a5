"""Which expressions of times cannot fail: what is reckoned from now, and what cuts or moves a time by a constant.

Owns: the functions and operators of times that are known.
Promises: a constant unit that passes is known to every server, a zone to this one, and what is reckoned from now
stays within what a time can be. A time out of a row may be any but one of the first and last years that there are
(4714 BC, AD 294276): to cut one of those can fail, and no one promises them.
Never: knows an expression's other parts (workings.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.verifiers.facts.trees import interval_of, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

# Times that SQL writes without brackets, of these types; CURRENT_TIME is of none of them.
TYPES = frozenset({"date", "timestamp with time zone", "timestamp without time zone"})
_NOW = frozenset({"now()", "clock_timestamp()", "statement_timestamp()", "transaction_timestamp()"})
_UNITS = frozenset(
    {"microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade",
     "century", "millennium"}
)  # fmt: skip
# Whatever abbreviations and zones a server was given, it knows these.
_ZONES = frozenset({"utc", "gmt", "etc/utc", "etc/gmt"})
_TIME = "timestamp with(?:out)? time zone"
_CUT = re.compile(rf"date_trunc\(text,{_TIME}(,text)?\)")
_ELSEWHERE = re.compile(rf"timezone\(text,{_TIME}\)")
_MOVED = re.compile(rf"[+-]\((?:{_TIME}|date),interval\)|\+\(interval,(?:{_TIME}|date)\)")
# Another form of the same moment. A date out of a row may be later than any time.
_AGAIN = re.compile(
    rf'(?:date|"timestamp"|timestamptz)\((?:{_TIME}|date)\)|"timestamp"\({_TIME},integer\)|timestamptz\({_TIME},integer\)'
)
# A constant moves a time by no more, and no time is further from now than that, altogether.
_ORDINARY, _FAR = 1_000, 10_000


@dataclass(frozen=True, slots=True)
class Given:
    """An argument: how many years from now, of a time that does not come from a row; a constant's bytes."""

    years: float | None
    constant: bytes | None


@dataclass(frozen=True, slots=True)
class Moment:
    """What a function of times comes to: years from now as above, and whether it could fail."""

    years: float | None = None
    strange: bool = False


def moment(name: str, args: Sequence[Given], zones: frozenset[str] = frozenset()) -> Moment | None:
    """What a function or operator of times comes to; None where it is none that is known here.

    Args:
        name: the server's, with the types that it takes.
        args: in order.
        zones: those that this server knows beside those that each does.
    """
    if name in _NOW:
        return _within(0)
    if cut := _CUT.fullmatch(name):
        known = _is(args[0], _UNITS) and (cut[1] is None or _is(args[2], _ZONES | zones))
        return _within(None if args[1].years is None else args[1].years + _ORDINARY, strange=not known)
    if _ELSEWHERE.fullmatch(name):
        return _within(args[1].years, strange=not _is(args[0], _ZONES | zones))
    if _MOVED.fullmatch(name):
        return _moved(*(args if name.endswith(",interval)") else args[::-1]))
    if _AGAIN.fullmatch(name):
        return _within(args[0].years, strange=args[0].years is None and "(date" in name)
    return None


def _moved(time: Given, by: Given) -> Moment:
    years = None if by.constant is None else interval_of(by.constant)
    if time.years is None or years is None:
        return Moment(strange=True)
    return _within(time.years + years, strange=years > _ORDINARY)


def _within(years: float | None, *, strange: bool = False) -> Moment:
    return Moment(years, strange=strange or (years is not None and years > _FAR))


def _is(given: Given, known: frozenset[str]) -> bool:
    return given.constant is not None and (text_of(given.constant) or "").lower() in known
