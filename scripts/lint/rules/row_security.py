"""row-security: rows that were seen yesterday are seen today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import relation_of
from scripts.lint.tables import changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput

# Switching it off is trigger-switch's, on new tables, too.
_ALTERS = {"AT_EnableRowSecurity": "ENABLE", "AT_ForceRowSecurity": "FORCE"}
_POLICIES = {"CreatePolicyStmt": "CREATE POLICY", "AlterPolicyStmt": "ALTER POLICY"}


def find(subject: LintInput) -> Iterator[Finding]:
    """ENABLE and FORCE ROW LEVEL SECURITY, CREATE and ALTER POLICY, on a table that was there before the file."""
    for part in subject.executed:
        if part.kind not in _POLICIES:
            continue
        table = relation_of(part.node.table)
        if not subject.history.is_new(table, part):
            name = f"{table}.{part.node.policy_name}"
            yield RULE.at(part, name, f"{_POLICIES[part.kind]} {part.node.policy_name} on existing {table}")
    for change in changes(subject):
        if change.subtype in _ALTERS:
            what = f"{_ALTERS[change.subtype]} ROW LEVEL SECURITY"
            yield RULE.at(change.part, change.table, f"{what} on existing {change.table}")


RULE = Rule(
    id="row-security",
    gate="migration-expand-contract-policy",
    severity="error",
    title="Row security of an existing table stays as it is",
    why="From the commit on, statements of the release before see fewer rows, without an error, or more.",
    help="make it with the table; for an old one let the release that sets what the policies ask for come first, and"
    " record an exemption",
    before="CREATE TABLE public.a (id bigint);",
    red="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ENABLE ROW LEVEL SECURITY;",
    green="CREATE TABLE public.b (id bigint);\nALTER TABLE public.b ENABLE ROW LEVEL SECURITY;\n"
    "CREATE POLICY p ON public.b USING (id > 0);",
    find=find,
)
