"""INV-007, INV-111, D-29, D-33: the roles exist, none can rise above its grants; the regulator may only read.

A login that acts as one of them is no more than that role, and begins its sessions under the rules that were reviewed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.holdings import NOTHING, held_by_the_seat, held_by_workers
from scripts.verifiers.facts.logins import LEGAL, beyond_one_role
from scripts.verifiers.facts.privileges import BOZ_TABLES, privileges_of
from scripts.verifiers.facts.roles import BOZ_ROLE, ROLES
from scripts.verifiers.facts.sessions import NOBODY, fired, is_own, told
from scripts.verifiers.facts.stored import decisive
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.probes.callers import BOZ_PROBES
from scripts.verifiers.probes.playing import play

if TYPE_CHECKING:
    from scripts.digest import Json
    from scripts.verifiers.model import Database, Findings

_FLAGS = ("login", "superuser", "createdb", "createrole", "replication", "bypassrls")


def verify_posture(database: Database, findings: Findings) -> None:
    """Every role of the schema: there, without attributes, member of nothing, in sessions under everybody's rules."""
    for name in ROLES:
        _posture(database, findings, name)
    facts = database.facts
    findings.check(
        "logins_act_as_one_role",
        expected=LEGAL,
        observed=beyond_one_role(facts.logins),
        where="logins that can reach a role of the schema",
        help="REVOKE what is named from the login, or from the role between: a worker has a login of its own",
        examined=1 + len(facts.logins),
    )
    findings.check(
        "roles_hold_nothing_else",
        expected=NOTHING,
        observed=held_by_workers(facts.holdings),
        where="what the roles own or were given beside tables and functions",
        help="REVOKE it, or REASSIGN OWNED to the schema's owner",
    )
    # What a session begins with, and what runs in it unasked.
    starts = decisive((*facts.settings, *database.server))
    begins = [one for one in (starts, fired(facts.event_triggers)) if one != "none"]
    findings.check(
        "sessions_start_with",
        expected="none",
        observed=", ".join(begins) or "none",
        where="settings of the server, or stored for a role or for the database, and event triggers",
        help="ALTER ROLE … RESET, ALTER DATABASE … RESET, ALTER EVENT TRIGGER … DISABLE; the server's own: ALTER "
        "SYSTEM RESET …, or its files and command line, or ALTER DATABASE … SET to what is wanted here",
    )
    findings.check(
        "parameters_to_set",
        expected=NOBODY,
        observed=told(power for power in facts.parameters if not is_own(power)),
        where="privileges on parameters",
        help="REVOKE … ON PARAMETER: session_replication_role puts every foreign key to sleep",
    )
    bad: list[Json] = [check.where for check in findings.checks if not check.holds]
    findings.details.update(roles_checked=len(ROLES), bad_roles=bad)


def verify_boz(database: Database, findings: Findings) -> None:
    """The regulator's seat: attributes, schema, each table of the schema, all else; then what it must not do, tried."""
    _posture(database, findings, BOZ_ROLE)
    facts = database.facts
    usage = any((g.grantee, g.privilege) == (BOZ_ROLE, "USAGE") for g in facts.schema_grants)
    create = any((g.grantee, g.privilege) == (BOZ_ROLE, "CREATE") for g in facts.schema_grants)
    findings.check("boz_schema_usage", expected=True, observed=usage, where="schema public")
    findings.check("boz_schema_create", expected=False, observed=create, where="schema public")
    allowlist: list[Json] = []
    for name in TABLES:
        held = facts.held.get(name)
        observed = privileges_of(held, BOZ_ROLE) if held else "absent"
        findings.check(
            f"boz_{name}",
            expected="SELECT" if name in BOZ_TABLES else "none",
            observed=observed,
            where=f"public.{name}",
            examined=int(held is not None),
        )
        if name in BOZ_TABLES:
            words = observed.split(", ")
            allowlist.append(
                {"table": name}
                | {verb.lower(): verb in words for verb in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")}
            )
    reach = database.reach()
    allowed = {f"public.{name}": ("SELECT",) for name in BOZ_TABLES} | {"schema public": ("USAGE",)}
    # The tables above are asked for what was granted to the seat itself; this, for whatever it can get at in any way.
    beyond = [f"{name}: {', '.join(held)}" for name, held in reach.items() if set(held) - set(allowed.get(name, ()))]
    findings.check(
        "boz_nothing_else",
        expected="nothing",
        observed="; ".join(beyond) or "nothing",
        where=BOZ_ROLE,
        help="REVOKE it from boz_auditor, or from PUBLIC",
        examined=len(reach),
    )
    findings.check(
        "boz_holds_nothing_else",
        expected=NOTHING,
        observed=held_by_the_seat(facts.holdings),
        where=f"what {BOZ_ROLE} owns or was given beside tables and functions",
        help="REVOKE it from boz_auditor, or from PUBLIC; REASSIGN OWNED to the schema's owner",
    )
    findings.check(
        "boz_logins",
        expected=LEGAL,
        observed=beyond_one_role(facts.logins, BOZ_ROLE),
        where=f"logins that can reach {BOZ_ROLE}",
        help="REVOKE what is named from the login: the regulator's has no other role",
    )
    play(database.conn, findings, BOZ_PROBES)
    failures: list[Json] = [*findings.failed()]
    role = facts.roles.get(BOZ_ROLE)
    attributes: dict[str, Json] = {"name": BOZ_ROLE if role else None}
    attributes |= {_rol(flag): bool(role and flag in role.attributes) for flag in _FLAGS}
    findings.details.update(
        gate_id="INT-G23",
        invariant_id="INV-111",
        role=attributes,
        schema_privileges={"public_usage": usage, "public_create": create},
        allowlist_tables=allowlist,
        errors=failures,
    )


def _posture(database: Database, findings: Findings, name: str) -> None:
    role = database.facts.roles.get(name)
    observed = "absent"
    if role is not None:
        # CREATE ROLE gives INHERIT by itself, no limit and no end: what a login that acts as the role relies on.
        words = [word for word in role.attributes if word != "inherit"]
        words += [*([] if "inherit" in role.attributes else ["noinherit"]), *role.limits]
        words += [f"member of {other}" for other in role.member_of]
        observed = ", ".join(words) or "no attribute, no membership"
    findings.check(
        f"role_{name}",
        expected="no attribute, no membership",
        observed=observed,
        where=name,
        help="as CREATE ROLE … NOLOGIN makes it: ALTER ROLE … NOLOGIN INHERIT CONNECTION LIMIT -1 VALID UNTIL "
        "'infinity', and REVOKE what it is a member of",
        examined=int(role is not None),
    )


def _rol(flag: str) -> str:
    return {"superuser": "rolsuper", "login": "rolcanlogin"}.get(flag, f"rol{flag}")
