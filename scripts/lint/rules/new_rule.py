"""new-rule: statements on an existing relation go on meaning what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import relation_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """CREATE [OR REPLACE] RULE on a relation that was there before the file."""
    for part in subject.executed:
        if part.kind != "RuleStmt":
            continue
        relation = relation_of(part.node.relation)
        if not subject.history.is_new(relation, part):
            name = f"{relation}.{part.node.rulename}"
            yield RULE.at(part, name, f"CREATE RULE {part.node.rulename} rewrites statements on {relation}")


RULE = Rule(
    id="new-rule",
    gate="migration-expand-contract-policy",
    severity="error",
    title="No rule is put on an existing table or view",
    why="A rule rewrites the statements of the release before: INSTEAD NOTHING answers an INSERT with success and keeps"
    " no row.",
    help="write a trigger: it fires for rows, and can refuse them aloud",
    before="CREATE TABLE public.a (id bigint);",
    red="SET LOCAL lock_timeout = '500ms';\nCREATE RULE r AS ON INSERT TO public.a DO INSTEAD NOTHING;",
    green="CREATE VIEW public.v AS SELECT 1 AS id;\n"
    "CREATE RULE r AS ON INSERT TO public.v DO INSTEAD INSERT INTO public.a VALUES (new.id);",
    find=find,
)
