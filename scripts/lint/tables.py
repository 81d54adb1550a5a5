"""ALTER TABLE and its kin, seen as single changes of tables that hold data.

Owns: which changes concern an existing table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.lint.nodes import QualifiedName, column_constraints, commands, definition, enum_name, relation_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part


@dataclass(frozen=True, slots=True)
class Change:
    """One command of an ALTER TABLE on a table that existed before its file.

    subtype: AT_AddColumn and so on. item: the column, constraint or partition it carries, or None.
    """

    part: Part
    table: QualifiedName
    subtype: str
    command: Any = field(repr=False)
    item: Any = field(repr=False)

    @property
    def name(self) -> str:
        """`schema.table.column` or `.constraint`; the table alone where the command names nothing."""
        inner = self.command.name or getattr(self.item, "colname", "") or getattr(self.item, "conname", "")
        return f"{self.table}.{inner}" if inner else str(self.table)


@dataclass(frozen=True, slots=True)
class AddedConstraint:
    """A constraint that is added to an existing table, by itself or behind a new column."""

    change: Change
    kind: str
    constraint: Any = field(repr=False)
    with_column: bool

    @property
    def name(self) -> str:
        """The constraint's name, or the column it stands behind."""
        if self.constraint.conname:
            return f"{self.change.table}.{self.constraint.conname}"
        return self.change.name


def changes(subject: LintInput) -> Iterator[Change]:
    """Every command of every ALTER TABLE that migrating runs on an existing table."""
    for part in subject.executed:
        if part.kind != "AlterTableStmt" or enum_name(part.node, "objtype") == "OBJECT_TYPE":
            continue
        table = relation_of(part.node.relation)
        if subject.history.is_new(table, part):
            continue
        for subtype, command in commands(part.node):
            yield Change(part, table, subtype, command, definition(command))


def added_constraints(subject: LintInput) -> Iterator[AddedConstraint]:
    """Every constraint that is added to an existing table."""
    for change in changes(subject):
        if change.subtype == "AT_AddConstraint":
            yield AddedConstraint(change, enum_name(change.item, "contype"), change.item, with_column=False)
        elif change.subtype == "AT_AddColumn":
            for kind, constraint in column_constraints(change.item):
                yield AddedConstraint(change, kind, constraint, with_column=True)
