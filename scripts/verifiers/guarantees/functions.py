"""INV-008, D-04, D-05: every function is its migration's, on a pinned path, and only for whom it is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.compare import Facts
from scripts.verifiers.facts.functions import FUNCTIONS, for_review
from scripts.verifiers.facts.privileges import ALONE, EXECUTORS, NONE, grantees, open_to
from scripts.verifiers.probes.callers import PRIVILEGE_PROBES, SHADOW_PROBES
from scripts.verifiers.probes.edges import GENERATOR_PROBES
from scripts.verifiers.probes.playing import play

if TYPE_CHECKING:
    from scripts.digest import Json
    from scripts.verifiers.model import Database, Findings

_MEANT = {
    "operators": "drop it: it decides what a comparison in our functions and checks means",
    "casts": "drop it: it decides what a value of ours is where another type is wanted",
    "names": "drop it, or move it to another schema: it is found before ours",
}
PINNED = "search_path=pg_catalog, public, pg_temp"


def verify_privileges(database: Database, findings: Findings) -> None:
    """Who may execute what, now and of functions to come; then roles that may not, trying."""
    routines = for_review(database.facts.routines)
    for routine in routines:
        findings.check(
            routine.signature,
            expected=", ".join(EXECUTORS.get(routine.function.name, ())) or NONE,
            observed=grantees(routine.grants, routine.owner),
            where=f"EXECUTE on {routine.signature}",
        )
    owners = {routine.owner for routine in routines}
    findings.check(
        "functions_to_come",
        expected=ALONE,
        observed="; ".join(open_to(database.facts.default_grants, owner, "f") for owner in sorted(owners)),
        where="default privileges of the functions' owner",
    )
    findings.check("functions_have_one_owner", expected=1, observed=len(owners), examined=len(owners))
    play(database.conn, findings, PRIVILEGE_PROBES)


def verify_search_path(database: Database, findings: Findings) -> None:
    """Each function by definition and body; each SECURITY DEFINER on the pinned path; what could be meant; a shadow."""
    facts = Facts(database.facts, database.sources, findings)
    for function in FUNCTIONS.values():
        facts.function(function)
    strangers: list[Json] = [
        routine.signature for routine in for_review(database.facts.routines) if routine.function.name not in FUNCTIONS
    ]
    others = database.stand_ins()
    # Whatever is called by an unqualified name may be answered by a function nobody has reviewed.
    strangers.extend(others.functions)
    findings.check("functions_not_reviewed", expected=[], observed=strangers, where="schema public")
    for kind, where, what in (
        ("operators", "pg_catalog, public, and schemas named after a role or on a stored path", others.operators),
        ("casts", "the database", others.casts),
        ("names", "pg_catalog, and schemas named after a role", others.names),
    ):
        findings.check(f"{kind}_not_reviewed", expected=[], observed=[*what], where=where, help=_MEANT[kind])
    for routine in database.facts.routines:
        # The library of an extension that was installed here looks nothing up by the path; the server's own code under
        # another name may (query_to_xml).
        if routine.function.definer and not (routine.installed and routine.function.language == "c"):
            path = [setting for setting in routine.function.settings if setting.startswith("search_path=")]
            findings.check(
                f"{routine.signature} path",
                expected=PINNED,
                observed=path[0] if path else "the caller's path",
                where=routine.signature,
            )
    play(database.conn, findings, (*SHADOW_PROBES, *GENERATOR_PROBES))
