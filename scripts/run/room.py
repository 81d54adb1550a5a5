"""How many more connections a login may open.

Owns: the question for it.
Promises: no limit counts as many; what others open or close meanwhile is nobody's promise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    import psycopg

# Beside the run's own connection: two sessions in a twin, and the one that plays probes ahead.
FOR_ALL = 3
_ASK: LiteralString = """
WITH open AS MATERIALIZED (
    -- What others' backends are is not shown to everybody; that they are is.
    SELECT s.usesysid, s.datid FROM pg_catalog.pg_stat_activity AS s
     WHERE s.datid IS NOT NULL AND coalesce(s.backend_type, 'client backend') = 'client backend'
)
SELECT least(CASE WHEN r.rolconnlimit >= 0 AND NOT r.rolsuper THEN r.rolconnlimit
                       - (SELECT pg_catalog.count(*) FROM open AS o WHERE o.usesysid = r.oid) END,
             CASE WHEN d.datconnlimit >= 0 AND NOT r.rolsuper THEN d.datconnlimit
                       - (SELECT pg_catalog.count(*) FROM open AS o WHERE o.datid = d.oid) END,
             pg_catalog.current_setting('max_connections')::int4
                 - CASE WHEN r.rolsuper THEN 0
                        ELSE pg_catalog.current_setting('superuser_reserved_connections')::int4
                             + pg_catalog.current_setting('reserved_connections')::int4 END
                 - (SELECT pg_catalog.count(*) FROM open))
  FROM pg_catalog.pg_roles AS r, pg_catalog.pg_database AS d
 WHERE r.rolname = session_user AND d.datname = pg_catalog.current_database()
"""


def connections_left(conn: psycopg.Connection[Any]) -> int:
    """How many the login can still open to this database; zero or less when there is none left."""
    row = conn.execute(_ASK, prepare=False).fetchone()
    return FOR_ALL if row is None else int(row[0])
