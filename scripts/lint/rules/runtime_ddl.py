"""runtime-ddl: only migrations change the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput

# What a function may hold. Whatever else the grammar knows changes the schema, the rights, or the server.
_ALLOWED = frozenset(
    {
        "SelectStmt",
        "InsertStmt",
        "UpdateStmt",
        "DeleteStmt",
        "MergeStmt",
        "CallStmt",
        "NotifyStmt",
        "ListenStmt",
        "UnlistenStmt",
        "LockStmt",
        "VariableSetStmt",
        "VariableShowStmt",
        "ConstraintsSetStmt",
        "ExplainStmt",
        "TransactionStmt",  # transaction-control has its say
        "ReturnStmt",
    }
)


def find(subject: LintInput) -> Iterator[Finding]:
    """Statements in the bodies of functions that are neither queries nor row changes."""
    for part in subject.parts:
        if part.routine is not None and part.is_sql and part.kind not in _ALLOWED:
            name = name_of(part.routine.funcname)
            yield RULE.at(part, name, f"{part.kind.removesuffix('Stmt')} in the body of {name}")


RULE = Rule(
    id="runtime-ddl",
    gate="security-definer-dynamic-sql",
    severity="error",
    title="No function changes the schema when it runs",
    why="What a function makes or drops is in no ledger and no review, and its locks meet live traffic unplanned.",
    help="put it into a migration",
    red="CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql\n"
    "    SET search_path = pg_catalog, public, pg_temp AS $$ BEGIN TRUNCATE public.a; END $$;",
    green="CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql\n"
    "    SET search_path = pg_catalog, public, pg_temp AS $$ BEGIN PERFORM 1; END $$;",
    find=find,
)
