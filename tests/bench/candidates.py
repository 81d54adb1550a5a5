"""What is measured: the bare loop and the engine over the same files, and the parts of the engine by themselves.

Owns: where each clock starts and stops. Connections and databases are made before and removed after.
Promises: the bare loop does what anybody would write who keeps no ledger: it reads the files, and runs each in a
transaction, or statement by statement when it is marked. It is told the statements of those; it parses nothing.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from scripts.migrations.apply import migrate
from scripts.migrations.folder.files import read_files
from scripts.migrations.folder.runnable import require_all_runnable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.by_hand import ByHand
    from bench.scratch import Scratch

    from scripts.settings import Settings


@dataclass(frozen=True)
class Bare:
    """A loop over the files of a folder, and nothing else.

    marked: the statements of the files that run outside a transaction, by name.
    """

    folder: Path
    marked: Mapping[str, tuple[bytes, ...]]

    @classmethod
    def of(cls, folder: Path) -> Bare:
        """Told beforehand what it would have to parse the files for."""
        files = [file for file in read_files(folder) if b"symphony:no_tx" in file.data and file.no_tx]
        return cls(folder, {file.name: tuple(item.text.encode() for item in file.statements) for file in files})

    def run(self, conn: psycopg.Connection[Any]) -> float:
        """Apply the folder; the time it took, in seconds."""
        started = time.perf_counter()
        for path in sorted(self.folder.glob("*.sql"), key=lambda path: (int(path.name.split("_")[0]), path.name)):
            data = path.read_bytes()
            statements = self.marked.get(path.name)
            if statements is None:
                with conn.transaction():
                    conn.execute(data)
            else:
                for statement in statements:
                    # 0013 builds an index that 0007 made: the engine recognises it, a loop has to be forgiving.
                    with suppress(psycopg.errors.DuplicateTable):
                        conn.execute(statement)
        return time.perf_counter() - started


def engine(conn: psycopg.Connection[Any], settings: Settings) -> float:
    """Read the folder and bring the database up to it, as `invoke migrate` does; the time it took, in seconds."""
    started = time.perf_counter()
    migrate(conn, read_files(settings.migrations_dir), settings, report=lambda _: None)
    return time.perf_counter() - started


def nothing_to_do(dsn: str, settings: Settings) -> float:
    """The same over a database that is up to date, on a connection of its own; seconds."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        return engine(conn, settings)


def on_empty(scratch: Scratch, settings: Settings) -> float:
    """The engine on an empty database; seconds."""
    with scratch.connection() as conn:
        return engine(conn, settings)


def bare_on_empty(scratch: Scratch, bare: Bare | ByHand) -> float:
    """The bare loop, or the one with a ledger, on an empty database; seconds."""
    with scratch.connection() as conn:
        return bare.run(conn)


def check(folder: Path) -> float:
    """Read, hash, parse and check every file; seconds."""
    started = time.perf_counter()
    require_all_runnable(read_files(folder))
    return time.perf_counter() - started


def digests(folder: Path) -> float:
    """The digest of every file's statements, once they are parsed; seconds."""
    files = read_files(folder)
    _ = [file.no_tx for file in files]
    started = time.perf_counter()
    _ = [file.statements_digest for file in files]
    return time.perf_counter() - started
