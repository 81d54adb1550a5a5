"""`nox -s bench`: measure the engine, the verifiers and the starts of servers, and print the tables.

A target that is not met is told, and is no failure: a busy machine must not turn a red line into a broken build. With
`--gate` a ratio far beyond its target is one, exit 1, and so is what could not be measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bench.measure import Line, beyond, render_table
from bench.servers import measure_servers
from bench.table import Size, measure

from scripts.server.embedded.origin import open_embedded
from scripts.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# In the order in which they are measured: what others do not slow down comes first.
TABLES = ("servers", "engine")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=Size().rounds)
    parser.add_argument("--few", type=int, default=Size().few, help="files of the smaller generated folder")
    parser.add_argument("--many", type=int, default=Size().many, help="files of the larger one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measured value there too")
    parser.add_argument("--only", choices=TABLES, help="one table of the two")
    parser.add_argument("--gate", type=float, metavar="TIMES", help="fail where a ratio with a target is beyond that")
    chosen = parser.parse_args()
    size = Size(chosen.rounds, chosen.few, chosen.many)
    settings = Settings(server="embedded", pg_image=read_settings().pg_image)
    lines: list[Line] = []
    for name in TABLES if chosen.only is None else [chosen.only]:
        table = list(_measured(name, settings, size))
        _say(sys.stdout, render_table(table))
        lines += table
    if chosen.json is not None:
        text = json.dumps([line.as_json() for line in lines], indent=1, ensure_ascii=False)
        chosen.json.write_text(text + "\n", encoding="utf-8")
    wrong = [] if chosen.gate is None else beyond(lines, chosen.gate)
    for sentence in wrong:
        _say(sys.stderr, f"bench: {sentence}")
    if wrong:
        sys.exit(1)


def _measured(name: str, settings: Settings, size: Size) -> Iterator[Line]:
    def report(text: str) -> None:
        _say(sys.stderr, text)

    if name == "servers":
        yield from measure_servers(settings, size.rounds, report)
        return
    with open_embedded(settings, reason="bench") as server:
        yield from measure(server, settings, size, report)


def _say(where: TextIO, text: str) -> None:
    where.write(f"{text}\n")
    where.flush()


if __name__ == "__main__":
    main()
