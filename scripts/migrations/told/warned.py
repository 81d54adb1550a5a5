"""Warnings of the server while a file runs: a run that did less than it was told must not pass without a word.

Owns: which messages count, and how they are told as notes of the run.
Promises: of a warning only what may be shown of an error is shown (failure.py). Never is a warning taken for a failure.
Why: VACUUM, ANALYZE, CLUSTER and GRANT skip what the role may not touch, with a warning, and succeed.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.migrations.told.failure import shown_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from psycopg.errors import Diagnostic

# A loop may warn for every row.
_KEPT = 20


@dataclass(frozen=True, slots=True)
class _Said:
    """What failure.py reads of a message; the driver's own lives no longer than the call that hands it over."""

    sqlstate: str | None
    message_primary: str | None
    context: str | None
    source_file: str | None
    source_function: str | None
    schema_name: str | None
    table_name: str | None
    column_name: str | None
    datatype_name: str | None
    constraint_name: str | None


class Warnings:
    """The warnings of one file, or of one statement, in order; each once."""

    def __init__(self) -> None:
        self._said: dict[_Said, int] = {}
        self._more = 0

    @contextmanager
    def heard_on(self, conn: psycopg.Connection[Any]) -> Iterator[None]:
        """Listen as long as the block runs."""
        conn.add_notice_handler(self)
        try:
            yield
        finally:
            conn.remove_notice_handler(self)

    def __call__(self, diag: Diagnostic) -> None:
        """Take one message."""
        if (diag.severity_nonlocalized or diag.severity) != "WARNING":
            return
        said = _Said(*(getattr(diag, name) for name in _Said.__slots__))
        if said in self._said or len(self._said) < _KEPT:
            self._said[said] = self._said.get(said, 0) + 1
        else:
            self._more += 1

    def notes(self, conn: psycopg.Connection[Any], text: str) -> tuple[str, ...]:
        """What is told of them, a line each.

        Args:
            conn: outside a transaction; asked for the source of a function that warned and is not the file's, and
                for the names of objects.
            text: of the file.
        """
        if not self._said:
            return ()  # the file is not read for words that nobody said
        told: dict[str, int] = {}
        shown = shown_words(tuple(self._said), text, conn)
        for words, (said, times) in zip(shown, self._said.items(), strict=True):
            line = f"the server warned: {words} (SQLSTATE {said.sqlstate or 'none'})"
            told[line] = told.get(line, 0) + times
        notes = [line if times == 1 else f"{line}, {times} times" for line, times in told.items()]
        if self._more:
            notes.append(f"the server warned {self._more} times more")
        return tuple(notes)
