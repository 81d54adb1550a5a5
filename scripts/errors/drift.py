"""Troubles with comparing a database: nothing to compare it with, or it cannot be read in peace.

Owns: the text of each.
Promises: a database is shown as `user@host:port/database`, without a password; nothing was changed in it.
"""

from __future__ import annotations

from scripts.errors.base import ExitCode, ProjectError
from scripts.errors.history import GoldenCatalogError


class NoGoldenCatalogError(GoldenCatalogError):
    """There is no golden file where one is needed."""

    @classmethod
    def absent(cls, path: str) -> NoGoldenCatalogError:
        """The project's own folder is never compared without its golden file."""
        return cls(
            "the golden catalog is not there",
            where=path,
            facts=[("expected", "the catalog after the last migration"), ("found", "no file")],
            help="restore it from git, or make it anew with `invoke catalog.update` and review it",
        )

    @classmethod
    def foreign(cls, path: str) -> NoGoldenCatalogError:
        """A fresh database with a folder's files applied is what they make: there is nothing to hold it against."""
        return cls(
            "a fresh database cannot drift, and the folder has no golden catalog beside it",
            where=path,
            facts=[("expected", "a golden catalog, or an existing database"), ("found", "neither")],
            help="FRESH_DB=0 with DATABASE_URL compares a database; `invoke catalog.update` makes a golden catalog",
        )


class ReadingError(ProjectError):
    """A database that exists cannot be read as it must be."""

    kind = "reading"
    exit_code = ExitCode.NO_SERVER

    @classmethod
    def not_read_only(cls, address: str, found: str) -> ReadingError:
        """The session did not take the setting it was opened with: a pooler dropped it."""
        return cls(
            "the session is not read only",
            where=address,
            facts=[("expected", "default_transaction_read_only = on"), ("found", found)],
            help="point DATABASE_URL at the server itself: a pooler in between drops the options of a connection",
        )

    @classmethod
    def locked(cls, address: str, *, waited_ms: int) -> ReadingError:
        """A relation is locked so strongly that not even its definition can be read."""
        return cls(
            "the catalog cannot be read: somebody holds a table exclusively",
            where=address,
            facts=[("waited", f"{waited_ms} ms"), ("SQLSTATE", "55P03")],
            help="run again when that transaction has ended, or raise LOCK_TIMEOUT_MS",
        )

    @classmethod
    def migrating(cls, address: str, *, times: int) -> ReadingError:
        """The ledger grew each time the catalog was read."""
        return cls(
            "somebody is migrating this database",
            where=address,
            facts=[("tried", f"{times} times: a file was recorded while the catalog was read")],
            help="run again when that runner has ended",
        )

    @classmethod
    def refused(cls, address: str, state: str) -> ReadingError:
        """It answers, and does not do what it is asked; `state` is the SQLSTATE and its name: words may quote a row."""
        return cls(
            "the server does not do what it is asked",
            where=address,
            facts=[("SQLSTATE", state)],
            help="42501: connect as the owner of the schema; 57014: a timeout or an administrator ended it; 25006: it "
            "only reads; of the rest the server's own log says more",
        )
