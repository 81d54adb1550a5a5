"""psql in the place of this process, on a server that stays.

Promises: the password is in the 0600 file alone; arguments and environment hold the file's path.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NoReturn

from scripts.server.states import PASSWORDS
from scripts.settings import client_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scripts.server.states import Resident


def become_psql(psql: Path, resident: Resident, state: Path, arguments: Sequence[str], *, superuser: bool) -> NoReturn:
    """Replace this process; its exit code is psql's.

    Args:
        psql: the program.
        resident: the server.
        state: the folder of what is known of it.
        arguments: psql's own; another database or user among them wins.
        superuser: log in as the server's superuser, not as the owner.
    """
    place = {
        "PGHOST": resident.host,
        "PGPORT": resident.port,
        "PGDATABASE": resident.database,
        "PGUSER": resident.superuser if superuser else resident.owner,
        "PGPASSFILE": str(state / PASSWORDS),
    }
    # Python ignores these two, and a program that takes its place would, too: `psql | head` would not end.
    for signum in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(signum, signal.SIG_DFL)
    os.execve(psql, [str(psql), *arguments], client_environment(place))  # noqa: S606 - no shell; the user's own arguments
