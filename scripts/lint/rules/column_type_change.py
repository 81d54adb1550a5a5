"""column-type-change: a type changes only where the server changes the catalog alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import type_with_modifiers
from scripts.lint.rules.key_type_change import is_key
from scripts.lint.tables import changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput

_MODIFIED = re.compile(r"(\w+)\((\d+)(?:,(-?\d+))?\)")


def find(subject: LintInput) -> Iterator[Finding]:
    """ALTER COLUMN … TYPE of other columns, unless it widens a varchar or a numeric, or ends at text."""
    for change in changes(subject):
        if change.subtype != "AT_AlterColumnType" or is_key(subject, change):
            continue
        old = subject.history.column_type(change.table, change.command.name, change.part) or ""
        new = type_with_modifiers(change.item.type_name)
        if not change.item.HasField("raw_default") and only_widens(old, new):
            continue
        yield RULE.at(change.part, change.name, f"{change.name} changes from {old or 'its type'} to {new}")


def only_widens(old: str, new: str) -> bool:
    """Whether PostgreSQL changes the catalog alone for this change of type."""
    if old == new:
        return True
    if old.startswith("varchar") and new in ("text", "varchar"):
        return True
    before, after = _MODIFIED.fullmatch(old), _MODIFIED.fullmatch(new)
    if before is None:
        return False
    if before[1] == "numeric" and new == "numeric":
        return True
    if after is None or before[1] != after[1] or before[1] not in ("varchar", "numeric", "varbit"):
        return False
    return int(after[2]) >= int(before[2]) and before[3] == after[3]


RULE = Rule(
    id="column-type-change",
    gate="ddl-lock-risk",
    severity="error",
    title="A column's type changes only by widening a varchar or numeric, or to text",
    why="Any other change rewrites table and indexes under a lock that stops readers.",
    help="add a column of the new type, fill it from the application, and contract later",
    before="CREATE TABLE public.a (b varchar(10));",
    red="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ALTER COLUMN b TYPE varchar(5);",
    green="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ALTER COLUMN b TYPE varchar(20);",
    find=find,
)
