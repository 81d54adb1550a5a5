"""What a server says of itself: the part of the evidence that shows it was fresh and what it was.

Owns: the facts every origin has. 64-bit numbers are text: JSON readers round them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, LiteralString

from scripts.errors.unfit import NotFreshError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection, Cursor

# The age is rounded up to a second; a wall clock that is being corrected may gain as much.
ALLOWED_S = 2
# One row. The epoch is the second in which initdb ran; a copy of a cluster keeps it.
_FACTS: LiteralString = """
SELECT pg_catalog.current_setting('server_version')     AS server_version,
       pg_catalog.current_setting('server_version_num') AS server_version_num,
       pg_catalog.to_char(pg_catalog.pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
                                                        AS postmaster_started_at,
       pg_catalog.current_setting('data_checksums')     AS data_checksums,
       pg_catalog.current_setting('server_encoding')    AS encoding,
       d.datlocprovider::text                           AS locale_provider,
       d.datcollate                                     AS collate,
       d.datctype                                       AS ctype,
       coalesce(d.datlocale, '')                        AS locale,
       coalesce(d.datcollversion, '')                   AS collation_version,
       (SELECT rolsuper::text FROM pg_catalog.pg_roles AS r WHERE r.oid = d.datdba) AS owner_is_superuser
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()
"""
_IDENTITY: LiteralString = """
SELECT system_identifier::text                       AS system_identifier,
       (system_identifier >> 32)::text               AS initdb_epoch,
       (SELECT next_oid::text FROM pg_catalog.pg_control_checkpoint()) AS next_oid
FROM pg_catalog.pg_control_system()
"""
# By schema as well as by number (a user's begin with 16384): what single-user mode makes, or an image brings, has any.
_BEFORE: LiteralString = """
WITH own AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema', 'pg_toast'))
SELECT (SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_class
         WHERE oid >= 16384 OR relnamespace NOT IN (SELECT oid FROM own))   AS user_relations_before,
       (SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_proc
         WHERE oid >= 16384 OR pronamespace NOT IN (SELECT oid FROM own))   AS user_functions_before,
       (SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_namespace
         WHERE nspname <> 'public' AND nspname !~ '^pg_(toast_)?temp_' AND oid NOT IN (SELECT oid FROM own))
                                                                                AS user_schemas_before,
       pg_catalog.ceil(extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_postmaster_start_time()))::text
                                                                                AS postmaster_age_s
"""
# As the login has them: the connection itself was settled. Where a value came from tells a deviation; values that name
# a path, a key or a command stay out.
_SETTINGS: LiteralString = """
SELECT pg_catalog.lower(name) AS name, reset_val AS setting FROM pg_catalog.pg_settings
WHERE (source NOT IN ('default', 'override', 'client', 'session') OR source = 'session' AND reset_val <> boot_val)
  AND NOT (name ~ '(_file|_directory|_directories|_command|conninfo|_path|cluster_name|slot_names?)$' OR name ~ '^ssl')
  AND vartype <> 'string' OR name IN ('TimeZone', 'DateStyle', 'default_text_search_config', 'lc_messages')
ORDER BY pg_catalog.lower(name)
"""


class Since:
    """How long ago something was, for comparison with a server's own word, which is by the clock on the wall.

    By that clock and by one that nobody sets, and the longer of the two: a clock that is set on meanwhile makes the
    server's word longer by as much, and a server of our own must not be taken for an older one.
    """

    def __init__(self) -> None:
        self._set, self._unset = time.time(), time.monotonic()

    def seconds(self) -> float:
        """Seconds; never negative."""
        return max(time.time() - self._set, time.monotonic() - self._unset)


def read_facts(conn: Connection) -> dict[str, str]:
    """Read them all, before the first migration.

    Returns:
        Names and values as text. `system_identifier`, `initdb_epoch` and `next_oid` are left out, and
        `identity_withheld` holds the reason, where the role may not read the control file.
    """
    import psycopg
    from psycopg.rows import dict_row

    with conn.cursor(row_factory=dict_row) as cursor:
        try:
            facts, identity, settings, before = _rows(cursor, _FACTS, _IDENTITY, _SETTINGS, _BEFORE)
        except psycopg.errors.InsufficientPrivilege:
            facts, settings, before = _rows(cursor, _FACTS, _SETTINGS, _BEFORE)
            identity = [{"identity_withheld": "the role may not read the control file"}]
    found: dict[str, str] = facts[0] | identity[0] | before[0]
    return found | {f"setting.{row['name']}": str(row["setting"]) for row in settings}


def _rows(cursor: Cursor[dict[str, str]], *questions: LiteralString) -> list[list[dict[str, str]]]:
    """The rows of each, asked in one exchange."""
    cursor.execute(";".join(questions), prepare=False)
    rows = [cursor.fetchall()]
    while cursor.nextset():
        rows.append(cursor.fetchall())
    return rows


def found_before(facts: Mapping[str, str]) -> str:
    """What a database holds that PostgreSQL did not put there: "2 relations, 1 functions"; empty when it is empty."""
    names = ("relations", "functions", "schemas")
    return ", ".join(f"{count} {name}" for name in names if (count := facts[f"user_{name}_before"]) != "0")


def require_fresh(facts: Mapping[str, str], address: str, *, up_at_most_s: float | None) -> None:
    """Refuse a database that is not empty, and a server that ran before this run did: it is not the one we started.

    Args:
        facts: as `read_facts` gave them.
        address: for the error.
        up_at_most_s: how long ago the run began, in seconds (`Since`); None for somebody's server.

    Raises:
        NotFreshError: nothing has been migrated on it.
    """
    found = found_before(facts)
    if found:
        raise NotFreshError.not_empty(address, found)
    if up_at_most_s is not None and int(facts["postmaster_age_s"]) > up_at_most_s + ALLOWED_S:
        raise NotFreshError.older(address, facts["postmaster_age_s"], up_at_most_s)
