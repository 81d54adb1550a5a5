"""GRANT and REVOKE, and those inside ALTER DEFAULT PRIVILEGES."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.lint.nodes import concrete, enum_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part


def grants(subject: LintInput) -> Iterator[tuple[Part, Any]]:
    """(part, GrantStmt) of every GRANT and REVOKE that migrating runs; is_grant tells them apart."""
    for part in subject.executed:
        if part.kind == "GrantStmt":
            yield part, part.node
        elif part.kind == "AlterDefaultPrivilegesStmt":
            yield part, part.node.action


def privileges(grant: Any) -> frozenset[str]:
    """The privileges in lower case; `all` when none is named, as ALL [PRIVILEGES] is."""
    if not grant.privileges:
        return frozenset({"all"})
    return frozenset(concrete(wrapper).priv_name.lower() for wrapper in grant.privileges)


def granted(grant: Any) -> str:
    """What is granted on what kind of thing: `SELECT, INSERT on TABLE`."""
    names = ", ".join(sorted(name.upper() for name in privileges(grant)))
    target = {"ACL_TARGET_ALL_IN_SCHEMA": "ALL IN SCHEMA ", "ACL_TARGET_DEFAULTS": "future "}.get(
        enum_name(grant, "targtype"), ""
    )
    return f"{names} on {target}{enum_name(grant, 'objtype').removeprefix('OBJECT_')}"
