"""A server that answers, and is not the one the schema is proved on: exit 3, what was found, and the next step.

Owns: the major version and the encoding that are asked for, and the text of every such error.
Promises: no password, no data row; a connection is shown as `user@host:port/database`.
"""

from __future__ import annotations

from typing import Self

from scripts.errors.server import ServerError

# Exactly this one: another major has another catalog, so its verdict would be about something else.
MAJOR = 18
# Files are written in it, and so is what the functions compare; in another some of it cannot be said.
ENCODING = "UTF8"
_FULL = frozenset({"53100", "53200"})


def wants(sqlstate: str, words: str) -> bool:
    """Whether the server has no room or no memory; its lock table, a setting, is called memory too and is none.

    Args:
        sqlstate: as the server gave it.
        words: its message.
    """
    if sqlstate == "58030":
        return "No space left" in words or "Disk quota" in words
    return sqlstate in _FULL and "shared memory" not in words


class OtherMajorError(ServerError):
    """The major version is not the one the schema is proved on; `kind` says on which side of it."""

    @classmethod
    def server(cls, address: str, version: str) -> Self:
        """A server that answers with it."""
        return cls(
            f"the server is {cls.kind}",
            where=address,
            facts=[("expected", f"PostgreSQL {MAJOR}"), ("found", version)],
            help=f"use a PostgreSQL {MAJOR} server, or unset DATABASE_URL for a fresh one",
        )

    @classmethod
    def binaries(cls, folder: str, version: str) -> Self:
        """PG_BINDIR holds it."""
        return cls(
            f"the binaries are {cls.kind}",
            where=f"PG_BINDIR={folder}",
            facts=[("expected", f"PostgreSQL {MAJOR}"), ("found", version)],
            help=f"point PG_BINDIR at PostgreSQL {MAJOR}, or unset it for the binaries that come with the requirements",
        )

    @classmethod
    def image(cls, image: str, version: str) -> Self:
        """The image holds it."""
        return cls(
            f"the image is {cls.kind}",
            where=f"PG_IMAGE={image}",
            facts=[("expected", f"PostgreSQL {MAJOR}"), ("found", version)],
            help=f"name one of PostgreSQL {MAJOR} in PG_IMAGE, or unset it for the one that is pinned",
        )


class TooOldError(OtherMajorError):
    """Below it."""

    kind = "too old"


class TooNewError(OtherMajorError):
    """Above it."""

    kind = "too new"


class OtherEncodingError(ServerError):
    """The database keeps text in another encoding than the schema is proved in."""

    kind = "other encoding"

    @classmethod
    def database(cls, address: str, encoding: str) -> OtherEncodingError:
        """`encoding` as the server names it; SQL_ASCII is none."""
        return cls(
            "the database keeps its text in another encoding",
            where=address,
            facts=[("expected", ENCODING), ("found", encoding)],
            help=f"CREATE DATABASE … TEMPLATE template0 ENCODING '{ENCODING}', and move what is there by pg_dump; "
            "or unset DATABASE_URL for a fresh server of the run's own",
        )


class NotFreshError(ServerError):
    """What was to be a fresh server or database is not: a proof on it would be about what somebody left there."""

    kind = "not fresh"

    @classmethod
    def not_empty(cls, address: str, found: str) -> NotFreshError:
        """It holds something before the first migration."""
        return cls(
            "the database is not empty before the first migration",
            where=address,
            facts=[("expected", "nothing but what PostgreSQL itself puts there"), ("found", found)],
            help="whoever made the image, the programs or template0 put it there: name others, or unset PG_IMAGE, "
            "PG_BINDIR, DATABASE_URL",
        )

    @classmethod
    def older(cls, address: str, age_s: str, began_s: float) -> NotFreshError:
        """It was started before the run was, so somebody else did."""
        return cls(
            "the server was started before this run began",
            where=address,
            facts=[
                ("expected", f"a server that is up for {began_s:.0f} s at most"),
                ("found", f"one that is up for {age_s} s"),
            ],
            help="run again; if it repeats, see who else starts servers at that address, and whether the clock was set",
        )
