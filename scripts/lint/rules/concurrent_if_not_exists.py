"""concurrent-if-not-exists: the catalog says whether an index is there and valid, its name does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """IF NOT EXISTS on a concurrent build."""
    for part in subject.parts:
        if part.kind == "IndexStmt" and part.node.concurrent and part.node.if_not_exists:
            yield RULE.at(part, part.node.idxname, "IF NOT EXISTS on a concurrent build")


RULE = Rule(
    id="concurrent-if-not-exists",
    gate="no-tx-marker-lint",
    severity="error",
    title="A concurrent build does not say IF NOT EXISTS",
    why="An interrupted build leaves an invalid index of that name. IF NOT EXISTS then skips, and a file is recorded"
    " whose index serves nobody and whose uniqueness nobody enforces.",
    help="leave IF NOT EXISTS out: the runner asks the catalog, adopts a valid index and rebuilds an invalid one",
    before="CREATE TABLE public.a (id bigint);",
    red="-- symphony:no_tx\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a_id_idx ON public.a (id);",
    green="-- symphony:no_tx\nCREATE INDEX CONCURRENTLY a_id_idx ON public.a (id);",
    find=find,
)
