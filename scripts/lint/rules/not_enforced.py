"""not-enforced: a constraint that protects nothing is no constraint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import enum_name, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput

_ENFORCEABLE = frozenset({"CONSTR_CHECK", "CONSTR_FOREIGN"})


def find(subject: LintInput) -> Iterator[Finding]:
    """NOT ENFORCED on CHECK and FOREIGN KEY, given at once or by ALTER CONSTRAINT."""
    for part in subject.executed:
        for message in part.messages("Constraint", "ATAlterConstraint"):
            kind = kind_of(message)
            declared = (
                kind == "Constraint" and enum_name(message, "contype") in _ENFORCEABLE and not message.is_enforced
            )
            altered = kind == "ATAlterConstraint" and message.alter_enforceability and not message.is_enforced
            if declared or altered:
                name = message.conname or "a constraint"
                yield RULE.at(part, name, f"{name} is NOT ENFORCED: it protects no row", node=message)
            if kind == "Constraint" and enum_name(message, "contype") == "CONSTR_ATTR_NOT_ENFORCED":
                yield RULE.at(part, "a constraint", "a constraint is NOT ENFORCED: it protects no row", node=message)


RULE = Rule(
    id="not-enforced",
    gate="weak-guarantees",
    severity="error",
    title="No constraint is NOT ENFORCED",
    why="It reads like a guarantee in every listing and protects no row.",
    help="leave NOT ENFORCED out; NOT VALID spares the old rows and protects the new ones",
    red="CREATE TABLE public.a (id bigint, CONSTRAINT a_id_check CHECK (id > 0) NOT ENFORCED);",
    green="CREATE TABLE public.a (id bigint, CONSTRAINT a_id_check CHECK (id > 0));",
    find=find,
)
