"""The unprivileged user a root process runs the embedded server as. PostgreSQL refuses to run as root.

Owns: the choice of that user. It exists already (`nobody`); none is created, no permission of anything else changes.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from scripts.errors.account import AccountError

NAME = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    """A user and its primary group, with an entry in the system's user list, as initdb asks for."""

    name: str
    uid: int
    gid: int


def find_account() -> Account | None:
    """Who is to run the server: None for "as we are", which holds for everyone but root.

    Raises:
        AccountError: root, and the system has no unprivileged `nobody`.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError as exc:
        raise AccountError.none(NAME, "no such user") from exc
    if entry.pw_uid == 0:
        raise AccountError.none(NAME, "its number is 0, which is root")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
