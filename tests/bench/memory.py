"""Peak memory of one thing, measured in a process of its own: a peak never goes down again.

Owns: that process. The DSN holds a password, so it travels through a pipe and not in the command line.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.settings import Settings


@dataclass(frozen=True, slots=True)
class Peak:
    """seconds: how long it took. before, after: the process's peak of resident memory, in bytes."""

    seconds: float
    before: int
    after: int

    @property
    def grown(self) -> int:
        """Bytes that the work needed beyond what was there."""
        return self.after - self.before


def apply_in_own_process(dsn: str, settings: Settings) -> Peak:
    """Apply a folder to an empty database in a process of its own, which has parsed and connected before."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_apply, (dsn, settings))


def _apply(dsn: str, settings: Settings) -> Peak:
    import psycopg
    from bench.candidates import engine

    from scripts.parser.statements import parse_statements

    parse_statements("SELECT 1", where="warm")
    with psycopg.connect(dsn, autocommit=True) as conn:
        before = _peak()
        seconds = engine(conn, settings)
        return Peak(seconds, before, _peak())


def _peak() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    msg = "this system does not tell a process's peak memory"
    raise RuntimeError(msg)
