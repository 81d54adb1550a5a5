"""INV-005, INV-006, INV-010, D-06, D-11, D-30, D-39: each role may do what the matrix says, nobody else anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.compare import MEMBER
from scripts.verifiers.facts.privileges import (
    ALONE,
    PUBLIC,
    SCHEMA_USERS,
    TABLE_GRANTS,
    matrix_of,
    open_to,
    others_to_come,
)
from scripts.verifiers.facts.sessions import NOBODY, told
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.probes.callers import TABLE_PROBES
from scripts.verifiers.probes.playing import play

if TYPE_CHECKING:
    from scripts.verifiers.facts.reading import Reading
    from scripts.verifiers.model import Database, Findings

# Whoever owns the database is a member of it, and nobody else can be.
_PLACE = "pg_database_owner"
_SHUT = {
    "opened_by_views": (
        "REVOKE it: whoever looks through a view, or sets off a rule, does so with the rights of its owner"
    ),
    "opened_by_functions": (
        "REVOKE it, or let somebody without rights own it: it does what its owner may do, and nobody has reviewed what"
    ),
    "schemas_create": "REVOKE it: nothing is made at run time, and what is made there may be found before ours",
}


def _creators(facts: Reading, owners: set[str]) -> list[str]:
    """Who but the tables' owner may create in public, by a grant or as its owner, who also drops what is there.

    An owner who is a superuser, or may act as the tables' owner, may do so anyway.
    """
    known = owners | set(facts.insiders)
    makers = {grant.grantee for grant in facts.schema_grants if grant.privilege == "CREATE"} | {facts.schema_owner}
    found: list[str] = []
    for maker in sorted(makers - {""}):
        who = facts.database_owner if maker == _PLACE else maker
        as_owner = {facts.schema_owner: " (owner of the schema)", _PLACE: " (owner of the database)"}.get(maker, "")
        if who not in known:
            found.append(who + as_owner)
    return found


def _users(facts: Reading, insiders: set[str]) -> list[str]:
    """Who but these may use public by a grant.

    What everybody has changes nothing for a role that nobody knows; where everybody has it not, that role is told.
    """
    users = {grant.grantee for grant in facts.schema_grants if grant.privilege == "USAGE"} - insiders
    return sorted(users & set(SCHEMA_USERS) if PUBLIC in users else users)


def verify(database: Database, findings: Findings) -> None:
    """The matrix down to columns and MAINTAIN, owners, the schema, ways around; then roles trying what they may not."""
    facts = database.facts
    owners = {held.owner for name, held in facts.held.items() if name in TABLES}
    for name in TABLES:
        held = facts.held.get(name)
        findings.check(
            f"{name}_privileges",
            expected=TABLE_GRANTS.get(name, "none"),
            observed=matrix_of(held) if held else "absent",
            where=f"public.{name}",
            examined=int(held is not None),
        )
    findings.check(
        "tables_have_one_owner", expected=1, observed=len(owners), where="schema public", examined=len(owners)
    )
    findings.check(
        "tables_to_come",
        expected=ALONE,
        observed="; ".join(open_to(facts.default_grants, owner, "r") for owner in sorted(owners)),
        where="default privileges of the tables' owner",
    )
    findings.check(
        "others_to_come",
        expected=ALONE,
        observed=others_to_come(facts.default_grants, frozenset(owners)),
        where="default privileges of the tables' owner for other kinds, and of everybody else",
        help="ALTER DEFAULT PRIVILEGES FOR ROLE … REVOKE",
    )
    creators = _creators(facts, owners)
    insiders = owners | {facts.schema_owner, facts.database_owner}
    findings.check(
        "schema_public_create",
        expected="nobody",
        observed=", ".join(creators) or "nobody",
        where="schema public",
        help="REVOKE it; an owner of the schema, or of the database where that is the schema's, creates in public and "
        "drops what is there: ALTER SCHEMA public OWNER TO, or ALTER DATABASE … OWNER TO the tables' owner",
    )
    whole = f" {MEMBER} {facts.schema_extension}" if facts.schema_extension else ""
    users = ", ".join(_users(facts, insiders))
    findings.check("schema_public_usage", expected=", ".join(SCHEMA_USERS), observed=users + whole)
    # In a schema of its own a role may place whatever a path then finds before ours.
    findings.check(
        "database_create",
        expected=NOBODY,
        observed=told(facts.schema_makers),
        where="the database",
        help="REVOKE CREATE ON DATABASE",
    )
    openings = database.openings()
    for way, found in (
        ("opened_by_views", openings.views),
        ("opened_by_functions", openings.functions),
        ("schemas_create", openings.schemas),
    ):
        findings.check(way, expected=NOBODY, observed=told(found), where="every schema", help=_SHUT[way])
    play(database.conn, findings, TABLE_PROBES)
