"""A voice that is listened to: what a command says, kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from scripts.run.voice import Voice


@dataclass
class Heard:
    """What a command said: `out` is its result, `progress` the rest, a line or a block each."""

    out: list[str] = field(default_factory=list)
    progress: list[str] = field(default_factory=list)

    def voice(self, *, json: bool = False) -> Voice:
        """A voice without colour."""
        return Voice(self.out.append, self.progress.append, json=json)

    @property
    def text(self) -> str:
        """The result."""
        return "\n".join(self.out)
