"""sqlstate-used: the registry tells what is, not what was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.raises import raisers_now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """Registered codes that nothing raises and that are not reserved, and a `raised_by` that is out of date."""
    registry = subject.registry
    if registry is None:
        return
    actual = raisers_now(subject)
    for code, entry in registry.codes.items():
        line = registry.lines.get(code, 1)
        found = actual.get(code, frozenset())
        if registry.is_reserved(code):
            if found:
                names = ", ".join(sorted(found))
                yield RULE.of_file(registry.name, code, f"{code} is reserved, but {names} raises it", line=line)
            continue
        if not found:
            yield RULE.of_file(registry.name, code, f"{code} is registered, but nothing raises it", line=line)
            continue
        listed = entry.get("raised_by")
        if isinstance(listed, list) and set(listed) != found:
            yield RULE.of_file(
                registry.name,
                code,
                f"{code} is raised by {', '.join(sorted(found))}; the registry says {', '.join(sorted(listed))}",
                line=line,
            )


RULE = Rule(
    id="sqlstate-used",
    gate="sqlstate-map-drift",
    severity="error",
    title="Every registered SQLSTATE is raised by what the registry says, or is reserved",
    why="An entry that nothing raises is a promise that no test can provoke.",
    help="correct the entry's raised_by, or remove the entry; a reserved code has an empty raised_by",
    red="SELECT 1;",
    green="DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'P7777'; END $$;",
    find=find,
)
