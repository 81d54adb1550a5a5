"""function-execute: a new function is nobody's until it is granted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.lint.grants import grants, privileges
from scripts.lint.history import precedes, signature_of
from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import concrete, enum_name, kind_of, name_of, option, roles, strings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.history import Routine
    from scripts.lint.subject import LintInput, Part

_ROUTINES = frozenset({"OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE"})


def find(subject: LintInput) -> Iterator[Finding]:
    """New functions without a REVOKE in their own file, and default privileges that do not do what they seem to."""
    revokes = [
        (part, grant)
        for part, grant in grants(subject)
        if not grant.is_grant
        and enum_name(grant, "objtype") in _ROUTINES
        and "PUBLIC" in roles(grant.grantees)
        and {"execute", "all"} & privileges(grant)
    ]
    for part, _ in revokes:
        if part.kind == "AlterDefaultPrivilegesStmt" and option(part.node.options, "schemas") is not None:
            yield RULE.at(
                part,
                "default privileges",
                "ALTER DEFAULT PRIVILEGES IN SCHEMA cannot revoke what PUBLIC has by default: it does nothing",
                help="leave IN SCHEMA out",
            )
    for routine in (routine for created in subject.history.routines.values() for routine in created):
        part = routine.part
        # CREATE OR REPLACE keeps the rights of what is there.
        if part.node.replace and subject.history.routine_before(routine.name, part, routine.signature) is not None:
            continue
        if not any(_covers(revoke, grant, routine) for revoke, grant in revokes):
            yield RULE.at(part, routine.name, f"{routine.name} can be run by PUBLIC")


def _covers(part: Part, grant: Any, routine: Routine) -> bool:
    if part.kind == "AlterDefaultPrivilegesStmt":
        for_role = option(part.node.options, "roles")
        everywhere = option(part.node.options, "schemas") is None
        return everywhere and (for_role is None or _is_own(for_role)) and precedes(part, routine.part) and not part.body
    if part.file is not routine.part.file or part.order < routine.part.order or not _certain(part, routine):
        return False
    if enum_name(grant, "targtype") == "ACL_TARGET_ALL_IN_SCHEMA":
        return routine.name.schema in strings(grant.objects)
    for wrapper in grant.objects:
        target = concrete(wrapper)
        if kind_of(target) == "ObjectWithArgs" and name_of(target.objname) == routine.name:
            signature = signature_of(target)
            if signature is None or signature == routine.signature:
                return True
    return False


def _certain(revoke: Part, routine: Routine) -> bool:
    """Whether the REVOKE is run whenever the CREATE is: at the top, or in the same DO block."""
    return revoke.body is None or revoke.statement is routine.part.statement


def _is_own(for_role: Any) -> bool:
    items = concrete(for_role.arg).items
    return all(name in ("CURRENT_USER", "CURRENT_ROLE", "SESSION_USER") for name in roles(items))


RULE = Rule(
    id="function-execute",
    gate="privilege-grants",
    severity="error",
    title="EXECUTE on a new function is revoked from PUBLIC in the file that creates it, or by default before",
    why="EXECUTE goes to PUBLIC by default: a role without a single grant could enqueue, claim and dispatch payments.",
    help="REVOKE EXECUTE ON FUNCTION … FROM PUBLIC in the same file",
    red="CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql RETURN 1::bigint;",
    green="CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql RETURN 1::bigint;\n"
    "REVOKE EXECUTE ON FUNCTION public.f() FROM PUBLIC;",
    find=find,
)
