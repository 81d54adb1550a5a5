"""Violations, to be planted before a probe is played once more: the probe must notice.

Owns: the ways in which a control breaks the schema on purpose: a word of a body changed, a guard hollowed, a right
given, a table altered.
Promises: what is planted goes with the savepoint it was planted in. Where a function can be changed no table is locked;
where a table must be, its lock is asked for no longer than others can bear. A violation that finds nothing to change is
an error and never a schema left whole.
Never: touches a row, or asks a question of the schema.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString, TypeAlias

from scripts.errors.unplanted import UnplantedError
from scripts.verifiers.facts.functions import FUNCTIONS
from scripts.verifiers.probes.stage import ACCESS_EXCLUSIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.verifiers.probes.stage import Stage

    Plant: TypeAlias = Callable[[Stage], None]

# Function, a text of its definition, and what stands there instead.
Change: TypeAlias = "tuple[str, str, str]"
# An error of no meaning: what must be let through is refused with it.
REFUSE = "RAISE EXCEPTION 'planted' USING ERRCODE = 'P7999';"
_BODIES: LiteralString = (
    "SELECT p.proname::text, pg_catalog.pg_get_functiondef(p.oid) FROM pg_catalog.pg_proc AS p "
    "WHERE p.pronamespace = 'public'::pg_catalog.regnamespace AND p.proname = ANY (%s) AND p.prokind = 'f'"
)
_HOLLOW = (
    "CREATE OR REPLACE FUNCTION public.{}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, "
    "pg_temp AS 'BEGIN RETURN coalesce(NEW, OLD); END'"
)

_UNRULED: LiteralString = """
DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT k.conname FROM pg_catalog.pg_constraint AS k
              WHERE k.conrelid = 'public.{table}'::pg_catalog.regclass
                AND (k.contype = 'c' OR k.contype = 'f' AND k.conkey = ARRAY[(
                        SELECT a.attnum FROM pg_catalog.pg_attribute AS a
                         WHERE a.attrelid = k.conrelid AND a.attname = '{reference}')]) LOOP
        EXECUTE pg_catalog.format('ALTER TABLE public.{table} DROP CONSTRAINT %I', r.conname);
    END LOOP;
END $$
"""

# The first is waited for while nothing is held; then the others are had at once, or the first is given back.
_LOCK_ALL: LiteralString = """
DO $$ DECLARE waits boolean; BEGIN
    FOR n IN 1 .. {times} LOOP
        BEGIN
            waits := true;
            LOCK TABLE {first} IN ACCESS EXCLUSIVE MODE;
            waits := false;
            LOCK TABLE {others} IN ACCESS EXCLUSIVE MODE NOWAIT;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            IF waits OR n = {times} THEN RAISE; END IF;
            PERFORM pg_catalog.pg_sleep({pause_ms} / 1000.0);
        END;
    END LOOP;
END $$
"""
_TIMES, _PAUSE_MS = 6, 10
# Where a payment's transaction begins: who waits for the first of these and has it knows that no such transaction,
# which would have the others, is open.
_ENTRANCES = ("billable_clients", "tenants", "ingress_attestations", "payment_outbox_pending")


def rewritten(*changes: Change) -> Plant:
    """Functions of `public` that are the same but for these words, everywhere they stand.

    Args:
        changes: made in order; several may be of one function.
    """

    def plant(stage: Stage) -> None:
        bodies = _definitions(stage, {function for function, _, _ in changes})
        for function, old, new in changes:
            if old not in bodies.get(function, ""):
                raise UnplantedError.reads_otherwise(f"public.{function}", expected=" ".join(old.split()))
            bodies[function] = bodies[function].replace(old, new)
        stage.redefine(bodies)

    return plant


def _definitions(stage: Stage, functions: set[str]) -> dict[str, str]:
    """Function name → its definition as a statement; none where two functions have the name, or none has it.

    Read when nothing is planted yet: a violation changes a function once.
    """
    known = stage.bodies
    if functions - known.keys():
        # All of them at once, since most will be asked for.
        missing = sorted({*FUNCTIONS, *functions} - known.keys())
        with stage.undone():
            # So that the server writes every name in full, for whatever is made of it.
            stage.wire.owe("SET LOCAL search_path TO pg_catalog")
            rows = stage.rows(_BODIES, [missing])
        times = Counter(name for name, _ in rows)
        known |= {name: body for name, body in rows if times[name] == 1}
    return {function: known[function] for function in functions if function in known}


def before(function: str, text: str, statement: str) -> Change:
    """The change that has the statement done before the text's."""
    return function, text, f"{statement} {text}"


def hollowed(*functions: str) -> Plant:
    """Trigger functions of `public` that let everything through. No table is locked for it."""
    text = ";\n".join(map(_HOLLOW.format, functions)).encode()
    return lambda stage: stage.run(text)


def said(text: LiteralString | bytes) -> Plant:
    """Statements that lock no table: grants above all."""
    return lambda stage: stage.run(text)


@dataclass(frozen=True, slots=True)
class _Altered:
    """Statements for which tables are locked against everybody until the rollback."""

    tables: tuple[str, ...]
    text: LiteralString

    def __call__(self, stage: Stage) -> None:
        with _locked(stage, self.tables):
            stage.run(self.text)


def altered(table: str, text: LiteralString, *beside: str) -> Plant:
    """Statements that alter a table of `public`.

    Args:
        table: its name.
        text: the statements.
        beside: other tables that they lock as strongly, such as the one that a foreign key refers to.
    """
    return _Altered((table, *beside), text)


@contextmanager
def _locked(stage: Stage, tables: tuple[str, ...]) -> Iterator[None]:
    """With these tables, and for as short as others can bear with what a statement locks besides.

    One is waited for, holding nothing that others wait for. Of several all are had at once or none: whoever held one
    and waited for the next would sooner or later meet somebody who holds that and waits for the first.
    """
    entrances = [table for table in _ENTRANCES if table in tables]
    first, *others = (f"public.{table}" for table in dict.fromkeys((*entrances, *tables)))
    with stage.hurried(", ".join((first, *others)), ACCESS_EXCLUSIVE):
        if others:
            stage.run(_LOCK_ALL.format(first=first, others=", ".join(others), times=_TIMES, pause_ms=_PAUSE_MS))
        yield


def unruled(table: LiteralString, reference: LiteralString, *referenced: str) -> Plant:
    """A table without its CHECKs, and without what the column refers to; found by what they are, whatever their names.

    Args:
        table: in `public`.
        reference: the one column of the foreign key.
        referenced: the table that it refers to.
    """
    return altered(table, _UNRULED.format(table=table, reference=reference), *referenced)


def all_of(*plants: Plant) -> Plant:
    """One after the other; all that they lock is had before the first that alters a table."""
    tables = tuple(dict.fromkeys(table for one in plants if isinstance(one, _Altered) for table in one.tables))

    def plant(stage: Stage) -> None:
        has_all = len(tables) < 2
        for one in plants:
            if isinstance(one, _Altered) and not has_all:
                with _locked(stage, tables):
                    has_all = True
            one(stage)

    return plant
