"""The twin's name, and the lock that tells a living twin from a dead one.

Owns: the name `parity_twin_<16 hex digits>`; the digits are the key of an advisory lock that the twin's session holds.
Promises: what is swept away has such a name, our comment and our owner, and a lock that nobody holds: the session that
made it is gone. Nothing else is ever dropped.
Never: makes a twin (schema.py).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    import psycopg

PREFIX = "parity_twin_"
PATTERN = "^parity_twin_[0-9a-f]{16}$"
COMMENT = "A copy that the parity runner probes with two sessions; it is dropped with the run, or by the next one."
_LEFT_BEHIND: LiteralString = """
    SELECT n.nspname FROM pg_catalog.pg_namespace AS n
     WHERE n.nspname ~ %s AND n.nspowner = (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user)
       AND pg_catalog.obj_description(n.oid, 'pg_namespace') = %s
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
        conn: in autocommit, acting as the schema's owner.
    """
    from psycopg import sql

    gone = []
    for (name,) in conn.execute(_LEFT_BEHIND, [PATTERN, COMMENT]).fetchall():
        if not lock(conn, name):
            continue
        try:
            conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
            gone.append(name)
        finally:
            conn.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", [key_of(name)])
    return tuple(gone)
