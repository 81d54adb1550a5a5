"""duplicate-index: two names for one index cost twice and guarantee once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import relation_of
from scripts.parser.statements import deparse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part


def find(subject: LintInput) -> Iterator[Finding]:
    """CREATE INDEX of a definition that another name already has on that table."""
    seen: dict[str, Part] = {}
    for part in subject.executed:
        if part.kind != "IndexStmt" or not part.node.idxname:
            continue
        shape = _shape(part)
        first = seen.setdefault(shape, part)
        if first.node.idxname != part.node.idxname:
            where = relation_of(part.node.relation)
            yield RULE.at(
                part,
                part.node.idxname,
                f"{part.node.idxname} on {where} is {first.node.idxname} of {first.file.name} again",
            )


def _shape(part: Part) -> str:
    node = type(part.node).FromString(part.node.SerializeToString())
    node.idxname, node.concurrent, node.if_not_exists = "", False, False
    return deparse(node)


RULE = Rule(
    id="duplicate-index",
    gate="weak-guarantees",
    severity="warning",
    title="No index is built twice under two names",
    why="Every write pays for both, and dropping one looks like a risk to whoever meets them later.",
    help="leave the second one out",
    red="CREATE TABLE public.a (id bigint);\nCREATE INDEX a_1 ON public.a (id);\nCREATE INDEX a_2 ON public.a (id);",
    green="CREATE TABLE public.a (id bigint, b bigint);\nCREATE INDEX a_1 ON public.a (id);\n"
    "CREATE INDEX a_2 ON public.a (b);",
    find=find,
)
