"""What a fresh server is made with: initdb's options, the owner role, the database.

Owns: who the migrations run as. A superuser would pass every permission check, so that a missing GRANT in a migration
    would show in production first; the owner is therefore a plain role that may create roles, as 0003 needs.
Promises: passwords are random for each run; the server is sent their SCRAM verifiers, so no log can hold them.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.errors.server import DiskFullError, StartError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

SUPERUSER = "postgres"
OWNER = "symphony_owner"
# Both origins use exactly these, so that both give the same catalog. The builtin provider compares bytes by the same
# tables on every system; the C library's C.UTF-8 does not exist on macOS and differs between versions elsewhere.
INITDB_OPTIONS = (
    f"--username={SUPERUSER}",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--auth=scram-sha-256",
    "--data-checksums",
    # While it runs, too: what it makes in /dev/shm stays behind when it is killed.
    "--set=dynamic_shared_memory_type=mmap",
)


@dataclass(frozen=True, slots=True)
class Provisioned:
    """How to reach the new database, as its owner and as superuser. Both hold a password."""

    owner_dsn: str = field(repr=False)
    admin_dsn: str = field(repr=False)


def random_password() -> str:
    """192 random bits, in letters that need no quoting anywhere."""
    return secrets.token_urlsafe(24)


def provision(conn: Connection, admin_dsn: str, database: str) -> Provisioned:
    """Create the owner and its database.

    Args:
        conn: the superuser's, in autocommit mode.
        admin_dsn: what `conn` was opened with; the owner connects to the same place.
        database: the name; a database of that name (the server's own `postgres`) is handed over instead.
    """
    from psycopg.conninfo import make_conninfo

    password = random_password()
    verifier = _verifier(conn, OWNER, password)
    with explaining("the creation of the database"):
        _create(conn, database, verifier)
    return Provisioned(
        owner_dsn=make_conninfo(admin_dsn, user=OWNER, password=password, dbname=database),
        admin_dsn=make_conninfo(admin_dsn, dbname=database),
    )


@contextmanager
def explaining(step: str) -> Iterator[None]:
    """Tell of a full disk, or of whatever else the server of our own objects to, as an error with a next step.

    Raises:
        DiskFullError: SQLSTATE 53100.
        StartError: any other refusal, in the server's first line: no DETAIL, no statement.
    """
    import psycopg

    try:
        yield
    except psycopg.errors.DiskFull as exc:
        raise DiskFullError.during(step, "the server's data folder") from exc
    except psycopg.Error as exc:
        raise StartError.failed(step, f"SQLSTATE {exc.sqlstate}", exc.diag.message_primary or "") from exc


def _create(conn: Connection, database: str, verifier: str) -> None:
    from psycopg import sql

    owner, name = sql.Identifier(OWNER), sql.Identifier(database)
    conn.execute(
        sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB CREATEROLE PASSWORD {}").format(
            owner, sql.Literal(verifier)
        )
    )
    if conn.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [database]).fetchone() is None:
        conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
    else:
        conn.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, owner))


def renew_password(conn: Connection, admin_dsn: str) -> str:
    """Give the superuser another password; returns the DSN with it.

    The official image leaves the first boot's password in the server's environment; this makes it worthless.
    """
    from psycopg import sql
    from psycopg.conninfo import make_conninfo

    password = random_password()
    verifier = sql.Literal(_verifier(conn, SUPERUSER, password))
    conn.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(SUPERUSER), verifier))
    return make_conninfo(admin_dsn, password=password)


def _verifier(conn: Connection, role: str, password: str) -> str:
    """What the server keeps of a password (SCRAM), computed here."""
    return conn.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
