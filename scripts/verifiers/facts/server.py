"""What sessions start with because the server says so: its files, its command line, its environment.

Owns: the question for it, which costs half a millisecond and is asked once a database.
Promises: a value is told only where it is known to be the server's: what the verifying login, its database or its own
connection has set instead hides the server's, which then only a superuser finds, in the files. What keeps rows from a
crash, or gives their room back, is not told of a server that writes nothing down (fsync off): it was made to be thrown
away, as our own are.
Never: judges anything (stored.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.facts.sessions import Setting
from scripts.verifiers.facts.stored import OF_THE_DISK, OF_UPKEEP

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

# What is stored for the whole database, or for every role, is asked for by itself and stands before the server's. Of
# those of the verifying login alone nobody else has anything. The reset value is what the session began with, whatever
# was set in it since.
_ASK: LiteralString = """
WITH stored AS (
    SELECT s.setrole, pg_catalog.lower(pg_catalog.split_part(e.entry, '=', 1)) AS name
      FROM pg_catalog.pg_db_role_setting AS s CROSS JOIN pg_catalog.unnest(s.setconfig) AS e (entry)
     WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d
                                  WHERE d.datname = pg_catalog.current_database()))
       AND s.setrole IN (0, (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = session_user))
)
SELECT s.name, s.reset_val,
       s.source = 'client' OR EXISTS (SELECT FROM stored AS o WHERE o.name = pg_catalog.lower(s.name)),
       pg_catalog.has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'EXECUTE'),
       -- Nobody keeps anything on a server that does not write it down.
       pg_catalog.current_setting('fsync') = 'off'
  FROM pg_catalog.pg_settings AS s
 WHERE s.name = ANY (%s)
   AND NOT EXISTS (SELECT FROM stored AS o WHERE o.setrole = 0 AND o.name = pg_catalog.lower(s.name))
"""
_FILES: LiteralString = (
    "SELECT f.name, f.setting FROM pg_catalog.pg_file_settings AS f WHERE f.name = ANY (%s) AND f.applied"
)
# As libpq takes them, from the DSN and from PGOPTIONS.
_OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_][\w.-]*)\s*=")


def read_server_settings(conn: psycopg.Connection[Any], names: Iterable[str]) -> tuple[Setting, ...]:
    """The server's own values of these parameters, in order of their names, as far as they can be known.

    Args:
        conn: any role. What only a superuser may see is left out for others.
        names: in small letters.
    """
    from psycopg.rows import tuple_row

    # Who is asked as: there is no such thing in a file of the server's.
    wanted = sorted(set(names) - {"role", "session_authorization"})
    given = {name.lower().replace("-", "_") for name in _OPTION.findall(conn.info.options)}
    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(_ASK, [wanted]).fetchall()
        found = {name: value for name, value, hidden, *_ in rows if not hidden and name not in given}
        unknown = [name for name, *_ in rows if name not in found]
        if unknown and rows[0][3]:
            found |= dict(cursor.execute(_FILES, [unknown]).fetchall())
    if any(throws_away for *_, throws_away in rows):
        found = {name: value for name, value in found.items() if name not in OF_THE_DISK | OF_UPKEEP}
    return tuple(Setting("", name, value or "", of_server=True) for name, value in sorted(found.items()))
