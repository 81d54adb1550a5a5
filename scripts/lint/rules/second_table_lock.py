"""second-table-lock: a new table can lock an old one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.configured import lock_timeout_set
from scripts.lint.locks import locked_existing
from scripts.lint.model import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """REFERENCES, PARTITION OF, INHERITS and ATTACH that lock an existing table without a lock_timeout."""
    for lock in locked_existing(subject):
        if lock.second and not lock.part.file.no_tx and not lock_timeout_set(lock.part):
            yield RULE.at(
                lock.part, lock.relation, f"{lock.reason} also locks existing {lock.relation}", node=lock.node
            )


RULE = Rule(
    id="second-table-lock",
    gate="ddl-blocking-policy",
    severity="error",
    title="A new table that refers to an existing one comes after SET LOCAL lock_timeout",
    why="A foreign key stops the writers of the table it refers to, a partition stops even the readers of its parent.",
    help="begin the file with SET LOCAL lock_timeout = '500ms': the runner retries the whole transaction",
    before="CREATE TABLE public.a (id bigint PRIMARY KEY);",
    red="CREATE TABLE public.b (a_id bigint REFERENCES public.a (id));",
    green="SET LOCAL lock_timeout = '500ms';\nCREATE TABLE public.b (a_id bigint REFERENCES public.a (id));",
    find=find,
)
