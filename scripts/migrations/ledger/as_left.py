"""The ledger behind a file's statements: as the runner left it, or the file is refused.

Owns: that question, asked in the file's own transaction, before its row.
Why: what a file's text does not show of a write (folder/ledger_writes.py) shows in the chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.errors.base import ProjectError
from scripts.errors.ledger import LedgerChainError
from scripts.migrations.batch import execute_batch
from scripts.migrations.ledger.table import OWN_PATH, read_ledger, require_plain

if TYPE_CHECKING:
    import psycopg

    from scripts.migrations.ledger.chain import Head


def require_ledger_as_left(conn: psycopg.Connection[Any], head: Head, *, name: str) -> None:
    """Read the chain again, after a file's statements, in its transaction.

    Args:
        conn: in the transaction of the file.
        head: where the runner left the history.
        name: the file's.

    Raises:
        LedgerChainError: it is not as the runner left it.
    """
    import psycopg

    try:
        execute_batch(conn, OWN_PATH)
        found = require_plain(read_ledger(conn)).head
    except ProjectError as exc:
        raise LedgerChainError.written_by(name, found=exc.what) from exc
    except psycopg.Error:
        if conn.closed or conn.broken:
            raise
        raise LedgerChainError.written_by(name, found="a ledger that cannot be read any more") from None
    if found != head:
        raise LedgerChainError.written_by(name, found="records of the file's own")
