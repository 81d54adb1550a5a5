"""Containers that a killed run created and never started: their stdin was not open yet, so its end could not end them.

Promises: only a container in the state "created" is removed, and only when its owner ran on this very boot and in this
    very process space, and is not there any more (owner.py). What cannot be judged stays.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from scripts.server.owner import LABEL, owner_is_gone

if TYPE_CHECKING:
    from scripts.server.containers.engine import Engine


def sweep(engine: Engine) -> int:
    """Remove what dead runs of this machine created and never started; returns how many."""
    import docker.errors

    removed = 0
    # Not by a filter of the engine's: Podman does not find one whose stdin was attached before it was to start.
    for found in engine.client.api.containers(all=True, filters={"label": f"{LABEL}=1"}):
        if found.get("State") == "created" and owner_is_gone(found.get("Labels") or {}):
            # Without force: one that is running by now is refused.
            with suppress(docker.errors.APIError):
                engine.client.api.remove_container(found["Id"], v=True)
                removed += 1
    return removed
