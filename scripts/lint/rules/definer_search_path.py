"""definer-search-path: a function with its owner's rights finds nothing that its caller put there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import name_of, option, option_boolean
from scripts.lint.search_path import PINNED, is_pinned, path_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part


def find(subject: LintInput) -> Iterator[Finding]:
    """CREATE and ALTER of functions and procedures, their options in whatever order."""
    for part in subject.parts:
        if part.kind == "CreateFunctionStmt" and option_boolean(option(part.node.options, "security"), default=False):
            problem = path_problem(part.node.options)
            if problem:
                yield RULE.at(part, name_of(part.node.funcname), f"SECURITY DEFINER {problem}")
        elif part.kind == "AlterFunctionStmt":
            problem = _altered(subject, part)
            if problem:
                yield RULE.at(part, name_of(part.node.func.objname), problem)


def _altered(subject: LintInput, part: Part) -> str:
    """What is wrong with an ALTER of a function that is, or becomes, one with its owner's rights."""
    security = option(part.node.actions, "security")
    before = subject.history.routine_before(name_of(part.node.func.objname), part, None)
    was_definer = before is not None and option_boolean(option(before.part.node.options, "security"), default=False)
    touches_path = option(part.node.actions, "set") is not None
    if option_boolean(security, default=False):
        if touches_path:
            problem = path_problem(part.node.actions)
            return f"SECURITY DEFINER {problem}" if problem else ""
        if before is None or not is_pinned(before.part.node.options):
            return "becomes SECURITY DEFINER without a search_path"
        return ""
    becomes_invoker = security is not None
    if touches_path and (was_definer or before is None) and not becomes_invoker:
        problem = path_problem(part.node.actions)
        return f"of a SECURITY DEFINER function {problem}" if problem else ""
    return ""


RULE = Rule(
    id="definer-search-path",
    gate="search-path-lint",
    severity="error",
    title="A SECURITY DEFINER function or procedure pins its search_path, pg_catalog first and pg_temp last",
    why="Without pg_temp at the end the caller's temporary schema comes first for tables: a temporary table of the"
    " right name takes the place of the ledger, with the owner's rights.",
    help=f"write SET search_path = {PINNED} in the same statement",
    red="CREATE FUNCTION public.f() RETURNS void LANGUAGE sql SECURITY DEFINER\n"
    "    SET search_path = pg_catalog, public AS 'SELECT 1';",
    green="CREATE FUNCTION public.f() RETURNS void LANGUAGE sql SECURITY DEFINER\n"
    "    SET search_path = pg_catalog, public, pg_temp AS 'SELECT 1';",
    find=find,
)
