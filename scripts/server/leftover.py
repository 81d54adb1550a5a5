"""Containers that a killed run created and never started: their stdin was not open yet, so its end could not end them.

Owns: who a container belongs to, as labels, and when its owner is provably gone.
Promises: only a container in the state "created" is removed, and only when its owner ran on this very boot and in this
    very process space, and is not there any more. What cannot be judged stays.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scripts.server.engine import Engine

LABEL = "parity-runner"
PID = f"{LABEL}.owner-pid"
BEGAN = f"{LABEL}.owner-began"
PLACE = f"{LABEL}.owner-place"


def owner_labels() -> dict[str, str]:
    """This process, so that nobody else is taken for it: its number, when it began, in which boot and process space."""
    pid = os.getpid()
    return {PID: str(pid), BEGAN: _began(pid), PLACE: _place()}


def sweep(engine: Engine) -> int:
    """Remove what dead runs of this machine created and never started; returns how many."""
    import docker.errors

    removed = 0
    filters = {"label": f"{LABEL}=1", "status": "created"}
    for found in engine.client.api.containers(all=True, filters=filters):
        if found.get("State") == "created" and owner_is_gone(found.get("Labels") or {}):
            # Without force: one that is running by now is refused.
            with suppress(docker.errors.APIError):
                engine.client.api.remove_container(found["Id"], v=True)
                removed += 1
    return removed


def owner_is_gone(labels: Mapping[str, str]) -> bool:
    """Whether the process that the labels name ran here, and does not any more."""
    pid, began, place = labels.get(PID, ""), labels.get(BEGAN, ""), labels.get(PLACE, "")
    if not (pid.isascii() and pid.isdigit() and began and place) or place != _place():
        return False
    now = _began(int(pid))
    # Another user's may be hidden from /proc, and is still there.
    return now != began if now else not _exists(int(pid))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # no signal, only the question
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _began(pid: int) -> str:
    """When it began, in ticks since the boot; "" when there is none, or no /proc to say so."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


def _place() -> str:
    """The boot and the process space; "" where the system does not say, which is nobody's place."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""
