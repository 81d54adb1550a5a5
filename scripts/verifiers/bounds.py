"""The transaction around an invariant's questions: it has deadlines, and it is rolled back.

Owns: the deadlines, and what is pinned against the defaults of a database or a role.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from scripts.verifiers.silence import answering

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

# One question may take this long, waiting for locks included; one invariant this long altogether. Both are far above
# what a probe needs and far below what a person would wait for.
STATEMENT_TIMEOUT_MS = 10_000
LOCK_TIMEOUT_MS = 2_000
INVARIANT_TIMEOUT_MS = 60_000
# When the server has not kept that, it keeps nothing: its process for this session was stopped, or cannot be reached.
SILENT_S = INVARIANT_TIMEOUT_MS / 1000 + 5
# However the database or the role writes names and constants, the server writes them to us in one way; and the owner's
# own session has no retry ceiling. The last two would end the session, or take its errors for the end of it.
PINNED = (
    "SET LOCAL quote_all_identifiers TO off; SET LOCAL \"DateStyle\" TO 'ISO, MDY'; SET LOCAL \"TimeZone\" TO 'UTC'; "
    "SET LOCAL \"IntervalStyle\" TO 'postgres'; SET LOCAL extra_float_digits TO 1; SET LOCAL bytea_output TO 'hex'; "
    "SET LOCAL symphony.outbox_retry_ceiling TO ''; SET LOCAL idle_in_transaction_session_timeout TO 0; "
    "SET LOCAL exit_on_error TO off; SET LOCAL standard_conforming_strings TO on; "
    "SET LOCAL backslash_quote TO safe_encoding; SET LOCAL transform_null_equals TO off; SET LOCAL array_nulls TO on"
)
# What the database or the role sets by default must not change the answers.
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
# A function is asked a few times between two changes to what it works on, too seldom for the server to find out by
# itself that a plan for any values is as good as one for each.
_PLAN_ONCE = "SET LOCAL plan_cache_mode TO force_generic_plan"


@contextmanager
def bounded(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """A transaction with deadlines that is rolled back whatever happens."""
    from psycopg.pq import TransactionStatus

    outermost = conn.info.transaction_status is TransactionStatus.IDLE
    limits = {"statement_timeout": STATEMENT_TIMEOUT_MS, "lock_timeout": LOCK_TIMEOUT_MS}
    if outermost:
        # Set inside a savepoint, its clock outlives the savepoint and ends the connection in a later transaction.
        limits["transaction_timeout"] = INVARIANT_TIMEOUT_MS
    settings = (*(f"SET LOCAL {name} TO '{value:d}ms'" for name, value in limits.items()), _PLAN_ONCE, PINNED)
    # A statement that the driver prepared by itself is refused once a column has another type; and at a rollback the
    # driver throws away whatever is prepared, the plans of our long questions too.
    threshold, conn.prepare_threshold = conn.prepare_threshold, None
    try:
        if outermost:
            with answering(conn, SILENT_S), _opened(conn, settings):
                yield
        else:
            with _nested(conn, settings):
                yield
    finally:
        conn.prepare_threshold = threshold


@contextmanager
def _opened(conn: psycopg.Connection[Any], settings: tuple[str, ...]) -> Iterator[None]:
    """Begun and set up in one message."""
    import psycopg

    try:
        conn.execute("; ".join((_BEGIN, *settings)).encode(), prepare=False)
        yield
    except BaseException:
        # A connection that is lost says so in the error that is under way.
        with suppress(psycopg.Error):
            conn.rollback()
        raise
    conn.rollback()


@contextmanager
def _nested(conn: psycopg.Connection[Any], settings: tuple[str, ...]) -> Iterator[None]:
    with conn.transaction(force_rollback=True):
        conn.execute("; ".join(settings).encode(), prepare=False)
        yield
