"""Who works on an index that is not valid: asked of the server's progress and of its locks, told no surer than it is.

Owns: that question, as a piece of SQL for the queries about indexes, and its answer.
How: whoever builds, rebuilds or drops an index concurrently holds its table from before the index can be seen to the
end. That alone shows nobody: so does a session that once commented on the table. A build shows in
pg_stat_progress_create_index, its pid to everybody, its index only to members of its role; a DROP or REINDEX holds the
index itself. A session that is seen to do nothing builds nothing.
Limits: where a superuser has switched track_activities off for himself, a build of his is not seen by others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = "(SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())"
_BUILDS, _HIDDEN, _HOLDS, _UNTOLD = "builds", "hidden", "holds", "untold"
# Each other session of this database with a lock on the table that keeps a concurrent build out. The numbers of
# relations are those of one database: a copy of it has the same.
_BUILDER = f"""
(SELECT ARRAY[CASE WHEN p.index_relid = INDEX THEN '{_BUILDS}'
                   WHEN p.pid IS NOT NULL AND p.relid IS NULL THEN '{_HIDDEN}'
                   WHEN k.owns_index OR k.holds_index THEN '{_HOLDS}' ELSE '{_UNTOLD}' END, k.pid::text]
   FROM (SELECT l.pid, pg_catalog.bool_or(l.relation = TABLE) AS holds_table,
                pg_catalog.bool_or(l.relation = INDEX AND l.mode = 'ShareUpdateExclusiveLock') AS holds_index,
                pg_catalog.bool_or(l.relation = INDEX AND l.mode = 'AccessExclusiveLock') AS owns_index
           FROM pg_catalog.pg_locks l
          WHERE l.locktype = 'relation' AND l.granted AND l.database = {HERE} AND l.relation IN (INDEX, TABLE)
            AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                           'AccessExclusiveLock')
            AND l.pid <> pg_catalog.pg_backend_pid()
          GROUP BY l.pid) k
   LEFT JOIN pg_catalog.pg_stat_progress_create_index p
     ON p.pid = k.pid AND p.datname = pg_catalog.current_database()
   LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = k.pid
  WHERE k.holds_table
    AND (p.index_relid = INDEX OR p.pid IS NOT NULL AND p.relid IS NULL
         -- what was done to the index, and is not committed
         OR k.owns_index
         OR k.holds_index AND NOT pg_catalog.starts_with(coalesce(a.state, ''), 'idle')
         OR p.pid IS NULL AND (a.state = 'disabled' OR a.state IS NULL
                               AND NOT pg_catalog.current_setting('track_activities')::boolean))
  ORDER BY 1 LIMIT 1)"""  # noqa: S608 - our own text


@dataclass(frozen=True, slots=True)
class Builder:
    """Another session that works on an index, or may.

    how: `builds` it for sure; `hidden`: builds an index, its role hides which, and holds this one's table; `holds` the
    index and its table, as DROP and REINDEX do; `untold`: holds the table, and the server is not told what it does.
    """

    pid: int
    how: str

    @property
    def surely(self) -> bool:
        """Whether it is known to build this very index."""
        return self.how == _BUILDS

    def waiting_for(self, index: str) -> str:
        """What is waited for, as a line of progress. index: qualified."""
        if self.surely:
            return f"{index} is being built by pid {self.pid}: waiting for it"
        return f"{index} is not valid, and {self}: waiting for it"

    def __str__(self) -> str:
        return f"pid {self.pid}" + {
            _BUILDS: "",
            _HIDDEN: " builds an index, perhaps this one, and holds its table",
            _HOLDS: " holds it and its table, as DROP and REINDEX do",
            _UNTOLD: " holds its table; what it does there is not known, for its activities are not tracked",
        }.get(self.how, "")


def builder_sql(*, index: str, table: str) -> str:
    """A subquery: kind and pid of the one who works on an index, as an array of text for `builder_of`.

    Args:
        index: an SQL expression, the oid of an index.
        table: another, that of its table.
    """
    return _BUILDER.replace("INDEX", index).replace("TABLE", table)


def builder_of(told: Sequence[str] | None) -> Builder | None:
    """What the subquery answered."""
    return None if told is None else Builder(int(told[1]), told[0])
