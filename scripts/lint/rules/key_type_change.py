"""key-type-change: keys keep their type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.history import precedes
from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import type_with_modifiers
from scripts.lint.tables import changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput
    from scripts.lint.tables import Change


def find(subject: LintInput) -> Iterator[Finding]:
    """ALTER COLUMN … TYPE of a column of a primary, unique or foreign key, on either side; unknown columns count."""
    for change in changes(subject):
        if change.subtype == "AT_AlterColumnType" and is_key(subject, change):
            old = subject.history.column_type(change.table, change.command.name, change.part) or "its type"
            new = type_with_modifiers(change.item.type_name)
            yield RULE.at(change.part, change.name, f"key column {change.name} changes from {old} to {new}")


def is_key(subject: LintInput, change: Change) -> bool:
    """Whether the column is part of a key; one that no file declares may be."""
    column = change.command.name
    if subject.history.column_type(change.table, column, change.part) is None:
        return True
    keys = subject.history.keys.get(change.table, ())
    return any(column in columns and precedes(part, change.part) for part, columns in keys)


RULE = Rule(
    id="key-type-change",
    gate="pk-fk-type-stability",
    severity="error",
    title="A column of a primary, unique or foreign key keeps its type",
    why="Every table that refers to it, and every id an application keeps, would have to change in the same moment.",
    help="add a column of the new type beside it and move the references over in steps",
    before="CREATE TABLE public.a (id bigint PRIMARY KEY);",
    red="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ALTER COLUMN id TYPE numeric;",
    green="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ADD COLUMN id_wide numeric;",
    find=find,
)
