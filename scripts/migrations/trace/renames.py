"""Which files may give another name to a relation without a lock on it: then all names are read again behind them.

Limits: of a program only the words of the file are known, not what it runs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scripts.migrations.trace.effects import PROGRAMS

if TYPE_CHECKING:
    from scripts.migrations.folder.files import MigrationFile

_MOVES = re.compile(rb"set\s+schema")


def renames_unlocked(file: MigrationFile) -> bool:
    """Whether a file may give names to what it does not lock, or make an event trigger; a program may, by its words.

    A schema's name is its relations'; a table that is moved to another schema takes its indexes with it.
    """
    kinds = {statement.kind for statement in file.statements}
    if kinds & {"CreateEventTrigStmt", "AlterEventTrigStmt", "AlterObjectSchemaStmt"}:
        return True
    words, runs_others = file.data.lower(), not kinds.isdisjoint(PROGRAMS)
    if b"schema" in words and b"rename" in words:
        return runs_others or "RenameStmt" in kinds
    return runs_others and ((b"event" in words and b"trigger" in words) or _MOVES.search(words) is not None)
