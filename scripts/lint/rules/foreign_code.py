"""foreign-code: what a migration runs stands in the migration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput

_KINDS = {
    "CreateExtensionStmt": ("CREATE EXTENSION", "extname"),
    "AlterExtensionStmt": ("ALTER EXTENSION", "extname"),
    "AlterExtensionContentsStmt": ("ALTER EXTENSION", "extname"),
    "CreatePLangStmt": ("CREATE LANGUAGE", "plname"),
    "LoadStmt": ("LOAD", "filename"),
}


def find(subject: LintInput) -> Iterator[Finding]:
    """CREATE and ALTER EXTENSION, CREATE LANGUAGE, LOAD."""
    for part in subject.executed:
        if part.kind in _KINDS:
            what, field = _KINDS[part.kind]
            name = getattr(part.node, field)
            yield RULE.at(part, name, f"{what} {name} runs what is in no file")


RULE = Rule(
    id="foreign-code",
    gate="security-definer-dynamic-sql",
    severity="error",
    title="No migration installs an extension or a language, or loads a library",
    why="Its script runs with more than the owner's rights, differs from server to server, and no review sees it.",
    help="do without, or have whoever runs the server install it; a migration may ask whether it is there",
    red="CREATE EXTENSION pgcrypto;",
    green="SELECT 1 / (SELECT count(*) FROM pg_catalog.pg_extension WHERE extname = 'plpgsql');",
    find=find,
)
