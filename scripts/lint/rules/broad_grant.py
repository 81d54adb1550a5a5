"""broad-grant: a role is granted what it needs, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.grants import granted, grants, privileges
from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import enum_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput

# On a table that a SECURITY DEFINER function writes, each of these leads to the owner's rights or around a guard.
_POWERFUL = frozenset({"all", "trigger", "truncate", "references", "maintain"})


def find(subject: LintInput) -> Iterator[Finding]:
    """ALL, TRIGGER, TRUNCATE, REFERENCES and MAINTAIN on tables, ALL … IN SCHEMA, and WITH GRANT OPTION."""
    for part, grant in grants(subject):
        if not grant.is_grant:
            continue
        found = sorted(_POWERFUL & privileges(grant))
        if enum_name(grant, "objtype") == "OBJECT_TABLE" and found:
            yield RULE.at(part, granted(grant), f"GRANT {granted(grant)} includes more than reading and writing rows")
        if grant.grant_option:
            yield RULE.at(part, granted(grant), f"GRANT {granted(grant)} WITH GRANT OPTION")
        if enum_name(grant, "targtype") == "ACL_TARGET_ALL_IN_SCHEMA":
            yield RULE.at(part, granted(grant), f"GRANT {granted(grant)} reaches objects that the file does not name")


RULE = Rule(
    id="broad-grant",
    gate="privilege-grants",
    severity="error",
    title="No GRANT of ALL, TRIGGER, TRUNCATE, REFERENCES, MAINTAIN on tables, of ALL IN SCHEMA, or WITH GRANT OPTION",
    why="GRANT ALL includes TRIGGER: a trigger on a table that a SECURITY DEFINER function writes runs as its owner.",
    help="name the privileges (SELECT, INSERT, UPDATE, DELETE) and the objects",
    before="CREATE TABLE public.a (id bigint);",
    red="GRANT ALL ON TABLE public.a TO app;",
    green="GRANT SELECT, INSERT ON TABLE public.a TO app;",
    find=find,
)
