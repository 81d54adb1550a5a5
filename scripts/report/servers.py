"""Servers that stay, as lines and as JSON: how to reach each, and a list of all.

Never: asks a server or an engine; it is handed values. No password is among them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.server.states import PASSWORDS
from scripts.server.stay.staying import url_of, ways_to

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scripts.digest import Json
    from scripts.server.states import Resident


@dataclass(frozen=True, slots=True)
class Listed:
    """One name. `resident`: None where nothing can be read; `standing`: as in Standing, or starting, or unreadable."""

    name: str
    standing: str
    why: str
    resident: Resident | None
    state: Path


def render_up(resident: Resident, state: Path, *, was_there: bool, applied: int | None) -> str:
    """What `up` did, and how to go on.

    Args:
        resident: the server.
        state: the folder of what is known of it.
        was_there: whether it was there before.
        applied: the migrations applied now; None when that was not asked for.
    """
    ways = ways_to(resident, state)
    there = f"there since {resident.since}" if was_there else "made now"
    files = "not migrated" if applied is None else f"{applied} migrations applied now"
    return "\n".join(
        (
            f"up       {resident.name}   {_described(resident)}   {there}   {files}",
            f"psql     {ways.psql}",
            f"or       {ways.export}",
            f"down     {ways.down}",
        )
    )


def up_json(resident: Resident, state: Path, *, was_there: bool, applied: int | None) -> str:
    """The same as JSON."""
    return json.dumps(_known(resident, state) | {"was_there": was_there, "applied": applied}, indent=2)


def render_servers(servers: Sequence[Listed]) -> str:
    """One line each; a sentence where there is none."""
    if not servers:
        return "no server stays"
    width = max(len(server.name) for server in servers)
    lines = []
    for server in servers:
        known = server.resident
        about = "" if known is None else f"   {_described(known)}   since {known.since}"
        lines.append(
            f"{server.name:<{width}}   {server.standing:<8}{about}" + (f"   {server.why}" if server.why else "")
        )
    return "\n".join(line.rstrip() for line in lines)


def servers_json(servers: Sequence[Listed]) -> str:
    """The same as JSON."""
    return json.dumps(
        [
            {"name": server.name, "standing": server.standing, "why": server.why}
            | ({} if server.resident is None else _known(server.resident, server.state))
            for server in servers
        ],
        indent=2,
    )


def _described(resident: Resident) -> str:
    return f"{resident.origin}   PostgreSQL {resident.version}   database {resident.database}"


def _known(resident: Resident, state: Path) -> dict[str, Json]:
    return {
        "name": resident.name,
        "origin": resident.origin,
        "version": resident.version,
        "database": resident.database,
        "since": resident.since,
        "project": resident.project,
        "url": url_of(resident),
        "passfile": str(state / PASSWORDS),
    }
