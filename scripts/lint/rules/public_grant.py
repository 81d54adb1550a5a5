"""public-grant: nothing is granted to everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.grants import granted, grants
from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import concrete, enum_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """GRANT … TO PUBLIC of any privilege on anything, columns, whole schemas and default privileges included."""
    for part, grant in grants(subject):
        if not grant.is_grant:
            continue
        for wrapper in grant.grantees:
            role = concrete(wrapper)
            if enum_name(role, "roletype") == "ROLESPEC_PUBLIC":
                what = granted(grant)
                yield RULE.at(part, "PUBLIC", f"GRANT {what} TO PUBLIC", node=role)


RULE = Rule(
    id="public-grant",
    gate="privilege-grants",
    severity="error",
    title="Nothing is granted to PUBLIC",
    why="PUBLIC is every role there is and every role there will be, the regulator's read-only seat among them.",
    help="grant to the roles that need it, by name",
    before="CREATE TABLE public.a (id bigint);",
    red="GRANT SELECT (id) ON TABLE public.a TO PUBLIC;",
    green="GRANT SELECT (id) ON TABLE public.a TO reader;",
    find=find,
)
