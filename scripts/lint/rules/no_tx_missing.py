"""no-tx-missing: what the server refuses inside a transaction needs the marker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.parser.statements import needs_no_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """Statements of unmarked files that cannot run in a transaction; in a DO block they never can."""
    for part in subject.executed:
        if part.body is None and part.file.no_tx:
            continue
        reason = needs_no_transaction(part.as_statement)
        if reason is not None and part.body is not None:
            yield RULE.at(part, reason, f"{reason} inside a DO block, which is a transaction", help="write it plainly")
        elif reason is not None:
            yield RULE.at(part, reason, f"{reason} in a file without the marker -- symphony:no_tx")


RULE = Rule(
    id="no-tx-missing",
    gate="no-tx-marker-lint",
    severity="error",
    title="A statement that cannot run in a transaction stands in a file marked no_tx",
    why="The server refuses it inside the transaction that the runner opens for an unmarked file.",
    help="put it into a file of its own that begins with -- symphony:no_tx",
    before="CREATE TABLE public.a (id bigint);",
    red="CREATE INDEX CONCURRENTLY a_id_idx ON public.a (id);",
    green="-- symphony:no_tx\nCREATE INDEX CONCURRENTLY a_id_idx ON public.a (id);",
    find=find,
)
