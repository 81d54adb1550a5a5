"""What a run says while it runs: gate lines and the verdict as the result, everything else as progress.

Promises: with --json the result stream holds one JSON value and nothing else.
Never: decides what happened; it is handed values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Voice:
    """Two streams and how to write on them.

    `out` takes results (stdout), `say` takes progress (stderr); each takes whole lines.
    """

    out: Callable[[str], None]
    say: Callable[[str], None]
    json: bool = False
    color: bool = False

    def line(self, text: str) -> None:
        """A line of the readable result; progress when the result is JSON."""
        (self.say if self.json else self.out)(text)

    def value(self, text: str) -> None:
        """The JSON result; silent when the result is readable."""
        if self.json:
            self.out(text)
