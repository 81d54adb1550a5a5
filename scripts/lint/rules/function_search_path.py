"""function-search-path: a function means the same for every caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import name_of, option, option_boolean
from scripts.lint.search_path import PINNED, path_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """Functions with their caller's rights that do not pin; a body bound at creation (RETURN, BEGIN ATOMIC) is left."""
    for part in subject.parts:
        if part.kind != "CreateFunctionStmt" or option_boolean(option(part.node.options, "security"), default=False):
            continue
        problem = path_problem(part.node.options)
        bound = part.node.HasField("sql_body") and option(part.node.options, "set") is None
        if problem and not bound:
            yield RULE.at(part, name_of(part.node.funcname), problem)


RULE = Rule(
    id="function-search-path",
    gate="search-path-lint",
    severity="warning",
    title="Every other function pins its search_path, too, unless its body is bound when it is created",
    why="Guards run with the search_path of whoever fires them; somebody else's path must not decide what they see.",
    help=f"write SET search_path = {PINNED}, or bind the body with RETURN or BEGIN ATOMIC",
    red="CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';",
    green="CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql RETURN 1::bigint;",
    find=find,
)
