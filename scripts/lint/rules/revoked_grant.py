"""revoked-grant: what an earlier file granted to a role, it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.grants import Granted, granted_to
from scripts.lint.model import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part

_ALL = "all"


def find(subject: LintInput) -> Iterator[Finding]:
    """REVOKE of privileges and memberships that an earlier file granted, and the same file does not grant again."""
    granted = list(granted_to(subject, is_grant=True))
    for taken in granted_to(subject, is_grant=False):
        lost = _lost(taken, granted)
        if lost:
            names = ", ".join(sorted(name.upper() for name in lost))
            text = f"REVOKE of {names} on {taken.name} from {taken.role}, which an earlier file granted"
            yield RULE.at(taken.part, f"{taken.name} {taken.role}", text)


def _lost(taken: Granted, granted: list[Granted]) -> set[str]:
    """What the role had from an earlier file, loses, and does not get back at the top of the same file."""
    here = [grant for grant in granted if grant.same_target(taken)]
    before = {name for grant in here if grant.part.file.number < taken.part.file.number for name in grant.privileges}
    again = {name for grant in here if _follows(grant.part, taken.part) for name in grant.privileges}
    if not before or _ALL in again:
        return set()
    if _ALL in taken.privileges:
        return before - again
    return (set(taken.privileges) if _ALL in before else before & taken.privileges) - again


def _follows(part: Part, other: Part) -> bool:
    return part.file is other.file and part.order > other.order and part.body is None and not part.file.no_tx


RULE = Rule(
    id="revoked-grant",
    gate="migration-expand-contract-policy",
    severity="error",
    title="No role loses what an earlier file granted to it",
    why="The release before still asks for it: from the commit on its statements fail.",
    help="let the release that does not need it come first, then revoke with an exemption that names it",
    before="CREATE TABLE public.a (id bigint);\nGRANT SELECT, INSERT ON TABLE public.a TO app;",
    red="REVOKE INSERT ON TABLE public.a FROM app;",
    green="REVOKE ALL ON TABLE public.a FROM app, PUBLIC;\nGRANT SELECT, INSERT ON TABLE public.a TO app;",
    find=find,
)
