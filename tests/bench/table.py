"""The table: every line that is measured, with the target it has to reach.

Owns: the targets. They are ratios, or times after start-up, on a machine with two cores.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from bench.by_hand import ByHand
from bench.candidates import Bare, bare_on_empty, check, digests, engine, nothing_to_do, on_empty
from bench.folders import write_folder
from bench.measure import Line, in_turn, ms, ratios
from bench.memory import apply_in_own_process
from bench.scratch import Scratch
from bench.verifiers import measure_verifiers

from scripts.catalog.read import read_catalog
from scripts.migrations.ledger.table import read_ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.memory import Peak

    from scripts.server.model import Server
    from scripts.settings import Settings

PLAIN_TIMES, TRACED_TIMES = 1.2, 1.5
NOTHING_MS, NOTHING_MANY_MS = 10, 500
LINEAR_TIMES = 1.3
# What a file may add to the peak beyond its own bytes: its name, two digests, and the objects that hold them.
MEMORY_BYTES_A_FILE = 4096


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. rounds: counted ones; few, many: files of the generated folders."""

    rounds: int = 9
    few: int = 1_000
    many: int = 10_000


def measure(server: Server, settings: Settings, size: Size, report: Callable[[str], None]) -> Iterator[Line]:
    """Measure everything.

    Args:
        server: a fresh one.
        settings: as read; the project's own folder is its `migrations_dir`.
        size: rounds and files.
        report: told what comes next.
    """
    scratch = Scratch(server)
    plain, traced = replace(settings, migrate_trace=False), replace(settings, migrate_trace=True)
    report("the project's own migrations, bare and by the engine")
    yield from _ours(scratch, plain, traced, size)
    report("the parts by themselves")
    yield from _parts(scratch, plain, size)
    report("the verifiers on the project's own schema")
    yield from measure_verifiers(scratch, plain, size.rounds)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        report(f"{size.few} and {size.many} generated migrations")
        yield from _generated(scratch, plain, size, Path(folder), report)


def _ours(scratch: Scratch, plain: Settings, traced: Settings, size: Size) -> Iterator[Line]:
    bare = Bare.of(plain.migrations_dir)
    found = in_turn(
        size.rounds,
        {
            "bare": partial(bare_on_empty, scratch, bare),
            "by hand": partial(bare_on_empty, scratch, ByHand(bare)),
            "plain": partial(on_empty, scratch, plain),
            "traced": partial(on_empty, scratch, traced),
        },
    )
    yield Line("apply ours: bare loop", ms(found["bare"]), "ms")
    yield Line("apply ours: bare loop with a ledger by hand", ms(found["by hand"]), "ms")
    yield Line("apply ours: engine", ms(found["plain"]), "ms")
    yield Line("apply ours: engine, traced", ms(found["traced"]), "ms")
    yield Line("apply ours: a ledger by hand over bare", ratios(found["by hand"], found["bare"]), "times")
    yield Line("apply ours: engine over bare", ratios(found["plain"], found["bare"]), "times", PLAIN_TIMES)
    yield Line("apply ours: engine, traced, over bare", ratios(found["traced"], found["bare"]), "times", TRACED_TIMES)


def _parts(scratch: Scratch, plain: Settings, size: Size) -> Iterator[Line]:
    folder = plain.migrations_dir
    with scratch.database() as dsn:
        with psycopg.connect(dsn, autocommit=True) as conn:
            engine(conn, plain)
        found = in_turn(
            size.rounds,
            {
                "nothing": partial(nothing_to_do, dsn, plain),
                "check": partial(check, folder),
                "digests": partial(digests, folder),
                "catalog": partial(_read_catalog, dsn),
            },
        )
    yield Line("nothing to do: ours", ms(found["nothing"]), "ms", NOTHING_MS)
    yield Line("read, parse and check ours", ms(found["check"]), "ms")
    yield Line("digests of our statements", ms(found["digests"]), "ms")
    yield Line("read the catalog of ours", ms(found["catalog"]), "ms")


def _read_catalog(dsn: str) -> float:
    with psycopg.connect(dsn, autocommit=True) as conn:
        started = time.perf_counter()
        read_catalog(conn)
        return time.perf_counter() - started


def _read_ledger(dsn: str) -> float:
    with psycopg.connect(dsn, autocommit=True) as conn:
        started = time.perf_counter()
        read_ledger(conn)
        return time.perf_counter() - started


def _generated(
    scratch: Scratch, plain: Settings, size: Size, folder: Path, report: Callable[[str], None]
) -> Iterator[Line]:
    peaks: dict[int, Peak] = {}
    bares: dict[int, float] = {}
    for count in (size.few, size.many):
        settings = replace(plain, migrations_dir=write_folder(folder / str(count), count))
        with scratch.database() as dsn:
            report(f"{count} files")
            peaks[count] = apply_in_own_process(dsn, settings)
            found = in_turn(
                size.rounds, {"nothing": partial(nothing_to_do, dsn, settings), "audit": partial(_read_ledger, dsn)}
            )
        bare = bares[count] = bare_on_empty(scratch, Bare(settings.migrations_dir, {}))
        yield Line(f"apply {count} files: bare loop", (bare * 1000,), "ms")
        yield Line(f"apply {count} files: engine", (peaks[count].seconds * 1000,), "ms")
        yield Line(f"apply {count} files: engine over bare", (peaks[count].seconds / bare,), "times")
        yield Line(f"nothing to do: {count} files", ms(found["nothing"]), "ms", NOTHING_MANY_MS)
        yield Line(f"of it reading the ledger and auditing its chain: {count} files", ms(found["audit"]), "ms")
    few, many = peaks[size.few], peaks[size.many]
    linear = (bares[size.many] / size.many) / (bares[size.few] / size.few)
    yield Line(f"time for a file, {size.many} over {size.few}: bare loop", (linear,), "times")
    linear = (many.seconds / size.many) / (few.seconds / size.few)
    yield Line(f"time for a file, {size.many} over {size.few}: engine", (linear,), "times", LINEAR_TIMES)
    a_file = (many.grown - few.grown) / (size.many - size.few)
    yield Line("peak memory for one more file", (a_file,), "bytes", MEMORY_BYTES_A_FILE)
