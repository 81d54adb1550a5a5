"""Troubles with getting or reaching a PostgreSQL server: exit 3, the cause and the next step, no password.

Owns: the text of every such error.
Promises: a connection is shown as `user@host:port/database`; a password, a DETAIL line or a data row never appears.
"""

from __future__ import annotations

from scripts.errors.base import ExitCode, ProjectError


class ServerError(ProjectError):
    """No usable server."""

    kind = "server"
    exit_code = ExitCode.NO_SERVER


class UnreachableError(ServerError):
    """Nothing answers at the address, or it refuses."""

    @classmethod
    def at(cls, address: str, reason: str) -> UnreachableError:
        """For a reason that has no error of its own."""
        return cls(
            "the server cannot be reached",
            where=address,
            facts=[("expected", "a PostgreSQL server that accepts the connection"), ("found", reason)],
            help="check host, port and that the server runs; unset DATABASE_URL for a fresh server of the run's own",
        )


class NoConnectionLeftError(UnreachableError):
    """SQLSTATE 53300."""

    @classmethod
    def at(cls, address: str, reason: str) -> NoConnectionLeftError:
        """`reason` is the server's own: it says whose limit it is, the login's, the database's or its own."""
        return cls(
            "the server takes no more connections",
            where=address,
            facts=[("expected", "room for four, or, slower, for three"), ("found", reason)],
            help="end what nobody needs, or raise that limit (ALTER ROLE or DATABASE … CONNECTION LIMIT)",
        )


class MalformedUrlError(ServerError):
    """DATABASE_URL begins rightly, and is no URL: a setting that is wrong, and not a server."""

    exit_code = ExitCode.USAGE

    @classmethod
    def not_read(cls) -> MalformedUrlError:
        """It cannot be read. It is not shown: a wrongly encoded password may stand anywhere in it."""
        return cls(
            "the connection URL cannot be read",
            where="DATABASE_URL",
            facts=[
                ("expected", "postgresql://user:password@host:port/database"),
                ("found", "something else (not shown)"),
            ],
            help="percent-encode special characters in user and password: @ is %40, / is %2F, : is %3A, # is %23",
        )


class WrongPasswordError(ServerError):
    """SQLSTATE 28P01 or 28000."""

    @classmethod
    def at(cls, address: str) -> WrongPasswordError:
        """The server knows neither this user nor this password."""
        return cls(
            "the server refuses the user or the password",
            where=address,
            facts=[("expected", "a login that pg_hba.conf and the role allow"), ("found", "authentication failed")],
            help="correct user and password in DATABASE_URL (special characters are percent-encoded there)",
        )


class DatabaseMissingError(ServerError):
    """SQLSTATE 3D000."""

    @classmethod
    def at(cls, address: str, database: str) -> DatabaseMissingError:
        """The server answers but has no such database."""
        what, help_ = f'there is no database "{database}"', "create it, or name another one in DATABASE_URL"
        return cls(what, where=address, help=help_)


class NotAllowedError(ServerError):
    """The role may not do what a throw-away database needs."""

    @classmethod
    def create_database(cls, address: str) -> NotAllowedError:
        """FRESH_DB=1 on somebody's server, with a role that lacks CREATEDB."""
        return cls(
            "the role may not create a throw-away database",
            where=address,
            facts=[("expected", "a role with CREATEDB"), ("found", "permission denied")],
            help="ALTER ROLE … CREATEDB, or FRESH_DB=0 to use the database as it is, or unset DATABASE_URL",
        )

    @classmethod
    def creation_failed(cls, address: str, reason: str) -> NotAllowedError:
        """CREATE DATABASE failed for another reason."""
        return cls(
            "the throw-away database could not be created",
            where=address,
            facts=[("found", reason)],
            help="the server's own words name the cause; unset DATABASE_URL for a fresh server of the run's own",
        )

    @classmethod
    def cleanup(cls, address: str, database: str, reason: str) -> NotAllowedError:
        """The throw-away database could not be dropped."""
        return cls(
            f'the throw-away database "{database}" could not be dropped',
            where=address,
            facts=[("found", reason)],
            help=f'drop it by hand: DROP DATABASE "{database}" WITH (FORCE)',
        )


class StartError(ServerError):
    """A server of our own did not come up."""

    @classmethod
    def failed(cls, step: str, status: str, log: str) -> StartError:
        """A program ended; log is the tail of its own output."""
        return cls(
            f"{step} failed",
            facts=[("found", status), ("log", log or "(empty)")],
            help="the log's last lines name the cause; SERVER=docker and SERVER=embedded are the two other ways",
        )

    @classmethod
    def not_ready(cls, step: str, timeout_ms: int, log: str) -> StartInterruptedError:
        """The deadline passed; timeout_ms is the whole of it."""
        return StartInterruptedError(
            f"{step} did not answer in time",
            facts=[("expected", f"an answer within {timeout_ms} ms"), ("found", "none"), ("log", log or "(empty)")],
            help="raise SERVER_START_TIMEOUT_MS if the machine is slow",
        )

    @classmethod
    def watcher_lost(cls, reason: str) -> StartInterruptedError:
        """The process that starts and ends the server is gone."""
        return StartInterruptedError(
            "the process that looks after the server ended",
            facts=[("found", reason)],
            help="run again; if it repeats, report it with these lines",
        )


class StartInterruptedError(StartError):
    """A start that was cut short from outside: it says nothing of the cluster the server was to run on."""
