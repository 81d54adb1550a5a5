"""The journal: how far a file without a transaction has come, kept in the database, statement by statement.

Owns: its entries, the reading of them, and the SQL that adds to them.
Promises: an entry says `started` before its statement is sent, and `done` after it has ended; what a killed run left is
    one `started` entry at most. It is never taken as proof: the catalog is asked as well (no_tx/apply.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.digest import digest_of
from scripts.errors.history import LedgerShapeError
from scripts.migrations.batch import literals

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

_READ = "SELECT version, statement, digest, state FROM public.schema_migrations_journal WHERE version = ANY(%s)"
_HALF_DONE = """
SELECT j.version, count(*) FILTER (WHERE j.state = 'done'), count(*)
  FROM public.schema_migrations_journal j
 WHERE NOT EXISTS (SELECT FROM public.schema_migrations m WHERE m.version = j.version)
 GROUP BY j.version ORDER BY j.version"""

_STARTED = (
    "INSERT INTO public.schema_migrations_journal (version, statement, digest, state, started_at)"
    " SELECT {0}::text, {1}::int, {2}::text, 'started', pg_catalog.clock_timestamp()"
    " WHERE {3}::text IS NULL OR pg_catalog.to_regclass({3}::text) IS NULL"
    " ON CONFLICT (version, statement) DO UPDATE SET digest = excluded.digest, state = 'started',"
    " started_at = excluded.started_at, done_at = NULL"
)
_DONE = (
    "INSERT INTO public.schema_migrations_journal (version, statement, digest, state, started_at, done_at)"
    " VALUES ({0}::text, {1}::int, {2}::text, 'done', pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp())"
    " ON CONFLICT (version, statement) DO UPDATE SET digest = excluded.digest, state = 'done',"
    " done_at = excluded.done_at"
)
_STARTED_NAME, _DONE_NAME = '"parity started"', '"parity done"'
# Two statements that prepare both, for as long as the session lasts or until they are dropped: to plan them for every
# statement costs three times what they do.
PREPARATION = (
    f"PREPARE {_STARTED_NAME} (text, int, text, text) AS {_STARTED.format('$1', '$2', '$3', '$4')};\n"
    f"PREPARE {_DONE_NAME} (text, int, text) AS {_DONE.format('$1', '$2', '$3')}"
).encode()


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One statement that was begun; `digest` is of its tokens, `done` whether it ended."""

    digest: str
    done: bool


def read_journal(conn: psycopg.Connection[Any], versions: list[str]) -> dict[str, dict[int, JournalEntry]]:
    """The entries of some files, by version and statement index.

    Args:
        conn: in autocommit, outside a transaction, of a database with a ledger.
        versions: names of files.

    Raises:
        LedgerShapeError: there is no journal.
    """
    from psycopg import errors
    from psycopg.rows import tuple_row

    found: dict[str, dict[int, JournalEntry]] = {}
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(_READ, (versions,), prepare=False).fetchall()
    except (errors.UndefinedTable, errors.InvalidSchemaName) as exc:
        raise LedgerShapeError.incomplete("public.schema_migrations_journal") from exc
    for version, statement, digest, state in rows:
        found.setdefault(version, {})[statement] = JournalEntry(digest, state == "done")
    return found


def read_half_done(conn: psycopg.Connection[Any]) -> dict[str, tuple[int, int]]:
    """Unrecorded files of which statements were begun: how many are done, and how many were begun."""
    from psycopg import errors
    from psycopg.rows import tuple_row

    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(_HALF_DONE, prepare=False).fetchall()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return {}
    return {version: (done, begun) for version, done, begun in rows}


class Note(NamedTuple):
    """SQL that adds an entry, in two forms of one meaning: by what `PREPARATION` prepares, and in full."""

    prepared: bytes
    in_full: bytes


def started(
    conn: psycopg.Connection[Any], version: str, statement: int, digest: str, *, if_free: str | None = None
) -> Note:
    """Note that a statement is about to be sent.

    Args:
        conn: for its quoting.
        version: name of the file.
        statement: index in the file.
        digest: of its tokens.
        if_free: a name, quoted and qualified: when a relation has it, nothing is noted, and the count of rows is 0.
    """
    name, tokens = literals(conn, (version, digest))
    free = b"NULL" if if_free is None else literals(conn, [if_free])[0]
    return _note(_STARTED_NAME, _STARTED, name, b"%d" % statement, tokens, free)


def done(conn: psycopg.Connection[Any], version: str, statement: int, digest: str) -> Note:
    """Note that a statement has ended, or that its work was found done."""
    name, tokens = literals(conn, (version, digest))
    return _note(_DONE_NAME, _DONE, name, b"%d" % statement, tokens)


def forgotten(conn: psycopg.Connection[Any], version: str, statement: int) -> Note:
    """Take back that a statement was begun: the server refused it, and it has left nothing."""
    (name,) = literals(conn, [version])
    text = (
        b"DELETE FROM public.schema_migrations_journal WHERE version = %s AND statement = %d AND state = 'started'"
    ) % (name, statement)
    return Note(text, text)


def _note(prepared: str, text: str, *values: bytes) -> Note:
    told = [value.decode() for value in values]
    return Note(f"EXECUTE {prepared} ({', '.join(told)})".encode(), text.format(*told).encode())


def journal_digest(entries: Mapping[int, JournalEntry]) -> str:
    """sha256 of a file's entries, for the record that gives them up."""
    return digest_of([[index, entry.digest, entry.done] for index, entry in sorted(entries.items())])


def clear_journal(conn: psycopg.Connection[Any], version: str) -> None:
    """Remove a file's entries, in the transaction that records that they are given up."""
    conn.execute("DELETE FROM public.schema_migrations_journal WHERE version = %s", (version,), prepare=False)
