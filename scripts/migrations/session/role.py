"""Who runs the files: the login, the role it came with, and MIGRATE_ROLE.

Owns: the choice of that role, the refusal of one that hides what it should show, and the way back.
Why a role at all: to a superuser neither a missing right nor row security shows, and what it makes belongs to it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from scripts.errors.session import MigrateRoleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from psycopg.pq.abc import PGresult

WHO = b"SELECT session_user::text, pg_catalog.current_setting('role')"
_IS_SUPERUSER = b"SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user"
_MAY_BECOME = """
SELECT rolsuper, rolbypassrls, pg_catalog.pg_has_role(session_user, oid, 'SET')
  FROM pg_catalog.pg_roles WHERE rolname = %s"""


class CameAs(NamedTuple):
    """Who a connection is handed over as, by WHO: its user, and the role that was set; "none" without one."""

    session_user: str
    role: str

    @classmethod
    def of(cls, answer: PGresult) -> Self:
        """From the answer to WHO, where the driver's cursor did not take it."""
        return cls(*((answer.get_value(0, column) or b"").decode() for column in (0, 1)))


@dataclass(frozen=True, slots=True)
class Login:
    """Who the connection is, and who the files run as: `name` for SET ROLE, None for NONE."""

    session_user: str
    came_as: str | None
    runs_as: str | None
    is_superuser: bool
    runs_as_superuser: bool


@contextmanager
def acting_as(conn: psycopg.Connection[Any], migrate_role: str | None) -> Iterator[None]:
    """Be the role that the files run as, for whatever else is its own: it owns the ledger.

    Args:
        conn: in autocommit.
        migrate_role: as `Settings.migrate_role`; nothing is done for None.

    Raises:
        MigrateRoleError: the role cannot be had, or hides what it should show.
    """
    if migrate_role is None:
        yield
        return
    session_user, role = one_row(conn, WHO)
    login = login_of(conn, session_user, role, migrate_role)
    conn.execute(set_role(conn, migrate_role), prepare=False)
    try:
        yield
    finally:
        if not conn.closed and conn.info.transaction_status.name == "IDLE":
            conn.execute(become(conn, login.session_user, login.came_as), prepare=False)


def current_role(conn: psycopg.Connection[Any]) -> str:
    """Whose rights count: MIGRATE_ROLE, or the login."""
    return str(one_row(conn, b"SELECT current_user::text")[0])


def one_row(conn: psycopg.Connection[Any], text: bytes) -> tuple[Any, ...]:
    """The row of the last statement of a text."""
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(text, prepare=False)
        cursor.set_result(-1)
        return cursor.fetchone() or ()


def login_of(conn: psycopg.Connection[Any], session_user: str, role: str, migrate_role: str | None) -> Login:
    """Decide who the files run as.

    Args:
        conn: in autocommit.
        session_user: as WHO found it.
        role: likewise; "none" when there was no SET ROLE.
        migrate_role: as `acting_as` takes it.

    Raises:
        MigrateRoleError: see `acting_as`.
    """
    from psycopg.rows import tuple_row

    superuser_now = conn.info.parameter_status("is_superuser") == "on"
    came_as = None if role == "none" else str(role)
    is_superuser = superuser_now if came_as is None else bool(one_row(conn, _IS_SUPERUSER)[0])
    if migrate_role is None:
        return Login(session_user, came_as, came_as, is_superuser, superuser_now)
    with conn.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(_MAY_BECOME, (migrate_role,), prepare=False).fetchone()
    if found is None:
        raise MigrateRoleError.missing(migrate_role, session_user=session_user)
    role_is_superuser, role_bypasses, may_become = found
    if role_is_superuser:
        raise MigrateRoleError.superuser(migrate_role)
    if role_bypasses:
        raise MigrateRoleError.bypasses_row_security(migrate_role)
    if not may_become:
        raise MigrateRoleError.not_member(migrate_role, session_user=session_user)
    return Login(session_user, came_as, migrate_role, is_superuser, runs_as_superuser=False)


def hidden_by(login: Login) -> tuple[str, ...]:
    """What will not show when the files run as this role, a line each."""
    if not login.runs_as_superuser:
        return ()
    name = login.runs_as or login.session_user
    return (
        (
            f"running as the superuser {name}: a missing right or a row that FORCE ROW LEVEL SECURITY hides will not"
            " show; MIGRATE_ROLE runs the files as the tables' owner"
        ),
    )


def become(conn: psycopg.Connection[Any], session_user: str, role: str | None) -> bytes:
    """The SQL that makes the session somebody: its user, and the role it acts as, if any."""
    from psycopg import sql

    # By name, not DEFAULT: a superuser that was made somebody else before it was handed over stays somebody else.
    authorization = sql.SQL("SET SESSION AUTHORIZATION {}; ").format(sql.Identifier(session_user)).as_bytes(conn)
    return authorization + (b"SET ROLE NONE" if role is None else set_role(conn, role))


def set_role(conn: psycopg.Connection[Any], role: str) -> bytes:
    """SET ROLE, with the name quoted."""
    from psycopg import sql

    return sql.SQL("SET ROLE {}").format(sql.Identifier(role)).as_bytes(conn)
