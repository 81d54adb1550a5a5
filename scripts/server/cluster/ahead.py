"""What a start does before it knows which kept cluster it wants: read and check the likely one, in a thread.

Owns: that thread. The key hangs on the digest of the programs, which takes ten milliseconds, as that of the cluster
    does. The cluster's is made while the watcher starts; the programs', while a server does on a copy of what was read.
Promises: what was read is used only where the entry that is wanted claims the very digest that it has; when the block
    is left nobody reads any more.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Self

from scripts.server.aside import Aside
from scripts.server.cluster.cache import find_likely
from scripts.server.cluster.packing import PoisonedError, read_checked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LEFT_S = 10.0


class Ahead:
    """The reading of one start."""

    def __init__(self, folder: Path | None, hint: str, read: Callable[[str, str], memoryview]) -> None:
        """Prepare; the block begins.

        Args:
            folder: of kept clusters; None where none is kept.
            hint: what the wanted entry says of its maker (`hint_of`).
            read: from path and digest; raises what `read_checked` raises.
        """
        self._hint = hint
        self._read = read
        self._digest = ""
        self._likely: memoryview | None = None
        self._folder = folder
        self._looking: Aside[None] | None = None

    def __enter__(self) -> Self:
        folder = self._folder
        if folder is not None:
            self._looking = Aside("likely-cluster", lambda: self._look(folder))
        return self

    def __exit__(self, *_: object) -> None:
        # What is read into goes away next; of an interrupted run too.
        if self._looking is not None:
            self._looking.wait(LEFT_S)

    def likely(self) -> memoryview | None:
        """The checked bytes of the entry that will be wanted if nothing has changed since it was made."""
        if self._looking is not None:
            self._looking.finish()
        return self._likely

    def read(self, path: str, digest: str) -> memoryview:
        """As `read_checked`: what has been read already, the very object that `likely` returns, or what is read now.

        Not to where that was read: a server may have been begun on it.
        """
        likely = self.likely()
        return likely if likely is not None and self._digest == digest else read_checked(path, digest)

    def _look(self, folder: Path) -> None:
        with suppress(OSError, PoisonedError):  # whoever wants that very entry meets it again
            found = find_likely(folder, self._hint)
            if found is not None:
                path, self._digest = found
                self._likely = self._read(str(path), self._digest)
