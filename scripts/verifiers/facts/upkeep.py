"""Whether vacuum comes to a table at all: how often it does is for whoever runs the database.

Owns: the line: in a queue of 100,000 items a million dead rows bring it, to the table and to where its long values lie.
Promises: thresholds are worked out as the server does (PostgreSQL manual, "The Autovacuum Daemon"): what the table does
not say the server does, where its settings can be known, else the server's defaults; of long values the table's options
count where they have none of their own. A switch that is off, counts that nobody keeps, and a value that cannot be read
are never.
Never: reads the catalog (reading.py) or the server (server.py).
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from scripts.verifiers.facts.roles import READERS
from scripts.verifiers.facts.stored import is_off

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scripts.verifiers.facts.sessions import Setting

LIVE, DEAD = 100_000, 1_000_000
COMES = f"by {DEAD:,} dead rows beside {LIVE:,} live ones"
# Between two looks of the server at the database.
_NAPTIME_S_MAX = 86_400
_SWITCHES = ("autovacuum_enabled", "vacuum_index_cleanup")
_THRESHOLD, _FACTOR, _MOST = (
    "autovacuum_vacuum_threshold",
    "autovacuum_vacuum_scale_factor",
    "autovacuum_vacuum_max_threshold",
)
_DEFAULTS = {_THRESHOLD: "50", _FACTOR: "0.2", _MOST: "100000000", "autovacuum_naptime": "60"}


def what_keeps_vacuum_away(
    options: Iterable[str], of_long_values: Iterable[str], stored: Iterable[Setting], server: Iterable[Setting]
) -> tuple[str, ...]:
    """What keeps vacuum from a table, each as it would be looked for; nothing when it comes.

    Args:
        options: the table's storage parameters, `name=value`.
        of_long_values: those of its TOAST table.
        stored: settings that sessions of workers start with.
        server: the server's own, as far as they are known.
    """
    says = {one.name.lower(): one.value for one in server}
    own, long = _read(options), _read(of_long_values)
    found = [f"{name}={own[name]}" for name in _SWITCHES if is_off(own.get(name, "on"))]
    found += [f"toast.{name}={long[name]}" for name in _SWITCHES if is_off(long.get(name, "on"))]
    found += [
        f"{prefix}at {_number_of(at)} dead rows"
        for prefix, chosen in (("", own), *([("long values: ", long)] if long else []))
        if not (at := _comes_at({**_DEFAULTS, **says, **chosen})) < DEAD
    ]
    found += [
        one.text
        for one in (*stored, *server)
        if one.name.lower() in ("autovacuum", "track_counts") and is_off(one.value) and not _only_reads(one)
    ]
    nap = says.get("autovacuum_naptime", "")
    if nap and not _number(nap) <= _NAPTIME_S_MAX:
        found.append(f"the server: autovacuum_naptime={nap}")
    return tuple(found)


def _comes_at(says: Mapping[str, str]) -> float:
    """Above how many dead rows; NaN when that cannot be read."""
    at = _number(says[_THRESHOLD]) + _number(says[_FACTOR]) * LIVE
    most = _number(says[_MOST])
    return most if isnan(most) or 0 <= most < at else at


def _number(text: str) -> float:
    try:
        return float(int(text, 0))
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return float("nan")


def _number_of(at: float) -> str:
    return "nobody knows how many" if isnan(at) else f"{at:,.0f}"


def _read(options: Iterable[str]) -> dict[str, str]:
    return dict(option.partition("=")[::2] for option in options)


def _only_reads(setting: Setting) -> bool:
    return bool(setting.acts_as) and set(setting.acts_as) <= READERS
