"""no-tx-useless: the marker costs atomicity, so it has to be needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.parser.statements import may_need_no_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """Marked files in which nothing needs the marker."""
    for file in subject.files:
        earning = (
            statement
            for statement in file.statements
            if statement.kind != "VariableSetStmt" and may_need_no_transaction(statement) is not None
        )
        if file.no_tx and next(earning, None) is None:
            yield RULE.of_file(file.name, file.name, "marked no_tx, but nothing in it needs that")


RULE = Rule(
    id="no-tx-useless",
    gate="no-tx-marker-lint",
    severity="error",
    title="A file marked no_tx holds a statement that needs it",
    why="Without a transaction a failure half-way leaves half of the file behind.",
    help="remove the marker: the file then is applied as a whole or not at all",
    red="-- symphony:no_tx\nCREATE TABLE public.a (id bigint);",
    green="CREATE TABLE public.a (id bigint);",
    find=find,
)
