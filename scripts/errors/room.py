"""Troubles with the place of a server of our own: no room, no folder, a path that is too long.

Owns: the text of every such error.
"""

from __future__ import annotations

from scripts.errors.server import ServerError


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
            help="raise CONTAINER_DATA_MB, how much of its machine's memory the data may take, or free some there"
            if place.startswith("tmpfs:")
            else "free space or memory there; TMPDIR says where files go while /dev/shm has less than 512 MB free"
            if own
            else "it is the server's disk or memory, not the run's: free some there, and run again",
        )

    @classmethod
    def of_state(cls, folder: str, words: str) -> DiskFullError:
        """Where what is known of servers that stay is written down. `words` are the system's."""
        return cls(
            "no space left for what is to be known of a server that stays",
            where=folder,
            facts=[("expected", "room for three small files"), ("found", words)],
            help="free space there, or point XDG_STATE_HOME at a folder of yours on another file system; without "
            "KEEP_DB=1 a run needs none",
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
            help="raise CONTAINER_DATA_MB, how much of its machine's memory the data may take, or free some there; "
            "SERVER=embedded can put the data on a disk",
        )


class LimitError(ServerError):
    """The machine lets this user have no more of something."""

    kind = "limit"

    @classmethod
    def open_files(cls, step: str, words: str) -> LimitError:
        """EMFILE or ENFILE in one of the server's programs. `words` are its own."""
        return cls(
            f"too few files may be open at once for {step}",
            facts=[("expected", "256 for each process, and as many left of the machine's"), ("found", words)],
            help="ulimit -n 1024; where that is not allowed, whoever set the limit can raise it "
            "(limits.conf, LimitNOFILE=, --ulimit nofile=)",
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
