"""Whose a thing is that a run makes, in the same words for containers, folders and databases, and whether he is gone.

Owns: the owner, as labels, and the judgement about it. Each kind of thing is removed where it is made: sweep.py,
    unstarted.py, strays.py.
Promises: nobody is taken for gone who cannot be judged from here.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LABEL = "parity-runner"
PID = f"{LABEL}.owner-pid"
BEGAN = f"{LABEL}.owner-began"
PLACE = f"{LABEL}.owner-place"
HOST = f"{LABEL}.owner-host"


def owner_labels(pid: int | None = None) -> dict[str, str]:
    """A process, so that nobody else is taken for it: its number, when it began, in which boot and process space.

    Args:
        pid: this process when None.
    """
    pid = os.getpid() if pid is None else pid
    return {PID: str(pid), BEGAN: _began(pid), PLACE: _place(), HOST: _host()}


def owner_is_gone(labels: Mapping[str, str]) -> bool:
    """Whether the process that the labels name ran here, and does not any more."""
    pid, began, place = labels.get(PID, ""), labels.get(BEGAN, ""), labels.get(PLACE, "")
    if not (pid.isascii() and pid.isdigit() and began and place) or place != _place():
        return False
    now = _began(int(pid))
    # Another user's may be hidden from /proc, and is still there.
    return now != began if now else not _exists(int(pid))


def owner_can_be_gone(labels: Mapping[str, str]) -> bool:
    """Whether nothing speaks against it, for whoever has a proof of his own, such as a lock that is free.

    In this process space the process itself is asked. In another one of the same boot, and in an earlier boot of this
    host, it cannot be: there the lock alone decides. Of another host nothing is known, so its owner is there.
    """
    boot, here = labels.get(PLACE, "").partition("/")[0], _place()
    if not boot or not here:
        return False
    if labels[PLACE] == here:
        return owner_is_gone(labels)
    return boot == here.partition("/")[0] or labels.get(HOST) == _host()


def owner_lives_here(labels: Mapping[str, str]) -> bool:
    """Whether the owner is of this very process space, and not gone; of another one nothing is said."""
    return bool(_place()) and labels.get(PLACE) == _place() and not owner_is_gone(labels)


def is_of_this_boot(labels: Mapping[str, str]) -> bool:
    """Whether the numbers in it (of processes, of shared memory) mean anything now."""
    boot = labels.get(PLACE, "").partition("/")[0]
    return bool(boot) and boot == _place().partition("/")[0]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # no signal, only the question
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _began(pid: int) -> str:
    """When it began, in ticks since the boot; "ended" for a zombie; "" where /proc says nothing."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = text.rpartition(")")[2].split()
    return "ended" if state in "ZX" else rest[18]


def _place() -> str:
    """The boot and the process space; "" where the system does not say, which is nobody's place."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _host() -> str:
    """This machine, as a digest of its name and of the number it got when it was installed: others may read it."""
    try:
        number = Path("/etc/machine-id").read_bytes().strip()
    except OSError:
        number = b""
    return hashlib.sha256(b"parity-runner %b %b" % (os.fsencode(os.uname().nodename), number)).hexdigest()[:16]
