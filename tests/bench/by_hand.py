"""What the guarantees cost when nothing is asked, checked or told: the floor under the engine's own time.

Owns: the bare loop with a ledger, written as tightly as it can be: the runner's lock, the ledger's tables, one message
    for an ordinary file with its row, its record in a hash chain and the session's baseline; a journal entry before and
    after each statement that runs outside a transaction.
Never: parses, recognises what is there already, takes a trace, or says what went wrong.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from scripts.migrations.ledger.table import LEDGER_SQL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.candidates import Bare

_PREPARED = b"""PREPARE by_hand_row (text, text) AS
    INSERT INTO public.schema_migrations (version, checksum) VALUES ($1, $2);
PREPARE by_hand_record (bigint, text, text) AS
    INSERT INTO public.schema_migrations_history
           (seq, kind, version, checksum, recorded_at, recorded_by, previous_hash, hash)
    SELECT $1, 'applied', $2, $3, now(), 'by hand', coalesce(h.hash, ''),
           encode(sha256(convert_to(concat_ws(' ', h.hash, $1, $2, $3, now()), 'UTF8')), 'hex')
      FROM (SELECT 1) one LEFT JOIN public.schema_migrations_history h ON h.seq = $1 - 1;
PREPARE by_hand_journal (text, integer, text) AS
    INSERT INTO public.schema_migrations_journal (version, statement, digest, state, started_at)
    VALUES ($1, $2, '', $3, now()) ON CONFLICT (version, statement) DO UPDATE SET state = excluded.state"""
_BASELINE = (
    b"SET CONSTRAINTS ALL IMMEDIATE; CLOSE ALL; UNLISTEN *; DISCARD SEQUENCES; DISCARD TEMP; RESET ALL;"
    b" RESET SESSION AUTHORIZATION; SET lock_timeout = 2000; SET statement_timeout = 300000;"
    b" SET LOCAL plan_cache_mode TO force_generic_plan"
)


@dataclass(frozen=True)
class ByHand:
    """The loop over a folder; told the statements of the marked files, as the bare one is."""

    bare: Bare

    def run(self, conn: psycopg.Connection[Any]) -> float:
        """Apply the folder; the time it took, in seconds."""
        started = time.perf_counter()
        conn.execute("SELECT pg_try_advisory_lock(1)")
        conn.execute(b"BEGIN;%b;%b;COMMIT" % (LEDGER_SQL.read_bytes(), _PREPARED), prepare=False)
        for seq, path in enumerate(sorted(self.bare.folder.glob("*.sql")), start=1):
            data = path.read_bytes()
            name, checksum = path.name.encode(), hashlib.sha256(data).hexdigest().encode()
            recorded = b"EXECUTE by_hand_row ('%b', '%b'); EXECUTE by_hand_record (%d, '%b', '%b')" % (
                *(name, checksum),
                *(seq, name, checksum),
            )
            marked = self.bare.marked.get(path.name)
            if marked is None:
                conn.execute(b"BEGIN;\n%b\n;%b;%b;COMMIT" % (data, _BASELINE, recorded), prepare=False)
            else:
                _one_by_one(conn, name, marked)
                conn.execute(b"BEGIN;%b;%b;COMMIT" % (_BASELINE, recorded), prepare=False)
        return time.perf_counter() - started


def _one_by_one(conn: psycopg.Connection[Any], name: bytes, statements: Iterable[bytes]) -> None:
    done = b""
    for number, statement in enumerate(statements):
        conn.execute(done + b"EXECUTE by_hand_journal ('%b', %d, 'started')" % (name, number), prepare=False)
        with suppress(psycopg.errors.DuplicateTable):
            conn.execute(statement, prepare=False)
        done = b"EXECUTE by_hand_journal ('%b', %d, 'done');" % (name, number)
    conn.execute(done, prepare=False)
