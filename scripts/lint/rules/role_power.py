"""role-power: a migration ships no login, no secret and no power over the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.lint.grants import privileges
from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import concrete, enum_name, kind_of, option_boolean, strings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part

_FLAGS = {
    "superuser": "SUPERUSER",
    "canlogin": "LOGIN",
    "bypassrls": "BYPASSRLS",
    "isreplication": "REPLICATION",
    "createrole": "CREATEROLE",
    "createdb": "CREATEDB",
}


def find(subject: LintInput) -> Iterator[Finding]:
    """Attributes and passwords of CREATE and ALTER ROLE, the server's own roles, and rights to change settings."""
    for part in subject.executed:
        if part.kind == "CreateRoleStmt":
            login = enum_name(part.node, "stmt_type") == "ROLESTMT_USER" and not _says(part.node.options, "canlogin")
            yield from _attributes(part, part.node.role, part.node.options, login=login)
        elif part.kind == "AlterRoleStmt":
            yield from _attributes(part, part.node.role.rolename, part.node.options, login=False)
        elif part.kind == "GrantStmt" and part.node.is_grant:
            if enum_name(part.node, "objtype") == "OBJECT_PARAMETER_ACL":
                names = ", ".join(strings(part.node.objects))
                what = ", ".join(sorted(name.upper() for name in privileges(part.node)))
                yield RULE.at(part, names, f"GRANT {what} ON PARAMETER {names} outlives every file that sets it")
        elif part.kind == "GrantRoleStmt" and part.node.is_grant:
            for wrapper in part.node.granted_roles:
                name = concrete(wrapper).priv_name
                if name.startswith("pg_"):
                    yield RULE.at(part, name, f"membership in {name}, a role of the server's own")


def _attributes(part: Part, role: str, options: Any, *, login: bool) -> Iterator[Finding]:
    if login:
        yield RULE.at(part, role, f"role {role} can log in (CREATE USER)")
    for wrapper in options:
        item = concrete(wrapper)
        if kind_of(item) != "DefElem":
            continue
        if item.defname == "password" and item.HasField("arg"):
            yield RULE.at(part, role, f"a password of role {role} stands in the file", node=item)
        elif item.defname in _FLAGS and option_boolean(item, default=True):
            yield RULE.at(part, role, f"role {role} gets {_FLAGS[item.defname]}", node=item)


def _says(options: Any, name: str) -> bool:
    return any(concrete(wrapper).defname == name for wrapper in options)


RULE = Rule(
    id="role-power",
    gate="privilege-grants",
    severity="error",
    title="A role made by a migration cannot log in, has no password and no power over the server",
    why="A login in a migration is a login in production, its password known to everybody who reads the repository.",
    help="make it NOLOGIN; whoever runs the server lets people and services be members of it",
    red="CREATE ROLE app LOGIN PASSWORD 'app';",
    green="CREATE ROLE app NOLOGIN;",
    find=find,
)
