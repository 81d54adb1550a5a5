"""unqualified-name: a name says which schema it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.unqualified import unqualified_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """Relations, functions, types and what is named in strings, at the top and in bodies, knowing WITH and aliases."""
    for name in unqualified_names(subject):
        yield RULE.at(name.part, name.name, f"{name.what} {name.name} without its schema", node=name.node)


RULE = Rule(
    id="unqualified-name",
    gate="names-lint",
    severity="error",
    title="Every relation, function and type outside of pg_catalog is named with its schema",
    why="What a bare name means depends on the session's search_path, and on what a caller put into a schema of it.",
    help="write the schema: public.name, or pg_temp.name for a temporary table",
    before="CREATE TABLE public.a (id bigint);",
    red="COMMENT ON TABLE a IS 'x';",
    green="WITH b AS (SELECT id FROM public.a) SELECT count(*) FROM b;",
    find=find,
)
