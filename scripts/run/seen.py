"""The catalog of a database in which verifiers may be at work, or were killed at it.

Owns: the sweep before the catalog is read, and the second look where a twin came or went while it was.
Promises: neither a dead twin nor a living one of any run is in what is handed on, as long as we may drop the dead.
Never: drops anything itself (scripts/verifiers/twin/names.py says what a dead twin is).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import psycopg

    from scripts.catalog.read import Catalog

# A twin lives for a second; one that went while we read is gone at the next look.
LOOKS: Final = 5


def read_seen(conn: psycopg.Connection[Any], *, sweeping: bool = True) -> Catalog:
    """The catalog without anybody's twin.

    Args:
        conn: in autocommit, outside a transaction.
        sweeping: whether dead twins are dropped first; a reader that may not write is shown them, as drift.

    Raises:
        psycopg.Error: as `read_catalog`.
    """
    from psycopg import errors

    from scripts.catalog.read import read_catalog
    from scripts.verifiers.twin.names import PREFIX, sweep

    for left in reversed(range(LOOKS)):
        if sweeping:
            # One that others hold stays for the next run; it is told as what it is.
            with suppress(errors.LockNotAvailable, errors.InsufficientPrivilege):
                sweep(conn)
        try:
            catalog = read_catalog(conn)
        except (errors.InternalError_, errors.UndefinedTable, errors.UndefinedFunction, errors.InvalidSchemaName):
            # What was dropped between the snapshot and the server's own functions that write definitions.
            if not left:
                raise
            continue
        if not any(item.kind == "schema" and item.name.startswith(PREFIX) for item in catalog.objects):
            break
    return catalog
