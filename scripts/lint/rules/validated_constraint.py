"""validated-constraint: a constraint comes NOT VALID, and is validated under another lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import name_of
from scripts.lint.tables import added_constraints, changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput
    from scripts.lint.tables import AddedConstraint

_WORDS = {"CONSTR_CHECK": "CHECK", "CONSTR_FOREIGN": "FOREIGN KEY", "CONSTR_NOTNULL": "NOT NULL"}


def find(subject: LintInput) -> Iterator[Finding]:
    """CHECK, FOREIGN KEY and NOT NULL that scan at once, and VALIDATE in the file that added the constraint."""
    added: set[tuple[str, str]] = set()
    for item in added_constraints(subject):
        added.add((item.change.part.file.name, item.name))
        if item.kind in _WORDS and not _spares_rows(item):
            yield RULE.at(
                item.change.part,
                item.name,
                f"{_WORDS[item.kind]} {item.name} scans the table under the lock that adds it",
                node=item.constraint,
            )
    for change in changes(subject):
        if change.subtype == "AT_ValidateConstraint" and (change.part.file.name, change.name) in added:
            yield RULE.at(
                change.part,
                change.name,
                f"VALIDATE of {change.name} in the file that added it: the strong lock is still held",
                help="validate in a later file",
            )
    for part in subject.executed:
        if part.kind == "AlterDomainStmt" and part.node.subtype == "C":
            constraint = getattr(part.node, "def").constraint
            if not constraint.skip_validation:
                name = name_of(part.node.type_name)
                yield RULE.at(part, name, f"a constraint of domain {name} scans every table that uses it")


def _spares_rows(item: AddedConstraint) -> bool:
    constraint = item.constraint
    # The grammar says of every NOT NULL that it is not enforced; the words exist for the other two kinds alone.
    not_enforced = item.kind != "CONSTR_NOTNULL" and not constraint.is_enforced
    if constraint.skip_validation or not_enforced:
        return True
    # A new column's NOT NULL holds on every row by its default; without one another rule has its say.
    return item.with_column and item.kind == "CONSTR_NOTNULL"


RULE = Rule(
    id="validated-constraint",
    gate="ddl-lock-risk",
    severity="error",
    title="CHECK, FOREIGN KEY and NOT NULL are added NOT VALID and validated in a later file",
    why="Validation reads the whole table; together with ADD CONSTRAINT it does so while nobody can read or write.",
    help="write NOT VALID, and VALIDATE CONSTRAINT in a later file, which lets readers and writers go on",
    before="CREATE TABLE public.a (id bigint);",
    red="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ADD CONSTRAINT a_id_check CHECK (id > 0);",
    green="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ADD CONSTRAINT a_id_check CHECK (id > 0) NOT VALID;",
    find=find,
)
