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

from scripts.errors.row_data import escaped
from scripts.migrations.told.failure import object_names
from scripts.migrations.told.shown import author, shown_message
from scripts.migrations.trace.model import Notice

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from psycopg.errors import Diagnostic
    from psycopg.pq.abc import PGresult

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

    def add(self, other: Told) -> None:
        """What was told afterwards."""
        self.rewriting += other.rewriting
        self.verifying += other.verifying
        self.building += other.building
        self.validating += other.validating
        self.proved += other.proved
        self.notices += other.notices


class Listener:
    """Takes the messages of one file as they come, and gives them out by statement afterwards.

    A message that comes when the driver holds n results was told by the statement that gives result n, or, when the
    driver was quick to look, by the one after: libpq hands on a message that lies behind a finished result together
    with it. Between two statements stands a question, which tells nothing; so the two never mean different statements.
    """

    def __init__(self) -> None:
        self._text: str | None = None
        self._results: Sequence[PGresult] = ()
        self._heard: dict[int, Told] = {}

    def begin(self, text: str, results: Sequence[PGresult] = ()) -> None:
        """Forget what was heard.

        Args:
            text: of the file.
            results: filled by the driver as they come.
        """
        self._text, self._results, self._heard = text, results, {}

    def end(self) -> None:
        """Hear nothing more until the next file."""
        self._text = None

    def told(self, before: int, held: int) -> Told | None:
        """What was told by a statement with a question behind it; None for nothing, and where the driver kept it.

        Args:
            before: how many results the driver holds when the statement with a question before it tells something; -1
                for none.
            held: the same of this one.
        """
        if not self._results:
            return None
        found = [self._heard[number] for number in range(before + 1, held + 1) if number in self._heard]
        if len(found) < 2:
            return found[0] if found else None
        told = Told()
        for one in found:
            told.add(one)
        return told

    def told_behind(self, held: int) -> tuple[Notice, ...]:
        """The notices behind the last statement with a question; all of them, where the driver kept the results.

        Args:
            held: how many results the driver holds when that statement tells something.
        """
        if not self._results:
            return self.notices
        return tuple(notice for number, told in self._heard.items() if number > held for notice in told.notices)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """All of them, in order."""
        return tuple(notice for told in self._heard.values() for notice in told.notices)

    def __call__(self, diag: Diagnostic) -> None:
        """Take one message. The driver logs, and drops, whatever is raised here."""
        if self._text is None:
            return
        severity = diag.severity_nonlocalized or diag.severity or ""
        if severity == "LOG":  # with log_statement it repeats the file, literals and all
            return
        message = diag.message_primary or ""
        if severity.startswith("DEBUG"):
            function = diag.source_function or ""
            if function in _PATTERNS:
                _take(self._now(), function, message)
        else:
            sqlstate = diag.sqlstate or ""
            names = object_names(diag)
            shown = shown_notice(message, self._text, raised=is_raised(diag.source_file), names=names)
            self._now().notices.append(Notice(severity, sqlstate, shown))

    def _now(self) -> Told:
        return self._heard.setdefault(len(self._results), Told())


def is_raised(source_file: str | None) -> bool:
    """Whether a procedural language passes on a text that its program made up."""
    # pl_exec.c, plpy_plpymodule.c, plperl.c, pltcl.c, plv8.cc: every language's files begin so; so do the planner's.
    name = (source_file or "pl").rpartition("/")[2]
    return name.startswith("pl") and not name.startswith("plan")


def shown_notice(
    message: str,
    text: str,
    *,
    raised: bool,
    names: Collection[str] = (),
) -> str:
    """The message, or as much of it as may be shown; empty when that is nothing.

    Args:
        message: the primary message.
        text: of the file.
        raised: whether a program made it up.
        names: of the catalog's objects, as the server's own fields give them.
    """
    if not raised:
        return shown_message(message, author(text), names)
    quoted = message.replace("'", "''")
    return escaped(message) if f"'{quoted}'" in text else ""


def _take(told: Told, function: str, message: str) -> None:
    match = _PATTERNS[function].fullmatch(message)
    if match is None:
        return
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
