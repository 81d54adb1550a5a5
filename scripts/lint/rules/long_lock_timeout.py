"""long-lock-timeout: the time a lock is waited for is short, whatever form it is set in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.configured import LONGEST_LOCK_TIMEOUT_MS, Configured, configured, lock_timeout_set
from scripts.lint.model import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """SET and set_config() of a lock_timeout that is 0, too long, or unknown with no constant one before it."""
    for part in subject.parts:
        # Concurrent builds wait for transactions, not in front of anybody: a no_tx file is left alone.
        if not part.executed or part.file.no_tx:
            continue
        for setting in configured(part):
            if setting.name != "lock_timeout" or (setting.computed and lock_timeout_set(part)):
                continue
            problem = _problem(setting)
            if problem:
                yield RULE.at(part, "lock_timeout", problem, node=setting.node if setting.call else None)


def _problem(setting: Configured) -> str:
    if setting.bounds_locks or (setting.value is not None and not setting.local):
        # Without LOCAL it is session-setting's finding, and no lock counts it as bounded.
        return ""
    if setting.computed:
        return "a lock_timeout that is computed, with no constant one before it"
    shown = "the server's own" if setting.value is None else repr(setting.value)
    return f"lock_timeout = {shown}: not between 1 and {LONGEST_LOCK_TIMEOUT_MS:g} ms"


RULE = Rule(
    id="long-lock-timeout",
    gate="ddl-blocking-policy",
    severity="error",
    title="A lock_timeout is a constant between 1 ms and 5 s; one computed from it comes after it",
    why="While a migration waits for a lock, everybody who comes later waits behind it; 0 means for ever.",
    help="write SET LOCAL lock_timeout = '500ms': the runner retries the whole transaction",
    red="SET LOCAL lock_timeout = '1h';",
    green="SET LOCAL lock_timeout = '5s';",
    find=find,
)
