"""schema-create-grant: nobody but the owner makes objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.grants import grants, privileges
from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import enum_name, roles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """GRANT CREATE, or ALL, on a schema or database."""
    for part, grant in grants(subject):
        kind = enum_name(grant, "objtype")
        if not grant.is_grant or kind not in ("OBJECT_SCHEMA", "OBJECT_DATABASE"):
            continue
        if {"create", "all"} & privileges(grant):
            what = kind.removeprefix("OBJECT_").lower()
            names = ", ".join(roles(grant.grantees))
            yield RULE.at(part, names, f"GRANT of CREATE on a {what} to {names}")


RULE = Rule(
    id="schema-create-grant",
    gate="privilege-grants",
    severity="error",
    title="No role is granted CREATE on a schema or database",
    why="Who can make objects in a schema on the search_path can put his own in the place of ours; and the schema then"
    " changes outside of the migrations.",
    help="grant USAGE; objects are made by migrations",
    red="GRANT CREATE ON SCHEMA public TO app;",
    green="GRANT USAGE ON SCHEMA public TO app;",
    find=find,
)
