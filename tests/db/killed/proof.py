"""What a database must look like after a run was killed and the next one ended: as if nothing had happened.

Owns: the comparison with an undisturbed run. Asks the catalog itself, never the engine, whether an index is valid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.catalog.read import Catalog
    from scripts.migrations.folder.files import MigrationFile

_TABLES = """
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.to_regclass('public.marks') IS NOT NULL,
       pg_catalog.to_regclass('public.schema_migrations') IS NOT NULL
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND c.relname !~ '^schema_migrations' ORDER BY 1"""
# A partitioned index made ON ONLY is meant to be invalid for a while; the undisturbed run says for how long.
_INVALID = """
SELECT c.relname || CASE c.relkind WHEN 'I' THEN ' (partitioned)' ELSE '' END
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
 WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) ORDER BY 1"""
_PENDING = "SELECT inhrelid::regclass::text FROM pg_catalog.pg_inherits WHERE inhdetachpending"
_PREPARED = "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()"
_OTHERS = """
SELECT pg_catalog.format('%s %s', state, left(query, 60)) FROM pg_catalog.pg_stat_activity
 WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
   AND backend_type = 'client backend'"""
_LOCKS = """
SELECT pg_catalog.format('%s %s', locktype, mode) FROM pg_catalog.pg_locks
 WHERE pid <> pg_catalog.pg_backend_pid() AND locktype = 'advisory'
   AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"""
_HISTORY = "SELECT version, kind, checksum FROM public.schema_migrations_history ORDER BY seq"
_JOURNAL = "SELECT version, statement, digest, state FROM public.schema_migrations_journal ORDER BY 1, 2"
RECORDED = ("applied", "adopted")


@dataclass(frozen=True)
class State:
    """A database as far as these tests compare it.

    contents: the rows of every table but the ledger's, as a count, or as count and hash where no row knows the time.
    history: version, kind and checksum of every record. journal: version, statement, digest, state.
    invalid, left: indexes that do not serve; transactions, detachments, locks and sessions that should be over.
    """

    fingerprint: str
    catalog: Catalog = field(repr=False)
    ledger: tuple[tuple[str, str], ...]
    contents: dict[str, str]
    marks: dict[str, int]
    history: tuple[tuple[str, str, str], ...]
    journal: tuple[tuple[str, int, str, str], ...]
    invalid: tuple[str, ...]
    left: tuple[str, ...]


def read_state(dsn: str, *, exact: bool) -> State:
    """Read everything, as superuser.

    Args:
        dsn: of the database.
        exact: whether every value is the same in every run, so that rows can be compared and not only counted.
    """
    with psycopg.connect(dsn, autocommit=True) as conn:
        catalog = read_catalog(conn)
        tables = conn.execute(_TABLES).fetchall()
        rows = "count(*)::text || ' ' || md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), ''))"
        parts = [f"SELECT '{name}', {rows if exact else 'count(*)::text'} FROM {name} AS t" for name, *_ in tables]
        contents: dict[str, str] = dict(conn.execute(" UNION ALL ".join(parts).encode()).fetchall()) if parts else {}
        marks: dict[str, int] = {}
        if tables and tables[0][1]:
            marks = dict(conn.execute("SELECT file, count(*) FROM public.marks GROUP BY file").fetchall())
        return State(
            fingerprint=fingerprint(catalog),
            catalog=catalog,
            ledger=_rows(conn, "SELECT version, checksum FROM public.schema_migrations ORDER BY 1"),
            contents=contents,
            marks=marks,
            history=_rows(conn, _HISTORY),
            journal=_rows(conn, _JOURNAL),
            invalid=tuple(row[0] for row in conn.execute(_INVALID)),
            left=tuple(
                f"{word}: {row[0]}"
                for word, query in (
                    ("a partition pending detach", _PENDING),
                    ("a prepared transaction", _PREPARED),
                    ("a session", _OTHERS),
                    ("a lock", _LOCKS),
                )
                for row in conn.execute(query.encode())
            ),
        )


def problems_of(state: State, undisturbed: State, files: Sequence[MigrationFile]) -> list[str]:
    """What is not as an undisturbed run leaves it, a line each; nothing when all is well."""
    problems = [*_objects(state, undisturbed), *_twice(state, undisturbed), *_records(state, undisturbed, files)]
    problems += [f"{name} is not valid" for name in state.invalid if name not in undisturbed.invalid]
    problems += [f"{what} is left" for what in state.left]
    return problems


def describe(state: State) -> str:
    """What a killed run left behind, for the text of a failure."""
    done = [f"{version}/{number} {state_}" for version, number, _, state_ in state.journal]
    return (
        f"recorded {len(state.ledger)}; history {len(state.history)}; journal {', '.join(done[-3:]) or 'empty'};"
        f" invalid {', '.join(state.invalid) or 'none'}; left {', '.join(state.left) or 'nothing'}"
    )


def _objects(state: State, undisturbed: State) -> list[str]:
    if state.fingerprint == undisturbed.fingerprint:
        return []
    wanted, present = (
        {item.title: str(dict(item.facts)) for item in catalog.objects}
        for catalog in (undisturbed.catalog, state.catalog)
    )
    problems = [f"fingerprint: expected {undisturbed.fingerprint}, found {state.fingerprint}"]
    for title in sorted(wanted.keys() | present.keys()):
        expected, found = wanted.get(title), present.get(title)
        if expected != found:
            problems.append(f"{title}: expected {expected or 'nothing'}, found {found or 'nothing'}")
    return problems


def _twice(state: State, undisturbed: State) -> list[str]:
    problems = [f"{file} was applied {times} times" for file, times in state.marks.items() if times != 1]
    for table in sorted(state.contents.keys() | undisturbed.contents.keys()):
        expected, found = undisturbed.contents.get(table, "no table"), state.contents.get(table, "no table")
        if expected != found:
            problems.append(f"rows of {table}: expected {expected}, found {found}")
    return problems


def _records(state: State, undisturbed: State, files: Sequence[MigrationFile]) -> list[str]:
    problems = []
    wanted = tuple((file.name, file.checksum) for file in files)
    if state.ledger != wanted:
        problems.append(f"ledger: expected {[name for name, _ in wanted]}, found {[name for name, _ in state.ledger]}")
    records = [(version, checksum) for version, kind, checksum in state.history if kind in RECORDED]
    if records != list(wanted):
        problems.append(f"history: expected one record a file, in order, found {[row[:2] for row in state.history]}")
    problems += [f"journal: {row[0]} statement {row[1]} is {row[3]}" for row in state.journal if row[3] != "done"]
    if [row[:3] for row in state.journal] != [row[:3] for row in undisturbed.journal]:
        problems.append(
            f"journal: expected {[row[:2] for row in undisturbed.journal]}, found {[row[:2] for row in state.journal]}"
        )
    return problems


def _rows(conn: psycopg.Connection[Any], query: str) -> Any:
    """Rows of a table of the ledger; none before it was made."""
    try:
        return tuple(conn.execute(query.encode()).fetchall())
    except psycopg.errors.UndefinedTable:
        return ()
