"""lock-timeout: whoever asks for a lock that stops others asks for a short time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.configured import lock_timeout_set
from scripts.lint.locks import locked_existing
from scripts.lint.model import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """The first statement of a transactional file that locks an existing table before a SET LOCAL lock_timeout."""
    told: set[str] = set()
    for lock in locked_existing(subject):
        part = lock.part
        if lock.second or part.file.no_tx or part.file.name in told or lock_timeout_set(part):
            continue
        told.add(part.file.name)
        yield RULE.at(part, lock.relation, f"locks {lock.relation} ({lock.reason}) before any SET LOCAL lock_timeout")


RULE = Rule(
    id="lock-timeout",
    gate="ddl-blocking-policy",
    severity="error",
    title="A file that changes an existing table begins with SET LOCAL lock_timeout",
    why="While the change waits for one slow reader, everybody who comes later waits behind it.",
    help="begin the file with SET LOCAL lock_timeout = '500ms': the runner retries the whole transaction",
    before="CREATE TABLE public.a (id bigint);",
    red="ALTER TABLE public.a ADD COLUMN b bigint;",
    green="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ADD COLUMN b bigint;",
    find=find,
)
