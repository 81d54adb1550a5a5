"""What a server says of itself: the part of the evidence that shows it was fresh and what it was.

Owns: the facts every origin has. 64-bit numbers are text: JSON readers round them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

if TYPE_CHECKING:
    from psycopg import Connection

FIRST_USER_OID = 16384
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
_RELATIONS: LiteralString = "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_class WHERE oid >= %s"
# As the login has them: the connection itself was settled. Where a value came from tells a deviation; values that name
# a path, a key or a command stay out.
_SETTINGS: LiteralString = """
SELECT pg_catalog.lower(name) AS name, reset_val AS setting FROM pg_catalog.pg_settings
WHERE (source NOT IN ('default', 'override', 'client', 'session') OR source = 'session' AND reset_val <> boot_val)
  AND NOT (name ~ '(_file|_directory|_directories|_command|conninfo|_path|cluster_name|slot_names?)$' OR name ~ '^ssl')
  AND vartype <> 'string' OR name IN ('TimeZone', 'DateStyle', 'default_text_search_config', 'lc_messages')
ORDER BY pg_catalog.lower(name)
"""


def read_facts(conn: Connection) -> dict[str, str]:
    """Read them all, before the first migration.

    Returns:
        Names and values as text. `system_identifier`, `initdb_epoch` and `next_oid` are left out, and
        `identity_withheld` holds the reason, where the role may not read the control file.
    """
    import psycopg
    from psycopg.rows import dict_row

    with conn.cursor(row_factory=dict_row) as cursor:
        facts: dict[str, str] = dict(cursor.execute(_FACTS).fetchone() or {})
        try:
            facts |= cursor.execute(_IDENTITY).fetchone() or {}
        except psycopg.errors.InsufficientPrivilege:
            facts["identity_withheld"] = "the role may not read the control file"
        settings = {row["name"]: row["setting"] for row in cursor.execute(_SETTINGS)}
    facts["user_relations_before"] = _count_user_relations(conn)
    facts |= {f"setting.{name}": str(value) for name, value in settings.items()}
    return facts


def _count_user_relations(conn: Connection) -> str:
    row = conn.execute(_RELATIONS, [FIRST_USER_OID]).fetchone()
    return str(row[0]) if row else ""
