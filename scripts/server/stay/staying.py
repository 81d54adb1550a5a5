"""Servers that stay: handing a run's server over to its keeping, finding it again, and ending it.

Owns: the order in which it is written down and let stay, so that no kill at any moment leaves a server that nobody
    knows of; which origin is asked what.
Promises: no password in a line, an argument or an environment; only what is provably gone is forgotten.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.clock import iso_utc, utc_now
from scripts.errors.residents import ResidentError
from scripts.errors.server import ServerError
from scripts.server.places import own_dsn, shown_url
from scripts.server.provision import explaining
from scripts.server.readiness import connect, parse_dsn
from scripts.server.states import PASSWORDS, Resident, names_in, read_state
from scripts.server.stay.claims import claimed
from scripts.server.staying_on import note_kept
from scripts.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scripts.server.model import Server
    from scripts.server.standing import Standing
    from scripts.server.stay.claims import Claim


@dataclass(frozen=True, slots=True)
class Ways:
    """How to reach a server that stays, and how to be rid of it: lines to paste, without a password."""

    psql: str
    export: str
    down: str


def hand_over(server: Server, claim: Claim, report: Callable[[str], None]) -> Resident:
    """Let a server of our own outlive the run.

    It is written down first: a run that is killed before the server stays leaves a record of one that is gone.

    Args:
        server: one that answers.
        claim: of a name of which nothing is known.
        report: takes a line about a server that will not outlive a crash of one of its processes.

    Raises:
        ServerError: it cannot be written down, or cannot stay; nothing is known of it then.
    """
    if server.holder is None or server.admin_dsn is None:
        raise RuntimeError("somebody else's server cannot be kept")
    _outlive_crashes(server.admin_dsn, report)
    owner, superuser = parse_dsn(server.dsn), parse_dsn(server.admin_dsn)
    resident = Resident(
        name=claim.folder.name,
        origin=server.origin,
        version=server.version,
        database=owner["dbname"],
        since=iso_utc(utc_now()),
        host=owner["host"],
        port=owner["port"],
        owner=owner["user"],
        superuser=superuser["user"],
        project=str(ROOT),
        holder=server.holder.identity(),
    )
    try:
        holder = server.holder
        note_kept(f"the server {resident.name}", f"`{down_of(resident)}`", lambda: holder.stays)
        claim.write(resident, {login["user"]: login["password"] for login in (owner, superuser)})
        server.holder.let_stay(claim.alive)
    except BaseException:
        if not server.holder.stays:  # an interruption may come right after it was let stay
            claim.forget()
        raise
    return resident


def _outlive_crashes(admin_dsn: str, report: Callable[[str], None]) -> None:
    """Let a crash of one process cost a recovery: a run is to end with it, somebody's work is not.

    A server that cannot take the setting (its disk is full) stays as it is; that may be why somebody wants to see it.
    """
    try:
        with connect(admin_dsn) as conn, explaining("the setting for a server that stays"):
            conn.execute("ALTER SYSTEM SET restart_after_crash = on")
            conn.execute("SELECT pg_catalog.pg_reload_conf()")
    except ServerError as error:
        report(f"server   it will end, with its data, when one of its processes crashes: {error.what}")


def keep_run(server: Server, place: Path, name: str, report: Callable[[str], None]) -> None:
    """Hand a run's server over (KEEP_DB=1), and say how to connect and how to remove it.

    Raises:
        ServerError: it cannot be kept.
    """
    forget_dead(place, report)
    with claimed(place, name, make=True, waiting=report) as claim:
        if claim is None or claim.read() is not None:
            raise ResidentError.taken(name)
        ways = ways_to(hand_over(server, claim, report), claim.folder)
    report(f"server   kept: {ways.psql}   or   {ways.export}")
    report(f"server   {ways.down} removes it")


def ways_to(resident: Resident, state: Path) -> Ways:
    """The lines for people. As the owner, whom the migrations run as; `invoke psql --superuser` is the other."""
    export = f"export PGPASSFILE={shlex.quote(str(state / PASSWORDS))} DATABASE_URL={shlex.quote(url_of(resident))}"
    return Ways(f"invoke psql --name {resident.name}", export, down_of(resident))


def down_of(resident: Resident) -> str:
    """The command that ends it."""
    return f"invoke down --name {resident.name}"


def url_of(resident: Resident) -> str:
    """A libpq URL for the owner, without the password; the port is said, lest PGPORT be taken."""
    return shown_url(
        {"user": resident.owner, "host": resident.host, "port": resident.port, "dbname": resident.database}
    )


def dsn_of(resident: Resident, state: Path) -> str:
    """For a connection of our own, as owner: the password is read from its file by libpq."""
    return own_dsn(
        host=resident.host,
        port=resident.port,
        user=resident.owner,
        dbname=resident.database,
        passfile=str(state / PASSWORDS),
    )


def judge(resident: Resident, state: Path) -> Standing:
    """Whether it is there.

    Args:
        resident: what is known of it.
        state: the folder of that.
    """
    if resident.origin == "docker":
        from scripts.server.containers.contained import judge_contained

        return judge_contained(resident)
    from scripts.server.embedded.watched import judge_watched

    return judge_watched(resident, state)


def end(resident: Resident, claim: Claim, report: Callable[[str], None]) -> Standing:
    """End it and remove its data, wait until both are gone, and forget it; returns how it stood before.

    Raises:
        ResidentError: it cannot be judged from here, or does not end; it is not forgotten then.
    """
    standing = judge(resident, claim.folder)
    require_judged(resident, claim.folder, standing)
    if resident.origin == "docker":
        from scripts.server.containers.contained import end_contained

        end_contained(resident)
    else:
        from scripts.server.embedded.watched import end_watched

        end_watched(resident, claim.folder, report)
    claim.forget()
    return standing


def require_judged(resident: Resident, state: Path, standing: Standing) -> None:
    """Refuse to go on with one that may be there and cannot be seen.

    Raises:
        ResidentError: it is elsewhere, or who could tell does not answer.
    """
    if standing.kind == "elsewhere":
        raise ResidentError.elsewhere(resident.name, standing.why, str(state))
    if standing.kind == "unclear":
        raise ResidentError.unclear(resident.name, standing.why, str(state))


def require_going(resident: Resident, standing: Standing) -> None:
    """Refuse to talk to one that does not answer before somebody lets it.

    Raises:
        ResidentError: it is paused.
    """
    if standing.kind == "paused":
        from scripts.server.containers.contained import short_id

        raise ResidentError.paused(resident.name, short_id(resident))


def forget_dead(place: Path, report: Callable[[str], None]) -> None:
    """Remove what is known of embedded servers that are gone, and what was left by a start that was killed.

    Nobody is waited for, and no engine is asked: of a container only `down` decides.
    """
    for name in names_in(place):
        try:
            with claimed(place, name, make=False, waiting=report, timeout_s=0) as claim:
                resident = None if claim is None else read_state(claim.folder)
                if claim is None or resident is None or resident.origin == "docker":
                    continue
                standing = judge(resident, claim.folder)
                if standing.kind == "gone":
                    end(resident, claim, report)
                    report(f"server   {name} is gone ({standing.why}): what was known of it is removed")
        except ResidentError:  # somebody works on it, or it is for a person to look at
            continue
