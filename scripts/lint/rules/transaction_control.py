"""transaction-control: the runner begins and ends the transaction, nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.parser.statements import transaction_word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """BEGIN, COMMIT, SAVEPOINT and their kin, at the top and in bodies."""
    for part in subject.parts:
        if part.kind == "TransactionStmt" and part.node is not None:
            word = transaction_word(part.node)
        elif part.kind in ("COMMIT", "ROLLBACK"):
            word = part.kind
        else:
            continue
        where = "" if part.body is None else " in a body"
        yield RULE.at(part, word, f"{word}{where}: the transaction around a file is the runner's")


RULE = Rule(
    id="transaction-control",
    gate="no-tx-marker-lint",
    severity="error",
    title="No file begins, ends or divides a transaction",
    why="A COMMIT inside a file ends the runner's transaction: what came before survives a failure after it, and the"
    " ledger says nothing of it.",
    help="leave it out: a file is one transaction, or, marked no_tx, none at all",
    red="CREATE TABLE public.a (id bigint);\nCOMMIT;",
    green="CREATE TABLE public.a (id bigint);",
    find=find,
)
