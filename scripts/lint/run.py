"""The lints as gates: every rule on every file, each pair one check.

Owns: how findings become a result and its evidence; which findings an exemption covers.
Promises: no files, or nothing looked at, is an error; a lint that could not look is an error; never a pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.clock import utc_now
from scripts.errors.lint import LintError
from scripts.lint.gates import LINT_GATES, LintGate, gate_of
from scripts.result import Check, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from scripts.digest import Json
    from scripts.lint.allowlist import Exemption
    from scripts.lint.model import Finding, Rule
    from scripts.lint.subject import LintInput
    from scripts.settings import Settings

__all__ = ["LINT_GATES", "LintGate", "find_all", "lint_rules", "read_lint_input", "verify_lint"]


@dataclass(frozen=True, slots=True)
class _Found:
    """What the rules of one gate found. `titles`: rule → what it says; every pair of rule and file is a check.

    examined: what the gate looked at; every statement of every file when None.
    """

    titles: dict[str, str]
    findings: tuple[Finding, ...]
    allowed: tuple[tuple[Finding, Exemption], ...] = ()
    notes: tuple[str, ...] = ()
    examined: int | None = None
    details: dict[str, Json] = field(default_factory=dict)


def lint_rules() -> tuple[Rule, ...]:
    """Every rule on parsed SQL, in order."""
    from scripts.lint.registry import RULES

    return RULES


def read_lint_input(settings: Settings) -> LintInput:
    """Read the folder of migrations and what lies beside it, for every gate of a run.

    Raises:
        HistoryError: a file cannot be read or parsed, or differs from the list of sums.
        LintError: the registry or the exemptions cannot be read.
    """
    from scripts.lint.allowlist import read_allowlist
    from scripts.lint.sqlstates import read_registry
    from scripts.lint.subject import LintFile, LintInput
    from scripts.migrations.folder.files import read_files

    folder = settings.migrations_dir
    files = tuple(LintFile(file) for file in read_files(folder))
    return LintInput(files, read_registry(folder), read_allowlist(folder), settings, folder)


def verify_lint(gate: str, subject: LintInput) -> Result:
    """Run one gate.

    Args:
        gate: its id.
        subject: of `read_lint_input`; it may be used for many gates.
    """
    chosen = gate_of(gate)
    started_at = utc_now()
    if not subject.files:
        return Result(gate, started_at, utc_now(), error="there are no files to look at")
    try:
        found = _FINDERS[chosen.kind](chosen, subject)
    except LintError as error:
        facts = "; ".join(f"{label} {value}" for label, value in error.facts)
        sentence = f"{error.what} ({facts}); {error.help}" if facts else f"{error.what}; {error.help}"
        return Result(gate, started_at, utc_now(), error=sentence)
    checks = tuple(_checks(found, subject))
    return Result(
        gate,
        started_at,
        utc_now(),
        checks=checks,
        examined=subject.statement_count if found.examined is None else found.examined,
        details=_details(found, subject),
    )


def find_all(subject: LintInput, rules: Iterable[Rule]) -> list[Finding]:
    """The findings of the rules, by place; exemptions do not count here."""
    order = {file.name: file.number for file in subject.files}
    found = [finding for rule in rules for finding in rule.find(subject)]
    return sorted(found, key=lambda f: (order.get(f.file, -1), f.file, f.line, f.column, f.rule))


def _of_rules(gate: LintGate, subject: LintInput) -> _Found:
    rules = [rule for rule in lint_rules() if rule.gate == gate.id]
    findings, allowed = _sifted(subject, find_all(subject, rules))
    details: dict[str, Json] = {"type_changes_found": len(findings)} if gate.id == "pk-fk-type-stability" else {}
    return _Found({rule.id: rule.title for rule in rules}, findings, allowed, details=details)


def _of_landed(gate: LintGate, subject: LintInput) -> _Found:  # noqa: ARG001 - every finder takes both
    from scripts.lint.landed import RULES, compare_landed

    settings = subject.settings
    files = [file.migration for file in subject.files]
    comparison = compare_landed(files, subject.folder, settings.base_ref, ci=settings.ci)
    details: dict[str, Json] = {
        "base_ref": settings.base_ref,
        "base_commit": comparison.base,
        "landed_files": comparison.landed,
        "new_files": comparison.new,
        "comparison": comparison.how,
    }
    return _Found(
        dict(RULES), comparison.findings, notes=(comparison.how,), examined=comparison.examined, details=details
    )


def _of_squawk(gate: LintGate, subject: LintInput) -> _Found:  # noqa: ARG001 - every finder takes both
    from scripts.lint.squawk import SQUAWK_RULES, ask_squawk

    findings, allowed = _sifted(subject, ask_squawk(subject.files))
    titles = {"squawk": "squawk's rules, as chosen in scripts/lint/squawk.py"}
    details: dict[str, Json] = {
        "rules_left_out": {rule.name: rule.why for rule in SQUAWK_RULES if not rule.asked and rule.default},
        "rules_added": [rule.name for rule in SQUAWK_RULES if rule.asked and not rule.default],
    }
    return _Found(titles, findings, allowed, examined=len(subject.files), details=details)


def _of_allowlist(gate: LintGate, subject: LintInput) -> _Found:  # noqa: ARG001 - every finder takes both
    from scripts.lint.model import Finding

    used = _used(subject)
    findings = [
        Finding(
            "unused-exemption",
            subject.allowlist.name,
            1,
            1,
            exemption.rule,
            f"the exemption from {exemption.rule} in {exemption.file} covers nothing",
            "remove it, or review the statement anew: it is not the one that was accepted",
        )
        for exemption in subject.allowlist.exemptions
        if exemption.key not in used
    ]
    titles = {"unused-exemption": "Every exemption covers a finding"}
    allowed = {"exemptions": len(subject.allowlist.exemptions)}
    return _Found(titles, tuple(findings), details=dict(allowed))


def _used(subject: LintInput) -> set[tuple[str, str, str]]:
    if not subject.allowlist.exemptions:
        return set()
    wanted = {exemption.rule for exemption in subject.allowlist.exemptions}
    findings = find_all(subject, [rule for rule in lint_rules() if rule.id in wanted])
    if any(name.startswith("squawk/") for name in wanted):
        from scripts.lint.squawk import ask_squawk

        findings += ask_squawk(subject.files)
    return {exemption.key for finding in findings if (exemption := subject.allowlist.covers(finding)) is not None}


def _sifted(
    subject: LintInput, findings: Sequence[Finding]
) -> tuple[tuple[Finding, ...], tuple[tuple[Finding, Exemption], ...]]:
    """(what counts, what is exempt)."""
    counting, allowed = [], []
    for finding in findings:
        exemption = subject.allowlist.covers(finding)
        if exemption is None:
            counting.append(finding)
        else:
            allowed.append((finding, exemption))
    return tuple(counting), tuple(allowed)


def _checks(found: _Found, subject: LintInput) -> Iterator[Check]:
    """One check for every pair of rule and file, and for every other file in which something was found."""
    names = [file.name for file in subject.files]
    names += sorted({finding.file for finding in found.findings} - set(names))
    note = "; ".join(found.notes)
    for rule, title in found.titles.items():
        for name in names:
            here = [f for f in found.findings if f.file == name and f.rule.split("/")[0] == rule]
            helps = dict.fromkeys(finding.help for finding in here)
            yield Check(
                id=f"{rule}:{name}",
                expected=[],
                observed=[str(finding) for finding in here],
                where=name if not note else f"{name}, {note}",
                help="; ".join(helps) or title,
            )


def _details(found: _Found, subject: LintInput) -> dict[str, Json]:
    from scripts.lint.allowlist import statement_digest

    violations: list[Json] = [
        {
            "file": finding.file,
            "lineno": finding.line,
            "column": finding.column,
            "start_lineno": finding.line if finding.statement is None else finding.statement.line,
            "kind": finding.rule,
            "object": finding.object,
            "line": finding.message,
            # What an exemption has to name.
            "statement": None if finding.statement is None else statement_digest(finding.statement),
        }
        for finding in found.findings
    ]
    allowed: list[Json] = [
        {
            "file": finding.file,
            "lineno": finding.line,
            "kind": finding.rule,
            "line": finding.message,
            "reason": exemption.reason,
            "reviewer": exemption.reviewer,
        }
        for finding, exemption in found.allowed
    ]
    notes: list[Json] = list(found.notes)
    return {
        "scanned_files": len(subject.files),
        "violation_count": len(violations),
        "violations": violations,
        "allowlisted_count": len(allowed),
        "allowlisted": allowed,
        "notes": notes,
        **found.details,
    }


_FINDERS = {"rules": _of_rules, "landed": _of_landed, "squawk": _of_squawk, "allowlist": _of_allowlist}
