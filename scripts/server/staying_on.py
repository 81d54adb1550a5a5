"""What of this process's doing outlives it on purpose: for the last line of a run that is interrupted.

Owns: the list. It is the process's own, since an interruption may come long after whoever kept something is done: while
    the lines that say so are being written, or the evidence.
Never: keeps or ends anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class _Kept:
    what: str
    removal: str
    stays: Callable[[], bool]


_KEPT: list[_Kept] = []


def note_kept(what: str, removal: str, stays: Callable[[], bool]) -> None:
    """Remember what is about to be let stay.

    Args:
        what: its name, after "kept: ".
        removal: what removes it, as a person types it.
        stays: whether it does by now; asked when it is to be told.
    """
    _KEPT.append(_Kept(what, removal, stays))


def always() -> bool:
    """For what is there already."""
    return True


def told_of_kept() -> str:
    """A part of a sentence that names each and what removes it; empty when nothing stays."""
    return "; ".join(f"{kept.what} stays ({kept.removal} removes it)" for kept in _KEPT if kept.stays())


def begin_anew() -> None:
    """For the next command in this process."""
    _KEPT.clear()
