"""sqlstate-registered: every code that is raised is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.raises import raised
from scripts.lint.sqlstates import CODE, server_codes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """Codes of RAISE and of handlers that neither the registry nor the server knows, or that cannot be read."""
    for item in raised(subject):
        problem = _problem(subject, item.code, condition=item.condition)
        if problem:
            yield RULE.at(item.part, item.code or item.condition or "ERRCODE", problem)


def _problem(subject: LintInput, code: str | None, *, condition: str | None) -> str:
    if code is None:
        return (
            f"the server knows no condition {condition}"
            if condition
            else "ERRCODE is computed, so nobody can look it up"
        )
    if CODE.fullmatch(code) is None:
        return f"{code!r} is no SQLSTATE: five digits or capitals"
    if subject.registry is not None and code in subject.registry.codes:
        return ""
    if code in server_codes() and code != "P0001":
        return ""
    if subject.registry is None:
        return f"{code} is raised, and there is no registry of SQLSTATEs beside the folder"
    return f"{code} is not registered in {subject.registry.name}"


RULE = Rule(
    id="sqlstate-registered",
    gate="sqlstate-map-drift",
    severity="error",
    title="Every SQLSTATE that is raised or caught is registered, or is the server's own",
    why="Applications branch on the code. One that is in no registry means nothing to them, or two things.",
    help="register it in sqlstates.yml with class, subsystem, meaning and whether a retry helps",
    red="DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'P7999'; END $$;",
    green="DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'invalid_parameter_value'; END $$;",
    find=find,
)
