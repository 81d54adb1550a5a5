"""The modes of table locks: what the server calls them, what SQL calls them, which keep which out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# By strength. Each with its conflicts, a bit for each mode in this order: "Table-Level Lock Modes" in the manual.
_MODES = {
    "AccessShareLock": ("ACCESS SHARE", 0b10000000),
    "RowShareLock": ("ROW SHARE", 0b11000000),
    "RowExclusiveLock": ("ROW EXCLUSIVE", 0b11110000),
    "ShareUpdateExclusiveLock": ("SHARE UPDATE EXCLUSIVE", 0b11111000),
    "ShareLock": ("SHARE", 0b11101100),
    "ShareRowExclusiveLock": ("SHARE ROW EXCLUSIVE", 0b11111100),
    "ExclusiveLock": ("EXCLUSIVE", 0b11111110),
    "AccessExclusiveLock": ("ACCESS EXCLUSIVE", 0b11111111),
}
_NUMBERS = {mode: number for number, mode in enumerate(_MODES)}


def mode_words(mode: str) -> str:
    """`AccessExclusiveLock` as `ACCESS EXCLUSIVE`; any other word as it is."""
    return _MODES[mode][0] if mode in _MODES else mode


def modes_conflict(one: str, other: str) -> bool:
    """Whether two sessions cannot hold the two modes on one object; unknown modes are taken to conflict."""
    if one not in _MODES or other not in _MODES:
        return True
    return bool(_MODES[one][1] >> _NUMBERS[other] & 1)


def conflict(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a lock held keeps out a lock wanted. Both: `object`, which names what is locked, and `mode`."""
    return held["object"] == wanted["object"] and modes_conflict(held["mode"], wanted["mode"])
