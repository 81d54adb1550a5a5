"""A queue of the probe's own, for a database in which somebody's items would come before whatever a probe can plant.

A planted item is due at -infinity, and an expired lease ran out eleven years ago, so that a batch of as many as were
planted holds nobody else's. Where others have such items too the order among equals is nobody's promise, and a claim
would take theirs.

Owns: when that is so, and the copy that takes the queue's place: table, constraints, indexes, triggers, and every
function that names the queue, made to name the copy.
Promises: nobody's item is locked, claimed or repaired; what is asked is the text that stands in the catalog, a planted
violation included.
Never: outlives the savepoint it was made in.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, LiteralString

from scripts.verifiers.probes.world import LOST_H

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.verifiers.probes.stage import Stage

_QUEUE, _OWN = "public.payment_outbox_pending", "pg_temp.payment_outbox_pending"
_QUOTED = '"public"."payment_outbox_pending"'
_CROWDED: LiteralString = (
    "SELECT EXISTS (SELECT FROM public.payment_outbox_pending AS p WHERE p.next_attempt_at = '-infinity') "
    "OR EXISTS (SELECT FROM public.payment_outbox_pending AS p WHERE p.lease_expires_at <= "
    "pg_catalog.clock_timestamp() - pg_catalog.make_interval(hours => %s))"
)
# LIKE would make valid what is not.
_LIKE: LiteralString = (
    "CREATE TEMPORARY TABLE payment_outbox_pending "
    "(LIKE public.payment_outbox_pending INCLUDING ALL EXCLUDING CONSTRAINTS)"
)
_CHECKS: LiteralString = (
    "SELECT k.conname::text, pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint AS k "
    "WHERE k.conrelid = 'public.payment_outbox_pending'::pg_catalog.regclass AND k.contype = 'c' ORDER BY k.conname"
)
_TRIGGERS: LiteralString = (
    "SELECT pg_catalog.pg_get_triggerdef(t.oid), t.tgname::text, t.tgenabled::text FROM pg_catalog.pg_trigger AS t "
    "WHERE t.tgrelid = 'public.payment_outbox_pending'::pg_catalog.regclass AND NOT t.tgisinternal ORDER BY t.tgname"
)
_FUNCTIONS: LiteralString = (
    "SELECT pg_catalog.pg_get_functiondef(p.oid) FROM pg_catalog.pg_proc AS p "
    "WHERE p.pronamespace = 'public'::pg_catalog.regnamespace AND p.prokind = 'f' "
    "AND pg_catalog.strpos(p.prosrc, 'public.payment_outbox_pending') > 0 ORDER BY p.oid"
)
_STATES = {"D": "DISABLE TRIGGER", "R": "ENABLE REPLICA TRIGGER", "A": "ENABLE ALWAYS TRIGGER"}


def by_order(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
    """A probe that relies on its items coming before everybody's: on a crowded queue it is played on its own."""

    @wraps(play)
    def played(stage: Stage) -> None:
        with first_in_order(stage):
            play(stage)

    return played


@contextmanager
def first_in_order(stage: Stage) -> Iterator[None]:
    """Until the block ends, what is planted comes before everybody's. For one block a savepoint."""
    if not _is_crowded(stage):
        yield
        return
    _make(stage)
    with stage.wire.renamed({_QUEUE: _OWN, _QUOTED: _OWN}):
        yield


def _is_crowded(stage: Stage) -> bool:
    """Whether others have items that come as early as ours; a queue that cannot be asked is for the probe to tell."""
    import psycopg

    with stage.undone():
        try:
            return bool(stage.value(_CROWDED, [LOST_H]))
        except psycopg.errors.ProgrammingError:
            return False


def _make(stage: Stage) -> None:
    from psycopg import sql

    checks, triggers, functions = stage.rows(_CHECKS), stage.rows(_TRIGGERS), stage.rows(_FUNCTIONS)
    stage.run(_LIKE)
    for name, definition in checks:
        add = sql.SQL("ALTER TABLE pg_temp.payment_outbox_pending ADD CONSTRAINT {} ").format(sql.Identifier(name))
        stage.run(add.as_bytes() + definition.encode())
    for definition, name, state in triggers:
        stage.run(definition.replace(f" ON {_QUEUE} ", f" ON {_OWN} ").encode())
        if state in _STATES:
            change = sql.SQL("ALTER TABLE pg_temp.payment_outbox_pending {} {}")
            stage.run(change.format(sql.SQL(_STATES[state]), sql.Identifier(name)))
    for (definition,) in functions:
        head, mark, body = definition.partition("\nAS ")
        stage.run((head + mark + body.replace(_QUEUE, _OWN)).encode())
