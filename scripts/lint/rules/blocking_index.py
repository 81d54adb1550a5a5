"""blocking-index: indexes of existing tables are built, rebuilt and dropped concurrently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import QualifiedName, concrete, enum_name, relation_of
from scripts.lint.rules.drop_existing import spelled
from scripts.parser.statements import option_flag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part


def find(subject: LintInput) -> Iterator[Finding]:
    """CREATE INDEX, DROP INDEX and REINDEX without CONCURRENTLY on a table that was there before the file."""
    for part in subject.executed:
        if part.kind == "IndexStmt":
            table = relation_of(part.node.relation)
            if not part.node.concurrent and not subject.history.is_new(table, part):
                name = part.node.idxname or "an index"
                yield RULE.at(part, name, f"CREATE INDEX {name} on existing {table} stops its writers")
        elif part.kind == "DropStmt" and enum_name(part.node, "remove_type") == "OBJECT_INDEX":
            yield from _dropped(subject, part)
        elif part.kind == "ReindexStmt" and not option_flag(part.node.params, "concurrently", default=False):
            target = relation_of(part.node.relation) if part.node.HasField("relation") else part.node.name
            yield RULE.at(part, target, f"REINDEX of {target} stops writers, and readers that plan")


def _dropped(subject: LintInput, part: Part) -> Iterator[Finding]:
    if part.node.concurrent:
        return
    for wrapper in part.node.objects:
        name = spelled("INDEX", concrete(wrapper))
        schema, _, index = name.partition(".")
        if not subject.history.is_new(QualifiedName(schema, index), part):
            yield RULE.at(part, name, f"DROP INDEX {name} waits for, and then stops, every reader of its table")


RULE = Rule(
    id="blocking-index",
    gate="ddl-lock-risk",
    severity="error",
    title="An index of an existing table is built, rebuilt and dropped CONCURRENTLY",
    why="The ordinary form stops every writer of the table for as long as the build takes.",
    help="put it into a no_tx file of its own, with CONCURRENTLY",
    before="CREATE TABLE public.a (id bigint);",
    red="SET LOCAL lock_timeout = '500ms';\nCREATE INDEX a_id_idx ON public.a (id);",
    green="CREATE TABLE public.b (id bigint);\nCREATE INDEX b_id_idx ON public.b (id);",
    find=find,
)
