"""What is added to the ledger and its history: a row and a record for a file that ran, a record for anything else.

Owns: the SQL of both.
Promises: a row is written only while the runner lock is held, and a record only behind a row that is as it was written;
    each record holds the hash of the one before; nothing that was recorded is ever changed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scripts.migrations.batch import literals
from scripts.migrations.ledger.chain import Entry, Head, hashed_fields, link
from scripts.migrations.ledger.table import OWN_PATH

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

# The server would plan them five times over before it keeps a plan; they are the same for all values.
PLAN_ONCE = b"SET LOCAL plan_cache_mode TO force_generic_plan;\n"
# What the server says when a name that was prepared is there no more.
NO_SUCH_PREPARED = "26000"
# Parameters, not values: they are prepared, or sent as parameters (`append`).
_ROW_NAME, _RECORD_NAME = '"parity row"', '"parity record"'
_ROW = (
    "INSERT INTO public.schema_migrations (version, checksum, applied_at)"
    " SELECT CASE WHEN {held} THEN $1 END, $2, pg_catalog.now()"
)
NO_RECORD = "parity: no record"
_RECORD_TYPES = "text, text, text, text, text, text, text, text, text, text, bigint, text, text"
# {at} is an expression of this module: now, or the time of a row that is adopted. {row} is the condition of the hash.
_RECORD = (
    "INSERT INTO public.schema_migrations_history"
    " (kind, version, checksum, replaces, statements_digest, recorded_by, reason, trace_digest, trace,"
    " seq, previous_hash, recorded_at, hash)"
    " VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text,"
    " $11::bigint, $12::text, {at}, CASE WHEN {row} THEN"
    " pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to($13::text || $10::text ||"
    " pg_catalog.octet_length({told})::text || ':'::text || {told} || ','::text, 'UTF8')), 'hex') END) RETURNING hash"
)
# One that a trigger swallowed leaves no hash: then the file is not to be committed, and no number is this text.
_OR_NONE = (
    "WITH kept AS ({record}) SELECT coalesce((SELECT k.hash FROM kept AS k),"
    " ('{none} of ' || (SELECT $2::text))::pg_catalog.int4::text)"
)
_TOLD = "pg_catalog.to_char({at} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
# A row that a rule or a trigger kept from being as it was written leaves no hash, and so no record (23502).
_ROW_KEPT = (
    "EXISTS (SELECT FROM public.schema_migrations m WHERE m.version = $2 AND m.checksum = $3 AND m.applied_at = {at})"
)
_NOW, _ROW_TIME = "pg_catalog.now()", "(SELECT applied_at FROM public.schema_migrations WHERE version = $2)"


class Writer:
    """Writes a file's row and its record, as SQL for the transaction that is open.

    The two statements are prepared once: planning them for every file would cost more than running them. A file may
    drop a session's prepared statements, so they can be had in full as well.
    """

    def __init__(self, conn: psycopg.Connection[Any], *, held: str) -> None:
        """Take the connection and its condition.

        Args:
            conn: for its quoting.
            held: an expression that is true as long as the runner lock is held; when it is not, the row has no version
                and the server refuses it (23502).
        """
        self._conn = conn
        self._row = _ROW.format(held=held)

    def ahead(self, entry: Entry, *, prepared: bool) -> bytes:
        """Row and record of a file that ran, all but the end of the chain, which `chained` adds.

        Args:
            entry: of kind applied.
            prepared: whether the two are still prepared; they are again afterwards.
        """
        row = b", ".join(literals(self._conn, (entry.version, entry.checksum)))
        record = b", ".join(literals(self._conn, _fields(entry)))
        names = _ROW_NAME.encode(), row, _RECORD_NAME.encode(), record
        prepare = b"" if prepared else self.preparation + b";\n"
        return OWN_PATH + PLAN_ONCE + prepare + b"EXECUTE %s (%s);\nEXECUTE %s (%s, " % names

    def chained(self, ahead: bytes, head: Head) -> bytes:
        """What `ahead` gave, complete; the last result is the record's, its only value the new hash.

        Args:
            ahead: as it was given.
            head: where the history ends. Its hash is what the server returned: quoted, like every value.
        """
        seq = head.seq + 1
        previous, linked = literals(self._conn, (head.hash, link(seq, head.hash).decode()))
        return ahead + b"%d, %s, %s)" % (seq, previous, linked)

    @property
    def preparation(self) -> bytes:
        """Two statements that prepare both, for as long as the session lasts or until they are dropped."""
        record = _record(_NOW, _ROW_KEPT)
        return (
            f"PREPARE {_ROW_NAME} (text, text) AS {self._row};\nPREPARE {_RECORD_NAME} ({_RECORD_TYPES}) AS {record}"
        ).encode()


def append(conn: psycopg.Connection[Any], entries: Sequence[Entry], head: Head) -> Head:
    """Add records that need no ledger row of their own, in the transaction that is open. The caller holds the lock."""
    for entry in entries:
        record = _record(_ROW_TIME, _ROW_KEPT) if entry.kind == "adopted" else _record(_NOW, "true")
        parameters = re.sub(r"\$([0-9]+)", lambda match: f"%(p{match[1]})s", record)
        seq = head.seq + 1
        fields = [*_fields(entry), seq, head.hash, link(seq, head.hash).decode()]
        values = {f"p{number}": value for number, value in enumerate(fields, start=1)}
        row: Any = conn.execute(parameters.encode(), values, prepare=False).fetchone()
        head = Head(seq, next(iter(row.values())) if isinstance(row, dict) else row[0])
    return head


def _record(at: str, row: str) -> str:
    record = _RECORD.format(at=at, row=row.format(at=at), told=_TOLD.format(at=at))
    return _OR_NONE.format(record=record, none=NO_RECORD)


def _fields(entry: Entry) -> list[str]:
    """The first ten parameters of a record; the last one is what is hashed of it between its link and its time."""
    return [
        entry.kind,
        entry.version,
        entry.checksum,
        entry.replaces,
        entry.statements_digest,
        entry.recorded_by,
        entry.reason,
        entry.trace_digest,
        entry.trace,
        hashed_fields(entry).decode(),
    ]
