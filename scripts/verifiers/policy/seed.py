"""Put the first policy version into a database, once: it is inserted, or found there, and nothing else is ever done.

Owns: the row's statement, and the verdict on what is there already.
Promises: seeding never rotates, changes or revives a version; when it answers, exactly one version is active and it is
this one; two seeders at once make one row; cut short, it has done nothing, or all of it.
Never: says PASS of what it did not see: the start-up query is asked before the commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, LiteralString

from scripts.errors.policy import NoPolicyTableError, PolicyError
from scripts.verifiers.policy.source import same_checksum

if TYPE_CHECKING:
    import psycopg

    from scripts.verifiers.policy.source import Policy

Seeded = Literal["inserted", "unchanged"]

_TABLE: LiteralString = "SELECT pg_catalog.to_regclass('public.policy_versions') IS NOT NULL"
_THERE: LiteralString = (
    "SELECT version, status::pg_catalog.text, checksum FROM public.policy_versions "
    "WHERE version = %(version)s OR status = 'ACTIVE' ORDER BY version"
)
# DO NOTHING waits for whoever writes the version, or another active one, and gives way; the next look tells why.
_INSERT: LiteralString = (
    "INSERT INTO public.policy_versions (version, status, checksum) VALUES (%(version)s, 'ACTIVE', %(checksum)s) "
    "ON CONFLICT DO NOTHING RETURNING version"
)
_BOOT: LiteralString = "SELECT version FROM public.policy_versions WHERE is_active"
# Each look after a conflict finds the row that was in the way, unless that was taken away again in between.
_LOOKS = 3
_WAITED = ("55P03", "57014", "40P01")


def seed_policy(conn: psycopg.Connection[Any], policy: Policy) -> Seeded:
    """Insert the version as the active one, or find it there with the same checksum.

    Args:
        conn: in autocommit, as a role that may read and insert; its lock_timeout bounds the wait for other writers.
        policy: what to seed.

    Raises:
        PolicyError: another version is active, this one has another checksum or is over, others hold the table,
            or the role may not.
        NoPolicyTableError: the database is not migrated so far.
    """
    import psycopg
    from psycopg.rows import tuple_row

    try:
        with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            # Whatever is the default here: a snapshot of earlier would not show who was quicker.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE")
            row = cursor.execute(_TABLE).fetchone()
            if row is None or not row[0]:
                raise NoPolicyTableError.absent()
            return _seed(cursor, policy)
    except psycopg.Error as exc:
        raise _told(exc) from exc


def _seed(cursor: psycopg.Cursor[tuple[Any, ...]], policy: Policy) -> Seeded:
    values = {"version": policy.version, "checksum": policy.checksum}
    outcome: Seeded = "unchanged"
    for _ in range(_LOOKS):
        rows = cursor.execute(_THERE, values).fetchall()
        if rows:
            _require_this(rows, policy)
            break
        if cursor.execute(_INSERT, values).fetchone() is not None:
            outcome = "inserted"
            break
    else:
        raise PolicyError.busy(sqlstate="23505")
    active = [str(row[0]) for row in cursor.execute(_BOOT).fetchall()]
    if active != [policy.version]:
        raise PolicyError.several_active(len(active))
    return outcome


def _require_this(rows: list[tuple[Any, ...]], policy: Policy) -> None:
    """Of the row of this version and of every active one: this version is there, as it is to be, and active."""
    mine = next((row for row in rows if row[0] == policy.version), None)
    others = [str(row[0]) for row in rows if row[1] == "ACTIVE" and row[0] != policy.version]
    if mine is not None and not same_checksum(str(mine[2]), policy.checksum):
        raise PolicyError.checksum(policy.version, str(mine[1]), expected=policy.checksum, found=str(mine[2]))
    if others:
        raise PolicyError.another_active(policy.version, ", ".join(others))
    if mine is not None and mine[1] != "ACTIVE":
        raise PolicyError.not_active(policy.version, str(mine[1]))


def _told(exc: psycopg.Error) -> PolicyError:
    """By SQLSTATE and constraint alone: message and detail may quote the row."""
    if exc.sqlstate is None or exc.sqlstate.startswith(("08", "57P")):
        return PolicyError.lost()
    if exc.sqlstate in _WAITED:
        return PolicyError.busy(sqlstate=exc.sqlstate)
    if exc.sqlstate == "42501":
        return PolicyError.no_right(sqlstate=exc.sqlstate)
    return PolicyError.refused(sqlstate=exc.sqlstate, constraint=exc.diag.constraint_name or "")
