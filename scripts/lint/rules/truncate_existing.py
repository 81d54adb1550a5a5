"""truncate-existing: rows are not thrown away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import concrete, relation_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """TRUNCATE of a table that was there before the file."""
    for part in subject.executed:
        if part.kind != "TruncateStmt":
            continue
        for wrapper in part.node.relations:
            relation = concrete(wrapper)
            table = relation_of(relation)
            if not subject.history.is_new(table, part):
                yield RULE.at(part, table, f"TRUNCATE of {table}", node=relation)


RULE = Rule(
    id="truncate-existing",
    gate="migration-expand-contract-policy",
    severity="error",
    title="No table that held rows is emptied",
    why="Row triggers do not see it, no row is left to restore from, and it locks out every reader.",
    help="keep the rows; a table that is not used any more is contracted in a release of its own",
    before="CREATE TABLE public.a (id bigint);",
    red="TRUNCATE public.a;",
    green="CREATE TABLE public.b (id bigint);\nTRUNCATE public.b;",
    find=find,
)
