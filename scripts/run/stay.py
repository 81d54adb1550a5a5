"""The verbs around servers that stay: up, down, psql, servers.

Owns: the order of each; what a second `up` of the same name means.
Promises: a server that `up` could not migrate does not stay; `up` twice leaves one server.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scripts.clock import utc_now
from scripts.errors.base import ExitCode
from scripts.errors.residents import ResidentError, ResidentNameError
from scripts.errors.server import ServerError
from scripts.evidence.store import new_run_id
from scripts.server.embedded.sweep import sweep
from scripts.server.states import default_name, find_place, names_in, open_place, read_state, require_name
from scripts.server.stay.claims import claimed, require_room
from scripts.server.stay.staying import (
    down_of,
    dsn_of,
    end,
    forget_dead,
    hand_over,
    judge,
    require_going,
    require_judged,
)
from scripts.server.staying_on import always, note_kept

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scripts.report.servers import Listed
    from scripts.run.voice import Voice
    from scripts.server.states import Resident
    from scripts.server.stay.claims import Claim
    from scripts.settings import Settings


def up(settings: Settings, voice: Voice, name: str = "", *, no_migrate: bool = False) -> int:
    """A server that stays, with every migration applied; one that is there already is migrated and told of.

    Args:
        settings: SERVER and what belongs to each origin; FRESH_DB, DATABASE_URL and KEEP_DB say nothing here.
        voice: where to speak.
        name: the one that goes with this project's folder when empty.
        no_migrate: leave a new one empty, and one that is there as it is.

    Raises:
        ServerError: it cannot be had; one of its kinds.
        ResidentNameError: the call is wrong, or another kind of server has the name.
        MigrationError: a file does not apply; a new server is gone then.
    """
    own = _own_settings(settings, voice)
    name = require_name(name or default_name())
    place = open_place(settings.state_dir)
    forget_dead(place, voice.say)
    with claimed(place, name, make=True, waiting=voice.say) as claim:
        if claim is None:
            raise RuntimeError("a claim that makes its folder has one")
        resident = _there(claim, own, voice)
        was_there, applied = resident is not None, None
        if resident is None:
            resident, applied = _made(claim, own, voice, migrate=not no_migrate)
        else:
            note_kept(f"the server {resident.name}", f"`{down_of(resident)}`", always)
            if not no_migrate:
                applied = _migrate(dsn_of(resident, claim.folder), own, voice)
    _tell_up(resident, place / name, voice, was_there=was_there, applied=applied)
    return int(ExitCode.PASSED)


def _own_settings(settings: Settings, voice: Voice) -> Settings:
    if settings.server == "external":
        raise ResidentNameError.not_ours_to_make()
    if settings.database_url is not None:
        voice.say("server   DATABASE_URL is not used: `invoke up` makes a server of its own")
    return replace(settings, fresh_db=True, database_url=None, keep_db=False)


def _there(claim: Claim, own: Settings, voice: Voice) -> Resident | None:
    """The server of that name, if it is there and of the kind that is asked for; one that is gone is forgotten."""
    resident = claim.read()
    if resident is None:
        return None
    standing = judge(resident, claim.folder)
    require_judged(resident, claim.folder, standing)
    require_going(resident, standing)
    if standing.kind == "gone":
        end(resident, claim, voice.say)
        voice.say(f"server   {resident.name} is gone ({standing.why}): what was known of it is removed")
        return None
    if own.server not in ("auto", resident.origin):
        raise ResidentNameError.another(resident.name, "SERVER", expected=own.server, found=resident.origin)
    if own.postgres_db != resident.database:
        raise ResidentNameError.another(resident.name, "POSTGRES_DB", expected=own.postgres_db, found=resident.database)
    return resident


def _made(claim: Claim, own: Settings, voice: Voice, *, migrate: bool) -> tuple[Resident, int | None]:
    from scripts.server.open import open_server

    require_room(claim.folder.parent)
    run_id = new_run_id(utc_now())
    with open_server(own, run_id=run_id, report=voice.say, keep_as=claim.folder.name) as server:
        applied = _migrate(server.dsn, own, voice) if migrate else None
        return hand_over(server, claim, voice.say), applied


def _migrate(dsn: str, settings: Settings, voice: Voice) -> int:
    from scripts.migrations.apply import migrate
    from scripts.migrations.folder.files import read_files
    from scripts.migrations.session.role import acting_as
    from scripts.report.history import NO_SUMS
    from scripts.server.readiness import connect

    files = read_files(settings.migrations_dir)
    if not all(file.listed for file in files):
        voice.say(NO_SUMS)
    with connect(dsn) as conn, acting_as(conn, settings.migrate_role):
        return len(migrate(conn, files, settings, report=voice.say).files)


def _tell_up(resident: Resident, state: Path, voice: Voice, **done: Any) -> None:
    from scripts.report.servers import render_up, up_json

    voice.line(render_up(resident, state, **done))
    voice.value(up_json(resident, state, **done))


def down(settings: Settings, voice: Voice, name: str = "", *, every: bool = False) -> int:
    """End a server that stays, remove its data, and wait until both are gone; one that is not there is no error.

    Args:
        settings: where states are.
        voice: where to speak.
        name: the one that goes with this project's folder when empty.
        every: all of this user, whatever project they belong to.

    Returns:
        0; with `every` 3 when one of them could not be ended, which is told.

    Raises:
        ResidentError: it cannot be judged from here, or does not end.
    """
    if name and every:
        raise ResidentNameError.name_and_all()
    chosen = require_name(name or default_name())
    sweep(voice.say)
    place = find_place(settings.state_dir)
    names = (chosen,) if not every else () if place is None else names_in(place)
    removed, failed = [], False
    for each in names:
        try:
            removed += [each] if _ended(place, each, voice) else []
        except ServerError as error:
            if not every:
                raise
            voice.say(str(error))
            failed = True
    if every and not names:
        voice.line("down     no server stays")
    voice.value(json.dumps({"removed": removed}, indent=2))
    return int(ExitCode.NO_SERVER if failed else ExitCode.PASSED)


def _ended(place: Path | None, name: str, voice: Voice) -> bool:
    with nullcontext() if place is None else claimed(place, name, make=False, waiting=voice.say) as claim:
        if claim is None:
            voice.line(f"down     there is no server {name}")
            return False
        try:
            resident = claim.read()
        except ResidentError:
            _forget_unreadable(claim)
            voice.line(f"down     {name} is gone; what was known of it could not be read, and is removed")
            return True
        if resident is None:
            voice.line(f"down     {name} was being made when its maker was killed; that is removed")
            return True
        standing = end(resident, claim, voice.say)
    if standing.kind == "gone":
        voice.line(f"down     {name} was gone ({standing.why}); what was known of it is removed")
    else:
        voice.line(f"down     {name}: server and data are gone")
    return True


def _forget_unreadable(claim: Claim) -> None:
    """A record that cannot be read, of a server that is provably gone; else the error is what there is to say."""
    from scripts.server.states import is_locked

    if is_locked(claim.alive) or not claim.alive.is_file():
        claim.read()
    claim.forget()


def psql(
    settings: Settings, voice: Voice, name: str = "", *, superuser: bool = False, arguments: Sequence[str] = ()
) -> int:
    """Become psql on a server that stays, as the owner of its database.

    Args:
        settings: PG_BINDIR, and where states are.
        voice: where to speak.
        name: the one that goes with this project's folder when empty.
        superuser: as the server's superuser.
        arguments: psql's.

    Raises:
        ResidentError: there is none, it is gone, or there is no psql.
    """
    from scripts.server.embedded.binaries import find_psql
    from scripts.server.stay.client import become_psql

    del voice  # psql speaks for itself
    name = require_name(name or default_name())
    place = find_place(settings.state_dir)
    resident = None if place is None else read_state(place / name)
    if place is None or resident is None:
        raise ResidentError.unknown(name, () if place is None else names_in(place))
    standing = judge(resident, place / name)
    require_judged(resident, place / name, standing)
    require_going(resident, standing)
    if standing.kind == "gone":
        raise ResidentError.gone(name, standing.why)
    become_psql(find_psql(settings.pg_bindir), resident, place / name, arguments, superuser=superuser)


def servers(settings: Settings, voice: Voice) -> int:
    """List the servers that stay, of this user, whatever project they belong to."""
    from scripts.report.servers import render_servers, servers_json

    sweep(voice.say)
    place = find_place(settings.state_dir)
    listed = [] if place is None else [_listed(place / name) for name in names_in(place)]
    voice.line(render_servers(listed))
    voice.value(servers_json(listed))
    return int(ExitCode.PASSED)


def _listed(state: Path) -> Listed:
    from scripts.report.servers import Listed

    try:
        resident = read_state(state)
        if resident is None:
            return Listed(state.name, "starting", "", None, state)
        standing = judge(resident, state)
    except ServerError as error:
        return Listed(state.name, "unreadable", error.facts[-1][1], None, state)
    return Listed(state.name, standing.kind, standing.why, resident, state)
