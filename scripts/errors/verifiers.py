"""Troubles of the verifiers themselves: a question that could not be asked is never an answer."""

from __future__ import annotations

from scripts.errors.base import ExitCode, ProjectError

# Whoever owns the database is a member of it, and nobody else can be.
DATABASE_OWNER = "pg_database_owner"
_IN_THE_WAY = (
    "repeat it alone; 55P03: somebody else's open transaction changes the schema, its rights or its owner's default "
    "ones"
)


class UnaskedError(ProjectError):
    """A question could not be put to the database; the invariant is neither kept nor broken."""

    kind = "unasked"
    exit_code = ExitCode.FAILED

    @classmethod
    def role_out_of_reach(cls, role: str, *, sqlstate: str) -> UnaskedError:
        """The verifying role may not act as a runtime role."""
        return cls(
            f"the probes cannot act as {role}",
            facts=[("SQLSTATE", sqlstate)],
            help=f"verify as the role that made {role}, or as a superuser; or let one of them give the login what the "
            f"maker has: GRANT {role} TO … WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
        )

    @classmethod
    def refused(cls, *, sqlstate: str, name: str) -> UnaskedError:
        """The server gave no answer: a timeout, a lock, a lost connection, no space."""
        return cls(
            "the database gave no answer",
            facts=[("SQLSTATE", f"{sqlstate} {name}".strip())],
            help="repeat it alone with the command above; 55P03 and 57014 mean that others hold what it needs",
        )

    @classmethod
    def no_right(cls, role: str, *, sqlstate: str) -> UnaskedError:
        """The verifying role may not ask: no USAGE on the schema, no SELECT on a ledger, no right to plant a row."""
        return cls(
            f"the role {role} may not ask",
            facts=[("SQLSTATE", sqlstate)],
            help="verify as the owner of the schema, the role that the migrations ran as, or as a superuser",
        )

    @classmethod
    def lock_busy(cls, table: str, mode: str, *, budget_ms: int, sqlstate: str, name: str) -> LockBusyError:
        """Others use the table, and waiting longer for this lock would stop whoever comes after."""
        return LockBusyError(
            f"the {mode} lock on {table} was not free within {budget_ms} ms",
            facts=[("SQLSTATE", f"{sqlstate} {name}".strip())],
            help=f"repeat it when no open transaction has used {table} or a table that refers to it; while it waits, "
            "others wait behind it, so it does not wait longer",
        )

    @classmethod
    def membership_busy(cls, roles: str, *, waited_ms: int, sqlstate: str, name: str) -> UnaskedError:
        """Somebody changes who is a member of the roles, in whatever database of the server."""
        return cls(
            f"the membership in {roles} was not free within {waited_ms} ms",
            facts=[("SQLSTATE", f"{sqlstate} {name}".strip())],
            help="repeat it when no open transaction, in any database of the server, grants or revokes one of them",
        )

    @classmethod
    def no_room_for_a_twin(cls, role: str) -> UnaskedError:
        """What two sessions do at once is seen in a schema of their own, which the owner may not create."""
        return cls(
            "two sessions have no place to meet",
            facts=[("missing", f"CREATE on the database, for {role}")],
            help=f"GRANT CREATE ON DATABASE … TO {role}, or verify a copy of this database",
        )

    @classmethod
    def deadlocks_unseen(cls, timeout_ms: int, *, longest_ms: int) -> UnaskedError:
        """The server looks for a deadlock so late that the questions' own deadline ends the wait before."""
        return cls(
            "two sessions that wait for each other were not asked: the server would look for them too late",
            facts=[("deadlock_timeout", f"{timeout_ms} ms"), ("longest wait of a question", f"{longest_ms} ms")],
            help="verify with deadlock_timeout at 1s or less, or GRANT SET ON PARAMETER deadlock_timeout to the login",
        )

    @classmethod
    def not_hollowed(cls, state: str, *, role: str = "", owner: str = "", may_create: bool = True) -> UnaskedError:
        """The schema cannot be hollowed out to see the facts fail; unseen, they prove nothing.

        Args:
            state: what the server said.
            role: who asked, where the server denied it the right.
            owner: who has schema public, where that is neither the role nor one whose rights it has.
            may_create: whether the role may create schemas in the database.
        """
        missing, ways = [], []
        if owner:
            missing.append(f"ownership of schema public, which {owner} has")
            # As initdb makes it, the owner of the schema is whoever owns the database.
            give = "" if owner == DATABASE_OWNER else f"ALTER SCHEMA public OWNER TO {DATABASE_OWNER} or {role}; or "
            who = "the owner of the database" if owner == DATABASE_OWNER else owner
            ways.append(f"{give}verify as {who}, or as a superuser")
        if not may_create:
            missing.append("CREATE on the database")
            ways.append(f"GRANT CREATE ON DATABASE … TO {role}, or verify as a superuser")
        what = [("missing", f"{' and '.join(missing)}, for {role}")] if missing else []
        return cls(
            "the facts could not be seen to fail",
            facts=[("schema public could not be moved aside", state), *what],
            help="; ".join(ways) or ("verify as a superuser" if role else _IN_THE_WAY),
        )

    @classmethod
    def own_fault(cls, kind: str, place: str) -> UnaskedError:
        """A fault in a verifier's own code."""
        return cls(
            "the verifier itself failed",
            where=place,
            facts=[("fault", f"{kind} at {place}")],
            help="report it; the other invariants were asked all the same",
        )

    @classmethod
    def connection_lost(cls) -> UnaskedError:
        """The connection broke under a question."""
        return cls(
            "the connection to the database was lost",
            help="the next invariant gets a new connection; repeat this one alone",
        )


class LockBusyError(UnaskedError):
    """Made by `UnaskedError.lock_busy`: a moment later the same question may well be answered."""


class StatementsError(ProjectError):
    """The statements of the release before cannot be read; compatibility with it cannot be judged."""

    kind = "statements"
    exit_code = ExitCode.FAILED

    @classmethod
    def unreadable(cls, name: str, why: str) -> StatementsError:
        """The file is missing, is not JSON, holds no statement, or one without its fields."""
        return cls(
            "the statements of the release before cannot be read",
            where=name,
            facts=[("expected", "name, role, sql and answer of at least one"), ("found", why)],
            help="restore the file from git, or complete the statement",
        )
