"""The ledger, `public.schema_migrations`: one row for every file that ran, and its history, a chain of records.

Owns: their shape, their making and the reading of them (what is added to them: records.py).
Promises: both are read in one query, and never handed on unless they fit each other (chain.py); they are made only by a
    caller who holds the runner lock; tables of those names with another shape are never taken for them; nothing that
    was recorded is ever changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from scripts.errors.base import ProjectError
from scripts.errors.history import LedgerShapeError
from scripts.errors.ledger import LedgerChainError
from scripts.errors.migration import LedgerAccessError
from scripts.migrations.batch import BatchError, execute_batch
from scripts.migrations.ledger.beside import BESIDE, SUSPECT
from scripts.migrations.ledger.chain import Head, Record, Row, audit
from scripts.migrations.session.role import current_role
from scripts.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg
    from psycopg.pq.abc import PGresult

    from scripts.migrations.folder.runnable import FolderCheck

LEDGER_SQL = ROOT / "schema" / "ledger.sql"
LEDGER, HISTORY, JOURNAL = (
    "public.schema_migrations",
    "public.schema_migrations_history",
    "public.schema_migrations_journal",
)
SHAPES = {
    LEDGER: (
        "version text not null, checksum text not null, applied_at timestamp with time zone not null; key (version)"
    ),
    HISTORY: (
        "seq bigint not null, kind text not null, version text not null, checksum text not null, "
        "replaces text not null, statements_digest text not null, recorded_at timestamp with time zone not null, "
        "recorded_by text not null, reason text not null, trace_digest text not null, previous_hash text not null, "
        "hash text not null, trace text not null; key (seq)"
    ),
    JOURNAL: (
        "version text not null, statement integer not null, digest text not null, state text not null, "
        "started_at timestamp with time zone not null, done_at timestamp with time zone; key (version, statement)"
    ),
}
# Times as they are hashed: never as a session's settings would write them; NULL for infinity. A row's time is written
# out only where it is not its record's.
_TIME = "pg_catalog.to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
_READ = f"""
SELECT m.version, m.checksum, CASE WHEN h.recorded_at = m.applied_at THEN '=' ELSE {_TIME.format("m.applied_at")} END,
       h.seq, h.kind, h.version, h.checksum, h.replaces, h.statements_digest,
       coalesce({_TIME.format("h.recorded_at")}, ''), h.recorded_by, h.reason, h.trace_digest,
       h.previous_hash, h.hash, h.recorded_at = m.applied_at, beside.suspect
  FROM (SELECT {SUSPECT}) AS beside (suspect)
  LEFT JOIN (public.schema_migrations m FULL JOIN public.schema_migrations_history h ON h.version = m.version)
    ON true"""  # noqa: S608 - our own text
_READ_OLD = f"SELECT version, checksum, {_TIME.format('applied_at')} FROM public.schema_migrations"  # noqa: S608 - ours
# Whether there surely is nothing of it. Asked behind the lock, in a transaction that begins there: what the session
# remembers of a name is as of its transaction's beginning. A question to a table would cost a new session 0.7 ms.
ABSENT = """
SELECT CASE WHEN pg_catalog.has_schema_privilege(pg_catalog.to_regnamespace('public')::pg_catalog.oid, 'USAGE')
            THEN pg_catalog.num_nonnulls(NAMES) OPERATOR(pg_catalog.=) 0 END""".replace(
    "NAMES", ", ".join(f"pg_catalog.to_regclass('{name}')" for name in SHAPES)
).encode()
_PRESENT = """
SELECT pg_catalog.to_regclass('public.schema_migrations') IS NOT NULL,
       pg_catalog.to_regclass('public.schema_migrations_history') IS NOT NULL"""
# Where the digests are made, and compared: the traces of ten thousand files need not travel.
_TRACES = """
WITH traced AS (
    SELECT seq, version, trace_digest = CASE WHEN trace = '' THEN '' ELSE
           pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(trace, 'UTF8')), 'hex') END AS fits,
           trace <> '' AS kept
      FROM public.schema_migrations_history)
SELECT pg_catalog.count(*) FILTER (WHERE kept), pg_catalog.min(seq) FILTER (WHERE NOT fits),
       (pg_catalog.array_agg(version ORDER BY seq) FILTER (WHERE NOT fits))[1] FROM traced"""
_SHAPE = """
SELECT (SELECT pg_catalog.string_agg(
                   pg_catalog.format('%%s %%s%%s', attname::text, pg_catalog.format_type(atttypid, atttypmod),
                                     CASE WHEN attnotnull THEN ' not null' ELSE '' END), ', ' ORDER BY attnum)
          FROM pg_catalog.pg_attribute WHERE attrelid = ledger AND attnum > 0 AND NOT attisdropped)
       || coalesce((SELECT pg_catalog.format('; key (%%s)', pg_catalog.string_agg(a.attname::text, ', ' ORDER BY k.n))
                      FROM pg_catalog.pg_index i,
                           pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
                      JOIN pg_catalog.pg_attribute a ON a.attrelid = ledger AND a.attnum = k.attnum
                     WHERE i.indrelid = ledger AND i.indisprimary HAVING pg_catalog.count(*) > 0), '')
  FROM pg_catalog.unnest(%s::text[]) WITH ORDINALITY AS wanted (name, n),
       pg_catalog.to_regclass(wanted.name) AS ledger ORDER BY wanted.n"""


# For the runner's own statements, whatever the login's path puts first: no function or operator of anybody's is ours.
OWN_PATH = b"SET LOCAL search_path TO pg_catalog, pg_temp;\n"


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One applied file: `version` is its name with `.sql`.

    checksum: sha256 of the bytes that stand for it now: those that ran, or those that were accepted in their place.
    statements_digest: of its statements without comments; empty when it is not known.
    """

    version: str
    checksum: str
    applied_at: datetime | None
    statements_digest: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the ledger holds.

    head: where the history ends; None when there is no history (a ledger of an older runner, or none at all).
    records: in order. is_there: whether there is a table of its name. beside: what stands beside it (beside.py).
    """

    rows: tuple[LedgerRow, ...] = ()
    records: tuple[Record, ...] = ()
    head: Head | None = None
    is_there: bool = True
    beside: str = ""


def read_ledger(conn: psycopg.Connection[Any]) -> Ledger:
    """Every row and every record, checked against each other; nothing when there is no ledger yet.

    Args:
        conn: in autocommit, outside a transaction.

    Raises:
        LedgerShapeError: a table of that name without these columns.
        LedgerAccessError: it may not be read.
        LedgerChainError: somebody wrote to it by hand.
    """
    from psycopg import errors

    try:
        try:
            found = _fetch(conn, _READ)
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return _read_without_history(conn)
    except (errors.UndefinedColumn, errors.WrongObjectType, errors.UndefinedFunction) as exc:
        raise _shape_error(conn) from exc
    except errors.InsufficientPrivilege as exc:
        raise LedgerAccessError.not_read(role=current_role(conn)) from exc
    rows = {
        line[0]: Row(line[0], line[1], _moment(line[9] if line[2] == "=" else line[2]))
        for line in found
        if line[0] is not None
    }
    records = tuple(sorted((Record(*_fields_of(line)) for line in found if line[3] is not None), key=_seq))
    beside = _beside(conn) if found[0][-1] else ""
    try:
        head = audit(tuple(rows.values()), records)
    except LedgerChainError:
        # Rows that are hidden were not removed.
        if "row security" in beside:
            raise LedgerChainError.beside(beside) from None
        raise
    return Ledger(_effective(rows, records), records, head, beside=beside)


def require_plain(ledger: Ledger) -> Ledger:
    """The ledger, for whoever is about to write to it or says what would be written.

    Raises:
        LedgerChainError: what stands beside it could change or lose what is written.
    """
    if ledger.beside:
        raise LedgerChainError.beside(ledger.beside)
    return ledger


LEFT_PLAIN = f"SELECT {SUSPECT}".encode()


def require_left_plain(conn: psycopg.Connection[Any], answer: PGresult) -> None:
    """At the end of a run: nothing stands beside the ledger that could change or lose what is written next.

    Args:
        conn: in autocommit, outside a transaction.
        answer: to `LEFT_PLAIN`.

    Raises:
        LedgerChainError: something does; a file of this run made it.
    """
    if answer.get_value(0, 0) == b"t" and (found := _beside(conn)):
        raise LedgerChainError.beside(found)


def _beside(conn: psycopg.Connection[Any]) -> str:
    (found,), *_ = _fetch(conn, f"SELECT {BESIDE}")
    return found or ""


def require_true_traces(conn: psycopg.Connection[Any]) -> int:
    """Check every stored trace against the digest in its record; how many there are.

    Raises:
        LedgerChainError: a trace was changed.
    """
    (count, seq, version), *_ = _fetch(conn, _TRACES)
    if seq is not None:
        raise LedgerChainError.changed_trace(seq, version)
    return int(count)


def make_ledger(
    conn: psycopg.Connection[Any],
    *,
    then: bytes = b"SELECT",
    check: FolderCheck | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Head:
    """Make the ledger where there is none of it, in one transaction. The caller holds the runner lock.

    Args:
        conn: in autocommit, outside a transaction.
        then: SQL of the runner's own that goes with it.
        check: of the files, gone on with while the server does its work. What it refuses is told first, and there is no
            ledger then.
        meanwhile: what is done while the server commits.

    Returns:
        Where an empty history ends.

    Raises:
        LedgerShapeError, LedgerAccessError: it may not be made.
        HistoryError: whatever `check` refuses.
    """
    text = b"BEGIN;\n%s;\n%s;\n%s" % (OWN_PATH.rstrip(b";\n"), LEDGER_SQL.read_bytes(), then)
    failed: psycopg.Error | None = None
    try:
        execute_batch(conn, text, spare=None if check is None else check.piece)
    except BatchError as exc:
        failed = exc.error
    try:
        if check is not None:
            check.finish()
    except ProjectError:
        conn.rollback()
        raise
    if failed is not None:
        conn.rollback()
        raise _not_made(conn, failed) from None
    try:
        execute_batch(conn, b"COMMIT", meanwhile=meanwhile)
    except BatchError as exc:
        raise exc.error from None
    return Head()


def require_ledger(conn: psycopg.Connection[Any]) -> None:
    """Add what is missing to a ledger that is there. The caller holds the runner lock.

    Args:
        conn: with a transaction open.

    Raises:
        LedgerShapeError: a table of one of the names with another shape.
        LedgerAccessError: it may not be made.
    """
    import psycopg

    found = ledger_shapes(conn)
    for name, shape in found.items():
        if shape is not None and shape != SHAPES[name]:
            raise LedgerShapeError.of(name, expected=SHAPES[name], found=shape)
    missing = [name for name, shape in found.items() if shape is None]
    if not missing:
        return
    if missing != [HISTORY, JOURNAL]:
        raise LedgerShapeError.incomplete(", ".join(missing))
    try:
        with conn.transaction():  # a savepoint: a transaction that failed would answer nothing any more
            conn.execute(LEDGER_SQL.read_bytes(), prepare=False)
    except psycopg.Error as exc:
        if conn.closed or conn.broken:
            raise
        raise _not_made(conn, exc) from None


def ledger_shapes(conn: psycopg.Connection[Any]) -> dict[str, str | None]:
    """Columns, types and key of each of the ledger's tables, as the catalog has them; None where there is none."""
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(_SHAPE.encode(), ([*SHAPES],), prepare=False).fetchall()
    return {name: None if row is None else row for name, (row,) in zip(SHAPES, rows, strict=True)}


def _not_made(conn: psycopg.Connection[Any], exc: psycopg.Error) -> Exception:
    """Why the ledger could not be made; the driver's error itself when it is none of the known ones."""
    from psycopg import errors

    if isinstance(exc, errors.DuplicateTable):
        # Read a moment ago, it was not there; nobody else may have made it, since we hold the lock.
        return LedgerShapeError.incomplete("the ledger itself; a journal without a ledger is there")
    if isinstance(exc, errors.InsufficientPrivilege):
        return LedgerAccessError.not_made(role=current_role(conn))
    if isinstance(exc, errors.InvalidSchemaName):
        return LedgerAccessError.no_schema()
    return exc


def _read_without_history(conn: psycopg.Connection[Any]) -> Ledger:
    (ledger, history), *_ = _fetch(conn, _PRESENT)
    if not ledger:
        if history:
            raise LedgerChainError.no_ledger_table()
        return Ledger(is_there=False)
    rows = {version: Row(version, checksum, _moment(at)) for version, checksum, at in _fetch(conn, _READ_OLD)}
    return Ledger(_effective(rows, ()))


def _effective(rows: dict[str, Row], records: Sequence[Record]) -> tuple[LedgerRow, ...]:
    last = {record.version: record for record in records if record.kind != "abandoned"}
    return tuple(
        LedgerRow(row.version, row.checksum, row.applied_at)
        if (record := last.get(row.version)) is None
        else LedgerRow(row.version, record.checksum, row.applied_at, record.statements_digest)
        for row in rows.values()
    )


def _shape_error(conn: psycopg.Connection[Any]) -> LedgerShapeError:
    for name, shape in ledger_shapes(conn).items():
        if shape != SHAPES[name]:
            return LedgerShapeError.of(name, expected=SHAPES[name], found=shape or "something that is no table")
    return LedgerShapeError.of(LEDGER, expected=SHAPES[LEDGER], found="something that cannot be read as one")


def _fetch(conn: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query.encode(), prepare=False).fetchall()


def _moment(text: str | None) -> datetime | None:
    """A time of _TIME; None for what is none, or lies beyond the years that Python knows."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _fields_of(line: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*line[3:15], bool(line[15]))


def _seq(record: Record) -> int:
    return record.seq
