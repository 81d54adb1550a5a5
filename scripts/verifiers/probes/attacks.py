"""Several attacks in one message: each in a subtransaction of its own, each undone, each told.

Owns: the block that makes them, and what it says of each.
Promises: an attack meets what it would meet alone: its role, its lock's budget, deferred constraints at its end; none
sees what another did. What a block of the server's cannot say (a lock that others hold, a cancelled statement, a block
that may not be run) is left to the attack by itself.
Never: judges an answer.
Source: PL/pgSQL's subtransactions (PostgreSQL's manual, "Trapping Errors"): what a block with EXCEPTION did is undone
when it ends in an error, its variables keep their values.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, LiteralString, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.verifiers.probes.wire import Wire

# Settings of the transaction carry what the block takes and gives: it has neither parameters nor a result.
_HAND_OVER: LiteralString = "SELECT pg_catalog.set_config('parity.attacks', %s, true)"
# What undoes an attack that was let through is known by `done`, not by its code: any code may be an attack's own.
_BLOCK: LiteralString = """DO LANGUAGE plpgsql $attacks$
DECLARE
    attacks CONSTANT pg_catalog.jsonb := pg_catalog.current_setting('parity.attacks')::pg_catalog.jsonb;
    attack pg_catalog.jsonb;
    told pg_catalog.text[] := '{}';
    done pg_catalog.bool;
    state pg_catalog.text;
    named pg_catalog.text;
BEGIN
    FOR attack IN SELECT pg_catalog.jsonb_array_elements(attacks) LOOP
        done := false;
        BEGIN
            IF attack->>'budget' <> '' THEN
                PERFORM pg_catalog.set_config('lock_timeout', attack->>'budget', true);
            END IF;
            IF attack->>'role' <> '' THEN
                PERFORM pg_catalog.set_config('role', attack->>'role', true);
            END IF;
            EXECUTE attack->>'sql';
            IF attack->>'role' <> '' THEN
                PERFORM pg_catalog.set_config('role', attack->>'home', true);
            END IF;
            SET CONSTRAINTS ALL IMMEDIATE;
            done := true;
            RAISE EXCEPTION 'undone';
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, named = CONSTRAINT_NAME;
            told := told || CASE WHEN done THEN '' ELSE pg_catalog.btrim(state || ' ' || named) END;
            -- No answer, and none of those behind it waits for a lock that others hold as well.
            EXIT WHEN NOT done AND (state = '55P03'
                                    OR pg_catalog."left"(state, 2) IN ('08', '40', '53', '57', '58', 'XX'));
        END;
    END LOOP;
    PERFORM pg_catalog.set_config('parity.told', pg_catalog.to_json(told)::pg_catalog.text, true);
END $attacks$"""
# What a block may not do, whatever else may: a savepoint, the end of a transaction.
NOT_IN_A_BLOCK = ("0A000", "2D000")
_ANSWER: LiteralString = "SELECT pg_catalog.current_setting('parity.told')"


class Attack(NamedTuple):
    """A statement with its values in it, who makes it (the owner when empty), and how long it may wait for a lock."""

    sql: str
    role: str = ""
    budget: str = ""


def make(wire: Wire, attacks: Sequence[Attack], home: str) -> list[str]:
    """What the server said to each: nothing where it was let through, else SQLSTATE and the constraint's name.

    The last one may be the first to which it gave no answer: those behind it were not made.

    Args:
        wire: inside a savepoint that the caller undoes.
        attacks: in order.
        home: the role that acts when no other is named.

    Raises:
        psycopg.Error: the block as a whole was refused, or no answer came; of no attack is anything known.
    """
    made = json.dumps([{**attack._asdict(), "home": home} for attack in attacks])
    wire.owe(wire.text(_HAND_OVER, [made]), _BLOCK)
    ((answer,),) = wire.ask(_ANSWER)
    told: list[str] = json.loads(answer)
    return told
