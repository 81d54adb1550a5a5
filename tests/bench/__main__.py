"""`nox -s bench`: measure the engine and the verifiers on a server of its own and print the table.

A target that is not met is told, and is no failure: a busy machine must not turn a red line into a broken build.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TextIO

from bench.measure import Line, render_table
from bench.table import Size, measure

from scripts.server.embedded import open_embedded
from scripts.settings import Settings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=Size().rounds)
    parser.add_argument("--few", type=int, default=Size().few, help="files of the smaller generated folder")
    parser.add_argument("--many", type=int, default=Size().many, help="files of the larger one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measured value there too")
    chosen = parser.parse_args()
    size = Size(chosen.rounds, chosen.few, chosen.many)
    settings = Settings(server="embedded")
    lines: list[Line] = []
    with open_embedded(settings, reason="bench") as server:
        lines.extend(measure(server, settings, size, lambda text: _say(sys.stderr, text)))
    _say(sys.stdout, render_table(lines))
    if chosen.json is not None:
        text = json.dumps([line.as_json() for line in lines], indent=1, ensure_ascii=False)
        chosen.json.write_text(text + "\n", encoding="utf-8")


def _say(where: TextIO, text: str) -> None:
    where.write(f"{text}\n")
    where.flush()


if __name__ == "__main__":
    main()
