"""existence-test: a file creates what it says, or fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part


def find(subject: LintInput) -> Iterator[Finding]:
    """IF NOT EXISTS where the runner's transaction already makes a file all or nothing."""
    for part in subject.executed:
        concurrent = part.kind == "IndexStmt" and part.node.concurrent  # another rule's
        if not concurrent and _tests(part):
            yield RULE.at(part, part.kind.removesuffix("Stmt"), "IF NOT EXISTS accepts whatever bears the name")


def _tests(part: Part) -> bool:
    if part.kind == "AlterTableStmt":
        return any(command.missing_ok and subtype == "AT_AddColumn" for subtype, command in commands(part.node))
    if part.kind == "AlterEnumStmt":
        return bool(part.node.skip_if_new_val_exists)
    return bool(getattr(part.node, "if_not_exists", False))


RULE = Rule(
    id="existence-test",
    gate="migration-expand-contract-policy",
    severity="error",
    title="No IF NOT EXISTS",
    why="It looks at the name alone: another table, type or index of that name passes for ours, and the difference"
    " shows in production.",
    help="leave it out: a file is applied once, and an object that is there already is drift that has to be looked at",
    red="CREATE TABLE IF NOT EXISTS public.a (id bigint);",
    green="CREATE TABLE public.a (id bigint);",
    find=find,
)
