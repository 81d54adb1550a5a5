"""cascade: nothing is dropped that the file does not name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import enum_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput

_CARRIERS = ("DropStmt", "TruncateStmt", "AlterTableCmd", "DropOwnedStmt", "AlterDomainStmt", "GrantStmt")


def find(subject: LintInput) -> Iterator[Finding]:
    """CASCADE of DROP, TRUNCATE, REVOKE, DROP COLUMN, DROP CONSTRAINT and DROP OWNED."""
    for part in subject.executed:
        if any(enum_name(message, "behavior") == "DROP_CASCADE" for message in part.messages(*_CARRIERS)):
            yield RULE.at(part, "CASCADE", "CASCADE reaches objects that the file does not name")


RULE = Rule(
    id="cascade",
    gate="migration-expand-contract-policy",
    severity="error",
    title="No CASCADE",
    why="Which objects it reaches depends on the database it meets; a reviewer of the file cannot see them.",
    help="name every object, in the order of their dependencies",
    red="CREATE TABLE public.a (id bigint);\nDROP TABLE public.a CASCADE;",
    green="CREATE TABLE public.a (id bigint);\nDROP TABLE public.a;",
    find=find,
)
