"""definer-dynamic-sql: a function with its owner's rights runs only SQL that can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import name_of, option, option_boolean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.nodes import QualifiedName
    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """EXECUTE of anything but a constant, in every function that is SECURITY DEFINER, or is made so by an ALTER."""
    definers = _made_definers(subject)
    for part in subject.parts:
        if not part.dynamic or part.routine is None:
            continue
        name = name_of(part.routine.funcname)
        if option_boolean(option(part.routine.options, "security"), default=False) or name in definers:
            yield RULE.at(part, name, f"dynamic SQL in SECURITY DEFINER {name}")


def _made_definers(subject: LintInput) -> set[QualifiedName]:
    return {
        name_of(part.node.func.objname)
        for part in subject.parts
        if part.kind == "AlterFunctionStmt" and option_boolean(option(part.node.actions, "security"), default=False)
    }


RULE = Rule(
    id="definer-dynamic-sql",
    gate="security-definer-dynamic-sql",
    severity="error",
    title="A SECURITY DEFINER function makes no SQL at run time",
    why="What it makes runs with its owner's rights: one argument spliced in without care gives a caller the schema.",
    help="write the statement out, one branch a case",
    red="CREATE FUNCTION public.f(t text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER\n"
    "    SET search_path = pg_catalog, public, pg_temp AS $$\n"
    "BEGIN EXECUTE pg_catalog.format('SELECT 1 FROM %I', t); END $$;",
    green="CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql SECURITY DEFINER\n"
    "    SET search_path = pg_catalog, public, pg_temp AS $$\nBEGIN EXECUTE 'SELECT 1'; END $$;",
    find=find,
)
