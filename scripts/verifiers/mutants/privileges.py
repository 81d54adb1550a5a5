"""Mutants of privileges: given to everybody and to each role, down to columns; taken from those who need them.

Owns: the operators on grants, default privileges and ownership of what is granted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.parser.quoting import quoted
from scripts.verifiers.mutants.model import Mutant
from scripts.verifiers.mutants.owners import FUNCTION_RIGHTS, REGULATOR, TABLE_RIGHTS, table_rights_owner
from scripts.verifiers.mutants.words import HIDDEN, hide, in_public, in_this_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.verifiers.facts.reading import Held, Routine
    from scripts.verifiers.mutants.subject import Subject

_PUBLIC = "PUBLIC"
_OF_TABLES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")
_OF_COLUMNS = ("SELECT", "INSERT", "UPDATE", "REFERENCES")
# What is made later, and what of it is handed on.
_TO_COME = {
    "TABLES": ("SELECT", "INSERT", "MAINTAIN"),
    "FUNCTIONS": ("EXECUTE",),
    "SEQUENCES": ("USAGE", "UPDATE"),
    "TYPES": ("USAGE",),
    "SCHEMAS": ("USAGE", "CREATE"),
    "LARGE OBJECTS": ("SELECT",),
}
_STRANGER = ("CREATE ROLE mutant_stranger",)


def table_right_mutants(subject: Subject, table: str) -> Iterator[Mutant]:
    """Mutants of who may do what with a table and with each of its columns."""
    held = subject.reading.held[table]
    title, where = f"privileges on public.{table}", in_public(table)
    for grantee in (_PUBLIC, *subject.roles):
        owner = (table_rights_owner(grantee, table),)
        has = {grant.privilege: grant.grantable for grant in held.grants if grant.grantee == grantee}
        for privilege in _OF_TABLES:
            if privilege not in has:
                yield Mutant(title, f"{privilege} to {grantee}", owner, (_grant(privilege, where, grantee),))
            elif grantee != _PUBLIC and not has[privilege]:
                option = _grant(privilege, where, grantee) + " WITH GRANT OPTION"
                yield Mutant(title, f"{privilege} to {grantee} to hand on", owner, (option,))
        for privilege in has:
            take = f"REVOKE {privilege} ON {where} FROM {_name(grantee)} CASCADE"
            yield Mutant(title, f"{privilege} from {grantee}", owner, (take,))
        yield from _columns(subject, table, held, grantee)
        system = _grant("SELECT (ctid)", where, grantee)
        yield Mutant(f"{title}.ctid", f"SELECT to {grantee}", owner, (system,))
    grant = _grant("SELECT", where, "mutant_stranger")
    owner = (table_rights_owner("mutant_stranger", table),)
    yield Mutant(title, "SELECT to a role nobody knows", owner, (*_STRANGER, grant), admin=True, cluster=True)


def _columns(subject: Subject, table: str, held: Held, grantee: str) -> Iterator[Mutant]:
    where, owner = in_public(table), (table_rights_owner(grantee, table),)
    for column in subject.reading.tables[table].columns:
        title = f"privileges on public.{table}.{column.name}"
        has = {one.privilege for one in held.column_grants.get(column.name, ()) if one.grantee == grantee}
        for privilege in _OF_COLUMNS:
            what = f"{privilege} ({quoted(column.name)})"
            if privilege in has:
                take = f"REVOKE {what} ON {where} FROM {_name(grantee)} CASCADE"
                yield Mutant(title, f"{privilege} from {grantee}", owner, (take,))
            else:
                yield Mutant(title, f"{privilege} to {grantee}", owner, (_grant(what, where, grantee),))


def function_right_mutants(subject: Subject, routine: Routine) -> Iterator[Mutant]:
    """Mutants of who may run a function."""
    title, where = f"privileges on {routine.signature}", f"FUNCTION {routine.signature}"
    holders = {grant.grantee for grant in routine.grants}
    for grantee in (_PUBLIC, *subject.roles):
        if grantee in holders:
            take = f"REVOKE EXECUTE ON {where} FROM {_name(grantee)} CASCADE"
            yield Mutant(title, f"EXECUTE from {grantee}", (FUNCTION_RIGHTS,), (take,))
            option = _grant("EXECUTE", where, grantee) + " WITH GRANT OPTION"
            yield Mutant(title, f"EXECUTE to {grantee} to hand on", (FUNCTION_RIGHTS,), (option,))
        else:
            yield Mutant(title, f"EXECUTE to {grantee}", (FUNCTION_RIGHTS,), (_grant("EXECUTE", where, grantee),))
    change = f"ALTER {where} OWNER TO {quoted(subject.roles[0])}"
    yield Mutant(title, f"owned by {subject.roles[0]}", (FUNCTION_RIGHTS,), (change,), admin=True)


def schema_right_mutants(subject: Subject) -> Iterator[Mutant]:
    """Mutants of who may use and create in the schema and the database, and of what later objects grant."""
    users = {grant.grantee for grant in subject.reading.schema_grants if grant.privilege == "USAGE"}
    makers = {grant.grantee for grant in subject.reading.schema_grants if grant.privilege == "CREATE"}
    title, where = "privileges on schema public", "SCHEMA public"
    for grantee in (_PUBLIC, *subject.roles):
        owner = (table_rights_owner(grantee),)
        if grantee not in makers:
            yield Mutant(title, f"CREATE to {grantee}", owner, (_grant("CREATE", where, grantee),), admin=True)
        if grantee in users:
            take = f"REVOKE USAGE ON {where} FROM {_name(grantee)} CASCADE"
            yield Mutant(title, f"USAGE from {grantee}", (TABLE_RIGHTS,), (take,), admin=True)
        give = in_this_database(_grant("CREATE", "DATABASE %I", grantee))
        yield Mutant("privileges on the database", f"CREATE to {grantee}", (TABLE_RIGHTS,), (give,), admin=True)
        yield from _defaults(subject, grantee)
    for grantee in (_PUBLIC, *subject.roles):
        owner = (table_rights_owner(grantee),)
        made = ("CREATE SCHEMA mutant_place", _grant("CREATE", "SCHEMA mutant_place", grantee))
        yield Mutant("privileges on other schemas", f"CREATE to {grantee}", owner, made)
        give = _grant("CREATE", "SCHEMA pg_catalog", grantee)
        yield Mutant("privileges on schema pg_catalog", f"CREATE to {grantee}", owner, (give,), admin=True)
    yield Mutant(title, HIDDEN, (TABLE_RIGHTS,), (hide(where),), admin=True)
    change = f"ALTER SCHEMA public OWNER TO {quoted(subject.roles[0])}"
    yield Mutant(title, f"owned by {subject.roles[0]}", (_owner_of_schema(subject.roles[0]),), (change,), admin=True)
    for what, owned in (
        (title, "ALTER SCHEMA public OWNER TO mutant_stranger"),
        ("privileges on the database", in_this_database("ALTER DATABASE %I OWNER TO mutant_stranger")),
    ):
        stranger = (*_STRANGER, owned)
        yield Mutant(what, "owned by a role nobody knows", (TABLE_RIGHTS,), stranger, admin=True, cluster=True)


def _owner_of_schema(role: str) -> str:
    return REGULATOR if role == "boz_auditor" else TABLE_RIGHTS


def _defaults(subject: Subject, grantee: str) -> Iterator[Mutant]:
    owner, stranger = quoted(subject.owner), quoted(subject.roles[0])
    for creator, title in ((owner, subject.owner), (stranger, subject.roles[0])):
        for within, words in (("", ""), (" in schema public", " IN SCHEMA public")):
            for kind, privileges in _TO_COME.items():
                # The server knows no default of one schema for what lies in none, and gives these by itself.
                if words and kind in ("SCHEMAS", "LARGE OBJECTS"):
                    continue
                if not words and grantee == _PUBLIC and (kind == "TYPES" or (kind == "FUNCTIONS" and creator != owner)):
                    continue
                if grantee == title:
                    continue
                for privilege in privileges:
                    alter = f"ALTER DEFAULT PRIVILEGES FOR ROLE {creator}{words}"
                    rights = FUNCTION_RIGHTS if kind == "FUNCTIONS" and creator == owner else TABLE_RIGHTS
                    yield Mutant(
                        f"default privileges of {title}",
                        f"{privilege} on {kind.lower()}{within} to {grantee}",
                        (rights,),
                        (f"{alter} GRANT {privilege} ON {kind} TO {_name(grantee)}",),
                        admin=True,
                    )


def _grant(privilege: str, where: str, grantee: str) -> str:
    return f"GRANT {privilege} ON {where} TO {_name(grantee)}"


def _name(grantee: str) -> str:
    return grantee if grantee == _PUBLIC else quoted(grantee)
