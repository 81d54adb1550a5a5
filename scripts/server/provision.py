"""What a fresh server is made with: initdb's options, the owner role, the database.

Owns: who the migrations run as. A superuser would pass every permission check, so that a missing GRANT in a migration
    would show in production first; the owner is therefore a plain role that may create roles, as 0003 needs.
Promises: passwords are random for each run; the server is sent their SCRAM verifiers, so no log can hold them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.errors.room import DiskFullError
from scripts.errors.server import StartError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

SUPERUSER = "postgres"
OWNER = "symphony_owner"
ITERATIONS = 1
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
    # Of 16 MB by default; a cluster is copied for each run, and what is empty is copied, too.
    "--wal-segsize=1",
    # initdb would leave six empty segments for later.
    "--set=wal_recycle=off",
    "--set=min_wal_size=2MB",
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


def provision(conn: Connection, admin_dsn: str, database: str, *, to_be_kept: bool = False) -> Provisioned:
    """Create the owner and its database.

    Args:
        conn: the superuser's, in autocommit mode.
        admin_dsn: what `conn` was opened with; the owner connects to the same place.
        database: the name; a database of that name (the server's own `postgres`) is handed over instead.
        to_be_kept: the cluster will be packed: the new database's pages are to be those of its template to the byte, so
            that they are there once. It takes two checkpoints, which move the next object number on.
    """
    from psycopg.conninfo import make_conninfo

    password = random_password()
    verifier = _verifier(password)
    with explaining("the creation of the database"):
        _create(conn, database, verifier, "file_copy" if to_be_kept else "wal_log")
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


def _create(conn: Connection, database: str, verifier: str, strategy: str) -> None:
    from psycopg import sql

    owner, name = sql.Identifier(OWNER), sql.Identifier(database)
    conn.execute(
        sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB CREATEROLE PASSWORD {}").format(
            owner, sql.Literal(verifier)
        )
    )
    if conn.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [database]).fetchone() is None:
        statement = sql.SQL("CREATE DATABASE {} OWNER {} STRATEGY {}")
        conn.execute(statement.format(name, owner, sql.Identifier(strategy)))
    else:
        conn.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, owner))


def renew_password(conn: Connection, admin_dsn: str) -> str:
    """Give the superuser another password; returns the DSN with it.

    The official image leaves the first boot's password in the server's environment; this makes it worthless.
    """
    from psycopg import sql
    from psycopg.conninfo import make_conninfo

    password = random_password()
    verifier = sql.Literal(_verifier(password))
    conn.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(SUPERUSER), verifier))
    return make_conninfo(admin_dsn, password=password)


def renew_both(conn: Connection, admin_dsn: str) -> Provisioned:
    """Give superuser and owner passwords of this run, in one exchange: the first statement on a kept cluster.

    Args:
        conn: the superuser's, to the database of the run.
        admin_dsn: what `conn` was opened with.
    """
    from psycopg import sql
    from psycopg.conninfo import make_conninfo

    passwords = {role: random_password() for role in (SUPERUSER, OWNER)}
    with explaining("the renewal of the passwords"):
        conn.execute(
            sql.SQL("; ").join(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(_verifier(password)))
                for role, password in passwords.items()
            ),
            prepare=False,
        )
    return Provisioned(
        owner_dsn=make_conninfo(admin_dsn, user=OWNER, password=passwords[OWNER]),
        admin_dsn=make_conninfo(admin_dsn, password=passwords[SUPERUSER]),
    )


def _verifier(password: str) -> str:
    """What the server keeps of a password (RFC 5803), computed here, so that it never learns the password.

    One iteration: they make guessing slow, and nobody guesses 192 random bits; they would make every connection slow
    by 8 ms. The letters are ASCII, which SASLprep leaves as they are.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ITERATIONS}:{salt64}${stored64}:{server64}"
