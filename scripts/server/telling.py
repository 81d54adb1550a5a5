"""What goes wrong with the server while a run works on it: told as that, whoever asked the question that met it.

Owns: which failures are the server's and not the question's: no room, no memory, gone, busy, no right.
Promises: none of these ends in a traceback or blames a migration; of what the server said only the SQLSTATE is told,
    and for a full disk its first line.
Never: takes a fault of ours (a syntax error, a wrong type) for the server's.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from scripts.errors.drift import ReadingError
from scripts.errors.migration import ConnectionLostError, MigrationFailedError
from scripts.errors.room import DiskFullError
from scripts.errors.unfit import wants
from scripts.server.readiness import address_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.server.model import Server

# Classes of SQLSTATE: an invalid transaction state (25006 on a standby), conflicts with others, no resources, limits,
# states that forbid it, an administrator, the system, internal errors such as a damaged index.
_THE_SERVERS = ("25", "40", "53", "54", "55", "57", "58", "XX")
_NO_RIGHT = "42501"
_BUSY = "55P03"
_GONE = ("08", "57P0")


@contextmanager
def telling(server: Server, *, lock_timeout_ms: int) -> Iterator[None]:
    """For the block of a run that has a server.

    Args:
        server: the run's.
        lock_timeout_ms: how long a lock is waited for, in milliseconds; for the error.

    Raises:
        DiskFullError: it has no room, or no memory.
        ConnectionLostError: it went away.
        ReadingError: somebody holds what was to be read; or it does not do what it is asked, for a reason of its own.
    """
    import psycopg

    try:
        yield
    except MigrationFailedError as error:
        # A machine without room says nothing of the file.
        require_room(server, error.sqlstate, error.what, error.where)
        raise
    except ConnectionLostError:
        _require_not_full(server)
        raise
    except psycopg.Error as exc:
        state = exc.sqlstate or ""
        require_room(server, state, exc.diag.message_primary or "", "what it was asked")
        if (isinstance(exc, psycopg.OperationalError) and not state) or state.startswith(_GONE):
            _require_not_full(server)
            raise ConnectionLostError.between_files(sqlstate=state) from None
        if state == _BUSY:
            raise ReadingError.locked(address_of(server.dsn), waited_ms=lock_timeout_ms) from None
        if state == _NO_RIGHT or state.startswith(_THE_SERVERS):
            raise ReadingError.refused(address_of(server.dsn), f"{state} {type(exc).__name__}") from None
        raise


def require_room(server: Server, sqlstate: str, words: str, step: str) -> None:
    """Tell of a server that has no room or no memory as that, whatever it was asked just then.

    Raises:
        DiskFullError: so it is.
    """
    if wants(sqlstate, words):
        raise _full(server, words, step) from None


def _require_not_full(server: Server) -> None:
    """A server that cannot write its log ends, and says so only there."""
    if server.holder is not None and server.holder.out_of_room():
        raise _full(server, "", "what it was asked, and ended") from None


def _full(server: Server, words: str, step: str) -> DiskFullError:
    own = server.origin != "external"
    place = server.facts.get("data_directory", "") if own else ""
    return DiskFullError.of_server(step, place or address_of(server.dsn), words, own=own)
