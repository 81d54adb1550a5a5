"""GRANT and REVOKE, those inside ALTER DEFAULT PRIVILEGES included, and what they give or take, piece by piece.

Owns: `Granted`: one object, one role, and the privileges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.lint.dynamic import NAME
from scripts.lint.nodes import concrete, enum_name, kind_of, name_of, relation_of, roles, strings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part


# GRANT … ON TABLE reaches sequences and views; a function is also a routine.
_KINDS = {"SEQUENCE": "TABLE", "PROCEDURE": "FUNCTION", "ROUTINE": "FUNCTION"}


@dataclass(frozen=True, slots=True)
class Granted:
    """What one role is given on one object, or loses.

    kind: TABLE, FUNCTION, SCHEMA, ROLE and so on. schema: empty for what is in none. name: `schema.name` (functions
    without their arguments); `schema.*` for everything of that kind in a schema. privileges: in lower case.
    """

    kind: str
    schema: str
    name: str
    role: str
    privileges: frozenset[str]
    part: Part = field(repr=False)

    def same_target(self, other: Granted) -> bool:
        """Whether both may concern the same object and role; what is filled in at run time may be anything."""
        if self.kind != other.kind or not _meets(self.role, other.role):
            return False
        if self.name.endswith(".*") or other.name.endswith(".*"):
            return _meets(self.schema, other.schema)
        mine, theirs = self.name.split("."), other.name.split(".")
        return len(mine) == len(theirs) and all(map(_meets, mine, theirs))


def granted_to(subject: LintInput, *, is_grant: bool) -> Iterator[Granted]:
    """Every privilege and membership given to a role by name, or taken from it; defaults for the future left out."""
    for part in subject.executed:
        node = part.node
        if part.kind == "GrantRoleStmt" and node.is_grant == is_grant:
            for wrapper in node.granted_roles:
                for role in roles(node.grantee_roles):
                    # ADMIN OPTION FOR takes an option and leaves the membership.
                    if is_grant or not node.opt:
                        name = concrete(wrapper).priv_name
                        yield Granted("ROLE", "", name, role, frozenset({"membership"}), part)
        elif part.kind == "GrantStmt" and node.is_grant == is_grant and (is_grant or not node.grant_option):
            kind = enum_name(node, "objtype").removeprefix("OBJECT_")
            for schema, name in _objects(node):
                for role in roles(node.grantees):
                    if role != "PUBLIC":
                        yield Granted(_KINDS.get(kind, kind), schema, name, role, privileges(node), part)


def _objects(grant: Any) -> Iterator[tuple[str, str]]:
    """(schema, name) of everything a GRANT or REVOKE names."""
    whole = enum_name(grant, "targtype") == "ACL_TARGET_ALL_IN_SCHEMA"
    for wrapper in grant.objects:
        item = concrete(wrapper)
        if kind_of(item) == "RangeVar":
            name = relation_of(item)
            yield name.schema, str(name)
        elif kind_of(item) == "ObjectWithArgs":
            name = name_of(item.objname)
            yield name.schema, str(name)
        elif whole:
            yield item.sval, f"{item.sval}.*"
        else:
            yield "", ".".join(strings([wrapper])) or ".".join(strings(getattr(item, "items", ())))


def _meets(one: str, other: str) -> bool:
    return one == other or NAME in (one, other)


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
