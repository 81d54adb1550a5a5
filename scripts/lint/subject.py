"""What the lints look at: every piece of SQL of every file, with its place, and whether migrating runs it.

Owns: `LintInput`, `LintFile`, `Part`, and how a file falls into parts.
Promises: SQL inside CREATE SCHEMA, EXPLAIN, PREPARE, DO blocks, function bodies and constant EXECUTE strings is a part
    of its own; what cannot be read is handed on, marked, so that a rule can refuse it.
Never: judges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

from scripts.lint.dynamic import templates
from scripts.lint.nodes import concrete, kind_of
from scripts.parser.statements import BodyStatement, Positions, Statement, Token, body_statements, scan_tokens, walk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scripts.lint.allowlist import Allowlist
    from scripts.lint.history import History
    from scripts.lint.sqlstates import Registry
    from scripts.migrations.folder.files import MigrationFile
    from scripts.settings import Settings

_ROUTINES = frozenset({"CreateFunctionStmt"})


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of SQL.

    order: (statement, piece) in the file; parts compare by it.
    node: the parsed message; None where a body holds nothing to parse, or something that cannot be parsed (`problem`).
    kind: the message's name, or the PL/pgSQL keyword (RAISE, EXECUTE, …).
    executed: migrating runs it. False for what stands in the body of a function: that runs later, for somebody else.
    routine: the CREATE FUNCTION in whose body it stands; None outside of one.
    template: it was read out of dynamic SQL whose shape is known; names filled in at run time are placeholders.
    """

    file: LintFile
    statement: Statement
    order: tuple[int, int]
    node: Any = field(repr=False, compare=False)
    kind: str
    executed: bool
    body: BodyStatement | None = field(default=None, repr=False)
    routine: Any = field(default=None, repr=False, compare=False)
    template: bool = False

    @property
    def dynamic(self) -> bool:
        """Whether the SQL that will run is made at run time; its template, where it has one, is the next part."""
        return self.body is not None and self.body.dynamic and not self.template

    @property
    def is_sql(self) -> bool:
        """Whether the node is the statement itself, and not the expressions of a PL/pgSQL statement."""
        return self.node is not None and self.kind == kind_of(self.node)

    @property
    def problem(self) -> str:
        """Why it could not be parsed; empty when it could."""
        return "" if self.body is None else self.body.problem

    @property
    def as_statement(self) -> Statement:
        """The part as a statement of its own, for questions that the parser answers about statements."""
        at = self.statement
        return Statement(at.index, self.text, at.offset, at.line, at.column, self.node, self.kind)

    @property
    def text(self) -> str:
        """Its source."""
        return self.statement.text if self.body is None else self.body.text

    def place(self, node: Any = None) -> tuple[int, int]:
        """1-based line and column of a message inside the part; of the part when the message has no place."""
        location = getattr(node, "location", 0) if node is not None else 0
        if self.body is None:
            return self.file.place_of_byte(location) if location > 0 else (self.statement.line, self.statement.column)
        start = self.body.offset
        # A node's location counts from the start of the text that was parsed. That is the body statement's own text
        # for SQL; for an expression it is not, and inside a string with escapes the file runs out of step.
        in_step = self.file.text.startswith(self.body.text, start)
        if location > 0 and in_step and self.is_sql and not self.template:
            return self.file.positions.line_column(start + Positions(self.body.text).character(location))
        return self.body.line, self.body.column

    def place_of_token(self, token: Token) -> tuple[int, int]:
        """1-based line and column of a token of `text`."""
        start = self.statement.offset if self.body is None else self.body.offset
        if self.body is None or self.file.text.startswith(self.body.text, start):
            return self.file.positions.line_column(start + token.start)
        return self.body.line, self.body.column

    def messages(self, *kinds: str) -> list[Any]:
        """Every message of these kinds in its tree, the part's own included, in the order of the source."""
        return self.file.messages_of(self, kinds)

    def tokens(self) -> list[Token]:
        """Its tokens, comments left out."""
        return [token for token in scan_tokens(self.text) if not token.is_comment]


class LintFile:
    """A migration and its parts."""

    def __init__(self, migration: MigrationFile) -> None:
        self.migration = migration
        self.name = migration.name
        self.number = migration.number
        self.text = migration.text
        self.no_tx = migration.no_tx
        self.statements = migration.statements
        self.positions = Positions(migration.text)
        self._messages: dict[tuple[int, int], dict[str, list[Any]]] = {}

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Every part, in the order of the source."""
        return tuple(part for statement in self.statements for part in _parts_of(self, statement))

    def messages_of(self, part: Part, kinds: tuple[str, ...]) -> list[Any]:
        """Messages of a part by kind; its tree is walked once for all rules."""
        index = self._messages.get(part.order)
        if index is None:
            index = {}
            for message in walk(part.node) if part.node is not None else ():
                index.setdefault(kind_of(message), []).append(message)
            self._messages[part.order] = index
        return [message for kind in kinds for message in index.get(kind, ())]

    def place_of_byte(self, offset: int) -> tuple[int, int]:
        """Line and column of a byte offset, which is how libpg_query counts."""
        return self.positions.line_column(self.positions.character(offset))


@dataclass(frozen=True)
class LintInput:
    """Everything a rule may look at.

    files: in the order of their numbers; never empty.
    registry: the SQLSTATEs this schema knows; None when there is no registry beside the folder.
    allowlist: the exemptions.
    """

    files: tuple[LintFile, ...]
    registry: Registry | None
    allowlist: Allowlist
    settings: Settings
    folder: Path

    @cached_property
    def history(self) -> History:
        """What the files create, in order."""
        from scripts.lint.history import read_history

        return read_history(self.files)

    @property
    def parts(self) -> Iterator[Part]:
        """Every part of every file."""
        for file in self.files:
            yield from file.parts

    @property
    def executed(self) -> Iterator[Part]:
        """The SQL that migrating runs and that could be parsed."""
        return (part for part in self.parts if part.executed and part.is_sql)

    @property
    def statement_count(self) -> int:
        """How many pieces of SQL there are to look at."""
        return sum(len(file.parts) for file in self.files)


def _parts_of(file: LintFile, statement: Statement) -> Iterator[Part]:
    orders = count()
    # Depth at which a function's body lies: from there on nothing is run now.
    routine, routine_depth = (statement.node, 0) if statement.kind in _ROUTINES else (None, 0)

    def part(node: Any, kind: str, body: BodyStatement | None, **more: Any) -> Part:
        order = (statement.index, next(orders))
        executed = more.pop("executed", True) and (routine is None or body is None)
        return Part(file, statement, order, node, kind, executed, body, routine if body else None, **more)

    yield part(statement.node, statement.kind, None)
    for node, executed in _nested(statement.node, executed=True):
        yield part(node, kind_of(node), None, executed=executed)
    for body in body_statements(statement):
        if routine is not None and body.depth < routine_depth:
            routine = None
        yield part(body.node, body.kind, body)
        for node, executed in _nested(body.node, executed=True) if body.node is not None else ():
            yield part(node, kind_of(node), body, executed=executed)
        for node in templates(body):
            yield part(node, kind_of(node), body, template=True)
        if routine is None and body.kind in _ROUTINES:
            routine, routine_depth = body.node, body.depth + 1


def _nested(node: Any, *, executed: bool) -> Iterator[tuple[Any, bool]]:
    """Statements that stand inside another statement, and whether they run with it."""
    kind = kind_of(node)
    if kind == "CreateSchemaStmt":
        for wrapper in node.schema_elts:
            element = concrete(wrapper)
            # Names inside CREATE SCHEMA are in that schema.
            relation = getattr(element, "relation", None) or getattr(element, "view", None)
            if relation is not None and not relation.schemaname:
                element = type(element).FromString(element.SerializeToString())
                getattr(element, "relation" if hasattr(element, "relation") else "view").schemaname = node.schemaname
            yield element, executed
    elif kind in ("ExplainStmt", "PrepareStmt"):
        inner = concrete(node.query)
        if inner is not None:
            yield inner, executed
            yield from _nested(inner, executed=executed)
    elif kind == "RuleStmt":
        for wrapper in node.actions:
            action = concrete(wrapper)
            if action is not None:
                yield action, False
