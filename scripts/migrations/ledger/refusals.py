"""What it means that the server refused the ledger row of a file, or its record.

Owns: how the runner's own conditions (records.py) are told from a fault of the file's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.errors.ledger import LedgerChainError
from scripts.errors.migration import RunnerLockLostError
from scripts.migrations.ledger.records import NO_RECORD

if TYPE_CHECKING:
    import psycopg

_NOT_NULL, _NO_NUMBER, _UNSUPPORTED = "23502", "22P02", "0A000"
# No such table, no such schema.
_GONE = ("42P01", "3F000")


def refusal(exc: psycopg.Error, name: str) -> Exception:
    """The error to raise for what the server said to row, record or COMMIT of a file: the driver's own in doubt.

    Args:
        exc: the driver's error.
        name: the file's.
    """
    diag = exc.diag
    refused = (diag.schema_name, diag.table_name, diag.column_name)
    if exc.sqlstate == _NOT_NULL and refused == ("public", "schema_migrations", "version"):
        return RunnerLockLostError.by(name)
    if exc.sqlstate == _NOT_NULL and refused == ("public", "schema_migrations_history", "hash"):
        return LedgerChainError.not_kept(name)
    if exc.sqlstate == _NO_NUMBER and NO_RECORD in (diag.message_primary or ""):
        return LedgerChainError.record_not_kept(name)
    # A statement of a trigger's has a context, one of the runner's own has none.
    if exc.sqlstate == _UNSUPPORTED and not diag.context:
        return LedgerChainError.record_not_kept(name)  # a rule that does something instead returns no hash
    if exc.sqlstate in _GONE and not diag.context:
        return LedgerChainError.gone(name)
    return exc
