"""What is known of servers that stay: a folder each, below one that only this user may enter.

Owns: their names, the form of the record, and how it is read.
Promises: what is not exactly of our form, or not this user's alone, is never taken for a record.
Never: writes (claims.py does), or judges whether a server lives (staying.py does).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, get_args

from scripts.errors.residents import ResidentError, ResidentNameError
from scripts.errors.room import DiskFullError
from scripts.server.folders import make_private
from scripts.server.model import Origin
from scripts.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from scripts.errors.server import ServerError

FORM = "1"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
NAME_MAX = 40
RECORD, PASSWORDS, ALIVE = "server.json", "pgpass", "alive"
RECORD_MAX = 1 << 16
FULL = frozenset(os.strerror(number).lower() for number in (errno.ENOSPC, errno.EDQUOT))
# ~/.local/state/parity-runner: the two above may be missing as well.
MADE_ABOVE = 3


@dataclass(frozen=True, slots=True)
class Resident:
    """One server that stays, as it is written down. No field is secret.

    `since`: ISO 8601, UTC. `host`: a machine's name or the folder of a Unix socket. `project`: the folder it was made
    from. `holder`: by what it is found again; its keys are the origin's own.
    """

    name: str
    origin: Origin
    version: str
    database: str
    since: str
    host: str
    port: str
    owner: str
    superuser: str
    project: str
    holder: Mapping[str, str]
    form: str = FORM


def require_name(name: str) -> str:
    """The name, if a server can have it.

    Raises:
        ResidentNameError: it cannot.
    """
    if NAME.fullmatch(name) is None:
        raise ResidentNameError.malformed(name)
    return name


def default_name(project: Path = ROOT) -> str:
    """The name that goes with a project's folder: no other folder on the machine has it."""
    return _cut(project.name, hashlib.sha256(os.fsencode(project.resolve())).hexdigest()[:6])


def name_of_run(run_id: str, place: Path) -> str:
    """A name for a run's server that no other has: the run's, as far as the rules for names allow."""
    name = _cut(f"run-{run_id}", "")
    if len(f"run-{run_id}") <= NAME_MAX and not (place / name).exists():
        return name
    return _cut(f"run-{run_id}", secrets.token_hex(3))


def _cut(text: str, tail: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "server"
    room = NAME_MAX - len(tail) - 1 if tail else NAME_MAX
    return "-".join(part for part in (slug[:room].rstrip("-"), tail) if part)


def no_place(folder: Path, why: OSError | str) -> ServerError:
    """Why nothing can be written down there, as an error: the folder is full, or not to be used by us."""
    reason = why if isinstance(why, str) else (why.strerror or str(why)).lower()
    return (
        DiskFullError.of_state(str(folder), reason) if reason in FULL else ResidentError.no_place(str(folder), reason)
    )


def open_place(wanted: Path | None) -> Path:
    """The folder of all states, made where it is missing.

    Raises:
        ResidentError: there is none that is this user's alone.
        DiskFullError: it is missing, and there is no room to make it.
    """
    if wanted is None:
        raise ResidentError.no_place("", "neither XDG_STATE_HOME nor HOME is a path from the root")
    reason = make_private(wanted, above=MADE_ABOVE)
    if reason:
        raise no_place(wanted, reason)
    for path in wanted.glob(".gone-*"):  # whoever removed it was killed while it did
        shutil.rmtree(path, ignore_errors=True)
    return wanted


def find_place(wanted: Path | None) -> Path | None:
    """The folder of all states where there is one; nothing is made for a question.

    Raises:
        ResidentError: it is not this user's alone, it cannot be looked for, or nobody says where it is.
    """
    if wanted is not None:
        try:
            wanted.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:  # a folder above it is closed: servers may well be known there
            raise ResidentError.no_place(str(wanted), (exc.strerror or str(exc)).lower()) from exc
    return open_place(wanted)


def names_in(place: Path) -> tuple[str, ...]:
    """Every name that something is known of, in order."""
    return tuple(sorted(path.name for path in place.iterdir() if NAME.fullmatch(path.name)))


def read_state(folder: Path) -> Resident | None:
    """What is known of a server; None when nothing is: the folder of one that is being started, or was killed then.

    Raises:
        ResidentError: it is not a file that we wrote.
    """
    path = folder / RECORD
    if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir()):
        raise ResidentError.unreadable(str(folder), "a link or a file, not a folder", folder=str(folder))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise ResidentError.unreadable(str(path), (exc.strerror or str(exc)).lower(), folder=str(folder)) from exc
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o177:
            reason = "not a file, another owner, or a mode that is not 0600"
            raise ResidentError.unreadable(str(path), reason, folder=str(folder))
        data = file.read(RECORD_MAX)
    resident = _parsed(data)
    if resident is None or resident.name != folder.name:
        raise ResidentError.unreadable(str(path), "another form, or another name", folder=str(folder))
    return resident


def _parsed(data: bytes) -> Resident | None:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or values.keys() != {field.name for field in fields(Resident)}:
        return None
    holder = values["holder"]
    texts = [values[name] for name in values if name != "holder"]
    if not isinstance(holder, dict) or not all(isinstance(text, str) for text in [*texts, *holder.values()]):
        return None
    return Resident(**values) if values["form"] == FORM and values["origin"] in get_args(Origin) else None


def is_locked(file: Path) -> bool:
    """Whether a watcher holds it; one that is not there is held by nobody."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
