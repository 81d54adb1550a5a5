"""Troubles while migrating: the lock, access to the ledger, a statement that fails, an index not as it should be.

Owns: one class for each; exit 5, or 3 when the server went away.
Promises: a text shows place, SQLSTATE, message, hint and constraint; never the server's DETAIL or CONTEXT, which hold
row data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.errors.base import ExitCode, ProjectError
from scripts.errors.row_data import RowData

if TYPE_CHECKING:
    from collections.abc import Sequence


class MigrationError(ProjectError):
    """Migrating stopped. `applied` says what was recorded before, as `scripts.migrations.model.Applied`."""

    kind = "migration"
    exit_code = ExitCode.MIGRATION
    applied: Any = None


class RunnerLockedError(MigrationError):
    """Another runner holds the lock on this database."""

    kind = "locked"

    @classmethod
    def held(cls, holder: str, *, waited_ms: int) -> RunnerLockedError:
        """The deadline has passed. `holder`: pid, application, role and since when, as far as the server tells."""
        return cls(
            "another runner is migrating this database",
            facts=[("holder", holder), ("waited", f"{waited_ms} ms")],
            help="wait for it to end, or raise RUNNER_LOCK_TIMEOUT_MS",
        )

    @classmethod
    def building(cls, holder: str, *, waited_ms: int) -> RunnerLockedError:
        """The holder, perhaps orphaned by its client, was still building an index when even a build's budget ended."""
        return cls(
            "another runner's session is still building an index on this database",
            facts=[("holder", holder), ("waited", f"{waited_ms} ms")],
            help="wait for the build to end, or raise INDEX_TIMEOUT_MS; pg_cancel_backend ends one that nobody wants",
        )


class RunnerLockLostError(MigrationError):
    """The session let go of the runner lock while a file ran."""

    kind = "lock lost"

    @classmethod
    def by(cls, name: str) -> RunnerLockLostError:
        """After the file's statements, and before its row: the row was refused."""
        return cls(
            "the runner lock is not held any more",
            where=name,
            facts=[("expected", "the lock to be held until the file is recorded"), ("found", "it was let go")],
            help="a file must not call pg_advisory_unlock_all(); nothing of this file is recorded",
        )


class PoolerError(MigrationError):
    """The session is not ours alone: something between lends its backend to others."""

    kind = "pooler"
    _HELP = "point DATABASE_URL at the server itself, or at a pool in session mode"

    @classmethod
    def found(cls, first_pid: int, second_pid: int) -> PoolerError:
        """The backend changed between two statements: locks and settings of a session cannot hold."""
        return cls(
            "a pooler in transaction mode stands between the runner and the server",
            facts=[("expected", f"backend {first_pid} throughout"), ("found", f"backend {second_pid}")],
            help=cls._HELP,
        )

    @classmethod
    def shared(cls, pid: int) -> PoolerError:
        """Another connection was given the backend while the first one was connected to it."""
        return cls(
            "a pooler in transaction mode stands between the runner and the server",
            facts=[("expected", f"backend {pid} for one connection"), ("found", "a second connection got it too")],
            help=cls._HELP,
        )

    @classmethod
    def not_tested(cls, why: str) -> PoolerError:
        """It could not be found out whether sessions hold; so they are taken not to. `why`: no secret, no message."""
        return cls(
            "something stands between the runner and the server, and it does not show that a session stays a session",
            facts=[("expected", "a backend for each connection, as in a pool's session mode"), ("found", why)],
            help=f"{cls._HELP} with two connections to spare",
        )


class LedgerAccessError(MigrationError):
    """The role may not do with the ledger what the runner must."""

    kind = "ledger"

    @classmethod
    def not_made(cls, *, role: str) -> LedgerAccessError:
        """No CREATE on schema public."""
        return cls(
            "the ledger cannot be made",
            where="public.schema_migrations",
            facts=[("role", role), ("SQLSTATE", "42501")],
            help="run as the owner of the database, or grant the role CREATE on schema public",
        )

    @classmethod
    def no_schema(cls) -> LedgerAccessError:
        """Schema public was dropped."""
        return cls(
            "the ledger cannot be made: there is no schema public",
            where="public.schema_migrations",
            facts=[("SQLSTATE", "3F000")],
            help="create schema public; it may stay empty but for the ledger",
        )

    @classmethod
    def not_read(cls, *, role: str) -> LedgerAccessError:
        """No SELECT on the ledger."""
        return cls(
            "the ledger may not be read",
            where="public.schema_migrations",
            facts=[("role", role), ("SQLSTATE", "42501")],
            help="run as the role that made it",
        )


class MigrationFailedError(MigrationError):
    """The server refused a statement. Built by scripts/migrations/told/failure.py, which knows what may be shown."""

    kind = "migration failed"

    def __init__(
        self,
        what: str,
        *,
        where: str,
        facts: Sequence[tuple[str, str]],
        help: str,  # noqa: A002 - the part's name
        sqlstate: str = "",
    ) -> None:
        """Keep the four parts and the SQLSTATE, five characters or empty."""
        super().__init__(what, where=where, facts=facts, help=help)
        self.sqlstate = sqlstate
        # What the four parts leave out; for `--show-row-data` alone.
        self.row_data = RowData()


class DuplicateKeysError(MigrationFailedError):
    """A unique index cannot be built, because the table holds duplicates."""

    kind = "duplicates"

    @classmethod
    def found(cls, index: str, table: str, *, where: str, groups: str, query: str) -> DuplicateKeysError:
        """The build failed with 23505 and its remains are dropped.

        `groups`: how many keys occur more than once, or why they were not counted. `query` lists them.
        """
        return cls(
            f"{index} cannot be unique: {table} holds duplicate keys",
            where=where,
            facts=[("SQLSTATE", "23505"), ("duplicates", groups), ("list them", query)],
            help="resolve the duplicates and run again; the unfinished index is dropped, nothing is recorded",
            sqlstate="23505",
        )


class IndexConflictError(MigrationError):
    """Something else has the name of an index that a file builds."""

    kind = "index conflict"

    @classmethod
    def other_definition(cls, index: str, *, where: str, wanted: str, found: str) -> IndexConflictError:
        """An index of that name with another definition. Both as the server writes them."""
        return cls(
            f"{index} is there with another definition",
            where=where,
            facts=[("wanted", wanted), ("found", found)],
            help="find out who made it; drop it with DROP INDEX CONCURRENTLY, or rename it, and run again",
        )

    @classmethod
    def not_compared(cls, index: str, *, where: str, wanted: str, found: str, refusal: str) -> IndexConflictError:
        """An index of that name, and no telling whether it is of this definition.

        `wanted`: the statement; `refusal`: why the server did not show what it makes.
        """
        return cls(
            f"{index} is there, and cannot be compared with its statement",
            where=where,
            facts=[("wanted", wanted), ("found", found), ("refused", refusal)],
            help="the server refused the statement on an empty copy of the table, so compare the two by eye: if this"
            " file left the index, drop it with DROP INDEX CONCURRENTLY, else rename it; run again, and it is built",
        )

    @classmethod
    def other_relation(cls, index: str, *, where: str, wanted: str, found: str) -> IndexConflictError:
        """A table, view or sequence of that name. `found`: what it is."""
        return cls(
            f"{index} is the name of something else",
            where=where,
            facts=[("wanted", wanted), ("found", found)],
            help="rename one of the two",
        )

    @classmethod
    def busy(cls, index: str, *, where: str, builder: str, surely: bool, waited_ms: int) -> IndexConflictError:
        """Another session is still building it, or, when that is not known for sure, may be. `builder`: in words."""
        return cls(
            f"{index} is being built by another session" if surely else f"{index} may be another session's work still",
            where=where,
            facts=[("builder", builder), ("waited", f"{waited_ms} ms")],
            help="wait for that session, or end it with pg_cancel_backend, and run again",
        )


class MadeAgainError(MigrationError):
    """What a statement of an unfinished file took away is there again."""

    kind = "made again"

    @classmethod
    def of(cls, what: str, *, where: str, found: str) -> MadeAgainError:
        """`what`: the thing with its name; `found`: what is known of it."""
        return cls(
            f"{what} was taken away by an earlier run, and is there again",
            where=where,
            facts=[("found", found)],
            help="somebody else made it since, so the run leaves it alone: find out who; take it away or rename it by"
            " hand, and run again",
        )


class EnumConflictError(MigrationError):
    """A type has a value that a file adds, but not where the file adds it."""

    kind = "enum conflict"

    @classmethod
    def of(cls, name: str, value: str, *, where: str, wanted: str, found: str) -> EnumConflictError:
        """`wanted`: the value and its neighbour; `found`: the type's values in order."""
        return cls(
            f"{name} has the value '{value}' in another place",
            where=where,
            facts=[("wanted", wanted), ("found", found)],
            help="find out who added it; the order of an enum's values cannot be changed",
        )


class ClusterConflictError(MigrationError):
    """A database or tablespace that a statement was begun to make is there, and is another."""

    kind = "cluster conflict"

    @classmethod
    def of(cls, name: str, *, where: str, wanted: str, found: str) -> ClusterConflictError:
        """`wanted`, `found`: the first property that differs, with its value."""
        return cls(
            f"{name} is there, and is not as the statement makes it",
            where=where,
            facts=[("wanted", wanted), ("found", found)],
            help="find out who made it, or changed it since; drop or alter it, and run again",
        )

    @classmethod
    def invalid(cls, name: str, *, where: str) -> ClusterConflictError:
        """Somebody began to drop it and did not end."""
        return cls(
            f"{name} is there, and cannot be used",
            where=where,
            facts=[("wanted", "a database to connect to"), ("found", "what an interrupted DROP DATABASE left")],
            help="DROP DATABASE ends it; then run again",
        )


class InvalidIndexError(MigrationError):
    """Indexes that are not usable."""

    kind = "invalid index"

    @classmethod
    def not_proved(cls, index: str, *, where: str, found: str) -> InvalidIndexError:
        """A file has run, but an index it declares is not there, valid and ready."""
        return cls(
            f"{index} is not usable after its file has run",
            where=where,
            facts=[("expected", "an index that is valid and ready"), ("found", found)],
            help="nothing was recorded; run again, the index is rebuilt",
        )

    @classmethod
    def left(cls, indexes: Sequence[str]) -> InvalidIndexError:
        """Invalid indexes in the database at the end. `indexes`: as `schema.index on schema.table`."""
        toast = "; one in pg_toast as a superuser, without building it again"
        return cls(
            "one index is not valid" if len(indexes) == 1 else f"{len(indexes)} indexes are not valid",
            facts=[("found", "\n".join(indexes))],
            help="each costs every write and serves no read: DROP INDEX CONCURRENTLY, then build it again"
            + (toast if any(index.startswith("pg_toast.") for index in indexes) else ""),
        )


class ConnectionLostError(MigrationError):
    """The server went away in the middle."""

    kind = "connection lost"
    exit_code = ExitCode.NO_SERVER

    @classmethod
    def during(cls, name: str, *, recorded: int, total: int, sqlstate: str, in_doubt: bool) -> ConnectionLostError:
        """While a file ran. `in_doubt`: its COMMIT was on the way, so it may be recorded or not."""
        state = "unknown: its COMMIT was on the way" if in_doubt else "not recorded by this run"
        return cls(
            "the connection to the server is lost",
            where=name,
            facts=[
                ("recorded", f"{recorded} of {total}"),
                (name, state),
                ("SQLSTATE", sqlstate or "none: the server said nothing"),
            ],
            help="run again when the server answers: the ledger decides what is left to do",
        )

    @classmethod
    def between_files(cls, *, sqlstate: str) -> ConnectionLostError:
        """While the runner took its lock, read the ledger or looked at the indexes."""
        return cls(
            "the connection to the server is lost",
            facts=[("SQLSTATE", sqlstate or "none: the server said nothing")],
            help="run again when the server answers: the ledger decides what is left to do",
        )


_OWN_SERVER = "the copy is a server of its own, without the roles, tablespaces and databases of yours: "
_COMPARED = (
    "let a file make what it relies on where that is missing (CREATE ROLE in a DO block), or have it compared "
    "with a golden catalog beside the folder (`invoke catalog.update`)"
)
_TRIED = "let the file make what it relies on where that is missing; else correct it"


class CopyError(MigrationFailedError):
    """A file does not apply on the throw-away copy of a database, whatever it did or will do there."""

    kind = "copy failed"

    @classmethod
    def of(cls, failed: MigrationFailedError, *, recorded: bool) -> CopyError:
        """From the copy's own error, whose place and words are kept.

        Args:
            failed: the copy's.
            recorded: whether the file is recorded in the database, where it ran.
        """
        there = "the file is recorded" if recorded else "the file is not applied"
        error = cls(
            f"on the throw-away copy: {failed.what}",
            where=failed.where,
            facts=[
                *((label, text) for label, text in failed.facts if label != "recorded"),
                ("in the database", f"{there}; nothing was changed there"),
            ],
            help=_OWN_SERVER + (_COMPARED if recorded else _TRIED),
            sqlstate=failed.sqlstate,
        )
        error.applied = failed.applied
        error.row_data = failed.row_data
        return error
