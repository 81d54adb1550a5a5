"""What pending files would do, statement by statement, as text and JSON; beside it how large the real tables are.

Owns: the words of `invoke plan --trace`.
Promises: what was measured, what was only sampled and what is only documented are told apart; it is said that the copy
    holds no rows, and that nothing was run in the database itself.
Never: prints. Colours only when asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from scripts.migrations.trace.model import mode_words
from scripts.report.escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from scripts.catalog.sizes import TableSize
    from scripts.catalog.violators import Violators
    from scripts.migrations.model import Applied, AppliedFile
    from scripts.migrations.trace.model import FileTrace, HeldLock, LockTaken, Notice, PhaseSeen, StatementTrace

_GAP: Final = "   "
# Modes behind which readers or writers wait.
_STRONG: Final = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
_RED, _YELLOW, _RESET = "\x1b[31m", "\x1b[33m", "\x1b[0m"
_EFFECTS: Final = {
    "rewrite": "rewrites",
    "truncate": "empties",
    "index": "builds",
    "scan": "scans",
    "data": "changes rows",
    "catalog": "catalog only",
    "unseen": "nothing seen",
    "none": "was found done, and not sent",
}
_SOURCES: Final = {"measured": "", "sampled": "sampled", "documented": "documented, not seen"}
_UNITS: Final = ("kB", "MB", "GB", "TB", "PB")
_KINDS: Final = {"i": "index", "I": "index", "S": "sequence", "v": "view", "m": "materialized view", "t": "TOAST data"}


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What `plan --trace` found.

    applied: the pending files, as applied to the copy. copy: what the copy is, for people. recorded: files that were
    applied to it before. sizes: of the real database's tables; empty when there is no real database.
    violators: rows of the real database, by constraint that the files add.
    """

    applied: Applied
    copy: str
    recorded: int
    sizes: tuple[TableSize, ...] = ()
    violators: tuple[Violators, ...] = ()


def render_trace(foreseen: Foreseen, *, color: bool = False) -> str:
    """Every statement of every pending file, and a last line that says where it was run.

    Args:
        foreseen: what was found.
        color: whether modes behind which others wait, and rewrites, are coloured.
    """
    sizes = {size.relation: size for size in foreseen.sizes}
    blocks = ["\n".join(_file_lines(file, sizes, color=color)) for file in foreseen.applied.files]
    told = [item for item in foreseen.violators if item.rows != 0]
    if told:
        blocks.append("\n".join(["rows of the database itself that violate what is added", *map(_violators, told)]))
    return "\n\n".join([*blocks, _last(foreseen)])


def trace_json(foreseen: Foreseen) -> str:
    """The same for programs."""
    value: dict[str, Any] = {
        **foreseen.applied.as_json(),
        "copy": foreseen.copy,
        "recorded": foreseen.recorded,
        "tables": [size.as_json() for size in foreseen.sizes],
        "violators": [item.as_json() for item in foreseen.violators],
    }
    return json.dumps(value, indent=2, ensure_ascii=False)


def render_size(size: TableSize | None) -> str:
    """`~1,200,000 rows, 340 MB`; nothing when the real database has no such table."""
    if size is None:
        return ""
    rows = (
        "rows not known: never analysed" if size.rows is None else f"~{size.rows:,} row{'' if size.rows == 1 else 's'}"
    )
    return f"{rows}, {_bytes(size.size)}"


def _file_lines(file: AppliedFile, sizes: Mapping[str, TableSize], *, color: bool) -> list[str]:
    how = "statement by statement" if file.no_tx else "in one transaction"
    lines = [_GAP.join([escape(file.name), how, f"{file.duration_ms} ms"])]
    trace = file.trace
    if trace is None or not trace.complete:
        return [*lines, "  not traced: the file changes its session in a way that the questions do not survive"]
    width = max((len(escape(statement.kind)) for statement in trace.statements), default=0)
    for statement in trace.statements:
        lines += [f"  {line}".rstrip() for line in _statement_lines(statement, sizes, width, color=color)]
    lines += [f"  {_held(lock, trace, sizes)}" for lock in trace.held]
    lines += [f"  {_notice(notice)}" for notice in trace.unplaced]
    return [*lines, *(f"  note     {escape(note)}" for note in file.notes)]


def _statement_lines(
    statement: StatementTrace, sizes: Mapping[str, TableSize], width: int, *, color: bool
) -> Iterator[str]:
    took = "-" if statement.duration_us is None else f"{statement.duration_us / 1000:.1f} ms"
    word = "setting" if statement.duration_us is None else _EFFECTS[statement.effect]
    rows = "" if statement.rows is None else f"{statement.rows} row{'' if statement.rows == 1 else 's'}"
    parts = [
        f"line {statement.line:<4}",
        f"{escape(statement.kind):<{width}}",
        f"{took:>9}",
        word,
        rows,
        _SOURCES[statement.source],
    ]
    head = _GAP.join(part for part in parts if part)
    yield f"{_RED}{head}{_RESET}" if color and statement.effect in ("rewrite", "truncate") else head
    for verb, names in (
        ("rewrites", statement.rewritten),
        ("empties", statement.truncated),
        ("scans", statement.scanned),
        ("builds", statement.built),
    ):
        for name in names:
            yield _GAP.join(part for part in (f"  {verb:<8}", escape(name), render_size(sizes.get(name))) if part)
    for name in statement.proved:
        yield f"  {'proved':<8}{_GAP}{escape(name)}{_GAP}by a constraint, so it is not scanned"
    for lock in statement.locks:
        yield f"  {'locks':<8}{_GAP}{_lock(lock, sizes, color=color)}"
    for phase in statement.phases:
        yield f"  {'seen':<8}{_GAP}{_phase(phase)}"
    if statement.samples == 0:
        yield f"  {'seen':<8}{_GAP}it was over before the first look"
    if statement.catches:
        yield f"  {'catches':<8}{_GAP}errors: what is rolled back in it is not seen, but for rewrites, scans and builds"
    for notice in statement.notices:
        yield f"  {_notice(notice)}"


def _lock(lock: LockTaken, sizes: Mapping[str, TableSize], *, color: bool) -> str:
    mode = mode_words(lock.mode)
    if color and lock.mode in _STRONG:
        mode = f"{_RED if lock.mode == 'AccessExclusiveLock' else _YELLOW}{mode}{_RESET}"
    what = _KINDS.get(lock.relkind, "")
    of = " of ".join(part for part in (what, escape(lock.on)) if part) if lock.on else what
    told = [escape(lock.relation), of, mode, _SOURCES[lock.source], render_size(sizes.get(lock.relation))]
    return _GAP.join(part for part in told if part)


def _phase(phase: PhaseSeen) -> str:
    waits = "" if phase.granted or not phase.mode else "waiting for "
    where = f"{waits}{mode_words(phase.mode)} on {escape(phase.relation)}" if phase.mode else escape(phase.relation)
    between = f"{phase.first_us / 1000:.0f} to {phase.last_us / 1000:.0f} ms"
    often = "once" if phase.samples == 1 else f"{phase.samples} times"
    return _GAP.join(part for part in (escape(phase.phase), where, between, often) if part)


def _held(lock: HeldLock, trace: FileTrace, sizes: Mapping[str, TableSize]) -> str:
    line = next((item.line for item in trace.statements if item.index == lock.taken_by), 0)
    more = f"{lock.statements} more statement{'' if lock.statements == 1 else 's'}"
    later = f", while {more} ran" if lock.statements else ""
    long = f"ACCESS EXCLUSIVE for {lock.exclusive_held_us / 1000:.1f} ms: from line {line} on{later}"
    told = [f"{'held':<8}", escape(lock.relation), long, render_size(sizes.get(lock.relation))]
    return _GAP.join(part for part in told if part)


def _violators(item: Violators) -> str:
    if item.rows is None:
        told = f"not counted: {item.why}"
    else:
        rows = f"{item.rows:,} row{'' if item.rows == 1 else 's'}"
        told = f"{rows}: {'the file fails there' if item.validated else 'an UPDATE of one of them fails'}"
    return f"  {_GAP.join([escape(item.relation), escape(item.constraint), told])}"


def _notice(notice: Notice) -> str:
    text = escape(notice.message) if notice.message else "(not shown: it may hold a row)"
    return _GAP.join([f"{escape(notice.severity).lower():<8}", escape(notice.sqlstate), text])


def _last(foreseen: Foreseen) -> str:
    files = len(foreseen.applied.files)
    if not files:
        return "nothing is pending; nothing was run"
    before = f"{foreseen.recorded} recorded file{'' if foreseen.recorded == 1 else 's'}"
    return (
        f"{files} pending file{'' if files == 1 else 's'} applied after {before} to {escape(foreseen.copy)}, "
        "which holds no rows: times and row counts are of empty tables"
        + (
            "; sizes and counts are the database's own, where nothing of a file was run"
            if foreseen.sizes
            else "; nothing else was run"
        )
    )


def _bytes(size: int) -> str:
    """As people read it, in powers of 1024."""
    if size < 1024:
        return f"{size} bytes"
    value, unit = size / 1024, 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if value >= 10 else f"{value:.1f} {_UNITS[unit]}"
