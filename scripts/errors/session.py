"""Troubles with the session that runs the files: the role it shall have, and a setting it may not change.

Owns: one class for each; exit 2, because MIGRATE_ROLE or the login does not fit this database.
Promises: nothing has been run when one of them is raised.
"""

from __future__ import annotations

from scripts.errors.base import ExitCode, ProjectError


class MigrateRoleError(ProjectError):
    """MIGRATE_ROLE names a role that the files cannot, or should not, run as."""

    kind = "role"
    exit_code = ExitCode.USAGE

    @classmethod
    def missing(cls, role: str, *, session_user: str) -> MigrateRoleError:
        """The server has no role of that name."""
        return cls(
            "the role does not exist",
            where="MIGRATE_ROLE",
            facts=[("expected", f"a role that {session_user} may become"), ("found", f"no role {role}")],
            help="correct the name, or create the role: CREATE ROLE … NOLOGIN",
        )

    @classmethod
    def not_member(cls, role: str, *, session_user: str) -> MigrateRoleError:
        """SET ROLE would be refused."""
        return cls(
            f"{session_user} may not become {role}",
            where="MIGRATE_ROLE",
            facts=[
                ("expected", f"{session_user} to be a member of {role}, with SET"),
                ("found", "no such membership"),
            ],
            help=f"as a superuser: GRANT {role} TO {session_user} WITH SET TRUE",
        )

    @classmethod
    def superuser(cls, role: str) -> MigrateRoleError:
        """A superuser is exactly what MIGRATE_ROLE is there to avoid."""
        return cls(
            f"{role} is a superuser",
            where="MIGRATE_ROLE",
            facts=[
                ("expected", "an owner that rights and row security hold for"),
                ("found", "SUPERUSER: neither is asked"),
            ],
            help="name the role that owns the tables; leave MIGRATE_ROLE unset to run as the login itself",
        )

    @classmethod
    def bypasses_row_security(cls, role: str) -> MigrateRoleError:
        """FORCE ROW LEVEL SECURITY would not be seen."""
        return cls(
            f"{role} passes by row security",
            where="MIGRATE_ROLE",
            facts=[
                ("expected", "an owner that FORCE ROW LEVEL SECURITY holds for"),
                ("found", "BYPASSRLS: a backfill that no policy lets through would seem to work"),
            ],
            help=f"ALTER ROLE {role} NOBYPASSRLS, or name another role",
        )


class SessionSettingError(ProjectError):
    """The login brings a setting that changes what the files mean, and may not change it itself."""

    kind = "session"
    exit_code = ExitCode.USAGE

    @classmethod
    def replica(cls, *, session_user: str, found: str) -> SessionSettingError:
        """Under session_replication_role = replica neither triggers nor foreign keys are asked."""
        return cls(
            "triggers and foreign keys are switched off for this login",
            where="session_replication_role",
            facts=[("expected", "origin"), ("found", found), ("role", session_user)],
            help=f"as a superuser: ALTER ROLE {session_user} RESET session_replication_role; see ALTER DATABASE too",
        )

    @classmethod
    def search_path(cls, *, found: str) -> SessionSettingError:
        """A schema before pg_catalog decides what the runner's own `=` does, with the runner's rights."""
        return cls(
            "another schema comes before pg_catalog: what it holds would stand in for the server's own operators",
            where="search_path",
            facts=[("expected", "pg_catalog not named, or named first"), ("found", found)],
            help="take pg_catalog out of the search_path of the login and the database (ALTER ROLE, ALTER DATABASE)",
        )
