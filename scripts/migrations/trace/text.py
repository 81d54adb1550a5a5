"""A trace as text for the history: the JSON of model.py, written in one go.

Owns: the byte form of a trace in the ledger. What it says, `as_json` of each record owns.
Promises: the text is that of `as_json`, with sorted keys and no white space; a test holds the two together.
Why: the server is idle while the text is made. Most statements have a time and little else; written straight away, our
    files' texts take two thirds of the time that a document for each, encoded afterwards, takes.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from scripts.migrations.trace.model import mode_words

if TYPE_CHECKING:
    from scripts.migrations.trace.model import FileTrace, LockTaken, StatementTrace

_encoded = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
# Names of tables, kinds of statements: the same few, again and again.
_quoted = lru_cache(maxsize=1000)(_encoded)


def trace_text(trace: FileTrace) -> str:
    """The text of `trace.as_json()`, which is an object's."""
    held = f'"held":{_encoded([lock.as_json() for lock in trace.held])},' if trace.held else ""
    unplaced = f',"unplaced":{_encoded([notice.as_json() for notice in trace.unplaced])}' if trace.unplaced else ""
    statements = ",".join([_statement(statement) for statement in trace.statements])
    return f'{{"complete":{_encoded(trace.complete)},{held}"statements":[{statements}]{unplaced}}}'


def _statement(trace: StatementTrace) -> str:
    if _says_more(trace):
        return _encoded(trace.as_json())
    duration = "null" if trace.duration_us is None else trace.duration_us
    text = (
        f'{{"duration_us":{duration},"effect":"{trace.effect}","index":{trace.index},"kind":{_quoted(trace.kind)},'
        f'"line":{trace.line}'
    )
    if trace.locks:
        text += f',"locks":[{",".join([_lock(lock) for lock in trace.locks])}]'
    if trace.rows is not None:
        text += f',"rows":{trace.rows}'
    if trace.locks:
        text += f',"strongest":{_quoted(mode_words(trace.strongest))}'
    return text + "}"


def _says_more(trace: StatementTrace) -> bool:
    """Whether a statement has more than a time, locks and rows."""
    return bool(
        trace.rewritten
        or trace.truncated
        or trace.scanned
        or trace.built
        or trace.proved
        or trace.notices
        or trace.catches
        or trace.samples is not None
        or trace.source != "measured"
    )


def _lock(lock: LockTaken) -> str:
    if lock.source != "measured":
        return _encoded(lock.as_json())
    on = f'"on":{_quoted(lock.on)},' if lock.on else ""
    mode = _quoted(mode_words(lock.mode))
    return f'{{"mode":{mode},{on}"relation":{_quoted(lock.relation)},"relkind":{_quoted(lock.relkind)}}}'
