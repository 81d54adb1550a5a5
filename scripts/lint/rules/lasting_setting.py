"""lasting-setting: a migration does not change what every later session finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.configured import setting_name
from scripts.lint.model import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput

_KINDS = {
    "AlterRoleSetStmt": "ALTER ROLE",
    "AlterDatabaseSetStmt": "ALTER DATABASE",
    "AlterSystemStmt": "ALTER SYSTEM",
}


def find(subject: LintInput) -> Iterator[Finding]:
    """ALTER ROLE, DATABASE and SYSTEM … SET or RESET of the server's own settings; others have a dot in their name."""
    for part in subject.executed:
        if part.kind not in _KINDS:
            continue
        name = setting_name(part.node.setstmt)
        if "." not in name:
            yield RULE.at(part, name, f"{_KINDS[part.kind]} changes {name} for every later session")


RULE = Rule(
    id="lasting-setting",
    gate="no-tx-marker-lint",
    severity="error",
    title="No setting of the server's own is changed for a role, a database or the server",
    why="A search_path, lock_timeout or session_replication_role of that kind decides what every statement of every"
    " later session means, and no file shows it.",
    help="write SET LOCAL, or set it on the function that needs it; whoever runs the server sets the rest",
    red="ALTER ROLE app SET search_path = public;",
    green="SET LOCAL search_path = pg_catalog, public;",
    find=find,
)
