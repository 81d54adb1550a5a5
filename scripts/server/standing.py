"""Whether a server that stays is there, as far as it can be told from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands.

    `kind`: it runs; it is paused, so that nobody in it answers; it is gone for good; it is elsewhere, on another
    machine or in another container, where alone it can be judged; it is unclear, since who could tell does not answer.
    `why`: how that is known, or what to do; "" for one that runs.
    """

    kind: Literal["runs", "paused", "gone", "elsewhere", "unclear"]
    why: str = ""
