"""The twin's name, and the lock that tells a living twin from a dead one.

Owns: the name `parity_twin_<16 hex digits>`; the digits are the key of an advisory lock that the twin's session holds.
Promises: what is swept away has such a name, our comment and an owner that we may act as, and a lock that nobody holds:
the session that made it is gone. Nothing else is ever dropped.
Never: makes a twin (schema.py).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

PREFIX = "parity_twin_"
PATTERN = "^parity_twin_[0-9a-f]{16}$"
COMMENT = "A copy that the parity runner probes with two sessions; it is dropped with the run, or by the next one."
_LEFT_BEHIND: LiteralString = """
    SELECT n.nspname::text, r.rolname::text, pg_catalog.current_setting('role')
      FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner
     WHERE n.nspname ~ %s AND pg_catalog.obj_description(n.oid, 'pg_namespace') = %s
       AND (r.rolname = current_user OR pg_catalog.pg_has_role(session_user, r.oid, 'SET'))
"""


def new_name() -> str:
    """A name that nobody has used."""
    return PREFIX + secrets.token_hex(8)


def key_of(name: str) -> int:
    """The key of the name's advisory lock, a signed integer of 64 bits."""
    return int.from_bytes(bytes.fromhex(name.removeprefix(PREFIX)), signed=True)


def lock(conn: psycopg.Connection[Any], name: str) -> bool:
    """Take the name's lock for the session, if it is free."""
    row = conn.execute("SELECT pg_catalog.pg_try_advisory_lock(%s)", [key_of(name)]).fetchone()
    return bool(row and row[0])


def sweep(conn: psycopg.Connection[Any]) -> tuple[str, ...]:
    """Drop what runs that were killed have left; returns the names.

    Args:
        conn: in autocommit, as a login that may act as the schema's owner. Who acts is the same afterwards.
    """
    from psycopg import sql
    from psycopg.rows import tuple_row

    gone = []
    with conn.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(_LEFT_BEHIND, [PATTERN, COMMENT]).fetchall()
    for name, owner, role in found:
        # Who else sweeps has it now; and one whose session lives is nobody's to sweep.
        if lock(conn, name):
            try:
                conn.execute(_become(owner))
                conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
                gone.append(name)
            finally:
                conn.execute(_become(role))
                conn.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", [key_of(name)])
    return tuple(gone)


def _become(role: str) -> sql.Composed:
    from psycopg import sql

    return sql.SQL("SET ROLE {}").format(sql.SQL("NONE") if role == "none" else sql.Identifier(role))
