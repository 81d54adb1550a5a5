"""The server's messages while a file runs: whose they are, what they say about rewrites and scans, what may be shown.

Owns: the reading of notices, and of the debug messages that tell what an ALTER TABLE really does.
Promises: a message's text is kept only when it is the server's own or stands in the file; a text that a function
raises may hold a row.
Source: ATRewriteTable, validateForeignKeyConstraint, index_build, NotNullImpliedByRelConstraints,
QueuePartitionConstraintValidation in PostgreSQL 18; these messages are never translated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.migrations.failure import shown_message
from scripts.migrations.trace.model import Notice
from scripts.migrations.trace.probe import MARK_SQLSTATE, marked

if TYPE_CHECKING:
    from psycopg.errors import Diagnostic

_PATTERNS = {
    "ATRewriteTable": re.compile(r'(rewriting|verifying) table "(.*)"', re.DOTALL),
    "index_build": re.compile(r'(building) index "(.*)" on table "(.*)" (?:serially|with request .*)', re.DOTALL),
    "validateForeignKeyConstraint": re.compile(r'(validating) foreign key constraint "(.*)"', re.DOTALL),
    "NotNullImpliedByRelConstraints": re.compile(r'existing (constraints) on column "(.*)" are .*', re.DOTALL),
    "QueuePartitionConstraintValidation": re.compile(r'.*partition (constraint) for .*"(.*)" is .*', re.DOTALL),
}


@dataclass(slots=True)
class Told:
    """What the server told while one statement ran: names without their schema, as it gives them."""

    rewriting: list[str] = field(default_factory=list)
    verifying: list[str] = field(default_factory=list)
    building: list[tuple[str, str]] = field(default_factory=list)
    validating: list[str] = field(default_factory=list)
    proved: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


class Listener:
    """Takes the messages of one file as they come; `told_of` gives them out by statement."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._open = Told()
        self._heard = False
        self._placed: dict[int, Told] = {}

    def begin(self, text: str) -> None:
        """Forget what was heard. text: of the file."""
        self._text = text
        self._open, self._heard = Told(), False
        self._placed = {}

    def end(self) -> None:
        """Hear nothing more until the next file."""
        self._text = None

    def told_of(self, statement: int) -> Told | None:
        """What was told before the question behind this statement, and after the one before; None for nothing."""
        return self._placed.get(statement)

    @property
    def unplaced(self) -> tuple[Notice, ...]:
        """Notices behind the last question that was heard of."""
        return tuple(self._open.notices)

    def __call__(self, diag: Diagnostic) -> None:
        """Take one message. The driver logs, and drops, whatever is raised here."""
        if self._text is None:
            return
        sqlstate, message = diag.sqlstate or "", diag.message_primary or ""
        if sqlstate == MARK_SQLSTATE and (statement := marked(message)) is not None:
            if self._heard:
                self._placed[statement] = self._open
                self._open, self._heard = Told(), False
            return
        severity = diag.severity_nonlocalized or diag.severity or ""
        if severity.startswith("DEBUG"):
            self._heard |= _take(self._open, diag.source_function or "", message)
        elif severity != "LOG":  # with log_statement it repeats the file, literals and all
            shown = shown_notice(message, sqlstate, self._text, raised=is_raised(diag.source_file))
            self._open.notices.append(Notice(severity, sqlstate, shown))
            self._heard = True


def is_raised(source_file: str | None) -> bool:
    """Whether a procedural language passes on a text that its program made up."""
    # pl_exec.c, plpy_plpymodule.c, plperl.c, pltcl.c, plv8.cc: every language's files begin so; so do the planner's.
    name = (source_file or "pl").rpartition("/")[2]
    return name.startswith("pl") and not name.startswith("plan")


def shown_notice(message: str, sqlstate: str, text: str, *, raised: bool) -> str:
    """The message, or as much of it as may be shown; empty when that is nothing.

    Args:
        message: the primary message.
        sqlstate: five characters.
        text: of the file.
        raised: whether a program made it up.
    """
    if not raised:
        return shown_message(message, sqlstate, text)
    quoted = message.replace("'", "''")
    return message if f"'{quoted}'" in text else ""


def _take(told: Told, function: str, message: str) -> bool:
    pattern = _PATTERNS.get(function)
    match = None if pattern is None else pattern.fullmatch(message)
    if match is None:
        return False
    word = match[1]
    if word == "building":
        told.building.append((match[2], match[3]))
    elif word == "rewriting":
        told.rewriting.append(match[2])
    elif word == "verifying":
        told.verifying.append(match[2])
    elif word == "validating":
        told.validating.append(match[2])
    else:
        told.proved.append(match[2])
    return True
