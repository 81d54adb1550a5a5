"""Settings that a file stores for later sessions of the login: they hold for the files behind it in the same run, too.

Owns: what is stored for the login in this database, and which files may store something.
Promises: a run that is interrupted behind such a file and started again, in a new session, ends as one that was not:
    both run the files behind it under what was stored.
Limits: a file is known by its words (ALTER DATABASE, ROLE or USER … SET or RESET, in a body or a string as well); words
    that are put together, and a function of an earlier run, are not. What is no longer stored is the server's own value
    again, which a session does not know: that is told. ALTER SYSTEM holds from a reload on, which is told
    (baseline.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from scripts.server.readiness import require_own_catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psycopg

    from scripts.migrations.folder.files import MigrationFile

# In small letters, and with nothing before its first word: so it is looked for as fast as a word.
_ALTER = re.compile(rb"alter\s+(?:database|role|user)\b")
_SET = re.compile(rb"\b(?:set|reset)\b")
_COMMENT_LINE = re.compile(rb"^\s*--[^\n]*", re.MULTILINE)
# As the server looks them up for a new session: of the login in this database, of the login, of the database, of all.
_ASK = b"""
SELECT DISTINCT ON (1) pg_catalog.split_part(e.entry, '=', 1),
       pg_catalog.substr(e.entry, pg_catalog.strpos(e.entry, '=') + 1)
  FROM pg_catalog.pg_db_role_setting AS s CROSS JOIN pg_catalog.unnest(s.setconfig) AS e (entry)
 WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d
                              WHERE d.datname = pg_catalog.current_database()))
   -- What the connection itself asks for goes before what is stored.
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_settings AS c
                    WHERE pg_catalog.lower(c.name) = pg_catalog.lower(pg_catalog.split_part(e.entry, '=', 1))
                      AND c.source = 'client')
   AND s.setrole IN (0, (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = session_user))
 ORDER BY 1, s.setrole = 0, s.setdatabase = 0"""


class Moved(NamedTuple):
    """What a file stored anew, name → value as the catalog has it, and what is not stored any more."""

    moved: Mapping[str, str]
    gone: frozenset[str]


@lru_cache(maxsize=2)
def may_store(data: bytes) -> bool:
    """Whether a file has the words for it, outside a line that is a comment. In time that grows with the file alone.

    The answer is remembered for the file at hand and the next: it may be had while the server is busy.
    """
    said = data.lower()
    if b"/*" in said:
        said = b" ".join((said, _without_comments(said)))
    if not _ALTER.search(said):
        return False
    return any(
        found is not None and _SET.search(part, found.end()) is not None
        for part in _COMMENT_LINE.sub(b"", said).split(b";")
        for found in [_ALTER.search(part)]
    )


def _without_comments(said: bytes) -> bytes:
    """Without what stands between the marks of a comment, as far as marks tell."""
    pieces = said.split(b"/*")
    return b" ".join((pieces[0], *(piece.partition(b"*/")[2] for piece in pieces[1:])))


@dataclass(slots=True)
class Stored:
    """What new sessions of the login begin with: when it was first asked in a run, and when it was last."""

    first: Mapping[str, str]
    values: Mapping[str, str]

    @classmethod
    def now(cls, conn: psycopg.Connection[Any]) -> Self:
        """What is stored at this moment. conn: which holds the runner lock."""
        found = _read(conn)
        return cls(found, found)

    def as_new_sessions(self) -> Moved:
        """All of it: what a session that began before another runner's file has to catch up with.

        Raises:
            SessionSettingError: a new session would look for operators elsewhere before it does in pg_catalog.
        """
        if "search_path" in self.values:
            require_own_catalog(self.values["search_path"])
        return Moved(self.values, frozenset())

    def moved(self, conn: psycopg.Connection[Any], file: MigrationFile, report: Callable[[str], None]) -> Moved | None:
        """What a file changed of it; None where it changed nothing.

        Args:
            conn: in autocommit, outside a transaction.
            file: which has run, and of which `may_store` is true.
            report: told what a session cannot know: what it would have without what it began with.

        Raises:
            SessionSettingError: a new session would look for operators elsewhere before it does in pg_catalog.
        """
        before, self.values = self.values, _read(conn)
        moved = {name: value for name, value in self.values.items() if before.get(name) != value}
        gone = frozenset(before.keys() - self.values.keys())
        for name in sorted(gone & self.first.keys()):
            report(f"{file.name}: {name} is not stored any more: what new sessions have instead, the next run has")
        if "search_path" in moved:
            require_own_catalog(moved["search_path"])
        return Moved(moved, gone) if moved or gone else None


def _read(conn: psycopg.Connection[Any]) -> Mapping[str, str]:
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        return {name.lower(): value for name, value in cursor.execute(_ASK, prepare=False).fetchall()}
