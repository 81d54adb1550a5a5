"""rewriting-column: a new column costs a line in the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import column_constraints, concrete, kind_of, name_of, strings, type_name
from scripts.lint.tables import changes
from scripts.parser.statements import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput
    from scripts.lint.tables import Change

# Evaluated once for the whole table: stable or immutable in pg_catalog.
_STEADY = frozenset(
    {"now", "transaction_timestamp", "statement_timestamp", "current_setting", "current_schema", "current_database"}
)
_SERIAL = frozenset({"smallserial", "serial", "bigserial", "serial2", "serial4", "serial8"})


def find(subject: LintInput) -> Iterator[Finding]:
    """Volatile defaults, serial, IDENTITY, STORED, domains; SET EXPRESSION and ADD IDENTITY on what is there."""
    for change in changes(subject):
        if change.subtype == "AT_AddColumn":
            reason = _reason(subject, change)
            if reason:
                yield RULE.at(
                    change.part,
                    change.name,
                    f"ADD COLUMN {change.name}: {reason}, so every row is written",
                    node=change.item,
                )
        elif change.subtype == "AT_SetExpression":
            yield RULE.at(change.part, change.name, f"SET EXPRESSION of {change.name} writes every row")


def _reason(subject: LintInput, change: Change) -> str:
    column = change.item
    if strings(column.type_name.names)[-1] in _SERIAL:
        return f"{type_name(column.type_name)} numbers them"
    domain = str(name_of(column.type_name.names))
    if ("DOMAIN", domain) in subject.history.others:
        return f"domain {domain} may have to be checked"
    for kind, constraint in column_constraints(column):
        if kind == "CONSTR_IDENTITY":
            return "IDENTITY numbers them"
        if kind == "CONSTR_GENERATED" and constraint.generated_kind == "s":
            return "STORED is computed"
        if kind == "CONSTR_DEFAULT":
            call = _unsteady(constraint.raw_expr)
            if call:
                return f"its default calls {call}(), which is not known to be stable"
    return ""


def _unsteady(expression: Any) -> str:
    for message in walk(concrete(expression)):
        if kind_of(message) == "FuncCall":
            words = strings(message.funcname)
            ours = len(words) > 1 and words[0] != "pg_catalog"
            if ours or words[-1] not in _STEADY:
                return ".".join(words)
    return ""


RULE = Rule(
    id="rewriting-column",
    gate="ddl-lock-risk",
    severity="error",
    title="A new column of an existing table has no default, or one that is the same for every row",
    why="A volatile default, serial, IDENTITY or a stored expression writes the table anew while nobody can read it.",
    help="add the column without it, and SET DEFAULT in a statement of its own: that holds for new rows only",
    before="CREATE TABLE public.a (id bigint);",
    red="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ADD COLUMN u uuid DEFAULT gen_random_uuid();",
    green="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ADD COLUMN u timestamptz DEFAULT now();",
    find=find,
)
