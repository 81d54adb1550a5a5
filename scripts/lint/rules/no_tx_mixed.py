"""no-tx-mixed: what can be atomic does not share a file with what cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.parser.statements import may_need_no_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """Statements of marked files that do not need the marker, where another one does."""
    for file in subject.files:
        if not file.no_tx:
            continue
        top = [(part, may_need_no_transaction(part.statement)) for part in file.parts if part.order[1] == 0]
        for part, reason in top:
            # Without any that needs it, no-tx-useless has its say.
            if reason is None and any(other is not None for _, other in top):
                yield RULE.at(
                    part, part.kind.removesuffix("Stmt"), "in a no_tx file, though it can run in a transaction"
                )


RULE = Rule(
    id="no-tx-mixed",
    gate="no-tx-marker-lint",
    severity="error",
    title="A file marked no_tx holds nothing but statements that need it",
    why="A failure between the two leaves a part that no ledger row tells of, and a second run meets it.",
    help="move it into an ordinary migration ahead of this one",
    before="CREATE TABLE public.a (id bigint);",
    red="-- symphony:no_tx\nALTER TABLE public.a ADD COLUMN b bigint;\n"
    "CREATE INDEX CONCURRENTLY a_b_idx ON public.a (b);",
    green="-- symphony:no_tx\nCREATE INDEX CONCURRENTLY a_id_idx ON public.a (id);",
    find=find,
)
