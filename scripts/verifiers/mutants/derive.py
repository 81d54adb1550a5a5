"""Every mutant of a database, in an order that depends on nothing but its catalog.

Owns: which objects are broken, and that each has an owner.
Promises: every table, column, constraint, index, trigger, function, enum type and role that the reading holds is
broken in every way we know; names are unique; an object without an owner is an error, not an omission.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from scripts.errors.mutants import UnownedError
from scripts.verifiers.facts.ledger import HISTORY, JOURNAL
from scripts.verifiers.mutants import owners
from scripts.verifiers.mutants.columns import enum_mutants, table_mutants
from scripts.verifiers.mutants.constraints import constraint_mutants
from scripts.verifiers.mutants.functions import body_mutants, definition_mutants, stranger_mutants
from scripts.verifiers.mutants.indexes import index_mutants
from scripts.verifiers.mutants.openings import lending_mutants, opening_mutants
from scripts.verifiers.mutants.privileges import function_right_mutants, schema_right_mutants, table_right_mutants
from scripts.verifiers.mutants.roles import ledger_mutants, role_mutants
from scripts.verifiers.mutants.standins import stand_in_mutants
from scripts.verifiers.mutants.triggers import trigger_mutants
from scripts.verifiers.mutants.words import in_public

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scripts.verifiers.mutants.model import Mutant
    from scripts.verifiers.mutants.subject import Subject


def derive_mutants(subject: Subject) -> tuple[Mutant, ...]:
    """Every mutant.

    Raises:
        UnownedError: the database holds a table, trigger or function that no invariant owns.
    """
    unowned = sorted(_unowned(subject))
    if unowned:
        raise UnownedError.of(unowned)
    mutants: dict[str, Mutant] = {}
    for mutant in _every(subject):
        if mutant.name in mutants:
            msg = f"two mutants of one name: {mutant.name}"
            raise RuntimeError(msg)
        mutants[mutant.name] = mutant
    return tuple(mutants.values())


def _every(subject: Subject) -> Iterator[Mutant]:
    reading = subject.reading
    for name, table in sorted(reading.tables.items()):
        yield from _beside_rows(name, (*table_mutants(subject, table), *constraint_mutants(table)))
        yield from index_mutants(table)
        yield from trigger_mutants(table)
        yield from table_right_mutants(subject, name)
        yield from opening_mutants(subject, name)
    yield from enum_mutants(subject)
    for routine in reading.routines:
        yield from definition_mutants(routine)
        yield from function_right_mutants(subject, routine)
    yield from stranger_mutants()
    yield from lending_mutants(subject)
    yield from stand_in_mutants(subject)
    for source in subject.sources:
        yield from body_mutants(source)
    yield from schema_right_mutants(subject)
    yield from role_mutants(subject)
    yield from ledger_mutants(subject)


def _beside_rows(table: str, mutants: Iterable[Mutant]) -> Iterator[Mutant]:
    """What the runner wrote would keep some changes from being made, and nobody would be asked about them.

    Nothing rests on the rows of the journal. Those of the history are the chain, and each of them was applied.
    """
    for mutant in mutants:
        if table == JOURNAL.name:
            yield replace(mutant, sql=(f"DELETE FROM {in_public(table)}", *mutant.sql))
        elif table != HISTORY.name or mutant.change != "without the value 'applied'::text":
            yield mutant


def _unowned(subject: Subject) -> Iterator[str]:
    reading = subject.reading
    for name, table in reading.tables.items():
        if name not in owners.TABLE_OWNERS:
            yield f"table public.{name}"
            continue
        yield from (
            f"trigger {trigger.name} on public.{name}"
            for trigger in table.triggers
            if trigger.name not in owners.TRIGGER_OWNERS
        )
    for routine in reading.routines:
        if routine.function.name not in owners.BEHAVIOUR_OWNERS:
            yield f"function {routine.signature}"
