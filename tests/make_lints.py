"""Migrations for the lint tests: a text or two becomes what the lints look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scripts.lint.allowlist import Allowlist
from scripts.lint.registry import RULES
from scripts.lint.run import find_all
from scripts.lint.sqlstates import parse_registry
from scripts.lint.subject import LintFile, LintInput
from scripts.migrations.folder.files import MigrationFile
from scripts.settings import Settings

if TYPE_CHECKING:
    from scripts.lint.model import Finding, Rule
    from scripts.lint.sqlstates import Registry

BY_ID = {rule.id: rule for rule in RULES}
REGISTRY = parse_registry(
    '{"codes": {\n"P0001": {"class": "C", "raised_by": []},\n"P7777": {"class": "B", "meaning": "for tests"}\n}}'
)


def lint_input(
    *texts: str,
    registry: Registry | None = REGISTRY,
    allowlist: Allowlist | None = None,
    settings: Settings | None = None,
) -> LintInput:
    """Files 0001_one.sql, 0002_two.sql and so on with these texts."""
    names = ("one", "two", "three", "four", "five", "six")
    files = tuple(
        LintFile(MigrationFile.of_text(f"{number:04d}_{names[number - 1]}.sql", text))
        for number, text in enumerate(texts, 1)
    )
    return LintInput(files, registry, allowlist or Allowlist(), settings or Settings(), Path())


def lint(rule: str | Rule, *texts: str, registry: Registry | None = REGISTRY) -> list[Finding]:
    """What one rule finds."""
    chosen = BY_ID[rule] if isinstance(rule, str) else rule
    return find_all(lint_input(*texts, registry=registry), [chosen])


def places(findings: list[Finding]) -> list[str]:
    """`number:line:column object` of each."""
    return [f"{f.file[3]}:{f.line}:{f.column} {f.object}" for f in findings]


def with_before(rule: Rule, text: str) -> tuple[str, ...]:
    """An example of a rule with the migration ahead of it, if it has one."""
    return (rule.before, text) if rule.before else (text,)
