"""The nouns of the lints: a rule is a record, a finding is one violation with its place.

Owns: `Rule`, `Finding`.
Never: looks at SQL; a rule's `find` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scripts.lint.subject import LintInput, Part
    from scripts.parser.statements import Statement

# Both turn a run red. A warning says that nothing is broken yet, an error that something is.
Severity = Literal["error", "warning"]
Find: TypeAlias = "Callable[[LintInput], Iterable[Finding]]"


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation.

    line, column: 1-based, in characters; 1:1 when the file as a whole is meant.
    object: what is wrong, as a name: `public.tenants.status`, a role, a SQLSTATE.
    statement: the top-level statement it stands in; None when no statement of the file is meant. An exemption is bound
        to it.
    """

    rule: str
    file: str
    line: int
    column: int
    object: str
    message: str
    help: str
    statement: Statement | None = field(default=None, repr=False, compare=False)

    @property
    def place(self) -> str:
        """`file:line:column`."""
        return f"{self.file}:{self.line}:{self.column}"

    def __str__(self) -> str:
        return f"{self.place} {self.message}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it looks for, why, what to do instead, and an example of both.

    title: the rule as a sentence in the indicative. why: what goes wrong without it. help: the way out.
    gate: the id of the gate it belongs to (scripts/lint/gates.py).
    red, green: SQL of one migration that breaks it and of one that does not; `before` is the migration ahead of both.
        They are the examples of docs/lints.md, and a test runs them.
    """

    id: str
    gate: str
    severity: Severity
    title: str
    why: str
    help: str
    red: str
    green: str
    find: Find = field(repr=False, compare=False)
    before: str = ""

    def at(self, part: Part, name: object, message: str, *, node: Any = None, help: str = "") -> Finding:  # noqa: A002 - the part's name
        """A finding in a part of a file.

        Args:
            part: where it was found.
            name: the object's name.
            message: what is wrong with it, a clause without a full stop.
            node: the parsed message to point at; the part's own beginning when None, or when it has no location.
            help: instead of the rule's own.
        """
        line, column = part.place(node)
        return Finding(self.id, part.file.name, line, column, str(name), message, help or self.help, part.statement)

    def of_file(self, file: str, name: object, message: str, *, line: int = 1, column: int = 1) -> Finding:
        """A finding that belongs to a file and to no statement of it."""
        return Finding(self.id, file, line, column, str(name), message, self.help)
